"""What look-ups met, by object and hour, and what of it goes back: counts, sightings, and what was wrong here.

Counts by object and hour go with acknowledgements, as powers of ten, to the exchange alone. Sightings and dissent are
published under the partner's name, so they are sent only where the settings or a person say so. No value is kept here:
only ids of objects and counts.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from exchange.client.api import Client
from exchange.client.errors import ApiError

#: Objects of one acknowledgement, and sightings and opinions of one report.
MOST_MET, MOST_SENT = 500, 200
_KEPT = timedelta(days=7)
_LATEST = timedelta(hours=47)
#: What another try does not mend: the object is gone, has ended, is one's own, or is judged already.
_OVER = frozenset({404, 409, 422})
_SIGHTED = "UPDATE met_object SET sighted = 1 WHERE id = ? AND hour BETWEEN ? AND ?"
_TABLES = """
CREATE TABLE IF NOT EXISTS met_object (
    hour TEXT, id TEXT, matched INTEGER, blocked INTEGER, allowed INTEGER, told TEXT DEFAULT '',
    sighted INTEGER DEFAULT 0, PRIMARY KEY (hour, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS judged (id TEXT PRIMARY KEY) WITHOUT ROWID;
"""


@dataclass(slots=True)
class Counts:
    """How often look-ups met an object, were blocked by it, and were let through by an allowlist of this machine."""

    matched: int = 0
    blocked: int = 0
    allowed: int = 0

    def add(self, count: int, *, blocked: bool, allowed: bool) -> None:
        """Take in so many more."""
        self.matched += count
        self.blocked += count if blocked else 0
        self.allowed += count if allowed else 0


@dataclass(slots=True)
class Sent:
    """What a report sent, and what could not be sent, by code."""

    sightings: int = 0
    opinions: int = 0
    refused: dict[str, int] = field(default_factory=dict)


def power_of_ten(count: int) -> int:
    """The power of ten below, 0 of none, at most 10^7: no exact count leaves this machine."""
    return min(10 ** (len(str(count)) - 1), 10**7) if count > 0 else 0


def note(state: Path, met: Mapping[str, Counts], *, now: datetime) -> None:
    """Add what was met to this hour."""
    if not met:
        return
    hour = _hour(now)
    with _opened(state) as store:
        store.executemany(
            "INSERT INTO met_object (hour, id, matched, blocked, allowed) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
            " SET matched = matched + excluded.matched, blocked = blocked + excluded.blocked,"
            " allowed = allowed + excluded.allowed",
            [(hour, stix_id, one.matched, one.blocked, one.allowed) for stix_id, one in met.items()],
        )
        store.execute("DELETE FROM met_object WHERE hour < ?", [_hour(now - _KEPT)])


def untold(state: Path, *, now: datetime) -> list[dict[str, Any]]:
    """What an acknowledgement is to say: objects and hours of which a power of ten changed since it was told."""
    with _opened(state) as store:
        rows = store.execute(
            "SELECT hour, id, matched, blocked, told FROM met_object WHERE hour >= ? ORDER BY hour, id",
            [_hour(now - _LATEST)],
        ).fetchall()
    found = []
    for hour, stix_id, matched, blocked, told in rows:
        counts = power_of_ten(matched), power_of_ten(blocked)
        if f"{counts[0]} {counts[1]}" != told:
            found.append({"id": stix_id, "hour": hour, "matched": counts[0], "blocked": counts[1]})
    return found[:MOST_MET]


def note_told(state: Path, said: Sequence[Mapping[str, Any]]) -> None:
    """Remember that these were told."""
    if said:
        with _opened(state) as store:
            store.executemany(
                "UPDATE met_object SET told = ? WHERE hour = ? AND id = ?",
                [(f"{one['matched']} {one['blocked']}", one["hour"], one["id"]) for one in said],
            )


def send(
    client: Client, state: Path, *, sightings: bool, false_positives: bool, now: datetime, all_hours: bool = False
) -> Sent:
    """Publish sightings of what was met in hours that are over, and dissent from what an allowlist here keeps out.

    Each hour is reported once, and each object dissented from once. With `all_hours`, of this hour, too. Raises
    ApiError where the key may not, Unreachable.
    """
    sent = Sent()
    if sightings:
        for stix_id, count, first, last in _unsighted(state, now=now, all_hours=all_hours):
            sent.sightings += _done(
                lambda s=stix_id, c=count, f=first, t=last: client.report_sighting(
                    s, count=c, first_seen=f, last_seen=t
                ),
                sent,
            )
            with _opened(state) as store:
                store.execute(_SIGHTED, [stix_id, first, last])
    if false_positives:
        for stix_id in _wrong(state):
            sent.opinions += _done(lambda s=stix_id: client.give_opinion(s, "disagree", reason="false_positive"), sent)
            with _opened(state) as store:
                store.execute("INSERT OR IGNORE INTO judged VALUES (?)", [stix_id])
    return sent


def _done(call: Any, sent: Sent) -> bool:
    try:
        call()
    except ApiError as error:
        if error.status not in _OVER:
            raise
        sent.refused[error.code] = sent.refused.get(error.code, 0) + 1
        return False
    return True


def _unsighted(state: Path, *, now: datetime, all_hours: bool) -> list[tuple[str, int, str, str]]:
    """Of each object, how often it was met in hours that were not reported, and the first and last of them."""
    before = "9" if all_hours else _hour(now)
    with _opened(state) as store:
        rows = store.execute(
            "SELECT id, sum(matched), min(hour), max(hour) FROM met_object"
            " WHERE sighted = 0 AND matched > 0 AND hour < ? GROUP BY id ORDER BY 2 DESC, id LIMIT ?",
            [before, MOST_SENT],
        ).fetchall()
    return [(stix_id, power_of_ten(count), first, last) for stix_id, count, first, last in rows]


def _wrong(state: Path) -> list[str]:
    with _opened(state) as store:
        rows = store.execute(
            "SELECT id FROM met_object WHERE id NOT IN (SELECT id FROM judged) GROUP BY id HAVING sum(allowed) > 0"
            " ORDER BY id LIMIT ?",
            [MOST_SENT],
        ).fetchall()
    return [stix_id for (stix_id,) in rows]


def _hour(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:00:00Z}"


@contextmanager
def _opened(state: Path) -> Iterator[sqlite3.Connection]:
    state.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(state / "met.sqlite", timeout=30)) as store, store:
        store.executescript(_TABLES)
        yield store
