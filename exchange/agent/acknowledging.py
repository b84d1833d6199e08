"""What an agent tells the exchange of what is in force here: `sync` and `run` alike (docs/delta.md, "Acknowledgement").

Not what is merely applied to the store: a list is in force once it lies in its place and its command has run, and
what `run` keeps once the look-ups and each output hold it (`in_force`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from exchange.agent.counting import instance
from exchange.agent.jobs import Job
from exchange.agent.schema import HELD_NOW, Summed
from exchange.agent.store import Store
from exchange.client.api import Client
from exchange.client.errors import ApiError

#: A part that lacks something for longer is not as it should be.
LATE_S = 60.0
_LISTED, _IN_FORCE, _COUNTS = "listed", "in force", "counts"


@dataclass(frozen=True, slots=True)
class Reached:
    """What was reached of a set: its cursor, how many objects it holds, and the hash over them."""

    cursor: str
    set_count: int
    set_hash: str


def applied(job: Job, store: Store) -> Reached | None:
    """Where the store stands; None where no hash is known yet."""
    found = store.state("name", HELD_NOW.cursor, HELD_NOW.sum)
    summed = Summed.read(found.get(HELD_NOW.sum, ""))
    if summed is None or found.get("name") != job.proved_name:
        return None
    return Reached(found.get(HELD_NOW.cursor, ""), summed.of.count, summed.of.hex)


def note_listed(job: Job, store: Store, place: Reached | None) -> None:
    """The list lies in its place, with what the store held there. It is in force, unless a command is to load it."""
    if place is not None:
        told = json.dumps(astuple(place))
        store.note(_LISTED if job.hook and store.get("hook owed") else _IN_FORCE, told)


def note_counts(store: Store, counts: Mapping[str, int]) -> None:
    """How many values of the list that lies in its place are blocked, would be, or are suppressed."""
    store.note(_COUNTS, json.dumps(counts))


def counts(store: Store) -> dict[str, int]:
    """The same; empty where the list was written by an agent that did not count."""
    found: dict[str, int] = json.loads(store.get(_COUNTS) or "{}")
    return found


def listed(store: Store) -> str:
    """What lies in its place; to be handed to `note_loaded` once the command has run that began after this."""
    return store.get(_LISTED)


def note_loaded(store: Store, told: str) -> None:
    """The command has loaded it."""
    if told:
        store.note(_IN_FORCE, told)


def in_force(job: Job, store: Store) -> Reached | None:
    """What of a list of `sync` is in force, or was of `run` before; None where nothing is, or no hash is known yet."""
    told = store.get(_IN_FORCE)
    return Reached(*json.loads(told)) if told and store.get("name") == job.proved_name else None


def note_told(store: Store, place: Reached) -> None:
    """The exchange was told that this is in force: so is it after a restart, in a part that cannot be reached then."""
    store.note(_IN_FORCE, json.dumps(astuple(place)))


def late(parts: Iterable[tuple[str, float]]) -> list[dict[str, Any]]:
    """Of parts, by kind and for how many seconds each lacks something: how many of a kind are late, and for how long.

    A kind is of `pages.PARTS`: what an output is called is its owner's own.
    """
    found: dict[str, list[float]] = {}
    for kind, behind_s in parts:
        if behind_s > LATE_S:
            found.setdefault(kind, []).append(behind_s)
    return [{"part": kind, "count": len(all_s), "behind_s": int(max(all_s))} for kind, all_s in sorted(found.items())]


def tell(client: Client, feed: str, said: Mapping[str, Any]) -> None:
    """Acknowledge; an exchange that does not know what is late is told the rest. Raises ApiError, Unreachable."""
    try:
        client.ack(feed, said)
    except ApiError as error:
        if "late" not in said or error.code != "unknown-property":
            raise
        client.ack(feed, {name: value for name, value in said.items() if name != "late"})


def said(place: Reached, store: Store, *, state: Path, version: str) -> dict[str, Any]:
    """What is told of it. `state` is where the agent's own name is kept."""
    lag = store.get("lag")
    return {
        "instance": instance(state),
        "version": version,
        "cursor": place.cursor,
        "set_count": place.set_count,
        "set_hash": place.set_hash,
        "skipped": int(store.get("skipped") or 0),
        "lag_s": float(lag) if lag else None,
    }
