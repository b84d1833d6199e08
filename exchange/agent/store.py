"""What the agent holds: for each object of each publisher the values that it contributes, and the place in the log.

SQLite, one transaction per stretch of changes with the new cursor in it: whatever is interrupted, the store stands
at a place that the exchange can go on from. A value leaves the list when the last object that carries it is gone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from exchange.lists.lines import Said

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entry (
    publisher TEXT NOT NULL, stix_id TEXT NOT NULL, kind TEXT NOT NULL, subkind TEXT NOT NULL, scheme TEXT NOT NULL,
    key_epoch TEXT NOT NULL, value TEXT NOT NULL, publisher_name TEXT NOT NULL, named INTEGER NOT NULL,
    confidence INTEGER, valid_until TEXT,
    PRIMARY KEY (publisher, stix_id, subkind, scheme, key_epoch, value)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS entry_by_end ON entry (valid_until) WHERE valid_until IS NOT NULL;
CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


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
            "INSERT OR REPLACE INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
                    publisher.get("named", True),
                    change.get("confidence"),
                    _comparable(change.get("valid_until")),
                )
                for entry in change.get("entries", ())
            ],
        )

    def said(self, *, now: datetime, min_confidence: int = 0) -> Iterator[Said]:
        """What the list is made of at `now`, sorted by value; what has ended is left out even before its remove comes.

        An entry without a confidence is below every floor but 0, which is none.
        """
        rows = self._db.execute(
            "SELECT value, subkind, scheme, key_epoch, kind, publisher_name, named, publisher, confidence, valid_until,"
            " stix_id FROM entry"
            " WHERE (valid_until IS NULL OR valid_until > ?) AND (? = 0 OR confidence >= ?)"
            " ORDER BY value",
            (_stamp(now), min_confidence, min_confidence),
        )
        for value, subkind, scheme, epoch, kind, name, named, publisher, confidence, until, stix_id in rows:
            yield Said(
                value,
                subkind,
                scheme,
                epoch,
                kind,
                sources=(name,),
                named=(publisher,) if named else (),
                confidence=confidence,
                valid_until=datetime.fromisoformat(until) if until else None,
                ids=(stix_id,),
            )

    def next_end(self, *, now: datetime) -> str | None:
        """When the next entry runs out; None if none does."""
        found = self._db.execute("SELECT min(valid_until) FROM entry WHERE valid_until > ?", (_stamp(now),)).fetchone()
        return found[0] if found else None


def _comparable(moment: str | None) -> str | None:
    """RFC 3339 as text that sorts by time."""
    return _stamp(datetime.fromisoformat(moment)) if moment else None


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
