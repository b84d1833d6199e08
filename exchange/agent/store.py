"""What the agent holds: for each object of each publisher the values that it contributes, and the place in the log.

SQLite, one transaction per stretch of changes with the new cursor in it: whatever is interrupted, the store stands
at a place that the exchange can go on from. A value leaves the list when the last object that carries it is gone.

`entry` is what the list is made of, and always complete. A fill from the beginning goes to `fresh` beside it and takes
its place in one transaction (`switch`). Rows of `entry` with `kept` are those that the brake holds: no removal of them
was told, the new fill just did not have them.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from exchange.lists.lines import Said

#: Raised with every change of the tables; a store of another form is filled anew.
_FORM = 3
_TABLE = """
CREATE TABLE IF NOT EXISTS {name} (
    publisher TEXT NOT NULL, stix_id TEXT NOT NULL, kind TEXT NOT NULL, subkind TEXT NOT NULL, scheme TEXT NOT NULL,
    key_epoch TEXT NOT NULL, value TEXT NOT NULL, publisher_name TEXT NOT NULL, named INTEGER NOT NULL,
    confidence INTEGER, valid_from TEXT, valid_until TEXT, kept INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (publisher, stix_id, subkind, scheme, key_epoch, value)
) WITHOUT ROWID;
"""
_SCHEMA = f"""
{_TABLE.format(name="entry")}
{_TABLE.format(name="fresh")}
CREATE INDEX IF NOT EXISTS entry_by_beginning ON entry (valid_from) WHERE valid_from IS NOT NULL;
CREATE INDEX IF NOT EXISTS entry_by_end ON entry (valid_until) WHERE valid_until IS NOT NULL;
CREATE INDEX IF NOT EXISTS entry_kept ON entry (publisher) WHERE kept;
CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
PRAGMA user_version = {_FORM};
"""
#: SQLite's result codes for a file that is no whole database (sqlite.org/rescode.html).
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
#: Whoever an entry came from whose publisher is not known: read from a list whose store was lost.
UNKNOWN = ""
UNKNOWN_NAME = "unknown"


class Damaged(Exception):
    """The file is no whole store of this form; it can only be filled anew."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of one publisher's entries may be missing after a fill from the beginning: a share, or `few`."""

    share: float
    few: int = 20
    floor: int = 0  # the least confidence that stands in the list

    def exceeded(self, lost: int, before: int) -> bool:
        """Whether this is more than is plausible."""
        return lost > self.few and lost > before * self.share


@dataclass(frozen=True, slots=True)
class Braked:
    """How many entries of a publisher, by the name that the reader is told, are kept although they are missing."""

    publisher: str
    name: str
    entries: int


