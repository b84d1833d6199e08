"""What the agent holds: for each object of each publisher the values that it contributes, and the place in the log.

SQLite, one transaction per stretch of changes with the new cursor in it: whatever is interrupted, the store stands
at a place that the exchange can go on from. A value leaves the list when the last object that carries it is gone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entry (
    publisher TEXT NOT NULL, stix_id TEXT NOT NULL, kind TEXT NOT NULL, subkind TEXT NOT NULL, scheme TEXT NOT NULL,
    key_epoch TEXT NOT NULL, value TEXT NOT NULL, publisher_name TEXT NOT NULL, confidence INTEGER, valid_until TEXT,
    PRIMARY KEY (publisher, stix_id, subkind, scheme, key_epoch, value)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS entry_by_end ON entry (valid_until) WHERE valid_until IS NOT NULL;
CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the list, with all who carry it."""

    kind: str
    subkind: str
    scheme: str
    key_epoch: str
    value: str
    publishers: tuple[str, ...]
    confidence: int | None
    valid_until: str | None
    ids: tuple[str, ...]


class Store:
    """One feed's entries in one file. Raises sqlite3.DatabaseError where the file is not whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._db = sqlite3.connect(path, isolation_level=None, timeout=30)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def get(self, name: str) -> str:
        """A value of the state; "" where it was never set."""
        found = self._db.execute("SELECT value FROM state WHERE name = ?", (name,)).fetchone()
        return str(found[0]) if found else ""

    def put(self, name: str, value: str) -> None:
        """Set a value of the state."""
        self._db.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (name, value))

    def apply(self, changes: Iterable[Mapping[str, Any]], *, cursor: str) -> int:
        """Apply a stretch in order and stand at `cursor`: all of it or nothing. Yields how many there were."""
        applied = list(changes)
        self._db.execute("BEGIN IMMEDIATE")
        try:
            for change in applied:
                self._apply(change)
            self.put("cursor", cursor)
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        return len(applied)

    def _apply(self, change: Mapping[str, Any]) -> None:
        publisher = change["publisher"]
        self._db.execute("DELETE FROM entry WHERE publisher = ? AND stix_id = ?", (publisher["id"], change["id"]))
        if change["op"] != "upsert":
            return
        self._db.executemany(
            "INSERT OR REPLACE INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    publisher["id"],
                    change["id"],
                    entry["kind"],
                    entry["subkind"],
                    entry["scheme"],
                    entry.get("key_epoch", ""),
                    entry["value"],
                    publisher["name"],
                    change.get("confidence"),
                    _comparable(change.get("valid_until")),
                )
                for entry in change.get("entries", ())
            ],
        )

    def lines(self, *, now: datetime, min_confidence: int = 0) -> Iterator[Line]:
        """The list as it should be at `now`, sorted; what has ended is left out even before its remove comes."""
        rows = self._db.execute(
            "SELECT kind, subkind, scheme, key_epoch, value, publisher_name, confidence, valid_until, stix_id"
            " FROM entry"
            " WHERE (valid_until IS NULL OR valid_until > ?) AND coalesce(confidence, 100) >= ?"
            " ORDER BY kind, subkind, scheme, key_epoch, value, publisher_name, stix_id",
            (_stamp(now), min_confidence),
        )
        key: tuple[str, ...] | None = None
        group: list[tuple[Any, ...]] = []
        for row in rows:
            if row[:5] != key and group:
                yield _line(group)
                group = []
            key = row[:5]
            group.append(row)
        if group:
            yield _line(group)

    def next_end(self, *, now: datetime) -> str | None:
        """When the next entry runs out; None if none does."""
        found = self._db.execute("SELECT min(valid_until) FROM entry WHERE valid_until > ?", (_stamp(now),)).fetchone()
        return found[0] if found else None


def _line(group: list[tuple[Any, ...]]) -> Line:
    kind, subkind, scheme, epoch, value = group[0][:5]
    confidences = [row[6] for row in group if row[6] is not None]
    ends = [row[7] for row in group]
    return Line(
        kind,
        subkind,
        scheme,
        epoch,
        value,
        publishers=tuple(dict.fromkeys(row[5] for row in group)),
        confidence=max(confidences, default=None),
        valid_until=None if None in ends else max(ends),
        ids=tuple(sorted({row[8] for row in group})),
    )


def _comparable(moment: str | None) -> str | None:
    """RFC 3339 as text that sorts by time."""
    return _stamp(datetime.fromisoformat(moment)) if moment else None


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
