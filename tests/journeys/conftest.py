"""One demo for the journeys that leave it as they found it: to start one takes ten seconds."""

import tempfile
from pathlib import Path

import pytest

from exchange import embedded
from tests.journeys.demo import Demo
from tests.waiting import until


@pytest.fixture(scope="session")
def shared_demo():
    """A running demo that other journeys use, too: publish under ids and values of your own, and stop nothing."""
    with tempfile.TemporaryDirectory(prefix="exchange-") as place:
        demo = Demo(Path(place) / "data", from_nothing=True)
        yield demo
        assert demo.stop() == 0
        until(lambda: not demo.processes())
        embedded.stop(demo.data_dir)
