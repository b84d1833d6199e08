"""Wake those who wait for the next change: one listener per process, and no database connection per waiter.

PostgreSQL's NOTIFY says only that something was committed; whoever is woken asks the log what it was. If the
listener loses its connection, waiters simply wait out their time: nothing depends on being woken.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from django.db import connection
from psycopg.conninfo import make_conninfo
from structlog import get_logger

log = get_logger()

#: More waiters than this per process answer at once instead: waiting holds a thread.
MAX_WAITERS = 12
#: How long at most who waits is taken at his word; then he is asked again who he is.
RECHECK_S = 0.7
_RECONNECT_S = 2.0


class Listener:
    """Follows NOTIFY `exchange_changes` in a thread of its own, started with the first waiter of the process."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._heard = 0
        self._waiting = 0
        self._streams: Counter[object] = Counter()
        self._pid = 0

    @property
    def heard(self) -> int:
        """A number that grows with every wake-up; take it before asking the log."""
        return self._heard

    @contextmanager
    def place(self) -> Iterator[bool]:
        """A place among those who wait, for as long as the block lasts; False where there is none left."""
        with self._condition:
            free = self._waiting < MAX_WAITERS
            self._waiting += free
        try:
            yield free
        finally:
            with self._condition:
                self._waiting -= free

    def take_stream(self, whose: object, *, most: int) -> bool:
        """A place for an open stream, at most `most` in the process and half of them for one; give it back."""
        with self._condition:
            if self._streams.total() >= most or self._streams[whose] >= max(1, most // 2):
                return False
            self._streams[whose] += 1
            return True

    def give_stream(self, whose: object) -> None:
        """Give a place back."""
        with self._condition:
            self._streams[whose] -= 1
            self._streams += Counter()  # forget who holds none

    def wait(self, *, heard: int, timeout_s: float) -> bool:
        """Wait until something was heard after `heard`; False when the time ran out."""
        self._start()
        with self._condition:
            return self._condition.wait_for(lambda: self._heard > heard, timeout=timeout_s)

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
