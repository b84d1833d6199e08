"""Prepared queries answer what any query would, forget nothing and leave no setting behind."""

from __future__ import annotations

import uuid
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta, timezone

import psycopg
import pytest
from django.db import DatabaseError, IntegrityError, OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext

from exchange import prepared
from exchange.prepared import Message, Planner
from indicators import waking

committed = pytest.mark.django_db(transaction=True)

VALUES = (
    1,
    -(2**62),
    'it\'s \\ "quoted"; -- %s %(name)s',
    "ümlaut \U0001f600",
    "",
    None,
    True,
    b"\x00\xff",
    uuid.UUID(int=7),
    datetime(2026, 1, 31, 8, 0, 0, 123456, tzinfo=UTC),
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=timezone(timedelta(hours=5, minutes=30))),
    [1, 2, 2**40],
    [1, -(2**63), None],
    [True, False],
    [],
    ["a", "b,c", 'd"e', "f\\g", "NULL", ""],
    [uuid.UUID(int=1), uuid.UUID(int=2)],
)
TYPES = (
    *("int", "bigint", "text", "text", "text", "text", "boolean", "bytea", "uuid", "timestamptz"),
    *("timestamptz", "timestamptz", "bigint[]", "bigint[]", "boolean[]", "int[]", "text[]", "uuid[]"),
)
ECHO = "SELECT " + ", ".join(f"%s::{kind}" for kind in TYPES)


@committed
def test_values_come_back_as_they_went_both_ways():
    plain = prepared.rows(ECHO, VALUES, called="echo")
    with transaction.atomic():
        within = prepared.rows(ECHO, VALUES, called="echo")
    with CaptureQueriesContext(connection) as captured:
        counted = prepared.rows(ECHO, VALUES, called="echo")
    assert plain == within == counted == [VALUES]
    assert len(captured) == 1


@committed
def test_of_a_mapping_only_what_is_named_is_sent_and_a_name_may_return():
    sql = "SELECT %(a)s::int, %(b)s::text, %(a)s::int + 1, '%%'"
    assert prepared.rows(sql, {"a": 1, "b": "x", "c": object()}, called="named") == [(1, "x", 2, "%")]


@committed
def test_settings_hold_for_their_message_alone_in_a_transaction_and_out_of_it():
    off = Planner(enable_sort="off")
    show = "SELECT current_setting('enable_sort')"
    assert prepared.rows(show, (), called="show", planner=off) == [("off",)]
    assert prepared.rows(show, (), called="show") == [("on",)]
    with transaction.atomic():
        assert prepared.rows(show, (), called="show", planner=off) == [("off",)]
        assert prepared.rows(show, (), called="show") == [("on",)]


@committed
def test_a_query_is_planned_once_for_all_values():
    begin_anew()
    for value in range(3):
        prepared.rows("SELECT %s::int + 40", (value,), called="planned")
    with connection.cursor() as cursor:
        cursor.execute("SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE name LIKE 'planned_%%'")
        assert cursor.fetchall() == [(3, 0)]


@committed
@pytest.mark.parametrize(("unused_s", "held"), [(-1.0, ["0", "2", "3"]), (60.0, ["0", "1", "2"])])
def test_what_was_not_asked_for_long_makes_room_and_nothing_else_does(monkeypatch, unused_s, held):
    monkeypatch.setattr(prepared, "MOST", 3)
    monkeypatch.setattr(prepared, "UNUSED_S", unused_s)
    begin_anew()
    for number in (0, 1, 2, 0, 3, 3):
        asked = prepared.rows(f"SELECT {number} + %s::int AS room, '%%'", (1,), called="room")
        assert asked == [(number + 1, "%")]
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement FROM pg_prepared_statements WHERE name LIKE 'room_%%' ORDER BY prepare_time")
        assert sorted(text.split("SELECT ")[1].split()[0] for (text,) in cursor.fetchall()) == held


@committed
def test_a_statement_that_the_server_forgot_is_prepared_again():
    assert prepared.rows("SELECT 1 AS forgotten", (), called="forgotten") == [(1,)]
    with connection.cursor() as cursor:
        cursor.execute("DEALLOCATE ALL")
    assert prepared.rows("SELECT 1 AS forgotten", (), called="forgotten") == [(1,)]


@committed
def test_a_table_that_was_altered_in_between_is_read_as_it_is_now():
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE altered (a int)")
    try:
        assert prepared.rows("SELECT * FROM altered", (), called="altered") == []
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE altered ADD b text; INSERT INTO altered VALUES (1, 'x')")
        assert prepared.rows("SELECT * FROM altered", (), called="altered") == [(1, "x")]
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE altered")


@committed
@pytest.mark.parametrize("within", [False, True])
def test_an_error_is_djangos_and_the_connection_lives_on(within):
    with pytest.raises(DatabaseError) as raised, transaction.atomic() if within else nullcontext():
        prepared.rows("SELECT 1 / %s::int", (0,), called="error")
    assert isinstance(raised.value.__cause__, psycopg.errors.DivisionByZero)
    assert prepared.rows("SELECT 1 / %s::int", (1,), called="error") == [(1,)]


