"""Connections of the pool: which one is lent, and what is looked at before."""

from __future__ import annotations

import select
from typing import Any

import psycopg
from psycopg_pool import ConnectionPool


class LastFirst(ConnectionPool[psycopg.Connection[Any]]):
    """Lends what was given back last.

    A pool lends in turns, so that each of its connections is used as seldom as can be, and what its process of
    PostgreSQL holds is in no cache of the processor any more when it is asked again (ADR 0025). Here, those that nobody
    needs stay at the other end, where the pool closes what was idle for long.
    """

    def _get_ready_connection(self, timeout: float | None) -> psycopg.Connection[Any] | None:
        """Called under the lock of the pool, which lends its first."""
        self._pool.rotate(1)
        return super()._get_ready_connection(timeout)


def retire(lent: psycopg.Connection[Any]) -> None:
    """Have the pool close this connection when it comes back, and open another one.

    libpq's buffers grow to the largest message and stay so: each connection of the pool would keep some megabytes.
    """
    lent._expire_at = 0.0  # noqa: SLF001 - the pool's own mark for what has served its time


def still_there(lent: psycopg.Connection[Any]) -> None:
    """Raise OperationalError for a connection that its server has left; costs no round trip otherwise.

    A server that leaves says so, hence there is something to read on a connection on which nothing was asked.
    """
    poll = select.poll()
    poll.register(lent.fileno(), select.POLLIN)
    if poll.poll(0):
        ConnectionPool.check_connection(lent)
