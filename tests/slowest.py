"""Where the processor's time goes: `python -m tests.postgres -- pytest -n 0 -p tests.slowest PATHS`.

Counts what this process, those that it started and PostgreSQL's processes took, by test and by file; it is the same
on a busy machine and on an idle one, as the clock is not.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path

import pytest

from tests import postgres

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_SHOWN = int(os.environ.get("SHOWN", "40"))
_spent: Counter[tuple[str, str, str]] = Counter()  # phase, where, test


def _server_s() -> float:
    """What the PostgreSQL of the tests took since it started, its ended processes included."""
    try:
        postmaster = (postgres.DATA_DIR / "postgres" / "postmaster.pid").read_text().split("\n", 1)[0]
        own = _ticks(postmaster, with_ended=True)
        pids = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    except OSError:
        return 0.0
    return (own + sum(_ticks(pid) for pid in pids)) * _TICK_S


def _ticks(pid: str, *, with_ended: bool = False) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return sum(map(int, fields[11 : 15 if with_ended else 13]))


def _taken() -> tuple[float, float, float]:
    """Seconds of this process, of those that it started and that have ended, and of PostgreSQL."""
    children = os.times()
    return time.process_time(), children.children_user + children.children_system, _server_s()


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
