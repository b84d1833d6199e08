"""Connections of the pool: what is looked at before one is lent, and which the pool is to open anew."""

from __future__ import annotations

import select
from typing import Any

import psycopg
from django.conf import settings
from django.db import connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg.conninfo import make_conninfo
from psycopg_pool import ConnectionPool


def retire(asked: BaseDatabaseWrapper) -> None:
    """Have the pool open another connection in the place of the one of `asked`, once its transaction is committed.

    libpq's buffers grow to the largest message and stay so: each connection of the pool would keep some megabytes.
    """
    own = asked.connection

    def end() -> None:
        if asked.connection is own:
            own.close()
            asked.close()

    transaction.on_commit(end, using=asked.alias)


def direct() -> str:
    """What libpq needs for a connection of its own to the store, past a pooler in transaction mode: for LISTEN.

    With all that DATABASE_URL says to libpq (TLS, keepalives), but for the settings of the server.
    """
    if settings.DATABASE_DIRECT:
        return str(settings.DATABASE_DIRECT)
    known = {option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults()} - {"options"}
    given = connection.get_connection_params()
    return make_conninfo(**{name: str(value) for name, value in given.items() if name in known and value})


def still_there(lent: psycopg.Connection[Any]) -> None:
    """Raise OperationalError for a connection that its server has left; costs no round trip otherwise.

    A server that leaves says so, hence there is something to read on a connection on which nothing was asked.
    """
    poll = select.poll()
    poll.register(lent.fileno(), select.POLLIN)
    if poll.poll(0):
        ConnectionPool.check_connection(lent)
