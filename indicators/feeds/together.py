"""A page of a delta for many who wait for it: of those who stand at one place of one set, one asks the store.

Who is woken by a commit is one of many: each instance of a partner waits at the same place, and is to be told the same.
The first of them in this process reads the page, the others get the same bytes. So it is when all of them come back to
wait at the place that they were told. What it is kept under says everything that the page depends on: the partner and
what its key may see (asked of the store for each of them just before), feed and filter, cursor and limit, and up to
where this process had heard of commits before the page was read. So what is told is what was so after they were woken;
what was committed since and not heard of yet wakes them. Nobody is told what was read for another partner.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from indicators.feeds.deltas import Delta
from indicators.feeds.filters import Filter
from partners.viewer import Viewer

#: For so long a page is told to others.
_FRESH_S = 1.0
#: Pages that are kept, and bytes of one that is.
_MOST, _MOST_BYTES = 256, 262_144
#: So long one waits for another who reads; then they read themselves.
_PATIENCE_S = 2.0


@dataclass(slots=True)
class _Reading:
    """One page, while it is read and a moment after."""

    begun_at: float = field(default_factory=time.monotonic)
    done: threading.Event = field(default_factory=threading.Event)
    page: Delta | None = None


_readings: OrderedDict[Hashable, _Reading] = OrderedDict()
_lock = threading.Lock()


def page(
    viewer: Viewer, wanted: Filter, *, feed: str, cursor: str, limit: int, heard: int, read: Callable[[], Delta]
) -> Delta:
    """What `read` returns, or returned a moment ago for the same; what it raises concerns its caller alone."""
    groups = frozenset(viewer.group_ids), viewer.key_groups, viewer.limited
    key = (viewer.partner_id, viewer.clearance, viewer.sight, groups, feed, wanted.scope, cursor, limit, heard)
    with _lock:
        reading = _readings.get(key)
        first = reading is None or time.monotonic() - reading.begun_at > _FRESH_S + _PATIENCE_S
        if reading is None or first:
            reading = _readings[key] = _Reading()
            _readings.move_to_end(key)
            while len(_readings) > _MOST:
                _readings.popitem(last=False)
    if first:
        return _read(key, reading, read)
    reading.done.wait(_PATIENCE_S)
    fresh = time.monotonic() - reading.begun_at <= _FRESH_S
    return reading.page if reading.page is not None and fresh else read()


def _read(key: Hashable, reading: _Reading, read: Callable[[], Delta]) -> Delta:
    try:
        found = read()
        works = found.more and not found.rows  # each who asks has the set follow its log a little further
        if len(found.body) <= _MOST_BYTES and not works:
            reading.page = found
        return found
    finally:
        reading.done.set()
        if reading.page is None:
            with _lock:
                if _readings.get(key) is reading:
                    del _readings[key]
