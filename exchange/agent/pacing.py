"""How long an exchange is left alone: as it asks for, bounded, and with jitter so that agents do not march in step."""

from __future__ import annotations

import random
import time

from exchange.agent.store import Store
from exchange.client.errors import ApiError

#: No exchange keeps an agent silent for longer, whatever it asks for; nor does a failure.
LONGEST_S = 60.0
#: Where it answers at once that there is nothing new, as one with no room to wait in does.
_LEAST_S = 1.0
#: So many answers with something new are followed by the next question at once, before the pace holds for them too.
_AT_ONCE = 10.0


class Pace:
    """Of one feed: after each answer, how long until the next question. On average one per `min_wait_s` at most."""

    def __init__(self) -> None:
        self._asked_at = time.monotonic()
        self._left = _AT_ONCE
        self._failures = 0

    def asks(self) -> None:
        """A question begins."""
        self._asked_at = time.monotonic()

    def rest_s(self, store: Store, *, news: bool) -> float:
        """How long to wait after an answer, with something new or not."""
        self._failures = 0
        asked = min(float(store.get("min wait") or 0), LONGEST_S)
        least, took = asked if news else max(_LEAST_S, asked), time.monotonic() - self._asked_at
        if news:
            self._left = min(_AT_ONCE, self._left + (took / least if least else _AT_ONCE)) - 1
        if news and self._left >= 0:
            return 0.0
        self._left = max(self._left, 0.0)
        return max(0.0, _with_jitter(least) - took)

    def pause_s(self, problem: Exception) -> float:
        """How long after one that failed: twice as long each time, and no shorter than the exchange asks for."""
        self._failures += 1
        doubled = min(2.0 ** min(self._failures - 1, 10), LONGEST_S)
        asked = problem.retry_after_s if isinstance(problem, ApiError) else 0.0
        return _with_jitter(min(asked, LONGEST_S)) if asked > doubled else doubled


def _with_jitter(seconds: float) -> float:
    return seconds * random.uniform(1.0, 1.2)  # noqa: S311 - jitter, not a secret
