"""The pool lends what is warm, and leaves the rest to be closed."""

from __future__ import annotations

import psycopg
import pytest
from django.db import connection

from exchange import prepared, trimming
from exchange.pooling import LastFirst
from indicators import waking

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def pool():
    with LastFirst(waking.conninfo(), min_size=3, max_size=4, open=True) as made:
        made.wait()
        yield made


def test_what_was_given_back_last_is_lent_first(pool):
    three = [pool.getconn() for _ in range(3)]
    for lent in three:
        pool.putconn(lent)
    assert [pool.getconn() for _ in range(3)] == three[::-1]
    for lent in three:
        pool.putconn(lent)


def test_of_many_that_were_needed_once_one_does_the_work_from_then_on(pool):
    three = [pool.getconn() for _ in range(3)]
    for lent in three:
        pool.putconn(lent)
    for _ in range(5):
        with pool.connection() as lent:
            assert lent is three[2]


def test_a_connection_that_was_given_back_from_within_a_transaction_begins_none():
    connection.set_autocommit(False)
    connection.close()
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    assert connection.connection.autocommit
    assert connection.connection.pgconn.transaction_status == psycopg.pq.TransactionStatus.IDLE


def test_it_is_the_pool_that_django_uses():
    connection.ensure_connection()
    assert isinstance(connection.pool, LastFirst)
    first = connection.connection
    with connection.pool.connection():  # another, given back before
        connection.close()
    connection.ensure_connection()
    assert isinstance(first, psycopg.Connection)
    assert connection.connection is not first


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_carried_a_large_message_is_closed_when_it_comes_back(monkeypatch):
    asked = []
    monkeypatch.setattr(trimming, "ask", lambda: asked.append(1))

    def process_after(size):
        found = prepared.rows("SELECT pg_backend_pid() WHERE length(%s) > 0", ["x" * size], called="large")[0][0]
        connection.close()
        return found

    first = process_after(10)
    assert process_after(10) == first
    assert asked == []
    assert process_after(2_000_000) == first
    assert asked == [1]
    assert process_after(10) != first


def test_memory_is_given_back_soon_and_where_there_is_no_way_to_nothing_is_done(monkeypatch):
    trimming._trim()
    monkeypatch.setattr(trimming.ctypes, "CDLL", lambda _: object())
    trimming._trim()
