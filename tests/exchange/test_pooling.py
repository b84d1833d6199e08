"""What the pool lends is whole, and what grew is closed."""

from __future__ import annotations

from contextlib import nullcontext

import psycopg
import pytest
from django.db import connection, transaction

from exchange import pooling, trimming
from exchange.sql import ask

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_connection_that_was_given_back_from_within_a_transaction_begins_none():
    connection.set_autocommit(False)
    connection.close()
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    assert connection.connection.autocommit
    assert connection.connection.pgconn.transaction_status == psycopg.pq.TransactionStatus.IDLE


@pytest.mark.parametrize("within", [False, True], ids=["alone", "in a transaction"])
def test_a_connection_that_carried_a_large_message_is_closed_once_it_is_committed(monkeypatch, within):
    asked = []
    monkeypatch.setattr(trimming, "ask", lambda: asked.append(1))

    def send(size):
        connection.ensure_connection()
        own = connection.connection
        with transaction.atomic() if within else nullcontext():
            assert ask("SELECT length(%s)", ["x" * size]) == [(size,)]
            assert not (within and own.closed)
        return own.closed

    assert (send(10), asked) == (False, [])
    assert (send(2_000_000), asked) == (True, [1])
    assert (send(10), asked) == (False, [1])


def test_memory_is_given_back_soon_and_where_there_is_no_way_to_nothing_is_done(monkeypatch):
    trimming._trim()
    monkeypatch.setattr(trimming.ctypes, "CDLL", lambda _: object())
    trimming._trim()


def test_a_connection_of_its_own_keeps_to_what_the_address_says_of_tls(monkeypatch, settings):
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", {"sslmode": "verify-full", "options": "-c jit=off"})
    said = pooling.direct()
    assert "sslmode=verify-full" in said
    assert "jit" not in said
    settings.DATABASE_DIRECT = "host=past.the.pooler"
    assert pooling.direct() == "host=past.the.pooler"
