"""What may hang is done in a thread of its own, so that nothing else waits for it."""

from __future__ import annotations

import threading
from collections.abc import Callable

_AGAIN_S = 1.0


class Aside:
    """Calls `act` after each `wake`, and again in a moment where it says that it failed; until `stop`."""

    def __init__(self, name: str, act: Callable[[], bool], *, stop: threading.Event) -> None:
        self._act, self._stop, self._due = act, stop, threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """There is something new to do; what is woken several times meanwhile is done once."""
        self._due.set()

    def join(self, timeout_s: float) -> None:
        """After `stop`: let it end what it is at, but no longer than that."""
        self._due.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stop.is_set():
            if not self._due.wait(_AGAIN_S) or self._stop.is_set():
                continue
            self._due.clear()
            if self._act():
                self._due.set()
                self._stop.wait(_AGAIN_S)
