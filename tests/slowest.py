"""Where the processor's time goes: `python -m tests.postgres -- pytest -n 0 -p tests.slowest PATHS`.

Counts what this process, those that it started and PostgreSQL's processes took, by test and by file; it is the same
on a busy machine and on an idle one, as the clock is not. What a process started that has ended comes to this process
(a "subreaper"), so that a server in the background counts for the drill that started it.
"""

from __future__ import annotations

import ctypes
import gc
import os
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from tests import postgres

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_SHOWN = int(os.environ.get("SHOWN", "40"))
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER
_spent: Counter[tuple[str, str, str]] = Counter()  # phase, where, test


def pytest_configure() -> None:
    ctypes.CDLL(None, use_errno=True).prctl(_SUBREAPER, 1, 0, 0, 0)


def _server_s() -> float:
    """What the PostgreSQL of the tests took since it started, its ended processes included."""
    try:
        postmaster = (postgres.DATA_DIR / "postgres" / "postmaster.pid").read_text().split("\n", 1)[0]
    except OSError:
        return 0.0
    return (_ticks(postmaster, with_ended=True) + sum(_ticks(pid) for pid in _children(postmaster))) * _TICK_S


def _children(pid: str) -> list[str]:
    found: list[str] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += task.read_text().split()
        except OSError:
            continue
    return found


def _descending(pid: str) -> float:
    """Seconds of all that descends from a process and runs, with what of theirs has ended."""
    return sum(_ticks(child, with_ended=True) * _TICK_S + _descending(child) for child in _children(pid))


def _forget_orphans() -> None:
    """Take leave of what has ended and nobody else waits for: only then does the kernel count it as ours."""
    waited_for = {str(one.pid) for one in gc.get_objects() if type(one) is subprocess.Popen}
    for pid in set(_children(str(os.getpid()))) - waited_for:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                os.waitpid(int(pid), os.WNOHANG)
        except OSError:
            continue


def _ticks(pid: str, *, with_ended: bool = False) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return sum(map(int, fields[11 : 15 if with_ended else 13]))


def _taken() -> tuple[float, float, float]:
    """Seconds of this process, of those that it started, and of PostgreSQL."""
    _forget_orphans()
    ended = os.times()
    started_s = ended.children_user + ended.children_system + _descending(str(os.getpid()))
    return time.process_time(), started_s, _server_s()


def _measured(item: pytest.Item, phase: str):
    before = _taken()
    yield
    for where, now, then in zip(("here", "started", "store"), _taken(), before, strict=True):
        _spent[phase, where, item.nodeid] += now - then


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item):
    return (yield from _measured(item, "setup"))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item):
    return (yield from _measured(item, "call"))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item):
    return (yield from _measured(item, "teardown"))


def pytest_terminal_summary(terminalreporter):
    by_file: Counter[str] = Counter()
    by_test: Counter[str] = Counter()
    by_kind: Counter[str] = Counter()
    for (phase, where, test), seconds in _spent.items():
        by_file[test.partition("::")[0]] += seconds
        by_test[f"{phase:8} {test}"] += seconds
        by_kind[f"{phase:8} {where}"] += seconds
    for title, found in (("by kind", by_kind), ("by file", by_file), ("by test", by_test)):
        terminalreporter.section(f"seconds of the processor, {title}: {sum(found.values()):.1f}")
        for name, seconds in found.most_common(_SHOWN):
            terminalreporter.write_line(f"{seconds:8.2f}  {name}")
