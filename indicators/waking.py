"""Wake those who wait for the next change: one listener per process, and no database connection per waiter.

PostgreSQL's NOTIFY says only that something was committed; whoever is woken asks the log what it was. If the
listener loses its connection, waiters simply wait out their time: nothing depends on being woken.
"""

from __future__ import annotations

import os
import threading
import time

import psycopg
from django.db import connection
from psycopg.conninfo import make_conninfo
from structlog import get_logger

log = get_logger()

#: More waiters than this per process answer at once instead: waiting holds a thread.
MAX_WAITERS = 12
_RECONNECT_S = 2.0


class Listener:
    """Follows NOTIFY `exchange_changes` in a thread of its own, started with the first waiter of the process."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._heard = 0
        self._waiting = 0
        self._pid = 0

    @property
    def heard(self) -> int:
        """A number that grows with every wake-up; take it before asking the log."""
        return self._heard

    def wait(self, *, heard: int, timeout_s: float) -> bool:
        """Wait until something was heard after `heard`; False when the time ran out or too many wait."""
        self._start()
        with self._condition:
            if self._waiting >= MAX_WAITERS:
                return False
            self._waiting += 1
            try:
                return self._condition.wait_for(lambda: self._heard > heard, timeout=timeout_s)
            finally:
                self._waiting -= 1

    def _start(self) -> None:
        """Start the thread, also again after a fork, which copies no threads."""
        with self._condition:
            if self._pid != os.getpid():
                self._pid = os.getpid()
                threading.Thread(target=self._listen, name="exchange-waking", daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                with psycopg.connect(conninfo(), autocommit=True) as listening:
                    listening.execute("LISTEN exchange_changes")
                    self._wake()  # what came while nobody listened
                    for _ in listening.notifies():
                        self._wake()
            except psycopg.Error as error:
                log.warning("listener.lost", error=type(error).__name__)
            time.sleep(_RECONNECT_S)

    def _wake(self) -> None:
        with self._condition:
            self._heard += 1
            self._condition.notify_all()


def conninfo() -> str:
    """What psycopg needs to open a connection of its own to the same database."""
    parameters = connection.get_connection_params()
    names = ("dbname", "user", "password", "host", "port")
    return make_conninfo(**{name: str(parameters[name]) for name in names if parameters.get(name)})


LISTENER = Listener()
