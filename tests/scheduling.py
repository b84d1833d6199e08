"""Which tests run together, and which first: `pytest -n` gives a process one of these at a time.

What takes longest begins first, so that no process ends long after the others; much of it waits (for servers to start,
for pages to look again), and the other processes have the processor meanwhile.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import re
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.drilling import is_left_aside

#: Files whose tests share what is dear to make, or tests that take a minute and share nothing: those of `_UNITS` are
#: one unit each. In this order, before all others. `pytest --durations 40` says what has become slow.
_FIVE_LABS, _KILLS = r"drills/test_demo\.py::test_five_labs", r"drills/test_demo\.py::test_kills"
#: What takes `shared_demo`, of which each process would start one of its own: half a minute of the processor each.
_ONE_DEMO = (
    r"drills/test_demo\.py::(?!test_kills|test_five_labs)"
    r"|drills/(test_story|test_leaked_key|test_changing_keys|test_broken)\.py"
)
_UNITS = re.compile(f"{_FIVE_LABS}|{_KILLS}|{_ONE_DEMO}")
_FIRST = (
    _FIVE_LABS,
    r"drills/test_backup\.py",
    r"drills/test_changing_log_and_sealing\.py",
    r"drills/test_fresh_machine\.py",
    _ONE_DEMO,
    r"surfaces/test_unseen\.py",
    _KILLS,
    r"drills/test_upgrade\.py",
    r"drills/test_brokers\.py",
    r"drills/test_docs\.py",
    r"drills/test_looks\.py",
    r"drills/test_neighbours\.py",
    r"drills/test_scale\.py",
    r"drills/",
    r"surfaces/test_matrix\.py",
    r"journeys/test_portal\.py",
    r"journeys/",
    r"indicators/campaigns/test_placing\.py",
    r"indicators/api/test_description\.py",
    r"indicators/taxii/test_taxii_lines\.py",
    r"indicators/feeds/test_filtering\.py",
    r"exchange/lab/test_rounds\.py",
    r"exchange/agent/test_following\.py",
    r"exchange/client/test_building\.py",
    r"partners/test_limits\.py",
    r"deploy/test_alerts\.py",
    r"exchange/lab/test_cli\.py",
    r"surfaces/test_two_worlds\.py",
    r"exchange/agent/test_brake\.py",
    r"exchange/client/test_client\.py",
)


def _place(nodeid: str) -> int:
    return next((place for place, first in enumerate(_FIRST) if re.match(f"tests/(?:{first})", nodeid)), len(_FIRST))


@functools.cache
def _unit(nodeid: str) -> str:
    """The name of what runs together with this test: its file, where nothing else is said."""
    place = _place(nodeid)
    if place < len(_FIRST) and _UNITS.match(nodeid.removeprefix("tests/")):
        return _FIRST[place]
    return nodeid.partition("::")[0]


class _Scheduling(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        return _unit(nodeid)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In each of several processes: the first first, then the largest files; what runs together stays in its order."""
    if not hasattr(config, "workerinput"):
        return
    sizes: dict[str, int] = {}
    for item in items:
        unit = _unit(item.nodeid)
        sizes[unit] = sizes.get(unit, 0) + 1
    items.sort(key=lambda item: (_place(item.nodeid), -sizes[_unit(item.nodeid)]))


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session):
    """In each of several processes that collect all: it imports its share of the files first, and then the others.

    After a change of many files, or in a new checkout, each file is then compiled by one process, not by all of them.
    """
    own, config = getattr(session.config, "workerinput", None), session.config
    if own and config.args == config.getini("testpaths"):
        share = int(own["workerid"].removeprefix("gw"))
        paths = [
            path
            for path in sorted(Path(config.args[0]).rglob("test_*.py"))
            if not is_left_aside(path.resolve(), config)
        ]
        for path in paths[share :: own["workercount"]]:
            with contextlib.suppress(Exception, pytest.skip.Exception):  # collecting it says what is wrong
                importlib.import_module(".".join(path.with_suffix("").parts))
    return (yield)


#: A setup or teardown that passed within so many seconds is not worth a message to the process that reports.
_WORTH_TELLING_S = 0.5


def pytest_sessionstart(session: pytest.Session) -> None:
    """In each of several processes: of most tests one report is sent, that of the call. A third of what sending costs."""
    for plugin in session.config.pluginmanager.get_plugins():
        if type(plugin).__name__ == "WorkerInteractor":
            plugin.sendevent = functools.partial(_sent, plugin.sendevent)


def _sent(send, name: str, **told) -> None:
    if name in ("logstart", "logfinish"):
        return
    report = told.get("data", {})
    if name == "testreport" and report["when"] != "call" and report["outcome"] == "passed":
        if report["duration"] < _WORTH_TELLING_S and not report["sections"]:
            return
    send(name, **told)


def pytest_xdist_make_scheduler(config: pytest.Config, log):
    """Called where there are several processes."""
    config.option.loadscopereorder = False
    return _Scheduling(config, log)
