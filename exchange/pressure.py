"""How much a process takes in at once: pushes beyond it are told to come back, before memory grows.

A push that is read and judged takes several times its size. So its bytes are counted from before they are read until
it is stored, over the process and for each partner: none can keep the others out. One push is always let in.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from exchange.errors import TooMany

#: Bytes of pushes at work in one process, and of one partner's among them.
MOST_BYTES = 16 * 1024 * 1024
MOST_BYTES_OF_PARTNER = 12 * 1024 * 1024


class Gate:
    """The bytes that are being taken in."""

    def __init__(self, *, most: int, most_of_partner: int) -> None:
        self._most, self._most_of_partner = most, most_of_partner
        self._lock = threading.Lock()
        self._taken: Counter[UUID] = Counter()

    @contextmanager
    def taking(self, size: int, *, of: UUID) -> Iterator[None]:
        """Hold room for `size` bytes of a partner's. Raises TooMany where there is none."""
        with self._lock:
            own, all_ = self._taken[of], self._taken.total()
            if (own and own + size > self._most_of_partner) or (all_ and all_ + size > self._most):
                raise TooMany("Too much is being taken in at the moment.", code="busy", retry_after_s=1)
            self._taken[of] += size
        try:
            yield
        finally:
            with self._lock:
                self._taken[of] -= size
                if not self._taken[of]:
                    del self._taken[of]


GATE = Gate(most=MOST_BYTES, most_of_partner=MOST_BYTES_OF_PARTNER)
