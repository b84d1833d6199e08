"""Keep child processes: start them, restart what dies, stop them all, and never leave one behind."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_STOP_S = 10.0
#: For so long a process that was killed is waited for.
_KILLED_S = 5.0
_BACKOFF_S = (0.5, 1.0, 2.0, 5.0, 10.0)


@dataclass(slots=True)
class Child:
    """One process that should be running."""

    name: str
    command: Sequence[str]
    log: Path
    environment: Mapping[str, str]
    once: bool = False
    process: subprocess.Popen[bytes] | None = None
    deaths: int = 0
    due_at: float = 0.0


@dataclass(slots=True)
class Children:
    """A set of processes that live and die with this one."""

    environment: Mapping[str, str]
    say: Callable[[str], None]
    all: list[Child] = field(default_factory=list)

    def add(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        once: bool = False,
    ) -> None:
        """Start a process, with an environment of its own if one is given; what it writes goes to `log`.

        One that runs `once` may end with 0, and is not started again then.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        child = Child(name, command, log, self.environment if environment is None else environment, once)
        self.all.append(child)
        self._start(child)

    def tend(self) -> None:
        """Start again what has died, after a wait that grows with each death."""
        self.all = [child for child in self.all if not _is_done(child)]
        for child in self.all:
            if child.process is not None and child.process.poll() is not None:
                wait_s = _BACKOFF_S[min(child.deaths, len(_BACKOFF_S) - 1)]
                self.say(f"{child.name} ended with {child.process.returncode}; again in {wait_s} s, see {child.log}")
                _signal(child.process, signal.SIGKILL)  # what it had started would answer beside its successor
                child.deaths += 1
                child.due_at = time.monotonic() + wait_s
                child.process = None
            if child.process is None and time.monotonic() >= child.due_at:
                self._start(child)

    def ended(self) -> list[tuple[Child, int]]:
        """What has ended and should not have, with its exit status (negative: by that signal)."""
        running = [child for child in self.all if child.process is not None and not _is_done(child)]
        return [(child, status) for child in running if child.process and (status := child.process.poll()) is not None]

    def stop(self) -> None:
        """Ask all to end, last started first; kill what does not within ten seconds.

        No wait is without end: a signal that breaks off a look at a child (`poll`) may leave the lock of its Popen
        taken, and whoever waits for it then waits for good.
        """
        running = [child.process for child in reversed(self.all) if child.process is not None]
        for process in running:
            _signal(process, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_S
        for process in running:
            try:
                process.wait(timeout=max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _signal(process, signal.SIGKILL)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=_KILLED_S)

    def _start(self, child: Child) -> None:
        with child.log.open("ab") as log:
            child.process = subprocess.Popen(  # noqa: S603 - our own commands, no shell
                child.command,
                env=dict(child.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches this process only, which then stops its children in order
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509
            )


def _is_done(child: Child) -> bool:
    return child.once and child.process is not None and child.process.poll() == 0


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """To the whole session of a child, so that its own children hear it too."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _die_with_parent() -> None:
    """Linux: the kernel ends the child when this process ends, even by kill -9."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
