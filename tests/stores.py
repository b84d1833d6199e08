"""Databases of their own, for tests that migrate, and the tests' own without statistics."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction


@contextmanager
def another_store(*, like: str = "template1") -> Iterator[None]:
    """A database beside the tests' own, empty or a copy of another, with all that this process says to it.

    What migrates backwards, or divides the log, does not leave a store as it was.
    """
    name = connection.settings_dict["NAME"]
    with connection.cursor() as cursor:
        cursor.execute("DROP DATABASE IF EXISTS exchange_before WITH (FORCE)")
        cursor.execute(f'CREATE DATABASE exchange_before TEMPLATE "{like}"')
    _connect_to("exchange_before")
    try:
        yield
    finally:
        _connect_to(name)
        with connection.cursor() as cursor:
            cursor.execute("DROP DATABASE exchange_before WITH (FORCE)")


def _connect_to(name: str) -> None:
    connection.close()
    connection.close_pool()
    connection.settings_dict["NAME"] = name
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_database()")
        assert cursor.fetchone() == (name,)


def fill(tables: dict[str, list[dict[str, Any]]]) -> None:
    """Rows as another release wrote them, by table."""
    with connection.cursor() as cursor, transaction.atomic():
        for table, rows in tables.items():
            cursor.execute(
                "SELECT string_agg(quote_ident(attname), ', ') FROM pg_attribute WHERE attrelid = %s::regclass"
                " AND attnum > 0 AND NOT attisdropped AND attgenerated = ''",
                [table],
            )
            (columns,) = cursor.fetchone()
            cursor.execute(
                f"INSERT INTO {table} ({columns}) SELECT {columns} FROM jsonb_populate_recordset(null::{table}, %s)",
                [json.dumps(rows)],
            )
            cursor.execute(
                "SELECT setval(pg_get_serial_sequence(%s, 'id'), (SELECT max((to_jsonb(t) ->> 'id')::bigint)"
                f" FROM {table} t)) FROM pg_attribute WHERE attrelid = %s::regclass AND attname = 'id'"
                " AND atttypid = 'bigint'::regtype",
                [table, table],
            )


def somebody_waits() -> bool:
    """Whether somebody waits for a lock of another, in this store: its server has others, of other processes' tests."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_stat_activity"
            " WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0)"
        )
        return bool(cursor.fetchone()[0])


def pretend_many(tables: Iterable[str], *, rows: int = 1_000_000) -> None:
    """Have the tests' store plan as if these tables had so many rows, until ANALYZE or `forget_statistics`."""
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(
                "SELECT pg_restore_relation_stats('schemaname', 'public', 'relname', %s::text,"
                " 'relpages', greatest(1, pg_relation_size(%s::regclass) / 8192)::int, 'reltuples', %s::real)",
                [table, table, rows],
            )


def forget_statistics() -> None:
    """Have the tests' store say of no table how large it is: what ANALYZE or an index's making left outlives its test."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_clear_relation_stats('public', relname::text) FROM pg_class"
            " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        )
