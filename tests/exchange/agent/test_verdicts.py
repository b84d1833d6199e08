"""What receipts say of the entries of a feed: how many are blocked, would be, or are suppressed."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import pytest

from exchange.agent import following, jobs, sync, verdicts
from exchange.agent import policy as policies
from exchange.agent.configuration import Settings
from exchange.agent.policy import Policy
from exchange.agent.running import Agent
from exchange.client.config import Config

MEANS = following.Means(say=lambda done: None, warn=print)
#: `a` is above every floor, `b` is said by one alone, `c` is on the allowlist.
SAID = {"a": ("aster", "borealis"), "b": ("aster",), "c": ("aster", "borealis")}


@pytest.fixture(params=["delta"])
def fake(fake):
    for value, publishers in SAID.items():
        for publisher in publishers:
            fake.publish(publisher, f"indicator--{value}", value)
    return fake


@pytest.fixture
def policy(tmp_path):
    return policies.read({"allow": [{"name": "ours", "values": ["c"]}]}, beside=tmp_path)


def counts(receipt):
    return tuple(receipt.get(name) for name in ("blocked", "shadow", "suppressed"))


def shadow(policy):
    return replace(policy, mode=policies.Mode.SHADOW)


def test_a_receipt_of_sync_counts_what_its_list_holds_and_what_it_would(fake, client, job, policy, lines):
    for said, expected in (
        (policies.UNJUDGED, (3, 0, 0)),
        (Policy(), (2, 0, 0)),
        (policy, (1, 0, 1)),
        (shadow(policy), (0, 1, 1)),
    ):
        following.once(client, replace(job, policy=said), MEANS)
        assert counts(fake.acks[-1]) == expected
        assert len(lines()) == expected[0]


def test_a_receipt_of_a_feed_that_is_switched_off_says_that_nothing_is_blocked(fake, client, job):
    following.once(client, job, MEANS)
    with closing(jobs.open_store(job)) as store:
        store.kill(["*"])
    following.once(client, job, MEANS)
    assert counts(fake.acks[-1])[:2] == (0, 0)


def test_a_list_of_an_agent_that_did_not_count_is_acknowledged_without_counts(fake, client, job):
    sync.run_once(client, job)
    with closing(jobs.open_store(job)) as store:
        store.put("counts", "")
    following.acknowledge(client, job, MEANS)
    assert counts(fake.acks[-1]) == (None, None, None)


def test_a_receipt_of_run_counts_entries_by_feed_and_no_look_ups(fake, tmp_path, policy):
    state = tmp_path / "state"
    followed = (jobs.Job(state / "all", state), jobs.Job(state / "sure", state, min_confidence=90))
    settings = Settings(Config(fake.url, "exk_test"), state, policy, followed)
    Agent(settings, say=print, warn=print).once()
    assert [counts(ack) for ack in fake.acks] == [(1, 0, 1), (0, 0, 0)]
    assert verdicts.by_feed(replace(settings, policy=shadow(policy)))["all"] == {
        "blocked": 0,
        "shadow": 1,
        "suppressed": 1,
    }


def test_entries_are_not_counted_at_each_receipt(fake, tmp_path, monkeypatch):
    state = tmp_path / "state"
    settings = Settings(Config(fake.url, "exk_test"), state, Policy(), (jobs.Job(state / "all", state),))
    agent, walked = Agent(settings, say=print, warn=print), []
    monkeypatch.setattr(verdicts, "by_feed", lambda settings, real=verdicts.by_feed: walked.append(1) or real(settings))
    agent.once()
    agent.once()
    assert (len(fake.acks), len(walked)) == (2, 1)
