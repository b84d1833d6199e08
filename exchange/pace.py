"""Rest within work that is long: the threads of a process share one interpreter lock, and a machine its processors.

What computes in many small steps, and holds neither a lock nor a connection, takes a Pace and calls `step` after each.
Work of usual size never rests; what takes longer leaves every other moment to the others.
"""

from __future__ import annotations

import time

#: Seconds of a processor's time for which nobody rests.
FREE_S = 0.05
#: From then on: how long it works in one go, and how long it rests after that.
WORK_S = 0.003
REST_S = 0.003


class Pace:
    """Of one piece of work, on the thread that made it."""

    __slots__ = ("_rests_at",)

    def __init__(self) -> None:
        self._rests_at = time.thread_time() + FREE_S

    def step(self) -> None:
        """Rest, if the work is long and it is time to."""
        if (now := time.thread_time()) >= self._rests_at:
            time.sleep(REST_S)
            self._rests_at = now + WORK_S
