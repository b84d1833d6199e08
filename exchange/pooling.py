"""Connections of the pool: what is looked at before one is lent, and which the pool is to open anew."""

from __future__ import annotations

import select
from typing import Any

import psycopg
from django.db import connection, transaction
from psycopg_pool import ConnectionPool


def retire() -> None:
    """Have the pool open another connection in the place of the present one, once its transaction is committed.

    libpq's buffers grow to the largest message and stay so: each connection of the pool would keep some megabytes.
    """
    own = connection.connection

    def end() -> None:
        if connection.connection is own:
            own.close()
            connection.close()

    transaction.on_commit(end)


def still_there(lent: psycopg.Connection[Any]) -> None:
    """Raise OperationalError for a connection that its server has left; costs no round trip otherwise.

    A server that leaves says so, hence there is something to read on a connection on which nothing was asked.
    """
    poll = select.poll()
    poll.register(lent.fileno(), select.POLLIN)
    if poll.poll(0):
        ConnectionPool.check_connection(lent)
