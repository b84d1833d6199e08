"""What `make test` leaves to `make drills`, whole rehearsals, and to `make long`, most runs of what explores at random.

Says at the end of a run how many drills it left out.
"""

from __future__ import annotations

from typing import Any

import pytest

#: What takes minutes, or is one more of what is drawn at random.
LONG = (pytest.mark.drill, pytest.mark.long)
_LEFT_OUT = pytest.StashKey[int]()


def runs(count: int, *, quick: int) -> list[Any]:
    """`range(count)` for `parametrize`: the first `quick` are run by `make test`, the others by `make long`."""
    return [number if number < quick else pytest.param(number, marks=LONG) for number in range(count)]


def pytest_deselected(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("drill"):
            item.config.stash[_LEFT_OUT] = item.config.stash.get(_LEFT_OUT, 0) + 1


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["drills_left_out"] = session.config.stash.get(_LEFT_OUT, 0)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error) -> None:
    """Each of several processes collects all; the one that reports collects nothing."""
    node.config.stash[_LEFT_OUT] = getattr(node, "workeroutput", {}).get("drills_left_out", 0)


def pytest_terminal_summary(terminalreporter) -> None:
    if left_out := terminalreporter.config.stash.get(_LEFT_OUT, 0):
        terminalreporter.write_line(
            f"{left_out} drills were not run: `make drills` runs them, `make long` those that take minutes.",
            yellow=True,
        )
