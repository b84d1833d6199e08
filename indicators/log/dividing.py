"""The log in parts by place, as PostgreSQL divides a table: the newest part ends, and another begins (ADR 0048).

The first cut makes the table a divided one, whose first part is what was there, as it lies; each further one cuts the
newest part. A cut lies ahead of what is written, so that nothing is moved: the part of before goes on being written to
until it is reached. Nothing ends if nobody cuts: the newest part is bounded by nothing. Who publishes and who reads
waits for one short transaction (`LOCK_MS` at most, then it gives way and comes back).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import OperationalError, connection, transaction
from psycopg.errors import DeadlockDetected, LockNotAvailable

from exchange import clock
from exchange.errors import Conflict
from indicators.log import changes, walking

LOG, NEWEST = "indicators_change", "change_newest"
#: For so long a cut waits for a lock, and everyone who needs the log behind it.
LOCK_MS = 2_000
_PAUSE_S, _TRIES = 1.0, 60
#: A cut lies at least so many places ahead, or as many as two days took, whichever is more.
_LEAST_AHEAD, _DAYS_AHEAD = 1_000_000, 2
#: The bound of the newest part while it is cut; there at no other time.
CUTTING = "log_is_being_cut"
#: Bytes of a name.
_NAME = 63

type Say = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Part:
    """A part: its places from `first` on, up to `end` alone where it has one; rows as PostgreSQL believes."""

    name: str
    first: int
    end: int | None
    rows: int
    size: int


def parts() -> list[Part]:
    """By place; the whole log as one where it is not divided."""
    found = []
    for name, first, end, rows, size in asked(_PARTS, of=LOG):
        found.append(Part(name, int(first or 0), int(end) if end else None, max(rows, 0), size))
    return sorted(found, key=lambda part: part.first)


def is_divided() -> bool:
    """Whether a cut was ever made."""
    return bool(asked("SELECT relkind = 'p' FROM pg_class WHERE oid = %(of)s::regclass", of=LOG)[0][0])


def last_up_to(moment: datetime) -> int:
    """The last place up to a moment."""
    return int(asked(f"WITH {walking.past('%(at)s::timestamptz')} SELECT seq FROM past", at=moment)[0][0])


def place_ahead() -> int:
    """Where a cut made now lies: a million places on, or as many as two days take at yesterday's pace, if more."""
    yesterday = last_up_to(clock.now() - timedelta(days=1))
    head = changes.head()
    ahead = head + max(_LEAST_AHEAD, _DAYS_AHEAD * (head - yesterday))
    return -(-ahead // _LEAST_AHEAD) * _LEAST_AHEAD


def cut(place: int, *, say: Say = lambda _: None) -> None:
    """End the newest part before this place, and begin another there. Raises Conflict where that cannot be.

    Broken off, nothing is divided. Killed, it may leave the bound `CUTTING` behind, which `doctor` names, for from that
    place on nothing could be written; the next cut takes it away.
    """
    last = parts()[-1]
    if place <= max(last.first, changes.head()):
        raise Conflict("A cut lies ahead of what is written.", code="log-cut")
    patiently(lambda: _bound(last.name, place), say=say)
    try:
        say(f"Reading {last.name} beside all others, about {last.rows:,} rows …")
        run(f"ALTER TABLE {last.name} VALIDATE CONSTRAINT {CUTTING}")
        patiently(lambda: _part(last, place), say=say)
    except BaseException:
        run(f"ALTER TABLE IF EXISTS {last.name} DROP CONSTRAINT IF EXISTS {CUTTING}")
        raise
    run(f"ANALYZE {LOG}")  # PostgreSQL does so by itself of parts alone


def _bound(name: str, place: int) -> None:
    run(f"ALTER TABLE {name} DROP CONSTRAINT IF EXISTS {CUTTING}")
    run(f"ALTER TABLE {name} ADD CONSTRAINT {CUTTING} CHECK (seq < {place}) NOT VALID")


def _part(last: Part, place: int) -> None:
    """The bound is known to hold, so attaching reads nothing."""
    named = f"change_before_{place}"
    if is_divided():
        run(f"ALTER TABLE {LOG} DETACH PARTITION {last.name}")
        run(f"ALTER TABLE {last.name} RENAME TO {named}")
    else:
        _set_aside(named)
    run(f"ALTER TABLE {LOG} ATTACH PARTITION {named} FOR VALUES FROM ({last.first}) TO ({place})")
    run(f"ALTER TABLE {named} DROP CONSTRAINT {CUTTING}")
    run(f"CREATE TABLE {NEWEST} PARTITION OF {LOG} FOR VALUES FROM ({place}) TO (MAXVALUE)")
    make_alike(NEWEST, named)


def _set_aside(named: str) -> None:
    """Make what is there a part, and in its place an empty table that is divided, with all that the old one has.

    Indexes keep their names on the new one: for migrations, and for whoever empties the list of `change_by_trait`.
    """
    keys, indexes = asked(_KEYS, of=LOG), asked(_INDEXES, of=LOG)
    texts = [text for _, text in triggers(LOG)] + [text for (text,) in asked(_GRANTS, of=LOG)]
    for name, _ in keys + indexes:
        run(f"ALTER INDEX {name} RENAME TO {f'{named}_{name}'[:_NAME]}")
    run(f"ALTER TABLE {LOG} RENAME TO {named}")
    run(f"CREATE TABLE {LOG} (LIKE {named} INCLUDING ALL EXCLUDING INDEXES) PARTITION BY RANGE (seq)")
    run(f"ALTER TABLE {LOG} DROP CONSTRAINT {CUTTING}")
    for name, text in keys:
        run(f"ALTER TABLE {LOG} ADD CONSTRAINT {name} {text}")
    for text in [text for _, text in indexes] + texts:
        run(text)


def make_alike(made: str, model: str) -> None:
    """Give a part what neither `LIKE` nor its table brings: the guards and the settings of another part."""
    for name, text in triggers(model):
        if name.startswith("log_is_"):
            run(text.replace(f".{model} ", f".{made} "))
    ((options,),) = asked("SELECT reloptions FROM pg_class WHERE oid = %(of)s::regclass", of=model)
    if options:
        run(f"ALTER TABLE {made} SET ({', '.join(options)})")


def triggers(table: str) -> list[tuple[Any, ...]]:
    """Name and text of each."""
    return asked(_TRIGGERS, of=table)


def patiently(once: Callable[[], object], *, say: Say) -> None:
    """Do this in a transaction that waits for no lock for long; where it would, once more in a moment."""
    for left in reversed(range(_TRIES)):
        try:
            with transaction.atomic():
                run(f"SET LOCAL lock_timeout = '{LOCK_MS}ms'")
                once()
                return
        except OperationalError as error:
            if not isinstance(error.__cause__, LockNotAvailable | DeadlockDetected) or not left:
                raise
        say("The log is in use: once more in a moment.")
        time.sleep(_PAUSE_S)


def asked(sql: str, **of: Any) -> list[tuple[Any, ...]]:
    """The rows of a query."""
    with connection.cursor() as cursor:
        cursor.execute(sql, of)
        return list(cursor.fetchall())


def run(sql: str) -> None:
    """One statement without parameters: names are this module's, places are numbers."""
    with connection.cursor() as cursor:
        cursor.execute(sql)


_PARTS = r"""
SELECT c.relname, substring(pg_get_expr(c.relpartbound, c.oid) FROM $$FROM \('(\d+)'\)$$),
       substring(pg_get_expr(c.relpartbound, c.oid) FROM $$TO \('(\d+)'\)$$), c.reltuples::bigint,
       pg_total_relation_size(c.oid)
FROM pg_class c
WHERE c.oid = %(of)s::regclass AND c.relkind = 'r'
   OR c.oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = %(of)s::regclass)
"""
_KEYS = (
    "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = %(of)s::regclass AND contype = 'p'"
)
_INDEXES = """
SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
WHERE indrelid = %(of)s::regclass AND NOT indisprimary
"""
_TRIGGERS = """
SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = %(of)s::regclass AND NOT tgisinternal
"""
# What others than the owner may do with it.
_GRANTS = """
SELECT format('GRANT %%s ON %%s TO %%s', may.privilege_type, c.oid::regclass,
              CASE may.grantee WHEN 0 THEN 'PUBLIC' ELSE may.grantee::regrole::text END)
FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) may
WHERE c.oid = %(of)s::regclass AND may.grantee <> c.relowner
"""
