"""What the agent holds: each object of each publisher, the values that it contributes, and the place in the log.

SQLite, one transaction per stretch of changes with the new cursor in it: whatever is interrupted, the store stands
at a place that the exchange can go on from. A value leaves the list when the last object that carries it is gone.

`entry` is what the list is made of, and always complete. A fill from the beginning goes to `fresh` beside it and takes
its place in one transaction (`switch`). Rows of `entry` with `kept` are those that the brake holds: no removal of them
was told, the new fill just did not have them.

`held` has a row for each object that the delta told of, in force or not: what the set hash is made of
(`exchange.lists.sets`). Count and sum are kept with the rows, in the same transaction.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from exchange.agent import gone, rows, stating, turning
from exchange.agent.braking import Braked, Limits
from exchange.agent.damage import Damaged, alone_in, damage
from exchange.agent.policy import Statement
from exchange.agent.schema import (
    COLUMNS,
    FACTS,
    FORM,
    FRESH,
    HELD_NOW,
    IN_FORCE,
    MISSING,
    OWN_STATE,
    SCHEMA,
    UNKNOWN,
    UNKNOWN_NAME,
    Side,
    Summed,
    comparable,
    facts_of,
    stamp,
)
from exchange.lists import sets
from exchange.lists.lines import Said


class Store:
    """One feed's entries in one file, made if new; with `alone` the caller has seen to it that nobody else makes it.

    Raises Damaged, and sqlite3.OperationalError where the file cannot be used.
    """

    def __init__(self, path: Path, *, alone: bool = False) -> None:
        self.path = path
        #: The values of which something was said, or is not any more, by what was applied through this object; the id
        #: of what has none, as a signature; and `*` for all that there is.
        self.touched: set[str] = set()
        self._db = sqlite3.connect(path, isolation_level=None, timeout=30)
        try:
            with damage():
                if self._form() == 0:
                    with nullcontext() if alone else alone_in(path.parent):
                        self._make()
                if self._form() != FORM:
                    raise Damaged(f"{path} has another form")
                gone.make(self._db)
                self._db.execute("PRAGMA synchronous = FULL")
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

    def state(self, *names: str) -> dict[str, str]:
        """Several values of the state, as of one moment; without those that were never set."""
        marks = ",".join("?" * len(names))
        return dict(self._db.execute(f"SELECT name, value FROM state WHERE name IN ({marks})", names).fetchall())

    def put(self, name: str, value: str) -> None:
        """Set a value of the state."""
        self._db.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (name, value))

    def note(self, name: str, value: str) -> None:
        """The same, and nothing is written where it is so already."""
        if self.get(name) != value:
            self.put(name, value)

    def apply(
        self, changes: Iterable[Mapping[str, Any]], *, cursor: str, fresh: bool = False, key: bytes | None = None
    ) -> int:
        """Apply a stretch in order and stand at `cursor`: all of it or nothing. Returns how many there were.

        With `fresh`, to the fill from the beginning, which has a cursor of its own. `key` is that of the set hash,
        where the stretch tells it; under another one than before, the set is summed anew.
        """
        applied, lost = rows.usable(told := list(changes))
        side = FRESH if fresh else HELD_NOW
        with self._transaction():
            summed = self._sum(side)
            now = datetime.now(tz=UTC)
            for change in applied:
                left = self._apply(change, side=side, summed=summed)
                if not fresh:
                    gone.note(self._db, change, left, now=now)
            if not fresh:
                gone.trim(self._db, now=now)
                if told:
                    self._note_change()
            if key is not None and (summed is None or summed.key != key):
                summed = self._sum_anew(side, key)
            if summed is not None:
                self.put(side.sum, json.dumps([summed.key.hex(), summed.of.count, summed.of.hex]))
            if lost:
                self.put("skipped", str(int(self.get("skipped") or 0) + lost))
            self.put(side.cursor, cursor)
        return len(told)

    def proof(self, *, fresh: bool = False) -> tuple[int, str] | None:
        """How many objects are held, and the set hash over them; None where no key is known yet."""
        summed = self._sum(FRESH if fresh else HELD_NOW)
        return None if summed is None else (summed.of.count, summed.of.hex)

    def recount(self) -> tuple[int, str] | None:
        """The same, summed anew over the rows: what `proof` should say."""
        summed = self._sum(HELD_NOW)
        if summed is None:
            return None
        again = self._sum_anew(HELD_NOW, summed.key).of
        return again.count, again.hex

    def held(self) -> Iterator[tuple[str, str, str, str]]:
        """What is held: publisher, id, SHA-256 of the bytes, end."""
        yield from self._db.execute("SELECT publisher, stix_id, sha256, ends FROM held ORDER BY 1, 2")

    def filled(self) -> int:
        """How many objects the fill from the beginning has."""
        return int(self._db.execute("SELECT count(*) FROM fresh_held").fetchone()[0])

    def forget_fresh(self) -> None:
        """Begin the fill anew."""
        with self._transaction():
            self._db.execute("DELETE FROM fresh")
            self._db.execute("DELETE FROM fresh_held")
            for part in OWN_STATE:
                self.put(f"fresh {part}", "")

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
            gone.note_refilled(self._db, now=now)
            self._db.execute("DELETE FROM entry")
            self._db.execute("INSERT INTO entry SELECT * FROM fresh")
            self._db.execute("DELETE FROM fresh")
            self._db.execute("DELETE FROM held")
            self._db.execute("INSERT INTO held SELECT * FROM fresh_held")
            self._db.execute("DELETE FROM fresh_held")
            self.put("name", name)
            for part in OWN_STATE:
                self.put(part, self.get(f"fresh {part}"))
                self.put(f"fresh {part}", "")
            self._note_change()
        self.touched.add("*")

    def braked(self) -> list[Braked]:
        """Whose entries the brake keeps, by name."""
        rows = self._db.execute(
            "SELECT publisher, max(publisher_name), count(*) FROM entry WHERE kept GROUP BY publisher ORDER BY 2, 1"
        )
        return [Braked(*row) for row in rows]

    def release(self, name: str = "") -> int:
        """Let go of what the brake keeps: all of it, or what came from a publisher of this name. Returns how much."""
        with self._transaction():
            gone.note_released(self._db, name=name, now=datetime.now(tz=UTC))
            found = self._db.execute("DELETE FROM entry WHERE kept AND (? = '' OR publisher_name = ?)", (name, name))
            self.put("releases", str(int(self.get("releases") or 0) + 1))
        return found.rowcount

    def settle_hook(self, owed: str) -> None:
        """A run of the hook that began when `owed` stood here was good; what was replaced meanwhile is still owed."""
        self._db.execute("DELETE FROM state WHERE name = 'hook owed' AND value = ?", (owed,))

    def said(self, *, now: datetime, min_confidence: int = 0, kind: str = "") -> Iterator[Said]:
        """What is said at `now`, without the facts: as `statements`."""
        return (one.said for one in self.statements(now=now, min_confidence=min_confidence, kind=kind))

    def statements(self, *, now: datetime, min_confidence: int = 0, kind: str = "") -> Iterator[Statement]:
        """What the list of a kind is made of at `now`, by value: from its beginning until its end, told or not.

        An entry without a confidence is below every floor but 0, which is none.
        """
        rows = self._db.execute(
            "SELECT value, subkind, scheme, key_epoch, kind, publisher_name, named, publisher, confidence, valid_until,"
            f" stix_id, {FACTS} FROM entry WHERE {IN_FORCE} AND (:kind = '' OR kind = :kind) ORDER BY value",
            {"now": stamp(now), "floor": min_confidence, "kind": kind},
        )
        standing = self.standing()
        for value, subkind, scheme, epoch, kind_, name, named, publisher, confidence, until, stix_id, *facts in rows:
            said = Said(
                value,
                subkind,
                scheme,
                epoch,
                kind_,
                sources=(name,),
                named=(publisher,) if named else (),
                confidence=confidence,
                valid_until=datetime.fromisoformat(until) if until else None,
                ids=(stix_id,) if stix_id else (),
            )
            yield stating.stated(said, publisher, facts, standing)

    def signatures(self) -> Iterator[tuple[Statement, datetime | None]]:
        """What the regexes and rules that are held say, each with when it begins."""
        return stating.signatures(self._db, standing=self.standing())

    def standing(self) -> str:
        """How what the feed tells may stand at worst, as its last page said; "" where its filter names no standing."""
        return self.get("standing") or ""

    def about(self, words: Sequence[str], *, now: datetime | None = None) -> Iterator[Statement]:
        """What is said of values or under ids, by value: at `now`, or in force or not."""
        marks = ",".join("?" * len(words))
        when = "" if now is None else f"AND {IN_FORCE.replace(':now', '?').replace(':floor', '0')}"
        rows = self._db.execute(
            "SELECT value, subkind, scheme, key_epoch, kind, publisher_name, named, publisher, confidence, valid_until,"
            f" stix_id, {FACTS} FROM entry WHERE (value IN ({marks}) OR stix_id IN ({marks})) {when} ORDER BY value",
            [*words, *words, *([] if now is None else [stamp(now)] * 2)],
        )
        standing = self.standing()
        for value, subkind, scheme, epoch, kind, name, named, publisher, confidence, until, stix_id, *facts in rows:
            end = datetime.fromisoformat(until) if until else None
            of = (publisher,) if named else ()
            said = Said(value, subkind, scheme, epoch, kind, (name,), of, confidence, end, (stix_id,))
            yield stating.stated(said, publisher, facts, standing)

    def went(self, words: Sequence[str]) -> list[gone.Gone]:
        """What went of these values, or under these ids, as far as is remembered; the last to go first."""
        return list(gone.about(self._db, words))

    def went_by_reason(self) -> dict[str, int]:
        """How many values went for which reason, as far as is remembered."""
        return gone.counted(self._db)

    def publishers(self) -> frozenset[tuple[str, str]]:
        """Whose objects or entries are held: ids with each name that the reader was told.

        What came before a publisher was named otherwise is held under its old name, and of whom something was switched
        off, the names of then are known still.
        """
        rows = "SELECT publisher, publisher_name FROM {} GROUP BY 1, 2"
        held = self._db.execute(f"{rows.format('held')} UNION {rows.format('entry')}").fetchall()
        return frozenset(held) | {(id_, name) for id_, name in json.loads(self.get("killed_of") or "[]")}

    def killed(self) -> frozenset[str]:
        """The publishers, by name or id, that are switched off here; `*` is the whole feed."""
        return frozenset(json.loads(self.get("killed") or "[]"))

    def kill(self, names: Iterable[str]) -> None:
        """Switch these off, and no others."""
        off = set(names)
        self.put("killed_of", json.dumps(sorted(one for one in self.publishers() if off & {*one})))
        self.put("killed", json.dumps(sorted(off)))

    def turned(self, *, since: datetime, now: datetime) -> list[str]:
        """The values of entries that began or ended by themselves after `since` and up to `now`."""
        return turning.turned(self._db, since=stamp(since), now=stamp(now))

    def next_turn(self, *, now: datetime) -> datetime | None:
        """When the next entry, regex or rule begins or ends by itself; None if none does."""
        return turning.next_turn(self._db, now=stamp(now))

    def _apply(self, change: Mapping[str, Any], *, side: Side, summed: Summed | None) -> list[tuple[str, ...]]:
        """Returns what the object said before, by `gone.COLUMNS`."""
        publisher, table = change["publisher"], side.entries
        named = (publisher["id"], change["id"])
        left = self._db.execute(
            f"DELETE FROM {table} WHERE publisher = ? AND stix_id = ? RETURNING {gone.COLUMNS}", named
        ).fetchall()
        if side is HELD_NOW:
            values = {row[-1] for row in left} | {entry["value"] for entry in change.get("entries", ())}
            self.touched.update(values or {change["id"]})
        before = self._db.execute(
            f"DELETE FROM {side.held} WHERE publisher = ? AND stix_id = ? RETURNING sha256, ends", named
        ).fetchone()
        if before and summed is not None:
            summed.of.drop(summed.element(*named, *before))
        if change["op"] != "upsert":
            return left
        facts = facts_of(change)
        if sha256 := change.get("sha256"):
            row = (*named, sha256, sets.moment(change.get("valid_until")))
            more = (publisher["name"], publisher.get("named", True), facts.signature)
            self._db.execute(f"INSERT INTO {side.held} VALUES (?, ?, ?, ?, ?, ?, ?)", (*row, *more))
            if summed is not None:
                summed.of.add(summed.element(*row))
        self._db.executemany(
            f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?)",
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
                    comparable(change.get("valid_from")),
                    comparable(change.get("valid_until")),
                    facts.control,
                    facts.shared_infra,
                    facts.review,
                    change.get("standing") or "",
                )
                for entry in change.get("entries", ())
            ],
        )
        return left

    def _note_change(self) -> None:
        """For who reads this store in another process (`renewing`): a cursor is another one at each answer."""
        self.put("changes", str(int(self.get("changes") or 0) + 1))

    def _sum(self, side: Side) -> Summed | None:
        return Summed.read(self.get(side.sum))

    def _sum_anew(self, side: Side, key: bytes) -> Summed:
        summed = Summed(key, sets.SetHash())
        for row in self._db.execute(f"SELECT publisher, stix_id, sha256, ends FROM {side.held}"):
            summed.of.add(summed.element(*row))
        return summed

    def _keep_unknown(self, said: Said) -> None:
        """An entry of a list whose store was lost: it counts as there if the fill has its value, whoever says it."""
        self._db.execute(
            f"INSERT OR REPLACE INTO entry ({COLUMNS}, kept) VALUES"
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
                "until": stamp(said.valid_until) if said.valid_until else None,
            },
        )

    def _keep(self, publishers: Iterable[str]) -> None:
        """Carry what these publishers miss, and what was kept already, into the fill."""
        self._db.execute("CREATE TEMP TABLE IF NOT EXISTS braked (publisher TEXT PRIMARY KEY)")
        self._db.execute("DELETE FROM braked")
        self._db.executemany("INSERT INTO braked VALUES (?)", [(publisher,) for publisher in publishers])
        self._db.execute(
            f"INSERT INTO fresh ({COLUMNS}, {FACTS}, kept) SELECT {COLUMNS}, {FACTS}, 1 {MISSING}"
            " AND (kept OR publisher IN (SELECT publisher FROM braked))"
        )

    def _missing_too_many(self, now: datetime, limits: Limits) -> list[str]:
        """The publishers whose missing entries are to be kept."""
        asked = {"now": stamp(now), "floor": limits.floor}
        held = f"SELECT publisher, count(*) FROM entry WHERE NOT kept AND {IN_FORCE} GROUP BY 1"
        missing = f"SELECT publisher, count(*) {MISSING} AND NOT kept AND {IN_FORCE} GROUP BY 1"
        before, lost = (Counter(dict(self._db.execute(sql, asked).fetchall())) for sql in (held, missing))
        if limits.exceeded(lost.total(), before.total()):
            return sorted(each for each, count in lost.items() if count > before[each] * limits.share)
        return sorted(each for each, count in lost.items() if limits.exceeded(count, before[each]))

    def _form(self) -> int:
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])

    def _make(self) -> None:
        """Make the tables, all or none, unless another thread or process did meanwhile. Called by one at a time."""
        if self._form() == 0 and not self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.executescript(f"BEGIN IMMEDIATE; {SCHEMA} COMMIT;")

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
