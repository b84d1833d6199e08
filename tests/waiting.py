"""Waiting for what happens in another thread or process."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from typing import Any

#: The deadline of whatever a test waits for. Only a test that fails ever reaches it, so that no test fails because its
#: machine is slow: use it for joins, sockets and processes, too.
DEADLINE_S = 60.0


def until[T](
    look: Callable[[], T],
    *,
    within_s: float = DEADLINE_S,
    every_s: float = 0.02,
    of: subprocess.Popen[Any] | None = None,
) -> T:
    """The first true answer of `look`. Raises AssertionError if there is none by the deadline, or `of` has ended."""
    deadline = time.monotonic() + within_s
    while not (found := look()):
        assert of is None or of.poll() is None, f"ended with {of.poll()} before: {look}"
        assert time.monotonic() < deadline, f"not within {within_s} s: {look}"
        time.sleep(every_s)
    return found
