"""Tokens at look-up over time: keys change, keys and answers stay away, and what is remembered is bounded."""

from __future__ import annotations

import hashlib
import hmac
import threading
from datetime import UTC, datetime

import pytest

from exchange.agent import tokening as tokening_module
from exchange.agent.allowing import Allowed
from exchange.agent.blocklist import NONE, UNKNOWN, Blocklist
from exchange.agent.policy import Action, Policy
from exchange.agent.tokening import Tokening
from exchange.client.errors import Unreachable
from exchange.client.keeping import Kept
from exchange.client.tokenising import Token, Tokenised
from exchange.tokens import epochs, forms, prompts
from tests.exchange.agent.test_lookup import lab
from tests.waiting import until

__all__ = ["lab"]

ANNA = "anna@mail.example"
TEXT = "You are a teacher who grades the reasoning of two models and then writes down every hidden step in order "
AUTUMN, NEW_YEAR = datetime(2026, 11, 1, tzinfo=UTC), datetime(2027, 1, 2, tzinfo=UTC)


class Keys:
    """A tokeniser over keys that are known here: one a quarter, those of a group, and what it is to raise."""

    group = "ring"

    def __init__(self, kept=None):
        self.kept, self.moment, self.groups, self.fault = kept, AUTUMN, [("ring-2026q4-1", b"1" * 32)], None
        self.asked, self.threads = 0, set()

    def now(self):
        return self.moment

    def group_keys(self, *, look_up):
        self._ask()
        return list(self.groups)

    def tokenise(self, subkind, values, *, look_up):
        self._ask()
        quarters = epochs.looked_up_under(self.moment)
        return [
            Tokenised(found, tuple(tuple(Token("oprf", one, under(one, form)) for one in quarters) for form in found))
            for found in (forms.of(subkind, value) for value in values)
        ]

    def _ask(self):
        self.asked += 1
        self.threads.add(threading.current_thread().name)
        if self.fault is not None:
            raise self.fault


def under(quarter, form):
    return hashlib.sha256(f"{quarter} {form}".encode()).hexdigest()


def of_group(key, subkind, form):
    return hmac.digest(key, forms.input_bytes(subkind, form), "sha256").hex()


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    for name in ("_LOOK_S", "_PAUSE_S"):
        monkeypatch.setattr(tokening_module, name, 0.01)


@pytest.fixture
def keys():
    return Keys()


@pytest.fixture
def tokening(keys):
    made = Tokening(keys)
    yield made
    made.close()


def test_a_value_that_is_remembered_is_met_under_the_key_of_a_new_quarter(lab, keys, tokening):
    lab.say("email", under("2027q1", ANNA))
    block = Blocklist([lab.path], tokening=tokening)
    assert block.check("email", ANNA, timeout_s=60) is NONE
    keys.moment = NEW_YEAR
    until(lambda: block.check("email", ANNA, timeout_s=60).action is Action.BLOCK)


def test_a_text_that_is_remembered_is_met_under_a_new_key_of_the_group(lab, keys, tokening, monkeypatch):
    monkeypatch.setattr(tokening_module, "_KEYS_S", 0.01)
    lab.say("phrase", of_group(b"2" * 32, "phrase", prompts.phrases(TEXT)[0]))
    block = Blocklist([lab.path], tokening=tokening)
    assert block.check("phrase", TEXT, timeout_s=60) is NONE
    keys.groups.append(("ring-2026q4-2", b"2" * 32))
    until(lambda: block.check("phrase", TEXT, timeout_s=60).word == "log")
    keys.fault = Unreachable("away")
    before = keys.asked
    until(lambda: keys.asked > before)
    assert block.check("phrase", TEXT).word == "log", "keys that do not come are those of before"


