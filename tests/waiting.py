"""Waiting for what happens in another thread or process."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from typing import Any

#: The deadline of whatever a test waits for. Only a test that fails ever reaches it, so that no test fails because its
#: machine is slow: use it for joins, sockets and processes, too.
DEADLINE_S = 180.0
#: Of the time that was waited, how much later than it happens a thing may be found; and at most so many seconds.
_SHARE = 0.05
_SELDOM_S = 0.25


def until[T](
    look: Callable[[], T],
    *,
    within_s: float = DEADLINE_S,
    every_s: float = 0.02,
    of: subprocess.Popen[Any] | None = None,
) -> T:
    """The first true answer of `look`. Raises AssertionError if there is none by the deadline, or `of` has ended.

    Looks every `every_s` seconds at first, and less and less often: to look costs, often on the side that is waited for.
    """
    began = time.monotonic()
    deadline = began + within_s
    while not (found := look()):
        assert of is None or of.poll() is None, f"ended with {of.poll()} before: {look}"
        assert time.monotonic() < deadline, f"not within {within_s} s: {look}"
        time.sleep(max(every_s, min(_SELDOM_S, (time.monotonic() - began) * _SHARE)))
    return found
