"""Fair shares: how many of something one peer may hold, and whose turn it is. A peer is a partner or a network."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from itertools import islice


class Stranger(str):
    """A network that nobody known asks from. Networks cost nothing: all of them together count as one more peer."""

    __slots__ = ()


#: In whose name the strangers together hold what they hold.
_STRANGERS = object()

#: From so many bytes on, work counts by its size.
HEAVY_BYTES = 256 * 1024
_PARTS = 3
_LATELY_S, _FORGOTTEN_S = 2.0, 20.0
#: Below 1, or one job after the other would let a second begin now and then.
_GREEDY = 0.8


class Share:
    """`total` of something, of which a newcomer always finds some left.

    A peer may take more while it holds less than is free (dynamic thresholds: Choudhury and Hahne, 1998). Alone it gets
    half, beside that one another gets a quarter, and so on. Strangers together get no more than one who is known, and
    among themselves each the same part of that.
    """

    def __init__(self, total: int) -> None:
        self._total = self._free = total
        self._held: Counter[Hashable] = Counter()
        self._lock = threading.Lock()

    def may(self, peer: Hashable) -> bool:
        """Whether the peer may take more."""
        free = self._free - self._held[_STRANGERS] if isinstance(peer, Stranger) else self._free
        return self._held[peer] < free

    def add(self, peer: Hashable, amount: int = 1) -> None:
        """Take, whether or not the peer may; it is to be given back."""
        with self._lock:
            self._change(peer, amount)

    def take(self, peer: Hashable) -> bool:
        """Take one, if the peer may."""
        with self._lock:
            if not self.may(peer):
                return False
            self._change(peer, 1)
            return True

    def give(self, peer: Hashable, amount: int = 1) -> None:
        """Give back."""
        with self._lock:
            self._change(peer, -amount)

    def held(self) -> int:
        """How many all peers hold together."""
        return self._total - self._free

    def _change(self, peer: Hashable, amount: int) -> None:
        self._free -= amount
        _count(self._held, peer, amount)


def _count(held: Counter[Hashable], peer: Hashable, amount: int) -> None:
    """With whom they are counted together, too; who holds nothing leaves nothing."""
    for whose in (peer, _STRANGERS) if isinstance(peer, Stranger) else (peer,):
        held[whose] += amount
        if not held[whose]:
            del held[whose]


@dataclass(slots=True)
class Job:
    """Work that takes a thread. `weight`: bytes that it reads and judges, 0 where they are few."""

    peer: Hashable
    weight: int
    work: Callable[[], None]
    began: float = 0.0


class Worked:
    """How much of a thread each peer took lately: an average over some two seconds; 1 is a thread all the time."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        #: The average as it was at a moment, which is in the clock's seconds; the last who worked stand last.
        self._peers: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def now(self) -> float:
        """The clock's seconds."""
        return self._clock()

    def add(self, peer: Hashable, seconds: float) -> None:
        """So long they had a thread until now; 0 for who has one from now on."""
        now = self._clock()
        self._peers[peer] = self._average(peer, now) + seconds / _LATELY_S, now
        self._peers.move_to_end(peer)
        while now - self._peers[first := next(iter(self._peers))][1] > _FORGOTTEN_S:
            del self._peers[first]

    def is_greedy(self, peer: Hashable) -> bool:
        """Whether they took more than a thread's time while others worked, too."""
        now = self._clock()
        return self._average(peer, now) > _GREEDY and any(
            now - self._peers[other][1] < _LATELY_S for other in self._last_two() if other != peer
        )

    def _last_two(self) -> list[Hashable]:
        return list(islice(reversed(self._peers), 2))

    def _average(self, peer: Hashable, now: float) -> float:
        average, at = self._peers.get(peer, (0.0, now))
        return average * math.exp((at - now) / _LATELY_S)


