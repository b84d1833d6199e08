"""What each test costs, by a run of all: `make costs` writes `tests/costs.txt`, and `drilling` decides by it.

A line is the seconds by the clock of a test and its fixtures, the mean of its cases, and its name; from QUICK_S up.
Of one machine that runs four at a time on two cores: what counts is which of them are the dearest.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

COSTS = Path(__file__).with_name("costs.txt")
#: What a test may cost that everybody runs at each change; one that is run before a change lands; and one of which the
#: first case is: what is above is the dearest.
QUICK_S, LONG_S, DEAREST_S = 0.3, 0.5, 1.5
_spent: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))


def costs() -> dict[str, float]:
    """Seconds of each test that costs more than QUICK_S, by its name without its case."""
    rows = (line.split(" ", 1) for line in COSTS.read_text().splitlines())
    return {name: float(seconds) for seconds, name in rows}


def function(nodeid: str) -> str:
    """A test's name without its case."""
    return nodeid.partition("[")[0]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _spent[function(report.nodeid)][report.nodeid] += report.duration


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workerinput"):
        return
    means = {name: sum(cases.values()) / len(cases) for name, cases in _spent.items()}
    others = {name: cost for name, cost in costs().items() if name not in means}  # stay, where a part was run
    dear = others | {name: mean for name, mean in means.items() if mean > QUICK_S}
    COSTS.write_text("".join(f"{mean:.1f} {name}\n" for name, mean in sorted(dear.items())))
