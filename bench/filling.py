"""Fill an exchange quickly: rows in the database, exactly as publishing would have written them.

Templates are published for real. Each further object is its template with an id and a token value of its own, in every
table and in the bytes; whatever else publishing wrote is copied column by column, so that a new column needs no change
here. `check` holds a filled object against the exchange: pushed again, its bytes must be known.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg

#: Rows of one statement; more would hold too much in memory.
_STEP = 100_000


def fill(database: psycopg.Connection[Any], templates: Sequence[str], count: int, *, salt: str = "0") -> None:
    """Add `count` objects made from the templates (ids of published objects of which each has one token), in turn."""
    done = 0
    while done < count:
        step = min(_STEP, count - done)
        with database.transaction():
            database.execute(
                _PREPARE,
                {"templates": list(templates), "count": step, "salt": f"{salt}/{done}", "of": len(templates)},
            )
            database.execute("SELECT pg_advisory_xact_lock(%s)", [0x63686773])
            for table, own in _TABLES.items():
                database.execute(_insert(database, table, own))
            database.execute(
                "INSERT INTO indicators_commit (last_seq, date_added)"
                " SELECT seq, date_added FROM filling ORDER BY seq DESC LIMIT 1"
            )
            database.execute("DROP TABLE filling")
        done += step
    database.execute("UPDATE indicators_progress SET seq = (SELECT max(last_seq) FROM indicators_commit)")
    database.execute("UPDATE indicators_subscription SET seq = (SELECT max(last_seq) FROM indicators_commit)")


def check(database: psycopg.Connection[Any], template: str) -> bytes:
    """The bytes of a filled object, once each of its rows equals its template's but for what is its own."""
    stix_id, body = database.execute(
        "SELECT h.stix_id, o.body FROM indicators_holding h JOIN indicators_stixobject o ON o.id = h.newest_id"
        " WHERE o.title = (SELECT t.title FROM indicators_holding th JOIN indicators_stixobject t"
        " ON t.id = th.newest_id WHERE th.stix_id = %s LIMIT 1) ORDER BY o.id DESC LIMIT 1",
        [template],
    ).fetchone()
    for table, own in _TABLES.items():
        shared = ", ".join(sorted(set(_columns(database, table)) - set(own)))
        key, of_holding = _KEYS.get(table, ("object_id", "newest_id"))
        rows = [
            database.execute(
                f"SELECT {shared} FROM {table}"
                f" WHERE {key} = (SELECT {of_holding} FROM indicators_holding WHERE stix_id = %s)",
                [one],
            ).fetchall()
            for one in (template, stix_id)
        ]
        if rows[0] != rows[1] or not rows[0]:
            raise RuntimeError(f"{table}: what was filled differs from what was published")
    return str(body).encode()


def _insert(database: psycopg.Connection[Any], table: str, own: dict[str, str]) -> str:
    columns = _columns(database, table)
    values = ", ".join(own.get(name, f"t.{name}") for name in columns)
    key, of_holding = _KEYS.get(table, ("object_id", "newest_id"))
    template = "template_holding" if of_holding == "id" else "template"
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values}"
        f" FROM filling f JOIN {table} t ON t.{key} = f.{template} ORDER BY f.place"
    )


def _columns(database: psycopg.Connection[Any], table: str) -> list[str]:
    """All but those that the database makes itself: generated ones, and the keys of tokens."""
    found = database.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped"
        " AND attgenerated = '' AND NOT (attname = 'id' AND %s = 'indicators_token') ORDER BY attnum",
        [table, table],
    ).fetchall()
    return [name for (name,) in found]


_PREPARE = """
CREATE TEMPORARY TABLE filling ON COMMIT DROP AS
SELECT place, t.id AS template, t.holding_id AS template_holding,
       nextval(pg_get_serial_sequence('indicators_stixobject', 'id')) AS key,
       nextval(pg_get_serial_sequence('indicators_holding', 'id')) AS holding,
       t.stix_type || '--' || made.uuid AS stix_id, made.value,
       replace(replace(t.body, t.stix_id, t.stix_type || '--' || made.uuid), k.value, made.value) AS body,
       last.seq + place AS seq, last.moment + place * interval '1 microsecond' AS date_added
FROM generate_series(1, %(count)s) place
JOIN (SELECT o.*, h.stix_id, h.stix_type, row_number() OVER (ORDER BY o.id) - 1 AS turn
      FROM indicators_holding h JOIN indicators_stixobject o ON o.id = h.newest_id
      WHERE h.stix_id = ANY(%(templates)s)) t ON t.turn = place %% %(of)s
JOIN indicators_token k ON k.object_id = t.id
CROSS JOIN LATERAL (SELECT overlay(overlay(md5(%(salt)s || place) placing '4' from 13) placing '8' from 17)::uuid
                               AS uuid,
                           encode(sha256(convert_to(%(salt)s || place, 'UTF8')), 'hex') AS value) made
CROSS JOIN (SELECT coalesce(max(last_seq), 0) AS seq, greatest(clock_timestamp(), max(date_added)) AS moment
            FROM indicators_commit) last
"""
#: By table, what is each row's own.
_TABLES = {
    "indicators_holding": {"id": "f.holding", "stix_id": "f.stix_id", "newest_id": "f.key"},
    "indicators_stixobject": {
        "id": "f.key",
        "holding_id": "f.holding",
        "body": "f.body",
        "sha256": "sha256(convert_to(f.body, 'UTF8'))",
        "stored_at": "now()",
    },
    "indicators_token": {"object_id": "f.key", "value": "f.value"},
    "indicators_change": {
        "seq": "f.seq",
        "date_added": "f.date_added",
        "holding_id": "f.holding",
        "version_id": "f.key",
    },
}
#: The column by which a table's rows are found, and which of the holding's it is.
_KEYS = {
    "indicators_holding": ("id", "id"),
    "indicators_stixobject": ("id", "newest_id"),
    "indicators_change": ("version_id", "newest_id"),
}
