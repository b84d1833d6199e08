"""What `make test` leaves to `make drills`, whole rehearsals and what is slow, and to `make long`, what takes longest.

What a test costs, `tests/costs.txt` says. The dearest are run before a release, but for those of `_EACH_CHANGE`: what
a viewer sees, what people do in a browser, and the rules of the house are tried before any change lands, and of dear
tests with several cases the first. Says at the end of a run how many tests it left out.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import pytest

from tests.costing import DEAREST_S, LONG_S, costs, function

ROOT = Path(__file__).resolve().parents[1]
#: What `make drills` asks for.
DRILLS = "(drill or slow) and not long"

#: What takes minutes, or is one more of what is drawn at random.
LONG = (pytest.mark.drill, pytest.mark.long)
#: Run before a change lands whatever it costs, of the dearest the first case; and who gets in, but for the dearest.
_EACH_CHANGE, _WHO_GETS_IN = ("tests/surfaces/", "tests/journeys/", "tests/test_"), "tests/partners/"
#: Of a journey's page, by the beginning of its case: at a desk, and on a phone.
LOOKS = ("wide-light", "narrow-dark")
_LEFT_OUT = pytest.StashKey[int]()


def runs(count: int, *, quick: int) -> list[Any]:
    """`range(count)` for `parametrize`: the first `quick` are run by `make test`, the others by `make long`."""
    return [number if number < quick else pytest.param(number, marks=LONG) for number in range(count)]


def look(nodeid: str) -> str:
    """On what a journey in a browser is made: which of both is run when, `tests/journeys/conftest.py` says."""
    return next((known for known in LOOKS if known in nodeid), "")


#: Where all is a drill or one more look, and what marks a test by itself.
_DRILLED = ("tests/drills/", "tests/journeys/")
_MARKED = re.compile(r"\bmark\.(slow|drill|long)\b|\bLONG\b|\bruns\(|tests\.journeys")


@functools.cache
def _costly() -> frozenset[str]:
    return frozenset(name.partition("::")[0] for name in costs())


def is_left_aside(path: Path, config: pytest.Config) -> bool:
    """Whether no test of a file can be one that `make drills` asks for: it is not even imported."""
    if config.option.markexpr != DRILLS or not path.match("test_*.py"):
        return False
    name = str(path.relative_to(ROOT))
    return not (name in _costly() or name.startswith(_DRILLED) or _MARKED.search(path.read_text()))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return True if is_left_aside(collection_path, config) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    spent = costs()
    begun: set[tuple[str, str]] = set()
    for item in items:
        cost = spent.get(function(item.nodeid))
        if cost is None or any(item.get_closest_marker(mark) for mark in ("core", "drill", "slow")):
            continue
        item.add_marker("slow")
        if cost <= LONG_S or item.get_closest_marker("long"):
            continue
        of = (function(item.nodeid), look(item.nodeid))
        each = item.nodeid.startswith((*_EACH_CHANGE, _WHO_GETS_IN)) and cost <= DEAREST_S
        first = item.nodeid.startswith(_EACH_CHANGE) or (hasattr(item, "callspec") and cost <= DEAREST_S)
        if not each and (of in begun or not first):
            item.add_marker("long")
        begun.add(of)


def pytest_deselected(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("drill") or item.get_closest_marker("slow"):
            item.config.stash[_LEFT_OUT] = item.config.stash.get(_LEFT_OUT, 0) + 1


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["slow_left_out"] = session.config.stash.get(_LEFT_OUT, 0)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error) -> None:
    """Each of several processes collects all; the one that reports collects nothing."""
    node.config.stash[_LEFT_OUT] = getattr(node, "workeroutput", {}).get("slow_left_out", 0)


def pytest_terminal_summary(terminalreporter) -> None:
    if left_out := terminalreporter.config.stash.get(_LEFT_OUT, 0):
        terminalreporter.write_line(
            f"{left_out} drills and slow tests were not run: `make drills` runs most, `make long` the longest.",
            yellow=True,
        )