class Turns:
    """Who works next: peers in turn, each within its share of the `slots`, and heavy work within `heaviest` bytes.

    All threads of a process share one interpreter lock, so what a peer has at work delays everybody: a peer may begin
    more while three times what it has at work is less than what is free (alone it gets a bit more than a quarter), and
    its heavy jobs follow each other. Whoever keeps a thread busy all the time while others work gets no second one.
    One heavy job is let in whatever its weight, and none overtakes another that waits for room.
    Strangers together take turns, and slots, like one who is known.
    """

    def __init__(self, *, slots: int, heaviest: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._worked = Worked(clock)
        self._slots, self._free, self._heaviest = slots, slots, heaviest
        self._lock = threading.Lock()
        # By whose share it counts in, then by peer and whether it is heavy: light work does not wait for heavy work.
        self._queues: OrderedDict[Hashable, OrderedDict[tuple[Hashable, bool], deque[Job]]] = OrderedDict()
        self._running: Counter[Hashable] = Counter()
        self._heavy: Counter[Hashable] = Counter()
        self._weight = 0
        self._begun = 0.0  # when the last job was

    def put(self, job: Job) -> bool:
        """Line up. Returns whether nobody works, who would find it afterwards."""
        whose = _STRANGERS if isinstance(job.peer, Stranger) else job.peer
        with self._lock:
            line = (job.peer, job.weight > 0)
            self._queues.setdefault(whose, OrderedDict()).setdefault(line, deque()).append(job)
            return self._free == self._slots

    def take(self) -> Job | None:
        """The next to work on, if anyone may; to be followed by `done`."""
        if not self._queues:
            return None
        with self._lock:
            if (found := self._next()) is None:
                return None
            return self._begin(*found)

    def stands_still_in(self, patience_s: float) -> float | None:
        """Seconds until nobody has begun for `patience_s`, 0 where that is so; None where nobody waits who may begin.

        Then those who work take long over it, and one more thread is of use.
        """
        if not self._queues:
            return None
        with self._lock:
            if self._next() is None:
                return None
            return max(0.0, self._begun + patience_s - self._worked.now())

    def _next(self) -> tuple[Hashable, tuple[Hashable, bool], deque[Job]] | None:
        """In whose line the next stands, if anyone may begin."""
        heavy_may = True
        for whose, lines in self._queues.items():
            if not self._may(whose):
                continue
            for line, queue in lines.items():
                job = queue[0]
                if (job.weight and self._heavy[job.peer]) or not self._may(job.peer):
                    continue
                if job.weight and self._weight and self._weight + job.weight > self._heaviest:
                    heavy_may = False
                if job.weight and not heavy_may:
                    continue
                return whose, line, queue
        return None

    def _may(self, peer: Hashable) -> bool:
        running = self._running[peer]
        return _PARTS * running < self._free and not (running and self._worked.is_greedy(peer))

    def _begin(self, whose: Hashable, line: tuple[Hashable, bool], queue: deque[Job]) -> Job:
        job, lines = queue.popleft(), self._queues[whose]
        if queue:
            lines.move_to_end(line)
        else:
            del lines[line]
        if lines:
            self._queues.move_to_end(whose)
        else:
            del self._queues[whose]
        self._free -= 1
        self._weight += job.weight
        _count(self._running, job.peer, 1)
        if job.weight:
            _count(self._heavy, job.peer, 1)
        job.began = self._begun = self._worked.now()
        self._worked.add(job.peer, 0.0)
        return job

    def done(self, job: Job) -> None:
        """Its thread is free again."""
        with self._lock:
            self._free += 1
            self._weight -= job.weight
            self._worked.add(job.peer, self._worked.now() - job.began)
            _count(self._running, job.peer, -1)
            if job.weight:
                _count(self._heavy, job.peer, -1)

    def is_waiting(self) -> bool:
        """Whether anyone waits for a thread."""
        return bool(self._queues)

    def idle(self) -> bool:
        """Whether nobody works or waits."""
        return self._free == self._slots and not self._queues
