"""Fair shares: how many of something one peer may hold, and whose turn it is. A peer is a partner or a network."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass

#: From so many bytes on, work counts by its size.
HEAVY_BYTES = 256 * 1024


class Share:
    """`total` of something, of which a newcomer always finds some left.

    A peer may take more while it holds less than is free (dynamic thresholds: Choudhury and Hahne, 1998). Alone it gets
    half, beside that one another gets a quarter, and so on.
    """

    def __init__(self, total: int) -> None:
        self._free, self._held, self._lock = total, Counter[Hashable](), threading.Lock()

    def may(self, peer: Hashable) -> bool:
        """Whether the peer may take more."""
        return self._held[peer] < self._free

    def add(self, peer: Hashable, amount: int = 1) -> None:
        """Take, whether or not the peer may; it is to be given back."""
        with self._lock:
            self._free -= amount
            self._held[peer] += amount

    def take(self, peer: Hashable) -> bool:
        """Take one, if the peer may."""
        with self._lock:
            if self._held[peer] >= self._free:
                return False
            self._free -= 1
            self._held[peer] += 1
            return True

    def give(self, peer: Hashable, amount: int = 1) -> None:
        """Give back."""
        with self._lock:
            self._free += amount
            self._held[peer] -= amount
            if not self._held[peer]:
                del self._held[peer]

    def held(self) -> int:
        """How many all peers hold together."""
        return self._held.total()


@dataclass(slots=True)
class Job:
    """Work that takes a thread. `weight`: bytes that it reads and judges, 0 where they are few."""

    peer: Hashable
    weight: int
    work: Callable[[], None]


class Turns:
    """Who works next: peers in turn, each within its share of the `slots`, and heavy work within `heaviest` bytes.

    One heavy job is let in whatever its weight, and none overtakes another that waits for room.
    """

    def __init__(self, *, slots: int, heaviest: int) -> None:
        self._slots, self._free, self._heaviest = slots, slots, heaviest
        self._lock = threading.Lock()
        self._queues: OrderedDict[Hashable, deque[Job]] = OrderedDict()
        self._running: Counter[Hashable] = Counter()
        self._weight = 0

    def put(self, job: Job) -> None:
        """Line up."""
        with self._lock:
            self._queues.setdefault(job.peer, deque()).append(job)

    def take(self) -> Job | None:
        """The next to work on, if anyone may; to be followed by `done`."""
        if not self._queues:
            return None
        with self._lock:
            heavy_may = True
            for peer, queue in self._queues.items():
                job = queue[0]
                fits = not job.weight or not self._weight or self._weight + job.weight <= self._heaviest
                if self._running[peer] >= self._free or (job.weight and not heavy_may):
                    continue
                if not fits:
                    heavy_may = False
                    continue
                self._begin(peer, queue)
                return job
            return None

    def _begin(self, peer: Hashable, queue: deque[Job]) -> None:
        job = queue.popleft()
        if queue:
            self._queues.move_to_end(peer)
        else:
            del self._queues[peer]
        self._free -= 1
        self._running[peer] += 1
        self._weight += job.weight

    def done(self, job: Job) -> None:
        """Its thread is free again."""
        with self._lock:
            self._free += 1
            self._weight -= job.weight
            self._running[job.peer] -= 1
            if not self._running[job.peer]:
                del self._running[job.peer]

    def is_waiting(self) -> bool:
        """Whether anyone waits for a thread."""
        return bool(self._queues)

    def idle(self) -> bool:
        """Whether nobody works or waits."""
        return self._free == self._slots and not self._queues
