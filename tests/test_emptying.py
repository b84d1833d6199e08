"""The store is emptied after a test though somebody else still asks it."""

from __future__ import annotations

import threading

import pytest
from django.db import connection

from partners.models import Partner
from tests import build, emptying
from tests.waiting import DEADLINE_S, until

pytestmark = pytest.mark.django_db(transaction=True)
_WAITS = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'relation' AND database = %s::oid"


def test_who_asks_for_the_same_tables_the_other_way_round_only_holds_it_up():
    build.a_partner("Aster")
    first, last = "partners_apikey", "partners_partner"
    holds, done = threading.Event(), threading.Event()

    def ask() -> None:
        try:
            with connection.cursor() as cursor:
                # Long: so that it is the other that finds the deadlock, and gives way.
                cursor.execute(f"BEGIN; SET LOCAL deadlock_timeout = '60s'; LOCK TABLE {last} IN ACCESS SHARE MODE")
                holds.set()
                cursor.execute("SELECT oid FROM pg_database WHERE datname = current_database()")
                (database,) = cursor.fetchone()
                until(lambda: cursor.execute(_WAITS, [database]) and cursor.fetchone()[0])
                cursor.execute(f"LOCK TABLE {first} IN ACCESS SHARE MODE; COMMIT")
            done.set()
        finally:
            connection.close()

    other = threading.Thread(target=ask)
    other.start()
    assert holds.wait(DEADLINE_S)
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('is_superuser') = 'on'")
        if not cursor.fetchone()[0]:
            pytest.skip("the server is not the tests' own: its tables are truncated")
        emptying.delete(cursor, [first, last])
    other.join(DEADLINE_S)
    assert done.is_set()
    assert not Partner.objects.exists()
