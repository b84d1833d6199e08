"""Work that no request waits for: done by a thread of the process, for many requests at once."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from multiprocessing import util

from structlog import get_logger

log = get_logger()


class Soon:
    """Has `work` done within `within_s` seconds of being asked for, and once more when the process ends.

    What `work` does not raise for is done. Where it raises, that is logged, and it is tried again with the next wish.
    """

    def __init__(self, name: str, work: Callable[[], object], *, within_s: float) -> None:
        self._name, self._work, self._within_s = name, work, within_s
        self._wanted, self._starting = threading.Event(), threading.Lock()
        self._pid = 0

    def ask(self) -> None:
        """Never raises and never waits."""
        if self._pid != os.getpid():
            self._start()
        if not self._wanted.is_set():
            self._wanted.set()

    def _start(self) -> None:
        """Start the thread, also again after a fork, which copies no threads."""
        with self._starting:
            if self._pid == os.getpid():
                return
            self._pid = os.getpid()
            threading.Thread(target=self._run, name=self._name, daemon=True).start()
            util.Finalize(None, self._do, exitpriority=10)  # unlike atexit, for the children of a server, too

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            self._wanted.wait()
            pause.wait(self._within_s)
            self._wanted.clear()
            self._do()

    def _do(self) -> None:
        try:
            self._work()
        except Exception as error:  # noqa: BLE001 - the thread must live on
            log.warning("soon.failed", work=self._name, error=type(error).__name__)
