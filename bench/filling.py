"""Fill an exchange quickly: rows in the database, exactly as publishing would have written them.

Templates are published for real. Each further object is its template with an id and a token value of its own, in every
table and in the bytes; whatever else publishing wrote is copied column by column, so that a new column needs no change
here. `check` holds a filled object against the exchange: pushed again, its bytes must be known.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg

from indicators.log import traits

#: Rows of one statement; more would hold too much in memory.
_STEP = 100_000
#: From so many objects on, indexes are made anew behind them: row by row, that of traits alone takes an hour a million.
_MANY = 50_000


def fill(
    database: psycopg.Connection[Any], templates: Sequence[str], count: int, *, salt: str = "0", values: str = ""
) -> None:
    """Add `count` objects made from the templates (ids of published objects of which each has one token), in turn.

    What is filled with the same `values` carries the same ones: there is a match wherever two publishers do so.
    """
    alone = database.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    if count >= _MANY and alone:  # within a transaction rows may still wait to be checked, and no index can be made
        with without_indexes(database):
            _fill(database, templates, count, salt=salt, values=values)
    else:
        _fill(database, templates, count, salt=salt, values=values)
    database.execute("UPDATE indicators_subscription SET seq = (SELECT max(last_seq) FROM indicators_commit)")


@contextlib.contextmanager
def without_indexes(database: psycopg.Connection[Any]) -> Iterator[None]:
    """Meanwhile nothing but keys is kept by an index; what is filled in several portions is filled within one."""
    tables = [*_TABLES, "indicators_commit"]
    made = database.execute(
        "SELECT i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid) FROM pg_index i"
        " WHERE i.indrelid = ANY(%s::regclass[]) AND NOT i.indisunique AND i.indexrelid <> %s::regclass",
        [tables, "change_by_version"],  # by which the templates' rows are found
    ).fetchall()
    for name, _ in made:
        database.execute(f"DROP INDEX {name}")
    yield
    database.execute("SET maintenance_work_mem = '512MB'")
    for _, definition in made:
        database.execute(definition)


def _fill(database: psycopg.Connection[Any], templates: Sequence[str], count: int, *, salt: str, values: str) -> None:
    done = 0
    while done < count:
        step = min(_STEP, count - done)
        with database.transaction():
            database.execute("SELECT pg_advisory_xact_lock(%s)", [0x63686773])
            database.execute(
                _PREPARE,
                {
                    "templates": list(templates),
                    "count": step,
                    "salt": f"{salt}/{done}",
                    "values": f"{values or salt}/{done}",
                    "of": len(templates),
                },
            )
            for table, own in _TABLES.items():
                database.execute(_UNCHECKED, ["origin" if table == "indicators_carries" else "replica"])
                database.execute(_insert(database, table, own))
            database.execute(_UNCHECKED, ["origin"])
            database.execute(
                "INSERT INTO indicators_commit (last_seq, date_added)"
                " SELECT seq, date_added FROM filling ORDER BY seq DESC LIMIT 1"
            )
            database.execute("DROP TABLE filling")
        done += step


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
        key, of_holding, _ = _KEYS[table]
        if table == "indicators_change":  # whose places are others
            shared = shared.replace(", traits", "").replace("traits, ", "")
        rows = [
            sorted(
                database.execute(
                    f"SELECT {shared} FROM {table}"
                    f" WHERE {key} = (SELECT {of_holding} FROM indicators_holding h WHERE h.stix_id = %s)",
                    [one],
                ).fetchall(),
                key=repr,
            )
            for one in (template, stix_id)
        ]
        if rows[0] != rows[1] or not rows[0]:
            raise RuntimeError(f"{table}: what was filled differs from what was published")
    return str(body).encode()


def _insert(database: psycopg.Connection[Any], table: str, own: dict[str, str]) -> str:
    columns = _columns(database, table)
    values = ", ".join(own.get(name, f"t.{name}") for name in columns)
    key, _, template = _KEYS[table]
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values}"
        f" FROM filling f JOIN {table} t ON t.{key} = f.{template} ORDER BY f.place {_CONFLICTS.get(table, '')}"
    )


def _columns(database: psycopg.Connection[Any], table: str) -> list[str]:
    """All but those that the database makes itself: generated ones."""
    found = database.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped"
        " AND attgenerated = '' ORDER BY attnum",
        [table],
    ).fetchall()
    return [name for (name,) in found]


# What rows refer to was made beside them, so nobody has to look for it; what is carried has triggers of its own.
_UNCHECKED = """
SELECT set_config('session_replication_role', %s, true) WHERE current_setting('is_superuser') = 'on'
"""
_PREPARE = """
-- A row a new object; the key of its value is made as `carrying.key_of` makes it.
CREATE TEMPORARY TABLE filling ON COMMIT DROP AS
SELECT g.place, t.id AS template, t.holding_id AS template_holding,
       nextval(pg_get_serial_sequence('indicators_stixobject', 'id')) AS key,
       nextval(pg_get_serial_sequence('indicators_holding', 'id')) AS holding,
       t.stix_type || '--' || made.uuid AS stix_id, v.id AS template_value, v.value AS said, made.value,
       keyed.key AS value_key,
       EXISTS (SELECT FROM indicators_tokenvalue x WHERE x.id = keyed.key) AS shared,
       replace(replace(t.body, t.stix_id, t.stix_type || '--' || made.uuid), v.value, made.value) AS body,
       last.seq + g.place AS seq, last.moment + g.place * interval '1 microsecond' AS date_added
