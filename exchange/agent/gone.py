"""What went from the set: which value of which object, when and why, for whoever asks afterwards (`explaining`).

Written in the transaction that takes the entries away, and bounded: `MOST` values, each for `KEPT`. No list, policy or
set hash is made of it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from exchange.agent.schema import UNKNOWN, stamp

#: How many values are remembered at most, the last to go, and for how long.
MOST = 100_000
KEPT = timedelta(days=30)
#: The table is made where it is missing, so that no store is filled anew for it.
TABLE = """
CREATE TABLE IF NOT EXISTS gone (
    place INTEGER PRIMARY KEY, publisher TEXT NOT NULL, publisher_name TEXT NOT NULL, stix_id TEXT NOT NULL,
    kind TEXT NOT NULL, subkind TEXT NOT NULL, scheme TEXT NOT NULL, key_epoch TEXT NOT NULL, value TEXT NOT NULL,
    reason TEXT NOT NULL, at TEXT NOT NULL,
    UNIQUE (publisher, stix_id, subkind, scheme, key_epoch, value)
);
CREATE INDEX IF NOT EXISTS gone_by_value ON gone (value);
CREATE INDEX IF NOT EXISTS gone_by_id ON gone (stix_id);
CREATE INDEX IF NOT EXISTS gone_by_time ON gone (at);
"""
#: Reasons of the agent's own, beside those of the delta.
REVISED, MISSING, RELEASED = "revised", "missing", "released"
#: For a person; a reason that is not known is told as it came.
WORDS = {
    "revoked": "its publisher revoked it",
    "expired": "its time was over",
    "narrowed": "it is shown to fewer, and to you no more",
    "withdrawn": "its publisher withdrew it",
    "filtered": "it is not, or no more, what the feed selects",
    "disputed": "partners disputed it",
    "disarmed": "its publisher disarmed it, to end it for good",
    "recalled": "its publisher recalled it",
    "flood": "the flood breaker: it was suddenly seen far more often than before",
    REVISED: "a newer version of the object does not say it",
    MISSING: "it was not there any more when the list was filled anew",
    RELEASED: "the brake kept it, and it was released here",
    "": "no reason was told",
}
#: What is asked of an entry that goes.
COLUMNS = "publisher, publisher_name, stix_id, kind, subkind, scheme, key_epoch, value"
_TOLD = "publisher_name, stix_id, kind, subkind, scheme, key_epoch, value, reason, at"


@dataclass(frozen=True, slots=True)
class Gone:
    """One value that an object said, and says no more."""

    publisher: str
    stix_id: str
    kind: str
    subkind: str
    scheme: str
    key_epoch: str
    value: str
    reason: str
    at: datetime

    @property
    def why(self) -> str:
        """The reason in words."""
        return WORDS.get(self.reason, self.reason)


def make(store: sqlite3.Connection) -> None:
    """Make the table where it is missing."""
    if not store.execute("SELECT 1 FROM sqlite_master WHERE name = 'gone'").fetchone():
        store.executescript(f"BEGIN IMMEDIATE; {TABLE} COMMIT;")


def note(
    store: sqlite3.Connection, change: Mapping[str, Any], left: Sequence[tuple[str, ...]], *, now: datetime
) -> None:
    """`left` are the rows (`COLUMNS`) that the object had before this change.

    What it says again is not gone; what it says no more is, for the reason that the exchange told.
    """
    said = [
        (change["publisher"]["id"], change["id"], one["subkind"], one["scheme"], one.get("key_epoch", ""), one["value"])
        for one in change.get("entries", ())
        if change["op"] == "upsert"
    ]
    store.executemany(f"DELETE FROM gone WHERE {_SAME}", said)
    still = set(said)
    reason = str(change.get("reason") or "") if change["op"] == "remove" else REVISED
    at = stamp(datetime.fromisoformat(added)) if (added := change.get("date_added")) else stamp(now)
    store.executemany(
        f"INSERT OR REPLACE INTO gone ({COLUMNS}, reason, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [(*row, reason, at) for row in left if (row[0], row[2], *row[4:]) not in still],
    )


_SAME = "publisher = ? AND stix_id = ? AND subkind = ? AND scheme = ? AND key_epoch = ? AND value = ?"


def note_refilled(store: sqlite3.Connection, *, now: datetime) -> None:
    """Before a fill from the beginning takes the place of the entries: what it does not have, and what it has again."""
    store.execute(
        "DELETE FROM gone WHERE EXISTS (SELECT 1 FROM fresh f WHERE f.publisher = gone.publisher AND f.stix_id ="
        " gone.stix_id AND f.subkind = gone.subkind AND f.scheme = gone.scheme AND f.key_epoch = gone.key_epoch"
        " AND f.value = gone.value)"
    )
    store.execute(
        f"INSERT OR REPLACE INTO gone ({COLUMNS}, reason, at) SELECT {COLUMNS}, ?, ? FROM entry e WHERE publisher <> ?"
        " AND NOT EXISTS (SELECT 1 FROM fresh f WHERE f.publisher = e.publisher AND f.stix_id = e.stix_id AND f.subkind"
        " = e.subkind AND f.scheme = e.scheme AND f.key_epoch = e.key_epoch AND f.value = e.value) LIMIT ?",
        (MISSING, stamp(now), UNKNOWN, MOST),
    )
    trim(store, now=now)


def note_released(store: sqlite3.Connection, *, name: str, now: datetime) -> None:
    """Before what the brake kept goes: all of it, or what came from a publisher of this name."""
    store.execute(
        f"INSERT OR REPLACE INTO gone ({COLUMNS}, reason, at) SELECT {COLUMNS}, ?, ? FROM entry"
        " WHERE kept AND publisher <> ? AND (? = '' OR publisher_name = ?) LIMIT ?",
        (RELEASED, stamp(now), UNKNOWN, name, name, MOST),
    )
    trim(store, now=now)


def trim(store: sqlite3.Connection, *, now: datetime) -> None:
    """Forget what is too old, or too many."""
    store.execute("DELETE FROM gone WHERE at < ?", (stamp(now - KEPT),))
    store.execute("DELETE FROM gone WHERE place <= (SELECT max(place) FROM gone) - ?", (MOST,))


def about(store: sqlite3.Connection, words: Sequence[str]) -> Iterator[Gone]:
    """What went of these values, or under these ids; the last to go first."""
    marks = ",".join("?" * len(words))
    rows = store.execute(
        f"SELECT {_TOLD} FROM gone WHERE value IN ({marks}) OR stix_id IN ({marks}) ORDER BY at DESC, place DESC",
        [*words, *words],
    )
    for name, stix_id, kind, subkind, scheme, epoch, value, reason, at in rows:
        when = datetime.fromisoformat(at).astimezone(UTC)
        yield Gone(name, stix_id, kind, subkind, scheme, epoch, value, reason, when)


def counted(store: sqlite3.Connection) -> dict[str, int]:
    """How many values went for which reason, as far as is remembered."""
    return dict(store.execute("SELECT reason, count(*) FROM gone GROUP BY 1 ORDER BY 2 DESC, 1").fetchall())
