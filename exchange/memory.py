"""What a process remembers of what it read, under keys that change with it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable


class Memory[Key: Hashable, Value]:
    """At most so many values; the one that was put longest ago makes room."""

    def __init__(self, *, most: int) -> None:
        self._most, self._lock = most, threading.Lock()
        self._held: OrderedDict[Key, Value] = OrderedDict()

    def get(self, key: Key) -> Value | None:
        """The value, or None."""
        return self._held.get(key)

    def put(self, key: Key, value: Value) -> None:
        """Keep a value, or keep it anew."""
        with self._lock:
            self._held[key] = value
            self._held.move_to_end(key)
            if len(self._held) > self._most:
                self._held.popitem(last=False)

    def drop(self, key: Key) -> None:
        """Forget a value, if there is one."""
        with self._lock:
            self._held.pop(key, None)
