"""Work that no request waits for: done by a thread of the process, for many requests at once."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from multiprocessing import util

from structlog import get_logger

log = get_logger()

_AGAIN_S = 1.0
_AT_THE_END_S = 2.0


class Soon:
    """Has `work` done within `within_s` seconds of being asked for, and once more when the process ends.

    Where it raises, that is logged, and it is tried again. It is never done twice at the same time.
    """

    def __init__(self, name: str, work: Callable[[], object], *, within_s: float) -> None:
        self._name, self._work, self._within_s = name, work, within_s
        self._wanted, self._starting, self._doing = threading.Event(), threading.Lock(), threading.Lock()
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
            util.Finalize(None, self._finish, exitpriority=10)  # unlike atexit, for the children of a server, too

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            self._wanted.wait()
            pause.wait(self._within_s)
            self._wanted.clear()
            with self._doing:
                done = self._do()
            if not done:
                pause.wait(_AGAIN_S)
                self._wanted.set()

    def _finish(self) -> None:
        """For the last time; what is being done when the process ends is waited for a while."""
        if self._doing.acquire(timeout=_AT_THE_END_S):
            self._do()

    def _do(self) -> bool:
        try:
            self._work()
        except Exception as error:  # noqa: BLE001 - the thread must live on
            log.warning("soon.failed", work=self._name, error=type(error).__name__)
            return False
        return True
