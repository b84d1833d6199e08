"""The desk of a worker's process: claims a portion of messages, posts them at once, and writes down what came of them.

What is answered is concluded with others that were answered at about the same time, and leaves room for the next: a
receiver that keeps silent holds one of MOST places, and nobody waits for it. While receivers are waited for, no
connection of the store is held. What a process dies with is claimed anew when its claims end.

One thread posts all messages, another claims and concludes: a thread for each message took several times the
processor's time, as they waited for each other.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

from django.db import connection
from structlog import get_logger

from exchange.stepping import Ended, Many
from indicators.models import Delivery
from indicators.telling import attempting, claiming, delivering, writing
from indicators.telling.attempting import Outcome

log = get_logger()

#: Messages that one process posts at a time.
MOST = 256
#: While others are under way, a claim waits until there is room for so many.
_WORTH_A_CLAIM = 128
#: How long an answer waits for others to be concluded with it, while others are under way: each conclusion costs about
#: what ten messages do.
_GATHER_S = 0.1
#: After this long, other work of the process has its turn.
_TURN_S = 60.0
#: A busy desk asks so often for what is new, and for others to help.
_ASK_S = 0.5
_FAILED = Outcome(delivered=False, words="It could not be sent.")
#: What ended at about the same time; None: somebody says that there may be more to claim.
_Mail = SimpleQueue[list[tuple[Delivery, Outcome]] | None]


class Desk:
    """Who sends in this process: one thread claims and concludes, another posts.

    `ask` has the log looked at, for whoever was told something may be told the next; `help_` wakes another worker.
    """

    def __init__(self, *, ask: Callable[[], None], help_: Callable[[], None]) -> None:
        self._ask, self._help = ask, help_
        self._lock = threading.Lock()
        self._busy = False
        self._mail: _Mail = SimpleQueue()

    def work(self) -> None:
        """Send until nothing can be claimed. Where another thread is at it, tell it that there may be more."""
        with self._lock:
            if self._busy:
                self._mail.put(None)
                return
            self._busy = True
        try:
            _Turn(self._mail, ask=self._ask, help_=self._help).run(leave=self._leave)
        except BaseException:
            self._busy = False
            raise

    def _leave(self) -> bool:
        """End the turn, if nobody has said meanwhile that there is more."""
        with self._lock:
            self._busy = not self._mail.empty()
            return not self._busy


class _Turn:
    def __init__(
        self,
        mail: _Mail,
        *,
        ask: Callable[[], None],
        help_: Callable[[], None],
    ) -> None:
        self._mail, self._ask, self._help = mail, ask, help_
        self._ends_at = time.monotonic() + _TURN_S
        self._asked_at = self._helped_at = 0.0
        self._out = 0  # messages under way
        self._more = True  # some may be claimed
        self._quiet = False  # nothing was answered for a moment
        self._arrived = False  # a message has arrived since the log was last looked at

    def run(self, *, leave: Callable[[], bool]) -> None:
        """Until nothing can be claimed, nothing is under way, and `leave` agrees."""
        try:
            with Many("webhooks", tell=self._told) as posts:
                while True:
                    if self._may_claim():
                        self._claim(posts)
                    elif self._out:
                        self._conclude(self._answers())
                    elif self._ends(leave):
                        return
        finally:
            self._conclude(self._left())

    def _may_claim(self) -> bool:
        room = MOST - self._out
        worth = room >= _WORTH_A_CLAIM or (room > 0 and (self._quiet or not self._out))
        return self._more and worth and time.monotonic() < self._ends_at

    def _ends(self, leave: Callable[[], bool]) -> bool:
        """Nothing is under way; what is left is for whoever is woken."""
        if self._more:
            self._help()
        if self._arrived:
            self._ask()
        self._more = self._arrived = False
        if leave():
            return True
        self._take(self._mail.get(), [])
        return False

    def _claim(self, posts: Many) -> None:
        room = MOST - self._out
        portion = claiming.claim(room)
        self._more, self._quiet = len(portion) == room, False
        for delivery, letter in writing.write(portion):
            self._out += 1
            if isinstance(letter, Outcome):
                self._mail.put([(delivery, letter)])
            else:
                posts.begin(delivery, attempting.posting(letter))
        now = time.monotonic()
        if self._more and now - self._helped_at > _ASK_S:
            self._helped_at = now
            self._help()
        if self._arrived and not portion and now - self._asked_at > _ASK_S:
            self._asked_at, self._arrived = now, False
            self._ask()

    def _told(self, ended: list[Ended]) -> None:
        """In the thread that posts."""
        found = []
        for delivery, outcome in ended:
            if isinstance(outcome, Exception):
                log.error("delivery.not-sent", delivery=str(delivery.pk), exc_info=outcome)
            found.append((delivery, outcome if isinstance(outcome, Outcome) else _FAILED))
        self._mail.put(found)

    def _answers(self) -> list[tuple[Delivery, Outcome]]:
        """What was answered within a moment; where nothing was and nothing may be claimed, what is answered next."""
        found: list[tuple[Delivery, Outcome]] = []
        until = time.monotonic() + _GATHER_S
        while len(found) < self._out and (left := until - time.monotonic()) > 0:
            try:
                self._take(self._mail.get(timeout=left), found)
            except Empty:
                break
        self._quiet = not found
        if not found and not self._may_claim():
            if not connection.in_atomic_block:
                connection.close()  # back to the pool, while receivers take their time
            self._take(self._mail.get(), found)
        return found

    def _take(self, came: list[tuple[Delivery, Outcome]] | None, found: list[tuple[Delivery, Outcome]]) -> None:
        if came is None:
            self._more = True
        else:
            found += came

    def _conclude(self, ended: Sequence[tuple[Delivery, Outcome]]) -> None:
        if not ended:
            return
        self._out -= len(ended)
        self._more = True
        self._arrived = self._arrived or any(outcome.delivered for _, outcome in ended)
        try:
            delivering.conclude(ended)
        except Exception:
            log.exception("deliveries.not-concluded", count=len(ended))

    def _left(self) -> list[tuple[Delivery, Outcome]]:
        """What was answered before a turn was broken off."""
        found: list[tuple[Delivery, Outcome]] = []
        while len(found) < self._out:
            try:
                self._take(self._mail.get_nowait(), found)
            except Empty:
                break
        return found
