"""Empty the store after a test that committed: Django truncates every table, which takes a hundred milliseconds.

Here the rows of the tables that were ever written to are deleted, in one message; PostgreSQL makes no new files then.
"""

from __future__ import annotations

from typing import Any

from django.db import OperationalError, connection
from django.test import TransactionTestCase
from psycopg.errors import DeadlockDetected

#: A table that grew beyond it is truncated, and all others with it: deleting looks at all that tests left behind.
_MOST_BYTES = 2_000_000
#: What migrations leave, each time the same: content types and permissions are not made anew.
_KEPT = frozenset({"django_content_type", "auth_permission"})
_TOUCHED = """
SELECT current_setting('is_superuser') = 'on', coalesce(max(pg_relation_size(oid)), 0),
       coalesce(array_agg(oid::regclass::text), '{}')
FROM pg_class WHERE oid = ANY (%s::regclass[]) AND pg_relation_size(oid) > 0
"""
_truncate = TransactionTestCase._fixture_teardown
_tables: list[str] = []


def empty(case: Any) -> None:
    """What `TransactionTestCase._fixture_teardown` does. Waits for whoever still writes, as truncating does."""
    if not _tables:
        _tables.extend(set(connection.introspection.django_table_names(only_existing=True)) - _KEPT)
    with connection.cursor() as cursor:
        cursor.execute(_TOUCHED, [_tables])
        may, size, touched = cursor.fetchone()
        if not may or size > _MOST_BYTES:
            _truncate(case)
        elif touched:
            delete(cursor, touched)


def delete(cursor: Any, tables: list[str]) -> None:
    """All rows of these. Tried again where a request of a page that a test left open asked for the same locks in another order."""
    for tries_left in reversed(range(10)):
        try:
            cursor.execute(
                f"BEGIN; LOCK TABLE {', '.join(tables)} IN ACCESS EXCLUSIVE MODE;"
                " SET LOCAL session_replication_role = replica;"  # neither triggers nor foreign keys
                f" {'; '.join(f'DELETE FROM {table}' for table in tables)}; COMMIT"
            )
            return
        except OperationalError as failure:
            cursor.execute("ROLLBACK")
            if not tries_left or not isinstance(failure.__cause__, DeadlockDetected):
                raise