def test_without_the_keys_of_the_group_a_text_is_unknown_until_they_come(lab, keys, tokening):
    lab.say("phrase", of_group(b"1" * 32, "phrase", prompts.phrases(TEXT)[0]))
    block = Blocklist([lab.path], tokening=tokening)
    keys.fault = Unreachable("away")
    assert block.check("phrase", TEXT, timeout_s=0.05) is UNKNOWN
    assert block.check_prompt(TEXT).verdict is UNKNOWN
    keys.fault = None
    until(lambda: block.check("phrase", TEXT, timeout_s=60).word == "log")
    assert keys.threads == {"tokens"}, "whoever looks up asks nobody"


@pytest.mark.parametrize("fault", [ValueError("no JSON"), OSError(28, "no space left"), KeyError("points")])
def test_nothing_that_fails_ends_the_thread(keys, tokening, fault):
    keys.fault = fault
    assert tokening.tokens("email", ANNA, timeout_s=0.05) is None
    until(lambda: tokening.failures)
    keys.fault = None
    until(lambda: tokening.tokens("email", ANNA, timeout_s=60))


def test_what_is_kept_under_the_keys_of_before_is_met_while_the_key_service_is_away(lab, tmp_path):
    lab.say("email", under("2026q4", ANNA))
    with Kept(tmp_path / "tokens.db") as kept:
        keys = Keys(kept)
        keys.moment, keys.fault = NEW_YEAR, Unreachable("away")
        made = {forms.input_bytes("email", ANNA): bytes.fromhex(under("2026q4", ANNA))}
        kept.keep_tokens("2026q4", made, ends=epochs.ends("2126q4"))
        tokening = Tokening(keys)
        block = Blocklist([lab.path], tokening=tokening)
        assert block.check("email", ANNA).action is Action.BLOCK
        assert block.check("email", "bert@mail.example") is UNKNOWN
        tokening.close()


def test_of_a_long_prompt_neither_its_text_nor_any_number_of_tokens_is_remembered(keys, tokening, monkeypatch):
    monkeypatch.setattr(tokening_module, "MOST_TOKENS", 15)
    texts = [f"{TEXT} {' '.join(f'w{number}x{word}' for word in range(60))}" for number in range(20)]
    for text in texts:
        assert tokening.tokens("phrase", text, timeout_s=60)
        assert tokening.tokens("skeleton", text, timeout_s=60)
    phrases, skeletons = tokening.memory("phrase"), tokening.memory("skeleton")
    assert 1 <= len(phrases) < len(texts)
    assert sum(map(len, phrases.values())) <= 15
    assert 1 <= len(skeletons) < len(texts)
    assert {len(name) for name in skeletons} == {32}
    before = keys.asked
    assert tokening.tokens("skeleton", texts[-1], timeout_s=0)
    assert keys.asked == before


def said_of(lab, address, publisher):
    for form in forms.of("email", address):
        lab.say("email", under("2026q4", form), publishers=[publisher])


def test_of_the_tokens_of_an_address_the_strongest_decides(lab, tokening):
    said_of(lab, "anna+1@gmail.com", "aster")
    said_of(lab, "anna+2@gmail.com", "borealis")
    block = Blocklist([lab.path], tokening=tokening)
    for address in ("anna+1@gmail.com", "anna+2@gmail.com", "anna+3@gmail.com"):
        for _ in range(2):  # asked about, and remembered
            assert block.check("email", address, timeout_s=60).action is Action.BLOCK


def test_an_allowlist_that_names_one_token_of_an_address_lets_it_through(lab, tokening):
    said_of(lab, "anna+1@gmail.com", "aster")
    said_of(lab, "anna+2@gmail.com", "borealis")
    allowed = Allowed()
    allowed.add("ours", [under("2026q4", "anna+1@gmail.com")])
    block = Blocklist([lab.path], tokening=tokening, policy=Policy(allowed=allowed))
    for _ in range(2):
        assert block.check("email", "anna+1@gmail.com", timeout_s=60).suppressed_by == "ours"
        assert block.check("email", "anna+2@gmail.com", timeout_s=60).action is Action.BLOCK
