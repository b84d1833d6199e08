"""What an agent tells the exchange of what it applied: `sync` and `run` alike (docs/delta.md, "Acknowledgement")."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from exchange.agent.counting import instance
from exchange.agent.jobs import Job
from exchange.agent.store import Store


def of(job: Job, store: Store, *, state: Path, version: str) -> dict[str, Any] | None:
    """What is applied, by its set hash; None where none is known yet. `state` is where the agent's own name is kept."""
    proof = store.proof()
    if store.get("name") != job.proved_name or proof is None:
        return None
    lag = store.get("lag")
    return {
        "instance": instance(state),
        "version": version,
        "cursor": store.get("cursor"),
        "set_count": proof[0],
        "set_hash": proof[1],
        "skipped": int(store.get("skipped") or 0),
        "lag_s": float(lag) if lag else None,
    }