@committed
def test_a_lost_connection_is_an_operational_error_and_the_next_one_serves():
    prepared.rows("SELECT 1 AS lost", (), called="lost")
    kill(connection.connection.info.backend_pid)
    with pytest.raises(DatabaseError, match=r"lost|terminating|closed"):
        prepared.rows("SELECT 1 AS lost", (), called="lost")
    connection.close()
    assert prepared.rows("SELECT 1 AS lost", (), called="lost") == [(1,)]


@committed
def test_a_connection_that_its_server_has_left_is_not_lent():
    prepared.rows("SELECT 1", (), called="left")
    pid = connection.connection.info.backend_pid
    connection.close()
    kill(pid)
    assert prepared.rows("SELECT 1", (), called="left") == [(1,)]
    assert connection.connection.info.backend_pid != pid


def begin_anew() -> None:
    """With a connection on which nothing is prepared."""
    with connection.cursor() as cursor:
        cursor.execute("DEALLOCATE ALL")
    connection.connection.__dict__.pop(prepared._ATTRIBUTE, None)


def kill(pid: int) -> None:
    """End a backend, and wait until it is gone; over a connection of no pool, which could lend the very one."""
    with psycopg.connect(waking.conninfo(), autocommit=True) as own:
        assert own.execute("SELECT pg_terminate_backend(%s, 5000)", [pid]).fetchone() == (True,)


@committed
def test_a_message_is_one_query_and_each_statement_has_its_reply():
    message = Message()
    first = message.add("SELECT %s::int", [1])
    second = message.add_prepared("SELECT %(word)s::text", {"word": "two; SELECT 3"}, called="reply")
    nothing = message.add("CREATE TEMPORARY TABLE said (n int)")
    made = message.add("INSERT INTO said VALUES (%(n)s), (%(n)s + 1) RETURNING n", {"n": 5})
    seen = message.add("SELECT count(*) FROM said")
    with CaptureQueriesContext(connection) as captured:
        message.send()
        message.send()
    assert (first.rows, second.rows, nothing.rows) == ([(1,)], [("two; SELECT 3",)], [])
    assert (made.rows, seen.rows) == ([(5,), (6,)], [(2,)])
    assert len(captured) == 1


@committed
def test_a_message_is_done_as_a_whole_or_not_at_all():
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE whole (n int)")
    message = Message()
    message.add("INSERT INTO whole VALUES (1)")
    message.add("SELECT 1 / 0")
    with pytest.raises(DatabaseError):
        message.send()
    assert prepared.rows("SELECT count(*) FROM whole", (), called="whole") == [(0,)]


@committed
def test_a_message_whose_statements_the_server_forgot_is_to_be_tried_again():
    prepared.rows("SELECT 1 AS gone", (), called="gone")
    with connection.cursor() as cursor:
        cursor.execute("DEALLOCATE ALL")
    message = Message()
    message.add_prepared("SELECT 1 AS gone", (), called="gone")
    with pytest.raises(OperationalError):
        message.send()
    again = Message()
    reply = again.add_prepared("SELECT 1 AS gone", (), called="gone")
    again.send()
    assert reply.rows == [(1,)]


@committed
def test_a_message_begins_the_transaction_that_is_open():
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE begun (n int)")
    for number, kept in ((1, False), (2, True)):
        with transaction.atomic():
            message = Message()
            message.add("INSERT INTO begun VALUES (%s)", [number])
            message.send()
            transaction.set_rollback(not kept)
    assert prepared.rows("SELECT n FROM begun", (), called="begun") == [(2,)]


@committed
def test_nothing_is_sent_into_a_broken_transaction():
    message = Message()
    message.add("SELECT 1")
    with transaction.atomic():
        transaction.set_rollback(True)
        with pytest.raises(transaction.TransactionManagementError):
            message.send()


@committed
def test_a_message_ends_the_outermost_transaction_where_it_is_its_last():
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE ended (n int)")
    done = []
    with transaction.atomic():
        transaction.on_commit(lambda: done.append(_others_wait()))
        message = Message()
        message.add("SELECT pg_advisory_xact_lock(7)")
        reply = message.add("INSERT INTO ended VALUES (1) RETURNING n")
        message.send(commits=True)
        assert connection.connection.pgconn.transaction_status == psycopg.pq.TransactionStatus.IDLE
    assert (reply.rows, done) == ([(1,)], [False])
    assert prepared.rows("SELECT n FROM ended", (), called="ended") == [(1,)]
    assert connection.get_autocommit()


@committed
def test_a_message_does_not_end_a_transaction_that_is_not_its_own():
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE inner_one (n int)")
    with transaction.atomic():
        with transaction.atomic():
            message = Message()
            message.add("INSERT INTO inner_one VALUES (1)")
            message.send(commits=True)
        transaction.set_rollback(True)
    assert prepared.rows("SELECT n FROM inner_one", (), called="inner") == []


@committed
def test_what_fails_only_as_it_is_committed_is_an_error_and_nothing_of_it_is_kept():
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE deferred (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
    message = Message()
    message.add("INSERT INTO deferred VALUES (1), (1)")
    with pytest.raises(IntegrityError), transaction.atomic():
        message.send(commits=True)
    assert prepared.rows("SELECT n FROM deferred", (), called="deferred") == []


def _others_wait() -> bool:
    """Whether somebody else would wait for the lock 7."""
    with psycopg.connect(waking.conninfo(), autocommit=True) as other:
        return other.execute("SELECT pg_try_advisory_xact_lock(7)").fetchone() != (True,)
