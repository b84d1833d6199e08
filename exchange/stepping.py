"""Work on sockets in steps: each says which socket it waits for, and how long, so that one thread does many at a time.

`finish` does one to its end, `Many` does them side by side. What waits for longer than it may is told so by Late, and
ends as it sees fit.
"""

from __future__ import annotations

import contextlib
import heapq
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from contextvars import Context, copy_context
from dataclasses import dataclass
from itertools import count
from types import TracebackType
from typing import Any, Self

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
#: A socket's number, READ or WRITE, and the moment (of `time.monotonic`) at which the wait is over.
Wait = tuple[int, int, float]
type Steps[Value] = Generator[Wait, None, Value]


class Late(Exception):
    """The time is over."""


def finish[Value](steps: Steps[Value]) -> Value:
    """Do it here, step by step; what it returns or raises."""
    with selectors.DefaultSelector() as watched:
        try:
            wait = next(steps)
            while True:
                number, events, until = wait
                watched.register(number, events)
                ready = watched.select(max(0.0, until - time.monotonic()))
                watched.unregister(number)
                wait = steps.send(None) if ready and time.monotonic() < until else steps.throw(Late())
        except StopIteration as ended:
            value: Value = ended.value
            return value


@dataclass(slots=True, eq=False)
class _One:
    """One that is under way. Its steps are done in a context of its own, as if it had a thread to itself."""

    tag: Any
    steps: Steps[Any]
    context: Context
    number: int = -1
    until: float = 0.0


#: The tag of one that has ended, and what it returned, or the exception that it raised.
Ended = tuple[Any, Any]


class Many:
    """Those that were begun, done side by side by a thread that lives as long as the context is open.

    `tell` is called in that thread with those that ended at about the same time. The end of the context waits for all.
    """

    def __init__(self, name: str, *, tell: Callable[[list[Ended]], None]) -> None:
        self._tell = tell
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._new: deque[_One | None] = deque()
        self._lock = threading.Lock()
        self._woken = False
        self._bell, self._heard = socket.socketpair()
        self._watched = selectors.DefaultSelector()
        self._under_way: set[_One] = set()
        self._ends: list[tuple[float, int, _One]] = []
        self._numbers = count()

    def __enter__(self) -> Self:
        for end in (self._bell, self._heard):
            end.setblocking(False)
        self._watched.register(self._heard, READ)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hand_over(None)
        self._thread.join()
        self._watched.close()
        self._bell.close()
        self._heard.close()

    def begin(self, tag: Any, steps: Steps[Any]) -> None:
        """Have it done from now on."""
        self._hand_over(_One(tag, steps, copy_context()))

    def _hand_over(self, one: _One | None) -> None:
        self._new.append(one)
        with self._lock:
            wake, self._woken = not self._woken, True
        if wake:
            with contextlib.suppress(BlockingIOError):
                self._bell.send(b".")

    def _run(self) -> None:
        goes_on = True
        while goes_on or self._under_way:
            ended: list[Ended] = []
            for key, _ in self._watched.select(self._patience_s()):
                if key.data is None:
                    goes_on &= self._begun(ended)
                else:
                    self._resume(key.data, ended)
            self._end_late(ended)
            if ended:
                self._tell(ended)

    def _patience_s(self) -> float | None:
        """How long until the next wait is over; those that have ended before are passed over."""
        while self._ends and not _waits(*self._ends[0], under_way=self._under_way):
            heapq.heappop(self._ends)
        return max(0.0, self._ends[0][0] - time.monotonic()) if self._ends else None

    def _begun(self, ended: list[Ended]) -> bool:
        """Begin what is new; False once there will be no more."""
        with self._lock:
            self._woken = False
        self._heard.recv(1)
        while self._new:
            one = self._new.popleft()
            if one is None:
                return False
            self._step(one, ended)
        return True

    def _resume(self, one: _One, ended: list[Ended]) -> None:
        self._watched.unregister(one.number)
        self._under_way.discard(one)
        self._step(one, ended, late=time.monotonic() >= one.until)

    def _end_late(self, ended: list[Ended]) -> None:
        now = time.monotonic()
        while self._ends and self._ends[0][0] <= now:
            until, number, one = heapq.heappop(self._ends)
            if _waits(until, number, one, under_way=self._under_way):
                self._resume(one, ended)

    def _step(self, one: _One, ended: list[Ended], *, late: bool = False) -> None:
        """Let it go on until it waits again, and note for what, or that it has ended."""
        try:
            if late:
                one.until = 0.0
                wait = one.context.run(one.steps.throw, Late())
            else:
                wait = one.context.run(one.steps.send, None)
            self._wait(one, *wait)
        except StopIteration as done:
            ended.append((one.tag, done.value))
        except Exception as error:  # noqa: BLE001 - it ends this one alone, and whoever began it is told
            ended.append((one.tag, error))

    def _wait(self, one: _One, number: int, events: int, until: float) -> None:
        self._watched.register(number, events, one)
        one.number = number
        self._under_way.add(one)
        if until != one.until:
            one.until = until
            heapq.heappush(self._ends, (until, next(self._numbers), one))


def _waits(until: float, _number: int, one: _One, *, under_way: set[_One]) -> bool:
    return one in under_way and one.until == until
