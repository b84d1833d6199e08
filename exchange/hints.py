"""Wake workers without making anybody wait: hints are sent by a thread of the process, and many in a row as few.

A hint says only "look at the log". One that is sent while another is on its way adds nothing, so a hint waits a moment
for others to join it, and longer while more keep coming. Until then the process has its hands free for whoever reads
what was just published. What is lost with the process is found by the sweeps.
"""

from __future__ import annotations

import os
import threading
import time
from typing import Protocol

from structlog import get_logger

from exchange import tracing

log = get_logger()

#: How long a hint waits for others: at least, and at most while pushes follow each other.
LEAST_PAUSE_S = 0.02
MOST_PAUSE_S = 0.25
#: Pushes follow each other if one comes so soon after the hint of the one before was sent, or within half its pause.
FOLLOWS_S = 0.03


class Task(Protocol):
    """What can be sent to a worker; Celery's tasks are such."""

    name: str

    def delay(self) -> object:
        """Send it."""


class Sender:
    """The thread and what it still has to send."""

    def __init__(self, *, follows_s: float = FOLLOWS_S) -> None:
        self._follows_s = follows_s
        self._condition = threading.Condition()
        self._wanted: dict[str, Task] = {}
        self._traces: dict[str, list[str]] = {}
        self._pid = 0

    def send_soon(self, task: Task) -> None:
        """Have `task` sent at once, or with the next that is due. Never raises and never waits for the broker."""
        with self._condition:
            if self._pid != os.getpid():  # also after a fork, which copies no threads
                self._pid = os.getpid()
                threading.Thread(target=self._run, name="exchange-hints", daemon=True).start()
            self._wanted[task.name] = task
            if carried := tracing.carried():
                self._traces.setdefault(task.name, []).append(carried)
            self._condition.notify()

    def _run(self) -> None:
        pause_s = LEAST_PAUSE_S
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._wanted)
            time.sleep(pause_s)
            with self._condition:
                due, self._wanted = list(self._wanted.values()), {}
                traces, self._traces = self._traces, {}
            for task in due:
                try:
                    with tracing.about(traces.get(task.name, ())):
                        task.delay()
                except Exception as error:  # noqa: BLE001 - whatever the broker says: the sweeps find the work
                    log.warning("hint.lost", task=task.name, error=type(error).__name__)
            with self._condition:
                follows = self._condition.wait_for(lambda: self._wanted, timeout=max(self._follows_s, pause_s / 2))
            pause_s = min(pause_s * 2, MOST_PAUSE_S) if follows else LEAST_PAUSE_S


SENDER = Sender()
