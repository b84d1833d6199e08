"""Rehearsals that start whole sets of real processes, and kill, restore, upgrade, overload or race them: `make drills`.

Each test of this directory is marked `drill`. What a drill plays is also held as a rule, by tests beside the code.
"""

import os
import tempfile
from pathlib import Path

import pytest

from exchange import embedded
from tests.drills.demo import Demo
from tests.waiting import until

HERE = f"{Path(__file__).parent}{os.sep}"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        if str(item.path).startswith(HERE):
            item.add_marker(pytest.mark.drill)
    # On the demo that drills share the story finds what was published by itself alone: who else publishes comes after it.
    items.sort(key=lambda item: item.path.name in ("test_changing_keys.py", "test_broken.py"))


@pytest.fixture(scope="session")
def shared_demo():
    """A running demo that other drills use, too: publish under ids and values of your own, and stop nothing.

    To start one takes ten seconds.
    """
    with tempfile.TemporaryDirectory(prefix="exchange-") as place:
        demo = Demo(Path(place) / "data")
        yield demo
        assert demo.stop() == 0
        until(lambda: not demo.processes())
        embedded.stop(demo.data_dir)
