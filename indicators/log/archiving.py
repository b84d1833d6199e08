"""Old parts of the log become an archive: what readers still need of them stays in the log, at its places.

A part may go once `CHANGE_DAYS` have passed over its last place. In it stays each row that brings a version of a
holding that lives, so lists, collections, exports and snapshots hold these as they did, under the same places and
dates. The rest goes: removals, which are pruned by then anyway, and rows of what ended. Whoever held it and has not
read since is told to start over, as with whatever is pruned (`log.pruning`).

The part of before becomes a table of its own, with every row, until somebody drops it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import transaction

from exchange import clock
from exchange.errors import Conflict, NotFound
from indicators import living
from indicators.log import dividing, pruning
from indicators.log.dividing import LOG, Part, Say, asked, run

ARCHIVED = "change_archived_"
#: What stays is compared once more while all wait; longer than this it would be too much of it.
_COMPARED_S = 10


@dataclass(frozen=True, slots=True)
class Archived:
    """What was archived: the table, and how many of its rows stay in the log."""

    table: str
    rows: int
    stay: int


def archives() -> list[Part]:
    """Tables that are part of the log no more."""
    return [
        Part(name, 0, int(name.removeprefix(ARCHIVED)), max(rows, 0), size)
        for name, rows, size in asked(_ARCHIVES, of=f"{ARCHIVED}%")
    ]


def why_not(part: Part) -> str:
    """Why a part may not go yet, in a sentence; "" where it may."""
    if part.end is None:
        return "It is the newest part."
    past = dividing.last_up_to(clock.now() - timedelta(days=settings.CHANGE_DAYS))
    if past < part.end - 1:
        return f"Readers may still need it: CHANGE_DAYS ({settings.CHANGE_DAYS}) have not passed over its last place."
    return ""


def wanted(name: str) -> Part:
    """The part that is to go. Raises Conflict where it may not, NotFound."""
    part = next((one for one in dividing.parts() if one.name == name), None)
    if part is None:
        raise NotFound
    if why := why_not(part):
        raise Conflict(why, code="log-part-needed")
    return part


def counted(part: Part) -> Archived:
    """What `archive` would do."""
    ((rows, stay),) = asked(f"SELECT count(*), count(*) FILTER (WHERE {_STAYS}) FROM {part.name} c")
    return Archived(f"{ARCHIVED}{part.end}", rows, stay)


def archive(name: str, *, say: Say = lambda _: None) -> Archived:
    """Take a part out of the log, but for what stays. Raises Conflict where it may not go, NotFound."""
    part = wanted(name)
    pruning.prune_old()
    made = f"{name}_stays"
    with transaction.atomic():
        run(f"DROP TABLE IF EXISTS {made}")  # of a run that was broken off
        run(f"CREATE TABLE {made} (LIKE {name} INCLUDING ALL)")
        run(f"ALTER TABLE {made} ADD CONSTRAINT its_places CHECK (seq >= {part.first} AND seq < {part.end})")
        say(f"Copying what stays of {name}, beside all others …")
        run(f"INSERT INTO {made} SELECT c.* FROM {name} c WHERE {_STAYS}")
    run(f"ANALYZE {made}")
    done = counted(part)
    dividing.patiently(lambda: _exchange(part, made, done.table), say=say)
    run(f"ANALYZE {LOG}")
    return done


def _exchange(part: Part, made: str, archived: str) -> None:
    """Put the one in the place of the other, while nobody reads or writes, with what was marked or pruned since."""
    run(f"LOCK TABLE {LOG} IN ACCESS EXCLUSIVE MODE")
    run(f"SET LOCAL statement_timeout = '{_COMPARED_S}s'")
    run(_BRING_UP.format(made=made, old=part.name))
    run(_TAKE_AWAY.format(made=made, old=part.name))
    run(_NOTE.format(made=made, old=part.name))
    run(f"ALTER TABLE {LOG} DETACH PARTITION {part.name}")
    run(f"ALTER TABLE {part.name} RENAME TO {archived}")
    run(f"ALTER TABLE {made} RENAME TO {part.name}")
    run(f"ALTER TABLE {LOG} ATTACH PARTITION {part.name} FOR VALUES FROM ({part.first}) TO ({part.end})")
    run(f"ALTER TABLE {part.name} DROP CONSTRAINT its_places")
    dividing.make_alike(part.name, archived)


def drop(table: str) -> None:
    """Drop an archive, of which a copy lies elsewhere. Raises NotFound for whatever is none."""
    if table not in {one.name for one in archives()}:
        raise NotFound
    run(f"DROP TABLE {table}")


# Of a row `c`: it brings a version of a holding that lives. By the holding's key.
_STAYS = f"""
EXISTS (SELECT FROM (SELECT * FROM indicators_holding held WHERE held.id = c.holding_id OFFSET 0) h
        WHERE {living.LIVES})
"""
_BRING_UP = """
UPDATE {made} m SET traits = c.traits FROM {old} c
WHERE c.channel = m.channel AND c.seq = m.seq AND c.traits IS DISTINCT FROM m.traits
"""
_TAKE_AWAY = """
DELETE FROM {made} m WHERE NOT EXISTS (SELECT FROM {old} c WHERE c.channel = m.channel AND c.seq = m.seq)
"""
# Revocations are told by a remove that is not pruned: whoever has not read theirs starts over.
_NOTE = """
WITH lost AS MATERIALIZED (
    SELECT s.id, max(c.seq) AS seq FROM {old} c JOIN partners_sight s
        ON s.channel_id = c.channel AND c.seq > s.since AND c.seq <= coalesce(s.until, c.seq)
    WHERE c.op = 'remove' AND NOT EXISTS (SELECT FROM {made} m WHERE m.channel = c.channel AND m.seq = c.seq)
    GROUP BY s.id
)
UPDATE partners_sight s SET lost = greatest(s.lost, lost.seq) FROM lost WHERE s.id = lost.id
"""
_ARCHIVES = """
SELECT c.relname, c.reltuples::bigint, pg_total_relation_size(c.oid) FROM pg_class c
WHERE c.relname LIKE %(of)s AND c.relkind = 'r' AND NOT c.relispartition AND pg_table_is_visible(c.oid)
ORDER BY length(c.relname), c.relname
"""
