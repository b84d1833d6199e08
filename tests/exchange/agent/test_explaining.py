"""`explain` says what the list and the look-ups do, and why."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from exchange.agent import explaining, jobs, sync
from exchange.agent import policy as policies
from exchange.agent.blocklist import Blocklist
from exchange.agent.parts import Part
from exchange.agent.policy import UNJUDGED, Policy
from exchange.agent.store import Store
from exchange.stix import words

NET = "198.51.100.7"
REGEX = "(?i)hidden chain\x1b of thought"


def stamped(**after):
    return (datetime.now(UTC) + timedelta(**after)).isoformat()


def entry(value=NET):
    return {"kind": "account-pattern", "subkind": "net", "scheme": "", "key_epoch": "", "value": value}


def told(job, value, *, policy=UNJUDGED, **parts):
    """The one explanation of a value: its document, and its text."""
    with closing(jobs.open_store(job)) as store:
        found = explaining.of(value, {"": store}, policy, now=jobs.now(store), **parts)
    (one,) = [explaining.document(each) for each in found]
    return one, explaining.text(value, found)


@pytest.fixture
def state(job):
    job.state_dir.mkdir(parents=True)
    return job


def say(job, *, entries=(), publishers=("aster", "borealis"), **more):
    changes = [
        {"op": "upsert", "id": f"indicator--{who}", "publisher": {"id": who, "name": who.title()}, "sha256": "0" * 64}
        | {"entries": list(entries), "confidence": 80, **more}
        for who in publishers
    ]
    with closing(Store(job.store_path)) as store:
        store.apply(changes, cursor="c")
        store.put("name", job.proved_name)


def signature(job, subkind="regex", pattern=REGEX, **more):
    said = {"extensions": {words.EXTENSION_ID: {"subkind": subkind}}, "pattern": pattern}
    say(job, object=said, **more)


def test_what_has_not_begun_is_not_told_as_blocked(state):
    say(state, entries=[entry()], valid_from=stamped(hours=1))
    with closing(jobs.open_store(state)) as store:
        assert list(sync.wanted(state, store)) == []
    one, text = told(state, NET)
    assert (one["action"], [each["not_begun"] for each in one["said"]]) == ("none", [True, True])
    assert not any(each["in_force"] for each in one["said"])
    assert "none, because what is said of it has not begun yet" in text


def test_of_two_of_whom_one_has_not_begun_the_other_is_judged_alone(state):
    say(state, entries=[entry()], publishers=["aster"])
    say(state, entries=[entry()], publishers=["borealis"], valid_from=stamped(hours=1))
    one, text = told(state, NET, policy=Policy())
    assert (one["action"], one["floor"], one["independent_publishers"]) == ("log", "two-publishers", 1)
    assert "Borealis: indicator--borealis (confidence 80, not begun yet)" in text


@pytest.mark.parametrize(("turned", "action"), [("drop", "none"), ("challenge", "challenge"), ("keep", "block")])
def test_what_is_old_is_told_as_the_list_has_it(state, tmp_path, turned, action):
    say(state, entries=[entry()])
    with closing(Store(state.store_path)) as store:
        store.put("last success", stamped(hours=-2))
        store.put("stale after", "3600")
    policy = policies.read({"stale": {"block": turned}}, beside=tmp_path)
    one, text = told(state, NET, policy=policy)
    assert one["action"] == action == Blocklist([state.store_path], policy=policy).check("net", NET).word
    assert ("what is held is old" in text) == (turned != "keep")


@pytest.mark.parametrize("asked", ["indicator--aster", REGEX])
def test_a_regex_is_explained_by_its_id_and_by_its_words(state, asked):
    signature(state)
    one, text = told(state, asked, policy=Policy())
    block = Blocklist([state.store_path], policy=Policy())
    verdict = block.check_prompt("hidden chain\x1b of thought").verdict
    assert (one["action"], one["floor"]) == (verdict.word, verdict.floor) == ("log", "prompts-alone")
    assert (one["subkind"], one["independent_publishers"]) == ("regex", 2)
    assert "Aster: indicator--aster (confidence 80)" in text
    assert "Borealis: indicator--borealis" in text
    assert "\x1b" not in text


def test_a_rule_that_has_not_begun_has_ended_or_is_left_out_is_told_as_such(state):
    rule = 'rule A\n{\n    keywords:\n        $a = "teacher"\n    condition:\n        keywords.$a\n}' + " " * 200
    signature(state, "nova_rule", rule, publishers=["aster"], valid_from=stamped(hours=1))
    one, text = told(state, "indicator--aster")
    assert (one["action"], one["said"][0]["not_begun"]) == ("none", True)
    assert text.splitlines()[0].startswith("rule A { keywords:")
    signature(state, "nova_rule", rule, publishers=["aster"], valid_until=stamped(hours=-1))
    assert "has ended" in told(state, "indicator--aster")[1]
    signature(state, "nova_rule", rule, publishers=["aster"])
    assert told(state, "indicator--aster")[0]["action"] == "block"
    one, _ = told(state, "indicator--aster", parts={"": Part("account-pattern")})
    assert (one["action"], one["said"][0]["left_out"]) == ("none", True)


def test_of_an_indicator_of_which_nothing_is_held_it_says_what_is_not_remembered(state):
    say(state, entries=[entry()])
    with closing(jobs.open_store(state)) as store:
        assert explaining.of("indicator--other", {"": store}, UNJUDGED, now=jobs.now(store)) == []
    assert "regexes and NOVA rules that went" in explaining.text("indicator--other", [])
