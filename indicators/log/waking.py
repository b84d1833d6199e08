"""Wake those who wait for the next change: one listener per process, and no database connection per waiter.

PostgreSQL's NOTIFY says only that something was committed; whoever is woken asks the log what it was. If the
listener loses its connection, waiters simply wait out their time: nothing depends on being woken.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import psycopg
from structlog import get_logger

from exchange import pooling

log = get_logger()

#: How long at most somebody waits before they are asked again who they are, for what ends by the clock. What ends a key
#: or changes what it may see wakes whoever waits, and nobody is told anything before they are asked.
RECHECK_S = 5.0
#: Those who are woken together are woken no oftener.
TOGETHER_S = 0.05
_RECONNECT_S = 2.0


class Listener:
    """Follows NOTIFY `exchange_changes` in a thread of its own, started with the first waiter of the process."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._heard = self._told = 0
        self._told_at = 0.0
        self._waiting = 0  # threads
        self._listening: set[Callable[[], None]] = set()
        self._gathered: set[Callable[[], None]] = set()
        self._pid = 0

    @property
    def heard(self) -> int:
        """A number that grows with every wake-up; take it before asking the log."""
        return self._heard

    @property
    def told(self) -> int:
        """The same for those who are woken together: it grows at most once in TOGETHER_S."""
        return self._told

    def listen(self, woken: Callable[[], None], *, heard: int, together: bool = False) -> bool:
        """Have `woken` called, once, when something is heard after `heard`; False where it already was.

        `together`: with all who say so, at most once in TOGETHER_S; `heard` is of `told` then.
        """
        self._start()
        with self._condition:
            if (self._told if together else self._heard) > heard:
                return False
            (self._gathered if together else self._listening).add(woken)
            return True

    def forget(self, woken: Callable[[], None]) -> None:
        """Have it called no more."""
        with self._condition:
            self._listening.discard(woken)
            self._gathered.discard(woken)

    def wait(self, *, heard: int, timeout_s: float, together: bool = False) -> bool:
        """Wait until something was heard after `heard`; False when the time ran out. `together`: see `listen`."""
        self._start()
        with self._condition:
            self._waiting += 1
            try:
                return self._condition.wait_for(
                    lambda: (self._told if together else self._heard) > heard, timeout=timeout_s
                )
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
                with psycopg.connect(pooling.direct(), autocommit=True) as listening:
                    listening.execute("LISTEN exchange_changes")
                    self._wake()  # what came while nobody listened
                    while True:
                        for _ in listening.notifies(timeout=self._rest_s(), stop_after=1):
                            self._wake()
                        self._wake_gathered()
            except psycopg.Error as error:
                log.warning("listener.lost", error=type(error).__name__)
            time.sleep(_RECONNECT_S)

    def _rest_s(self) -> float | None:
        """How long those who are woken together still wait; None where there is nothing to wake them for."""
        if self._told == self._heard:
            return None
        return max(0.0, self._told_at + TOGETHER_S - time.monotonic())

    def _wake(self) -> None:
        with self._condition:
            self._heard += 1
            self._condition.notify_all()
            woken, self._listening = self._listening, set()
        _call(woken)

    def _wake_gathered(self) -> None:
        """Where something was heard and the last time is long enough ago."""
        with self._condition:
            if self._rest_s() != 0.0:
                return
            self._told, self._told_at = self._heard, time.monotonic()
            self._condition.notify_all()
            woken, self._gathered = self._gathered, set()
        _call(woken)


def _call(woken: set[Callable[[], None]]) -> None:
    for call in woken:
        try:
            call()
        except Exception:  # one who cannot be woken keeps nobody else asleep
            log.exception("listener.failed")


LISTENER = Listener()


@dataclass(slots=True)
class Wait:
    """A wait for what is heard after `heard`, or for RECHECK_S; `deadline` is when there is no more waiting.

    `after` is how far the log was read already. `together`: see `Listener.listen`. `more`: once its time is up, how
    many seconds more there is nothing to do.
    """

    heard: int
    deadline: float
    after: int = 0
    together: bool = False
    more: Callable[[], float] | None = None

    @property
    def timeout_s(self) -> float:
        """How long at most, this time."""
        return max(0.0, min(self.deadline - time.monotonic(), RECHECK_S))

    def listen(self, woken: Callable[[], None]) -> bool:
        """See `Listener.listen`."""
        return LISTENER.listen(woken, heard=self.heard, together=self.together)

    def forget(self, woken: Callable[[], None]) -> None:
        """See `Listener.forget`."""
        LISTENER.forget(woken)

    def more_s(self) -> float:
        """See `exchange.web.hooks.Wait`."""
        return self.more() if self.more else 0.0

    def block(self) -> None:
        """Wait in this thread."""
        LISTENER.wait(heard=self.heard, timeout_s=self.timeout_s, together=self.together)

    def is_woken(self) -> bool:
        """Whether something was heard."""
        return (LISTENER.told if self.together else LISTENER.heard) > self.heard

    def again(self) -> Wait:
        """The same wait, continued."""
        return replace(self)


def for_page(*, heard: int, deadline: float, after: int = 0) -> Wait:
    """The wait for a page that is empty so far, of one of many; `heard` is of `told`."""
    return Wait(heard, deadline, after, together=True)


@dataclass(frozen=True, slots=True)
class Pause:
    """A short wait for nothing but time: however much is heard."""

    timeout_s: float

    def listen(self, woken: Callable[[], None]) -> bool:
        """There is nothing to hear."""
        return True

    def forget(self, woken: Callable[[], None]) -> None:
        """There was nothing to hear."""

    def more_s(self) -> float:
        """It ends when it said."""
        return 0.0

    def block(self) -> None:
        """Wait in this thread."""
        time.sleep(self.timeout_s)
