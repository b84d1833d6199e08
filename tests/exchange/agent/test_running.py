"""`run` from within: what its thread that judges takes in, whatever breaks around it."""

from __future__ import annotations

import threading
from contextlib import closing, contextmanager

import pytest

from exchange.agent import jobs
from exchange.agent.blocklist import Blocklist
from exchange.agent.configuration import Settings
from exchange.agent.policy import Policy
from exchange.agent.running import Agent
from exchange.client.config import Config
from exchange.client.errors import ApiError
from exchange.stix import words
from tests.exchange.agent.fake import FakeExchange
from tests.waiting import until

FIRST, SECOND = "198.51.100.1", "198.51.100.2"


@pytest.fixture
def fake():
    made = FakeExchange()
    yield made
    made.close()


@pytest.fixture
def made(fake, tmp_path):
    """An agent of one feed or several, with look-ups."""

    def make(**more):
        state = tmp_path / "state"
        followed = more.pop("jobs", (jobs.Job(state / "all", state, page=2),))
        found = Config(fake.url, "exk_test")
        agent = Agent(Settings(found, state, Policy(), followed, **more), say=print, warn=print)
        for job in followed:
            pull(agent, job)
        agent.blocklist = Blocklist(agent.settings.stores, policy=agent.settings.policy, noting=True)
        return agent

    return make


def pull(agent, job=None):
    with agent._client(retries=0) as client:
        agent._pull(client, job or agent.settings.jobs[0], wait_s=0)


@contextmanager
def keeping(agent):
    """The thread that judges is at work."""
    with closing(agent._told()) as told:
        thread = threading.Thread(target=agent._keep, args=(told,), kwargs={"switched": agent._state()[1]}, daemon=True)
        thread.start()
        try:
            yield thread
        finally:
            agent.stop()
            thread.join()


def say(fake, value, **more):
    for publisher in ("aster", "borealis"):
        entry = {"kind": "account-pattern", "subkind": "net", "scheme": "", "key_epoch": "", "value": value}
        fake._write("upsert", publisher, f"indicator--{value}", **({"entries": [entry], "confidence": 80} | more))


def revoke(fake, *values):
    for value in values:
        for publisher in ("aster", "borealis"):
            fake.remove(publisher, f"indicator--{value}", reason="revoked")


def words_of(agent, *values):
    return [agent.blocklist.check("net", value).word for value in values]


def test_what_was_applied_before_a_pull_broke_leaves_look_ups(fake, made):
    say(fake, FIRST)
    say(fake, SECOND)
    agent = made()
    assert words_of(agent, FIRST, SECOND) == ["block", "block"]
    revoke(fake, FIRST, SECOND)
    fake.broken_after = 1
    with keeping(agent):
        with pytest.raises(ApiError):
            pull(agent)
        until(lambda: words_of(agent, FIRST, SECOND) == ["none", "block"])
        pull(agent)
        until(lambda: words_of(agent, FIRST, SECOND) == ["none", "none"])


def test_a_signature_of_a_page_before_a_pull_broke_is_tried(fake, made):
    agent = made()
    for name in ("one", "two", "three"):
        said = {"extensions": {words.EXTENSION_ID: {"subkind": "regex"}}, "pattern": f"(?i)thought {name}"}
        fake._write("upsert", "aster", f"indicator--{name}", entries=[], confidence=80, object=said)
    fake.broken_after = 1
    with keeping(agent):
        with pytest.raises(ApiError):
            pull(agent)
        until(lambda: agent.blocklist.check_prompt("thought two").signatures)