class Store:
    """One feed's entries in one file. Raises Damaged, and sqlite3.OperationalError where the file cannot be used."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._db = sqlite3.connect(path, isolation_level=None, timeout=30)
        try:
            with damage():
                form = self._db.execute("PRAGMA user_version").fetchone()[0]
                if form not in (0, _FORM) or (form == 0 and self._has_tables()):
                    raise Damaged(f"{path} has another form")
                self._db.execute("PRAGMA journal_mode = WAL")
                self._db.execute("PRAGMA synchronous = FULL")
                if form == 0:
                    self._db.executescript(_SCHEMA)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def copy_to(self, path: Path) -> None:
        """Write the whole store to another file."""
        copy = sqlite3.connect(path)
        self._db.backup(copy)
        copy.close()

    def get(self, name: str) -> str:
        """A value of the state; "" where it was never set."""
        found = self._db.execute("SELECT value FROM state WHERE name = ?", (name,)).fetchone()
        return str(found[0]) if found else ""

    def put(self, name: str, value: str) -> None:
        """Set a value of the state."""
        self._db.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (name, value))

    def note(self, name: str, value: str) -> None:
        """The same, and nothing is written where it is so already."""
        if self.get(name) != value:
            self.put(name, value)

    def apply(self, changes: Iterable[Mapping[str, Any]], *, cursor: str, fresh: bool = False) -> int:
        """Apply a stretch in order and stand at `cursor`: all of it or nothing. Returns how many there were.

        With `fresh`, to the fill from the beginning, which has a cursor of its own.
        """
        applied = list(changes)
        with self._transaction():
            for change in applied:
                self._apply(change, table="fresh" if fresh else "entry")
            self.put("fresh cursor" if fresh else "cursor", cursor)
        return len(applied)

    def forget_fresh(self) -> None:
        """Begin the fill anew."""
        with self._transaction():
            self._db.execute("DELETE FROM fresh")
            self.put("fresh cursor", "")

    def switch(self, *, name: str, now: datetime, limits: Limits | None, from_list: Iterable[Said] = ()) -> None:
        """Let the fill from the beginning take the place of the entries, and stand where it stands.

        `name` says what is held. The brake: what was in the list and is missing now was not removed by anybody; of a
        publisher that misses more than `limits` allow, it is kept, and so it is where all together miss more. With
        limits None, nothing is kept. `from_list` is what the list held, where no store knew it.
        """
        with self._transaction():
            for said in from_list:
                self._keep_unknown(said)
            if limits is not None:
                self._keep(self._missing_too_many(now, limits))
            self._db.execute("DELETE FROM entry")
            self._db.execute("INSERT INTO entry SELECT * FROM fresh")
            self._db.execute("DELETE FROM fresh")
            self.put("name", name)
            self.put("cursor", self.get("fresh cursor"))
            self.put("fresh cursor", "")

    def braked(self) -> list[Braked]:
        """Whose entries the brake keeps, by name."""
        rows = self._db.execute(
            "SELECT publisher, max(publisher_name), count(*) FROM entry WHERE kept GROUP BY publisher ORDER BY 2, 1"
        )
        return [Braked(*row) for row in rows]

    def release(self, name: str = "") -> int:
        """Let go of what the brake keeps: all of it, or what came from a publisher of this name. Returns how much."""
        with self._transaction():
            found = self._db.execute("DELETE FROM entry WHERE kept AND (? = '' OR publisher_name = ?)", (name, name))
            self.put("releases", str(int(self.get("releases") or 0) + 1))
        return found.rowcount

    def owe_hook(self) -> None:
        """The list is about to be replaced: from now on a run of the hook is owed, whatever is interrupted."""
        self.put("hook owed", str(int(self.get("hook owed") or 0) + 1))

    def settle_hook(self, owed: str) -> None:
        """A run of the hook that began when `owed` stood here was good; what was replaced meanwhile is still owed."""
        self._db.execute("DELETE FROM state WHERE name = 'hook owed' AND value = ?", (owed,))

    def said(self, *, now: datetime, min_confidence: int = 0) -> Iterator[Said]:
        """What the list is made of at `now`, sorted by value: from its beginning until its end, told or not.

        An entry without a confidence is below every floor but 0, which is none.
        """
        rows = self._db.execute(
            "SELECT value, subkind, scheme, key_epoch, kind, publisher_name, named, publisher, confidence, valid_until,"
            f" stix_id FROM entry WHERE {_IN_FORCE} ORDER BY value",
            {"now": _stamp(now), "floor": min_confidence},
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
                ids=(stix_id,) if stix_id else (),
            )

    def next_turn(self, *, now: datetime) -> datetime | None:
        """When the next entry begins or ends by itself; None if none does."""
        found = self._db.execute(
            "SELECT min(at) FROM (SELECT min(valid_until) AS at FROM entry WHERE valid_until > :now"
            " UNION ALL SELECT min(valid_from) FROM entry WHERE valid_from > :now)",
            {"now": _stamp(now)},
        ).fetchone()[0]
        return None if found is None else datetime.fromisoformat(found)

    def _apply(self, change: Mapping[str, Any], *, table: str) -> None:
        publisher = change["publisher"]
        self._db.execute(f"DELETE FROM {table} WHERE publisher = ? AND stix_id = ?", (publisher["id"], change["id"]))
        if change["op"] != "upsert":
            return
        self._db.executemany(
            f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)",
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
                    _comparable(change.get("valid_from")),
                    _comparable(change.get("valid_until")),
                )
                for entry in change.get("entries", ())
            ],
        )

    def _keep_unknown(self, said: Said) -> None:
        """An entry of a list whose store was lost: it counts as there if the fill has its value, whoever says it."""
        self._db.execute(
            "INSERT OR REPLACE INTO entry VALUES"
            " (:publisher, '', :kind, :subkind, :scheme, :epoch, :value, :name, 0, :confidence, NULL, :until, 0)",
            {
                "publisher": UNKNOWN,
                "name": UNKNOWN_NAME,
                "confidence": said.confidence,
                "kind": said.kind,
                "subkind": said.subkind,
                "scheme": said.scheme,
                "epoch": said.key_epoch,
                "value": said.value,
                "until": _stamp(said.valid_until) if said.valid_until else None,
            },
        )

    def _keep(self, publishers: Iterable[str]) -> None:
        """Carry what these publishers miss, and what was kept already, into the fill."""
        self._db.execute("CREATE TEMP TABLE IF NOT EXISTS braked (publisher TEXT PRIMARY KEY)")
        self._db.execute("DELETE FROM braked")
        self._db.executemany("INSERT INTO braked VALUES (?)", [(publisher,) for publisher in publishers])
        self._db.execute(
            "INSERT INTO fresh SELECT publisher, stix_id, kind, subkind, scheme, key_epoch, value,"
            f" publisher_name, named, confidence, valid_from, valid_until, 1 {_MISSING}"
            " AND (kept OR publisher IN (SELECT publisher FROM braked))"
        )

    def _missing_too_many(self, now: datetime, limits: Limits) -> list[str]:
        """The publishers whose missing entries are to be kept."""
        asked = {"now": _stamp(now), "floor": limits.floor}
        held = f"SELECT publisher, count(*) FROM entry WHERE NOT kept AND {_IN_FORCE} GROUP BY 1"
        missing = f"SELECT publisher, count(*) {_MISSING} AND NOT kept AND {_IN_FORCE} GROUP BY 1"
        before, lost = (Counter(dict(self._db.execute(sql, asked).fetchall())) for sql in (held, missing))
        if limits.exceeded(lost.total(), before.total()):
            return sorted(each for each, count in lost.items() if count > before[each] * limits.share)
        return sorted(each for each, count in lost.items() if limits.exceeded(count, before[each]))

    def _has_tables(self) -> bool:
        return bool(self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All or nothing; others may read meanwhile and not write."""
        with damage():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise


@contextmanager
def damage() -> Iterator[None]:
    """Raise Damaged where SQLite finds that the file is no whole database; a full disk or a lock is another matter."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
            raise Damaged(str(error)) from error
        raise


#: At :now, and as sure as :floor.
_IN_FORCE = (
    "(valid_from IS NULL OR valid_from <= :now) AND (valid_until IS NULL OR valid_until > :now)"
    " AND (:floor = 0 OR confidence >= :floor)"
)
#: Entries of objects that the fill from the beginning does not have.
_MISSING = (
    "FROM entry WHERE CASE WHEN publisher = '' THEN value NOT IN (SELECT value FROM fresh) ELSE NOT EXISTS"
    " (SELECT 1 FROM fresh f WHERE f.publisher = entry.publisher AND f.stix_id = entry.stix_id) END"
)


def _comparable(moment: str | None) -> str | None:
    """RFC 3339 as text that sorts by time."""
    return _stamp(datetime.fromisoformat(moment)) if moment else None


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
