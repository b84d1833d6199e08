"""How long one batch may take to read what is slow to read: patterns by the grammar's parser, and regexes by RE2.

One such pattern takes milliseconds, and a batch may hold 20,000. `begin` opens a batch's budget on the thread that
reads it; whoever does something slow asks for `spending` around it. What the batch has no time for is refused, object
by object, and can be sent in another batch. A batch of many rests in between (`exchange.pace`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from exchange.pace import Pace

#: Seconds of a processor's time for one batch.
SECONDS = 2.0

_local = threading.local()


class Spent(Exception):
    """The batch has used up its time."""


def begin() -> None:
    """A batch begins: whatever the thread did before counts no more."""
    _local.left, _local.pace = SECONDS, Pace()


@contextmanager
def spending() -> Iterator[None]:
    """Count the time of the block, if a batch has begun. Raises Spent, before it, where no time is left."""
    left = getattr(_local, "left", None)
    if left is None:
        yield
        return
    if left <= 0:
        raise Spent
    started = time.thread_time()
    try:
        yield
    finally:
        _local.left = left - (time.thread_time() - started)
        _local.pace.step()
