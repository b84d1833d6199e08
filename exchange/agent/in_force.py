"""What each part of `run` holds: the look-ups and each output, of each feed, and for how long one is behind.

What is acknowledged is in force in all of them: the place of the one that is furthest behind.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from exchange.agent.acknowledging import Reached

LOOK_UPS = "look-ups"

type Numbers = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Behind:
    """How long a part lacks something that was applied, in seconds, and why, where it said so."""

    behind_s: float = 0.0
    problem: str = ""


class InForce:
    """Places of feeds are numbered as they come; a part holds one of each feed. Safe to use from several threads."""

    def __init__(self, parts: Iterable[str]) -> None:
        self._lock = threading.Lock()
        self._places: dict[str, dict[int, tuple[Reached, float]]] = {}
        self._newest: dict[str, int] = {}
        self._held: dict[str, Numbers] = {part: {} for part in parts}
        self._problems: dict[str, str] = {}

    def applied(self, feed: str, place: Reached | None, *, altered: bool = True) -> None:
        """The store of a feed stands there. Where nothing altered, whoever holds what was there before holds this."""
        if place is None:
            return
        with self._lock:
            number = self._newest.get(feed, 0)
            known = self._places.setdefault(feed, {})
            if number and not altered:
                known[number] = (place, known[number][1])
                return
            self._newest[feed] = number + 1
            known[number + 1] = (place, time.monotonic())
            least = min(held.get(feed, 0) for held in self._held.values()) if self._held else number + 1
            for old in [one for one in known if one < least]:
                del known[old]

    def now(self) -> Numbers:
        """What a part that reads the stores from now on will hold at least."""
        with self._lock:
            return dict(self._newest)

    def holds(self, part: str, numbers: Numbers) -> None:
        """A part holds that, or what is newer."""
        with self._lock:
            self._held[part] = dict(numbers)
            self._problems.pop(part, None)

    def fails(self, part: str, why: str) -> None:
        """A part could not take it."""
        with self._lock:
            self._problems[part] = why[:200]

    def place(self, feed: str) -> Reached | None:
        """What of a feed is in force in every part; None where one holds nothing of it yet, or no hash is known."""
        with self._lock:
            newest = self._newest.get(feed, 0)
            number = min((held.get(feed, 0) for held in self._held.values()), default=newest)
            found = self._places.get(feed, {}).get(number)
            return found[0] if found else None

    def behind(self, of: str = "") -> dict[str, Behind]:
        """Each part: for how long it lacks something, of one feed or of any, and why."""
        now = time.monotonic()
        with self._lock:
            found = {}
            for part, held in self._held.items():
                lacked = [
                    at
                    for feed, known in self._places.items()
                    for number, (_, at) in known.items()
                    if of in {"", feed} and number > held.get(feed, 0)
                ]
                found[part] = Behind(now - min(lacked) if lacked else 0.0, self._problems.get(part, ""))
            return found
