"""What look-ups met, day by day, so that a policy is rehearsed for days before it is enforced: counts, no values."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Container, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from exchange.agent.damage import alone_in
from exchange.agent.policy import Action, Verdict

_KEPT = timedelta(days=90)
_TABLE = """
CREATE TABLE IF NOT EXISTS met (
    day TEXT, action TEXT, would TEXT, rule TEXT, floor TEXT, suppressed_by TEXT, kind TEXT, subkind TEXT, hits INTEGER,
    PRIMARY KEY (day, action, would, rule, floor, suppressed_by, kind, subkind)
) WITHOUT ROWID;
"""


def save_hits(state: Path, hits: Mapping[Verdict, int]) -> None:
    """Add counts to those of today."""
    day = f"{datetime.now(UTC):%Y-%m-%d}"
    with _opened(state) as store:
        store.executemany(
            "INSERT INTO met VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET hits = hits + excluded.hits",
            [
                (day, one.word, one.would or "", one.rule, one.floor, one.suppressed_by, one.kind, one.subkind, count)
                for one, count in hits.items()
            ],
        )
        store.execute("DELETE FROM met WHERE day < ?", [f"{datetime.now(UTC) - _KEPT:%Y-%m-%d}"])


#: What keeps somebody out.
_ACTS = frozenset({Action.BLOCK, Action.CHALLENGE})


def summed(hits: Mapping[Verdict, int], *, acts: Container[Action | None] = _ACTS) -> dict[str, int]:
    """How many of these block, would block, or are suppressed; `acts` are the actions that count as to block."""
    found = {"blocked": 0, "shadow": 0, "suppressed": 0}
    for verdict, count in hits.items():
        if verdict.suppressed_by:
            found["suppressed"] += count
        elif verdict.would in acts:
            found["shadow"] += count
        elif verdict.action in acts:
            found["blocked"] += count
    return found


def report(state: Path, *, days: int) -> list[dict[str, Any]]:
    """What was met in the last days, the most frequent first: what was done, or would have been done, by which rule."""
    since = f"{datetime.now(UTC) - timedelta(days=days - 1):%Y-%m-%d}"
    with _opened(state) as store:
        rows = store.execute(
            "SELECT action, would, rule, floor, suppressed_by, kind, subkind, sum(hits), count(DISTINCT day) FROM met"
            " WHERE day >= ? GROUP BY 1, 2, 3, 4, 5, 6, 7 ORDER BY 8 DESC, 1, 2, 3, 4, 5, 6, 7",
            [since],
        ).fetchall()
    names = ("action", "would", "rule", "floor", "suppressed_by", "kind", "subkind", "hits", "days")
    return [dict(zip(names, row, strict=True)) for row in rows]


def instance(state: Path) -> str:
    """A random name of this agent, which tells nothing of the machine; made once."""
    path = state / "instance"
    state.mkdir(parents=True, exist_ok=True)
    with alone_in(state):  # the first of several who begin at once names it for all
        if not path.exists():
            path.write_text(str(uuid.uuid4()))
    return path.read_text().strip()


@contextmanager
def _opened(state: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(state / "met.sqlite", timeout=30)) as store, store:
        store.execute(_TABLE)
        yield store
