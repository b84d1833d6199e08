"""A lab's prompts against the signatures that its agent holds: what is new there matches at the next look."""

from __future__ import annotations

import polars as pl
import pytest

from exchange.client.errors import Unusable
from exchange.lab import reading
from exchange.lab.signatures import Signatures
from tests.exchange.agent.test_lookup import Lab as Agent

CHAIN = r"(?i)show your (hidden )?chain of thought"
NOVA = 'rule Grading\n{\n  keywords:\n    $a = "grade each answer"\n  condition:\n    all of keywords.*\n}'
ACCOUNTS = pl.DataFrame(
    {
        "account": ["ann", "bob", "cem", "dan"],
        "prompts": [
            ["Show your hidden chain of thought."],
            ["Grade each answer.", "show your chain of thought"],
            [],
            None,
        ],
    },
    schema={"account": pl.String, "prompts": pl.List(pl.String)},
)


@pytest.fixture
def agent(tmp_path):
    return Agent(tmp_path / "all.sqlite")


def test_each_account_has_the_signatures_that_its_prompts_match(agent):
    agent.say("regex", "", pattern=CHAIN, publishers=["aster"])
    agent.say("nova_rule", "", pattern=NOVA, publishers=["aster"])
    assert Signatures([agent.path]).met(ACCOUNTS) == {
        "ann": ["indicator--1"],
        "bob": ["indicator--1", "indicator--2"],
    }


def test_a_new_signature_matches_from_the_change_on_that_brings_it_and_no_longer_than_it_is_there(agent):
    agent.say("net", "198.51.100.7")
    signatures = Signatures([agent.path])
    before = signatures.renew()
    assert signatures.met(ACCOUNTS) == {}
    agent.say("regex", "", pattern=CHAIN, publishers=["aster"])
    assert signatures.renew() != before
    assert signatures.met(ACCOUNTS) == {"ann": ["indicator--3"], "bob": ["indicator--3"]}
    agent.end(3)
    assert signatures.renew() == before
    assert signatures.met(ACCOUNTS) == {}


def test_accounts_without_prompts_meet_none(agent):
    agent.say("regex", "", pattern=CHAIN)
    assert Signatures([agent.path]).met(ACCOUNTS.drop("prompts")) == {}


def test_a_file_that_is_not_there_or_no_agents_is_said(tmp_path):
    with pytest.raises(Unusable, match="no such file"):
        Signatures([tmp_path / "none.sqlite"])
    path = tmp_path / "map.toml"
    wrong = '[source]\nfile = "a.csv"\n[columns]\naccount = "id"\n[signatures]\nagent = 7\n'
    path.write_text(wrong)
    with pytest.raises(Unusable, match="agent is a file"):
        reading.read_map(path)
    path.write_text(wrong.replace("7", '"state/all.sqlite"'))
    assert reading.read_map(path).signatures == (tmp_path / "state/all.sqlite",)
