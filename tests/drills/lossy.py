"""A network that loses 1 packet in 50, as TCP shows it to a program: a pause, and now and then a connection that breaks.

`tc netem` needs rights that a test has not. A lost segment is sent again after the retransmission timeout (RFC 6298: at
least 200 ms where Linux is asked), so each piece of at most a segment's size waits so long one time in 50. One in ten of
these breaks the connection, as when the retransmissions are lost, too.
"""

from __future__ import annotations

import random
import socket
import threading
from contextlib import suppress
from urllib.parse import urlsplit

from tests.waiting import DEADLINE_S

LOSS, BREAKS = 1 / 50, 1 / 10
_SEGMENT, _TIMEOUT_S = 1_448, 0.2


class Lossy:
    """Stands before an address; `url` is its own. `lost` and `broken` say what happened."""

    def __init__(self, url: str, *, seed: int = 16) -> None:
        parts = urlsplit(url)
        self._there = (str(parts.hostname), parts.port or 80)
        self._random, self._lock = random.Random(seed), threading.Lock()
        self._ended = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.lost = self.broken = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more."""
        self._ended.set()
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                try:
                    far = socket.create_connection(self._there, timeout=DEADLINE_S)
                except OSError:
                    near.close()
                    continue
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._pass_on, args=(one, other), daemon=True).start()

    def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while piece := one.recv(_SEGMENT):
                if self._is_lost():
                    if self._breaks():
                        break
                    self._ended.wait(_TIMEOUT_S)
                other.sendall(piece)
        for each in (one, other):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _is_lost(self) -> bool:
        with self._lock:
            lost = self._random.random() < LOSS
            self.lost += lost
        return lost

    def _breaks(self) -> bool:
        with self._lock:
            broken = self._random.random() < BREAKS
            self.broken += broken
        return broken
