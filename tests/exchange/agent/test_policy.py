"""What a list blocks is the subscriber's decision: floors that are on until they are named, rules, allowlists, switches."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from exchange.agent import policy as policies
from exchange.agent import telling
from exchange.agent.policy import Action, Floor, Policy, Statement
from exchange.client.errors import Unusable
from exchange.lists.lines import Said

NOW = datetime(2026, 11, 28, tzinfo=UTC)


def says(
    who="aster", value="198.51.100.7", *, kind="account-pattern", subkind="net", named=True, confidence=80, **facts
):
    of = (who,) if named else ()
    said = Said(value, subkind, "", "", kind, (who.title(),), of, confidence, None, (f"indicator--{who}",))
    return Statement(said, who, **facts)


TWO = [says(), says("borealis")]


def card(who, subkind="par"):
    return says(who, "1234", kind="payment-fingerprint", subkind=subkind)


@pytest.mark.parametrize(
    ("said", "floor"),
    [
        ([says()], Floor.TWO_PUBLISHERS),
        ([says(), says("borealis", named=False)], Floor.TWO_PUBLISHERS),
        ([says(review="two_analysts")], ""),
        (TWO, ""),
        ([*TWO, says("cygnus", control="compromised_victim")], Floor.VICTIMS),
        ([*TWO, says("cygnus", shared_infra="cgnat")], Floor.SHARED_INFRASTRUCTURE),
        ([*TWO, says("cygnus", shared_infra="campus")], Floor.SHARED_INFRASTRUCTURE),
        ([*TWO, says("cygnus", shared_infra="cloud")], ""),
        ([*TWO, says("cygnus", control="of a later exchange")], Floor.VICTIMS),
        ([*TWO, says("cygnus", shared_infra="of a later exchange")], Floor.SHARED_INFRASTRUCTURE),
        ([card("aster"), card("borealis")], ""),
        ([card("aster", "pan_token"), card("borealis", "pan_token")], ""),
        ([card("aster")._replace(review="two_analysts")], Floor.TWO_PUBLISHERS),
        ([card("aster", "psp_fp"), card("borealis", "psp_fp")], Floor.CARDS_ALONE),
        ([card("aster", "bin_range"), card("borealis", "bin_range")], Floor.BIN_RANGES),
        ([says(x, "p", kind="prompt-signature", subkind="phrase") for x in ("a", "b")], Floor.PROMPTS_ALONE),
        ([says(subkind="ipv4-addr:value", kind="indicator")], Floor.TWO_PUBLISHERS),
    ],
)
def test_the_floors_of_the_vocabulary_are_the_default(said, floor):
    verdict = Policy().judge(said)
    assert (verdict.floor, verdict.action) == (floor, Action.LOG if floor else Action.BLOCK)


def test_a_floor_is_switched_off_by_its_name_and_only_it():
    victims = [says(control="compromised_victim")]
    off = Policy(without_floors=frozenset({Floor.TWO_PUBLISHERS}))
    assert off.judge([says()]).action is Action.BLOCK
    assert off.judge(victims).floor == Floor.VICTIMS


def test_what_is_disputed_disarms_and_adds_nothing():
    assert Policy().judge([says(standing="disputed"), says("borealis", standing="refuted")]).action is None
    assert Policy().judge([says(standing="disputed"), says("borealis")]).floor == Floor.TWO_PUBLISHERS


def write(tmp_path, text):
    path = tmp_path / "policy.toml"
    path.write_text(text)
    return policies.load(path)


def test_the_first_rule_that_fits_gives_the_action_and_a_floor_lowers_it(tmp_path):
    policy = write(
        tmp_path,
        """
        [[rule]]
        name = "never Borealis"
        publisher = "Borealis"
        action = "ignore"

        [[rule]]
        name = "sure"
        kind = "account-pattern"
        publishers = 2
        confidence = 90
        action = "block"

        [[rule]]
        name = "rest"
        action = "challenge"
        """,
    )
    assert policy.judge([says("borealis")]).rule == "never Borealis"
    sure = [says(confidence=95), says("cygnus")]
    assert (policy.judge(sure).rule, policy.judge(sure).action) == ("sure", Action.BLOCK)
    rest = policy.judge([says(), says("cygnus")])
    assert (rest.rule, rest.action) == ("rest", Action.CHALLENGE)
    assert policy.judge([says()]).action is Action.LOG


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("modus = 'shadow'", "modus is not known"),
        ("below_floor = 'block'", "would switch all floors off"),
        ("without_floors = ['victim']", "two-publishers, victims"),
        ("[[rule]]\nname = 'a'", "which action"),
        ("[[rule]]\nname = 'a'\naction = 'ban'", "ignore, log, challenge, block"),
        ("[[rule]]\nname = 'a'\naction = 'log'\nconfidnce = 3", "confidnce is not known"),
        ("[[rule]]\nname = 'a'\naction = 'log'\nconfidence = 101", "0 to 100"),
        (
            "[[rule]]\nname = 'a'\naction = 'log'\nkind = 'acount-pattern'",
            "one of account-pattern, payment-fingerprint",
        ),
        ("[[rule]]\nname = 'a'\naction = 'log'\nsubkind = ['net', 'emial']", "one of email, email_domain, phone"),
        ("[[rule]]\nname = 'a'\naction = 'log'\ncontrol = 'actor'", "one of actor_controlled, reseller_pool"),
        ("[[rule]]\nname = 'a'\naction = 'log'\nshared_infra = 'nat'", "one of none, cgnat"),
        ("[[rule]]\nname = 'a'\naction = 'log'\nstanding = 'refused'", "one of supported, unreviewed"),
        ("[[rule]]\nname = 'a'\naction = 'log'\nreview = 'two'", "one of machine, one_analyst"),
        ("[[allow]]\nvalues = ['a']", "name is required"),
        ("mode = ", "policy.toml"),
    ],
)
def test_a_policy_that_says_what_there_is_not_is_refused_and_never_taken_for_less(tmp_path, text, words):
    with pytest.raises(Unusable, match=words):
        write(tmp_path, text)


def test_what_is_raw_on_an_allowlist_is_said_at_the_start(tmp_path, capsys):
    said = [{"name": "ours", "values": ["Anna@mail.example", "mail.example", "198.51.100.7", "ab" * 32]}]
    policy = policies.read({"allow": said}, beside=tmp_path)
    assert policy.allowed.raw == ["anna@mail.example"]
    telling.tell_raw(policy.allowed.raw)
    told = capsys.readouterr().err
    assert "(1)" in told
    assert "anna" not in told
    telling.tell_raw([])
    assert capsys.readouterr().err == ""


def test_an_allowlist_takes_away_and_says_its_name(tmp_path):
    (tmp_path / "offices.txt").write_text("# ours\n198.51.100.0/25\n")
    policy = write(tmp_path, '[[allow]]\nname = "offices"\nfile = "offices.txt"\nvalues = ["mail.example"]')
    assert policy.judge(TWO).suppressed_by == "offices"
    host = [says(who, "mail.example", subkind="email_domain") for who in ("aster", "borealis")]
    assert policy.judge(host).suppressed_by == "offices"


def test_of_a_broader_range_the_allowed_part_is_taken_out(tmp_path):
    policy = write(tmp_path, '[[allow]]\nname = "offices"\nvalues = ["198.51.100.0/25"]')
    broad = [says(who, "198.51.100.0/24") for who in ("aster", "borealis")]
    assert {one.value for one in policies.listed(broad, policy)} == {"198.51.100.128/25"}


def test_shadow_mode_does_nothing_and_says_what_it_would_do():
    shadow = Policy(mode=policies.Mode.SHADOW)
    assert list(policies.listed(TWO, shadow)) == []
    assert len(list(policies.listed(TWO, shadow, shadow=True))) == 2
    assert (shadow.judge(TWO).action, shadow.judge(TWO).would) == (None, Action.BLOCK)


def test_a_publisher_that_is_switched_off_neither_blocks_nor_counts():
    verdict = Policy().judge(TWO, killed=frozenset({"Borealis"}))
    assert verdict.floor == Floor.TWO_PUBLISHERS
    assert Policy().judge(TWO, killed=frozenset({"aster", "borealis"})).suppressed_by == "kill switch"


def test_what_is_old_keeps_or_drops_each_action_as_the_policy_says(tmp_path):
    policy = write(tmp_path, 'stale = {block = "drop", log = "keep"}')
    assert policy.judge(TWO).action is Action.BLOCK
    old = policy.when(old=True)
    assert (old.judge(TWO).action, old.judge(TWO).suppressed_by) == (None, "stale")
    assert old.judge([says()]).action is Action.LOG
    assert old.when(old=False).judge(TWO).action is Action.BLOCK


def test_what_is_old_may_turn_an_action_into_a_weaker_one_and_each_kind_has_its_own(tmp_path):
    old = write(tmp_path, 'stale = {block = "challenge", account-pattern = {block = "log"}}').when(old=True)
    verdict = old.judge(TWO)
    assert (verdict.action, verdict.floor, verdict.suppressed_by) == (Action.LOG, "stale", "")
    cards = old.judge([card("aster"), card("borealis")])
    assert (cards.action, cards.floor) == (Action.CHALLENGE, "stale")


@pytest.mark.parametrize(
    "said",
    [
        '{challenge = "block"}',
        '{block = "ignore"}',
        '{log = "log"}',
        '{x = "drop"}',
        '{account-pattern = {x = "drop"}}',
    ],
)
def test_what_is_old_cannot_be_made_stronger(tmp_path, said):
    with pytest.raises(Unusable):
        write(tmp_path, f"stale = {said}")


def test_a_rule_may_ask_for_the_object_path_of_a_classical_pattern(tmp_path):
    (tmp_path / "policy.toml").write_text("[[rule]]\naction = 'log'\nsubkind = 'domain-name:value'")
    assert policies.load(tmp_path / "policy.toml").rules[0].subkind == ("domain-name:value",)
