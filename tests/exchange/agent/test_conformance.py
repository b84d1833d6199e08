"""The agent passes the kit that anybody's client can be tested with; and the kit finds a client that does not."""

from __future__ import annotations

import pytest

from exchange.agent import conformance
from tests import forked

AGENT = ["-c", "from exchange.agent.cli import main; main()", "conform"]


@pytest.fixture(scope="module")
def server():
    made = conformance.Server()
    yield made
    made.close()


@pytest.mark.parametrize("scenario", list(conformance.scenarios()), ids=lambda each: each.name)
def test_the_agent_conforms(scenario, server):
    assert conformance.failures([*forked.python(), *AGENT], scenario, server) == []


@pytest.mark.parametrize("name", ["go on", "cut before trailer", "another hash"])
def test_a_client_that_holds_nothing_does_not(name, server):
    scenario = next(each for each in conformance.scenarios() if each.name == name)
    assert conformance.failures(["true"], scenario, server) != []
