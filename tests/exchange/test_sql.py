"""Prepared queries answer what any query would, forget nothing and leave no setting behind."""

from __future__ import annotations

import uuid
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta, timezone

import psycopg
import pytest
from django.db import DatabaseError, OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext

from exchange import pooling, sql
from exchange.sql import Message, ask

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
    plain = ask(ECHO, VALUES)
    with transaction.atomic():
        within = ask(ECHO, VALUES)
    with CaptureQueriesContext(connection) as captured:
        counted = ask(ECHO, VALUES)
    assert plain == within == counted == [VALUES]
    assert len(captured) == 1


@committed
def test_of_a_mapping_only_what_is_named_is_sent_and_a_name_may_return():
    sql = "SELECT %(a)s::int, %(b)s::text, %(a)s::int + 1, '%%'"
    assert ask(sql, {"a": 1, "b": "x", "c": object()}) == [(1, "x", 2, "%")]


@committed
def test_settings_hold_for_their_query_alone_in_a_transaction_and_out_of_it():
    show = "SELECT current_setting('enable_sort'), current_setting('enable_seqscan')"
    off = {"enable_sort": "off"}
    assert ask(show, settings=off) == [("off", "on")]
    assert ask(show) == [("on", "on")]
    with transaction.atomic():
        assert ask(show, settings=off) == [("off", "on")]
        assert ask(show) == [("on", "on")]
    with CaptureQueriesContext(connection) as captured:
        ask(show, settings=off)
    assert len(captured) == 1


@committed
def test_a_query_is_planned_once_for_all_values():
    for value in (1, 2**20, 2**40):
        ask("SELECT %s::bigint + 40", (value,))
    with connection.cursor() as cursor:
        cursor.execute("SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement LIKE '%%+ 40'")
        assert cursor.fetchall() == [(3, 0)]


@committed
def test_a_statement_that_the_server_forgot_is_prepared_again():
    assert ask("SELECT 1 AS forgotten", ()) == [(1,)]
    connection.connection.pgconn.exec_(b"DEALLOCATE ALL")  # behind psycopg, as a pooler might
    assert ask("SELECT 1 AS forgotten", ()) == [(1,)]


@committed
def test_a_table_that_was_altered_in_between_is_read_as_it_is_now():
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE altered (a int)")
    try:
        assert ask("SELECT * FROM altered", ()) == []
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE altered ADD b text; INSERT INTO altered VALUES (1, 'x')")
        assert ask("SELECT * FROM altered", ()) == [(1, "x")]
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE altered")


@committed
@pytest.mark.parametrize("within", [False, True])
def test_an_error_is_djangos_and_the_connection_lives_on(within):
    with pytest.raises(DatabaseError) as raised, transaction.atomic() if within else nullcontext():
        ask("SELECT 1 / %s::int", (0,))
    assert isinstance(raised.value.__cause__, psycopg.errors.DivisionByZero)
    assert ask("SELECT 1 / %s::int", (1,)) == [(1,)]


@committed
def test_a_lost_connection_is_an_operational_error_and_the_next_one_serves():
    ask("SELECT 1 AS lost", ())
    kill(connection.connection.info.backend_pid)
    with pytest.raises(DatabaseError, match=r"lost|terminating|closed"):
        ask("SELECT 1 AS lost", ())
    connection.close()
    assert ask("SELECT 1 AS lost", ()) == [(1,)]


@committed
def test_a_connection_that_its_server_has_left_is_not_lent():
    ask("SELECT 1", ())
    pid = connection.connection.info.backend_pid
    connection.close()
    kill(pid)
    assert ask("SELECT 1", ()) == [(1,)]
    assert connection.connection.info.backend_pid != pid


def kill(pid: int) -> None:
    """End a backend, and wait until it is gone; over a connection of no pool, which could lend the very one."""
    with psycopg.connect(pooling.direct(), autocommit=True) as own:
        assert own.execute("SELECT pg_terminate_backend(%s, 5000)", [pid]).fetchone() == (True,)


@committed
def test_a_message_is_one_query_and_each_statement_has_its_reply():
    message = Message()
    first = message.add("SELECT %s::int", [1])
    second = message.add("SELECT %(word)s::text", {"word": "two; SELECT 3"})
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
    assert ask("SELECT count(*) FROM whole", ()) == [(0,)]


@committed
def test_a_message_whose_statements_the_server_forgot_is_to_be_tried_again():
    ask("SELECT 1 AS gone", ())
    connection.connection.pgconn.exec_(b"DEALLOCATE ALL")  # behind psycopg, as a pooler might
    message = Message()
    message.add("SELECT 1 AS gone", ())
    with pytest.raises(OperationalError):
        message.send()
    again = Message()
    reply = again.add("SELECT 1 AS gone", ())
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
    assert ask("SELECT n FROM begun", ()) == [(2,)]


@committed
def test_nothing_is_sent_into_a_broken_transaction():
    message = Message()
    message.add("SELECT 1")
    with transaction.atomic():
        transaction.set_rollback(True)
        with pytest.raises(transaction.TransactionManagementError):
            message.send()


def _others_wait() -> bool:
    """Whether somebody else would wait for the lock 7."""
    with psycopg.connect(pooling.direct(), autocommit=True) as other:
        return other.execute("SELECT pg_try_advisory_xact_lock(7)").fetchone() != (True,)


@pytest.mark.parametrize(
    ("written", "numbered", "names"),
    [
        ("SELECT 1", "SELECT 1", ()),
        ("%(a)s + %(b)s + %(a)s %% 2", "$1 + $2 + $1 % 2", ("a", "b")),
        ("%s::text, %s", "$1::text, $2", (" 0", " 1")),
        ("'%%s' LIKE 'a%%'", "'%s' LIKE 'a%'", ()),
    ],
)
def test_placeholders_are_numbered_once_for_each_name(written, numbered, names):
    assert sql._numbered(written) == (numbered.encode(), names)


def test_a_long_text_is_read_for_placeholders_once(db, monkeypatch):
    text = f"SELECT %(a)s::int /* {'x' * 10_000} */"
    sql._numbered.cache_clear()
    assert [sql.ask(text, {"a": 1, "unasked": 2}) for _ in range(3)] == [[(1,)]] * 3
    assert sql._numbered.cache_info().hits >= 2
