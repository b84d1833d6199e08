"""Connections of the pool, looked at before they are lent."""

import select
from typing import Any

import psycopg
from psycopg_pool import ConnectionPool


def still_there(lent: psycopg.Connection[Any]) -> None:
    """Raise OperationalError for a connection that its server has left; costs no round trip otherwise.

    A server that leaves says so, hence there is something to read on a connection on which nothing was asked.
    """
    poll = select.poll()
    poll.register(lent.fileno(), select.POLLIN)
    if poll.poll(0):
        ConnectionPool.check_connection(lent)