FROM generate_series(1, %(count)s) g(place)
JOIN (SELECT o.*, h.stix_id, h.stix_type, row_number() OVER (ORDER BY o.id) - 1 AS turn
      FROM indicators_holding h JOIN indicators_stixobject o ON o.id = h.newest_id
      WHERE h.stix_id = ANY(%(templates)s)) t ON t.turn = g.place %% %(of)s
JOIN indicators_carries k ON k.holding_id = t.holding_id
JOIN indicators_tokenvalue v ON v.id = k.token_value_id LEFT JOIN indicators_epoch e ON e.id = v.epoch_id
CROSS JOIN LATERAL (SELECT overlay(overlay(md5(%(salt)s || g.place) placing '4' from 13) placing '8' from 17)::uuid
                               AS uuid,
                           encode(sha256(convert_to(%(values)s || g.place, 'UTF8')), 'hex') AS value) made
CROSS JOIN LATERAL (
    SELECT encode(substring(sha256(convert_to(made.value, 'UTF8')) FOR 4) || substring(sha256(convert_to(concat_ws(
        E'\n', v.subkind, v.scheme, coalesce(e.name, ''), v.psp_scope, made.value), 'UTF8')) FOR 12), 'hex')::uuid
        AS key
) keyed
CROSS JOIN (SELECT coalesce(max(last_seq), 0) AS seq, greatest(statement_timestamp(), max(date_added)) AS moment
            FROM indicators_commit) last
"""
# Of the row `t` of a template's change at its own place; as `appending` writes them.
_TRAITS = f"""
CASE WHEN t.traits IS NOT NULL THEN (
    SELECT {traits.of_row("said.words", "t.channel", "f.seq")}
    FROM (SELECT {traits.words_of(matched=traits.IS_MATCHED)} AS words
          FROM indicators_stixobject o JOIN indicators_holding h ON h.id = o.holding_id
          JOIN partners_audience a ON a.id = h.audience_id WHERE o.id = f.key) said) END
"""
#: By table, what is each row's own.
_TABLES = {
    "indicators_holding": {"id": "f.holding", "stix_id": "f.stix_id", "newest_id": "f.key"},
    "indicators_stixobject": {
        "id": "f.key",
        "holding_id": "f.holding",
        "body": "f.body",
        "sha256": "sha256(convert_to(f.body, 'UTF8'))",
        "listed": "replace(t.listed, f.said, f.value)",
        "stored_at": "now()",
    },
    "indicators_tokenvalue": {"id": "f.value_key", "value": "f.value", "shared": "false"},
    "indicators_carries": {"holding_id": "f.holding", "token_value_id": "f.value_key"},
    "indicators_change": {
        "seq": "f.seq",
        "date_added": "f.date_added",
        "holding_id": "f.holding",
        "version_id": "f.key",
        "linked": "f.shared",
        "traits": _TRAITS,
    },
}
_CONFLICTS = {"indicators_tokenvalue": "ON CONFLICT (id) DO UPDATE SET shared = true"}
_OF_VALUE = "(SELECT k.token_value_id FROM indicators_carries k WHERE k.holding_id = h.id)"
#: The column by which a table's rows are found, what it is for a holding `h`, and where `filling` has the template's.
_KEYS = {
    "indicators_holding": ("id", "h.id", "template_holding"),
    "indicators_stixobject": ("id", "h.newest_id", "template"),
    "indicators_tokenvalue": ("id", _OF_VALUE, "template_value"),
    "indicators_carries": ("holding_id", "h.id", "template_holding"),
    "indicators_change": ("version_id", "h.newest_id", "template"),
}
