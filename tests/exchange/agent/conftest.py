"""A feed, a client of it, and a list to keep."""

from __future__ import annotations

import pytest

from exchange.agent import jobs
from exchange.client import Client
from tests.exchange.agent.fake import FakeExchange


@pytest.fixture(params=["delta", "log"])
def fake(request):
    made = FakeExchange()
    made.proved = request.param == "delta"
    yield made
    made.close()


@pytest.fixture
def client(fake):
    with Client(fake.url, "exk_test", retries=0) as made:
        yield made


@pytest.fixture
def job(tmp_path):
    return jobs.Job(path=tmp_path / "list.txt", state_dir=tmp_path / "state")


@pytest.fixture
def lines(job):
    """The lines of the list at the moment of the call."""
    return lambda: job.path.read_text().splitlines() if job.path.exists() else None
