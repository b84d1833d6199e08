"""Clustering step by step in the store gives what the pure rules give from scratch; history, ids, and several workers."""

import importlib
import random
import threading
import uuid
from collections import defaultdict
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import connection, connections

from exchange import clock
from indicators.campaigns import asking, ending, joining, placing, proposing, purity, queueing
from indicators.campaigns.joining import Account, Grade
from indicators.campaigns.purity import Role
from indicators.campaigns.tables import (
    Campaign,
    CampaignEvent,
    Carried,
    Cluster,
    Core,
    EvidenceToken,
    Placed,
    PureToken,
    Stir,
    Suspect,
)
from tests.drilling import runs
from tests.indicators.api.caller import read
from tests.indicators.campaigns.sending import Pooling, answer_of, send
from tests.waiting import DEADLINE_S

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(queueing, "PAUSE", timedelta(0))


@pytest.fixture
def pool():
    return Pooling()


def work(pool):
    assert proposing.work(pool.group.pk)
    assert not Stir.objects.exists()
    assert not Cluster.objects.filter(dirty=True).exists()


def accounts():
    """What is stored, as the pure rules take it."""
    tokens = {}
    for token in EvidenceToken.objects.all():
        if purity.is_pure(token.subkind, holders=token.holders, suspects=token.suspects):
            tokens[token.pk] = purity.role_of(token.subkind, wide=token.wide)
    held = defaultdict(lambda: {role: [] for role in Role})
    for suspect, token in Carried.objects.order_by("pk").values_list("suspect", "token"):
        if token in tokens:
            network = tokens[token] is Role.NET
            held[suspect][Role.JOIN if network else tokens[token]].append(joining.Net(token) if network else token)
    return {
        pk: Account(partner, *(tuple(held[pk][role]) for role in (Role.CORE, Role.JOIN, Role.VOTE)))
        for pk, partner in Suspect.objects.values_list("pk", "partner")
    }


def together(of):
    found = defaultdict(set)
    for name, its in of.items():
        found[its].add(name)
    return {frozenset(names) for its, names in found.items() if its is not None}


def stored():
    clusters = dict(Core.objects.values_list("pk", "cluster"))
    return {placed.suspect: (clusters[placed.core], placed) for placed in Placed.objects.all()}


def assert_as_from_scratch():
    held = accounts()
    right, found, core_of = joining.propose(held), stored(), joining.cores(held)
    cluster_of = joining.close(joining.counted(held, core_of))
    assert together({name: cluster for name, (cluster, _) in found.items()}) == together(
        {n: cluster_of[c] for n, c in core_of.items()}
    )
    assert together({n: p.campaign for n, p in right.items()}) == together(
        {n: p.campaign for n, (_, p) in found.items()}
    )
    graded = {n: str(p.grade) for n, p in right.items() if p.campaign is not None}
    assert graded == {n: p.grade for n, (_, p) in found.items() if p.campaign is not None}


def world(pool, seed, count=40):
    """Lines of some labs: operators with pools, and accounts that share a little with two of them."""
    chance = random.Random(seed)
    lines = {}
    for name in pool.labs:
        lines[name] = []
        for _ in range(count):
            operator = chance.choice("xyz")
            other = chance.choice("xyz") if chance.random() < 0.06 else operator
            tokens = [
                pool.token(f"{operator} card {chance.randrange(5)}", "pan_token"),
                pool.token(f"{other} device {chance.randrange(6)}"),
                pool.token(f"{operator} domain {chance.randrange(4)}", "email_domain"),
                pool.token(f"{other} net {chance.randrange(4)}", "net", wide=True),
                *(pool.token(f"{operator} phrase {chance.randrange(12)}", "phrase") for _ in range(4)),
            ]
            some = [token for token in tokens if chance.random() < 0.7] or tokens[:1]
            unique = {(token["subkind"], token["value"]): token for token in some}
            lines[name].append(
                pool.account(*unique.values(), account=uuid.UUID(int=chance.getrandbits(128), version=4))
            )
    return lines


def answers(pool, lines, chance=None):
    """Each lab answers for what its lines carry: pure, or now and then not."""
    for name, held in lines.items():
        tokens = {(token["subkind"], token["value"]): token for line in held for token in line.get("tokens", ())}
        said = []
        for token in tokens.values():
            pure = chance is None or chance.random() < 0.8
            plain = {key: value for key, value in token.items() if key != "wide"}
            said.append(answer_of(plain, 8, 8 if pure else 2))
        assert send(pool.labs[name], "prevalence", *said).status_code == 200


@pytest.mark.parametrize("seed", runs(4, quick=1))
def test_step_by_step_is_as_from_scratch_whatever_comes_goes_and_changes(pool, seed, monkeypatch):
    monkeypatch.setattr(placing, "ACCOUNTS", 7)
    chance = random.Random(seed)
    lines = world(pool, seed)
    for name, held in lines.items():
        for start in range(0, len(held), 15):
            assert send(pool.labs[name], "evidence?round=1", *held[start : start + 15]).status_code == 200
            if chance.random() < 0.5:
                work(pool)
        if chance.random() < 0.5:
            answers(pool, {name: held})
    answers(pool, lines)
    work(pool)
    assert_as_from_scratch()
    for name, held in lines.items():
        gone = [{"account": line["account"], "gone": True} for line in held if chance.random() < 0.3]
        changed = [line | {"tokens": line["tokens"][:2]} for line in held if chance.random() < 0.2]
        there = {line["account"] for line in gone}
        send(pool.labs[name], "evidence?round=1", *gone, *(line for line in changed if line["account"] not in there))
        work(pool)
    assert_as_from_scratch()
    answers(pool, lines, chance)
    work(pool)
    assert_as_from_scratch()


def campaign_of(pool, letter, names=("aster", "borealis", "cygnus"), count=12):
    """An operator's accounts at some labs, sent and answered for."""
    lines = {
        name: [
            pool.account(
                pool.token(f"{letter} card {number % 4}", "pan_token"),
                pool.token(f"{letter} device {number % 3}"),
                pool.token(f"{letter} domain", "email_domain"),
            )
            for number in range(count)
        ]
        for name in names
    }
    for name, held in lines.items():
        assert send(pool.labs[name], "evidence?round=1", *held).status_code == 200
    answers(pool, lines)
    return lines


def test_an_operator_at_three_labs_is_one_corroborated_campaign(pool):
    campaign_of(pool, "x")
    work(pool)
    (one,) = Campaign.objects.all()
    assert (one.grade, one.accounts, len(one.labs)) == (Grade.CORROBORATED, 36, 3)
    assert one.kinds == ["device", "email_domain", "pan_token"]
    assert [event.kind for event in CampaignEvent.objects.all()] == ["created"]


def test_a_liar_does_not_join_two_campaigns_but_on_its_word(pool):
    campaign_of(pool, "x")
    campaign_of(pool, "y")
    work(pool)
    before = set(Campaign.objects.values_list("pk", flat=True))
    glue = [
        pool.account(
            *(pool.token(f"{letter} card {number % 4}", "pan_token") for letter in "xy"),
            *(pool.token(f"{letter} device {number % 3}") for letter in "xy"),
        )
        for number in range(50)
    ]
    send(pool.eridanus, "evidence?round=1", *glue)
    answers(pool, {"eridanus": glue})
    work(pool)
    assert set(Campaign.objects.filter(state="live").values_list("pk", flat=True)) == before
    assert Campaign.objects.values("cluster").distinct().count() == 1
    assert_as_from_scratch()


def test_who_drowns_the_tokens_of_a_campaign_does_not_dissolve_it(pool):
    campaign_of(pool, "x")
    work(pool)
    before = {pk: (place.campaign, place.grade) for pk, (_, place) in stored().items()}
    assert {grade for _, grade in before.values()} == {"corroborated"}
    tokens = [pool.token(f"x card {number}", "pan_token") for number in range(4)]
    tokens += [pool.token(f"x device {number}") for number in range(3)]
    drowned = [answer_of(token, 2**40, 0) for token in tokens]
    assert read(send(pool.eridanus, "prevalence", *drowned))["changed"] == len(tokens)
    work(pool)
    assert {pk: (place.campaign, place.grade) for pk, (_, place) in stored().items()} == before
    send(pool.cygnus, "prevalence", *drowned)
    work(pool)
    assert not any(place.campaign for _, place in stored().values()), "two of four may"


def test_the_id_stays_with_the_larger_part_and_the_history_says_which_tokens_did_it(pool):
    big, small = campaign_of(pool, "x", count=16), campaign_of(pool, "y")
    work(pool)
    ids = {one.accounts: one.pk for one in Campaign.objects.all()}
    bridges = {
        name: [
            pool.account(
                *(pool.token(f"{letter} card {number % 4}", "pan_token") for letter in "xy"),
                *(pool.token(f"{letter} device {number % 3}") for letter in "xy"),
            )
            for number in range(8)
        ]
        for name in ("aster", "borealis", "cygnus")
    }
    for name, held in bridges.items():
        send(pool.labs[name], "evidence?round=1", *held)
    work(pool)
    (live,) = Campaign.objects.filter(state="live")
    assert live.pk == ids[48]
    ended = Campaign.objects.get(pk=ids[36])
    assert (ended.state, ended.into) == ("ended", live.pk)
    joined = CampaignEvent.objects.get(campaign=live.pk, kind="joined")
    assert joined.other == ended.pk
    for name, held in bridges.items():
        send(pool.labs[name], "evidence?round=1", *({"account": line["account"], "gone": True} for line in held))
    work(pool)
    sizes = {one.accounts: one for one in Campaign.objects.filter(state="live")}
    assert set(sizes) == {48, 36}
    assert sizes[48].pk == ids[48]
    split = CampaignEvent.objects.get(campaign=ids[48], kind="split")
    assert (split.other, split.causes) == (sizes[36].pk, ["evidence"])
    assert big
    assert small


def test_growth_by_ten_is_in_the_history(pool):
    campaign_of(pool, "x", count=12)
    work(pool)
    campaign_of(pool, "x", count=40)
    work(pool)
    assert [event.kind for event in CampaignEvent.objects.order_by("pk")] == ["created", "grew"]


@pytest.mark.slow
def test_a_campaign_ends_with_its_evidence(pool, monkeypatch):
    campaign_of(pool, "x")
    work(pool)
    later = clock.now() + timedelta(days=31)
    monkeypatch.setattr(clock, "now", lambda: later)
    ending.sweep()
    work(pool)
    assert [one.state for one in Campaign.objects.all()] == ["ended"]
    assert not Placed.objects.exists()
    assert not Cluster.objects.exists()


def test_an_account_is_elected_by_its_phrases_and_again_when_they_say_otherwise(pool):
    lines = campaign_of(pool, "x")
    phrases = [pool.token(f"phrase {number}", "phrase") for number in range(3)]
    spoken = [pool.account(*lines["aster"][0]["tokens"], *phrases) for _ in range(3)]
    lost = pool.account(*phrases)
    send(pool.aster, "evidence?round=1", *spoken)
    send(pool.eridanus, "evidence?round=1", lost)
    answers(pool, {"aster": spoken, "eridanus": [lost]})
    work(pool)
    placed = Placed.objects.get(partner=pool.partners["eridanus"])
    assert (placed.campaign, placed.elected) == (Campaign.objects.get().pk, True)
    assert placed.grade == Grade.WORD


def asked_again(pool, *lines):
    """Whose rare tokens are asked when one account more comes to a campaign, by what they carry."""
    before = clock.now()
    send(pool.aster, "evidence?round=1", *lines)
    work(pool)
    asked = Placed.objects.filter(looked_at__gt=before).values_list("suspect", flat=True)
    return set(Suspect.objects.filter(pk__in=asked).values_list("account", flat=True))


def test_only_who_shares_a_rare_token_with_what_came_is_asked_again(pool, monkeypatch):
    monkeypatch.setattr(joining, "RARE", 4)
    lines = campaign_of(pool, "x")
    rare, common, other = (pool.token(name, "phrase") for name in ("rare", "common", "other"))
    near, far = pool.account(rare, common), pool.account(other, common)
    crowd = [pool.account(common) for _ in range(5)]
    send(pool.eridanus, "evidence?round=1", near, far, *crowd)
    answers(pool, {"eridanus": [near, far]})
    work(pool)
    assert asked_again(pool, pool.account(*lines["aster"][0]["tokens"], rare, common)) == {uuid.UUID(near["account"])}
    assert asked_again(pool, pool.account(*lines["aster"][0]["tokens"])) == set()


def test_a_token_that_becomes_common_votes_no_more(pool, monkeypatch):
    monkeypatch.setattr(joining, "RARE", 4)
    lines = campaign_of(pool, "x", count=24)
    phrases = [pool.token(f"phrase {number}", "phrase") for number in range(3)]
    spoken, lost = [pool.account(*lines["aster"][0]["tokens"], *phrases) for _ in range(3)], pool.account(*phrases)
    send(pool.aster, "evidence?round=1", *spoken)
    send(pool.eridanus, "evidence?round=1", lost)
    answers(pool, {"aster": spoken, "eridanus": [lost]})
    work(pool)
    placed = Placed.objects.filter(partner=pool.partners["eridanus"])
    assert placed.get().elected
    more = pool.account(*phrases)
    send(pool.borealis, "evidence?round=1", more)
    work(pool)
    assert placed.get().campaign is None
    assert_as_from_scratch()
    send(pool.borealis, "evidence?round=1", {"account": more["account"], "gone": True})
    work(pool)
    assert placed.get().elected
    assert_as_from_scratch()


def an_elected_one(pool, *phrases):
    """A campaign of which some speak phrases, and another lab's account that these elect into it."""
    lines = campaign_of(pool, "x", count=24)
    spoken, lost = [pool.account(*lines["aster"][0]["tokens"], *phrases) for _ in range(3)], pool.account(*phrases)
    send(pool.aster, "evidence?round=1", *spoken)
    send(pool.eridanus, "evidence?round=1", lost)
    answers(pool, {"aster": spoken, "eridanus": [lost]})
    work(pool)
    placed = Placed.objects.filter(partner=pool.partners["eridanus"])
    assert placed.get().elected
    return placed


def test_a_token_votes_no_more_that_many_make_common_before_anybody_looks(pool, monkeypatch):
    monkeypatch.setattr(joining, "RARE", 4)
    monkeypatch.setattr(placing, "ACCOUNTS", 3)
    phrases = [pool.token(f"phrase {number}", "phrase") for number in range(3)]
    placed = an_elected_one(pool, *phrases)
    send(pool.borealis, "evidence?round=1", *(pool.account(*phrases) for _ in range(20)))
    work(pool)
    assert placed.get().campaign is None
    assert_as_from_scratch()


def test_a_token_votes_no_more_that_is_impure_before_those_that_carry_it_have_a_place(pool, monkeypatch):
    monkeypatch.setattr(joining, "RARE", 4)
    phrases = [pool.token(f"phrase {number}", "phrase") for number in range(3)]
    placed = an_elected_one(pool, *phrases)
    send(pool.borealis, "evidence?round=1", *(pool.account(*phrases) for _ in range(40)))
    said = send(pool.eridanus, "prevalence", *(answer_of(phrase, 128, 2) for phrase in phrases))
    assert said.status_code == 200
    work(pool)
    values = [bytes.fromhex(phrase["value"]) for phrase in phrases]
    assert not PureToken.objects.filter(token__in=EvidenceToken.objects.filter(value__in=values).values("pk")).exists()
    assert placed.get().campaign is None
    assert_as_from_scratch()


def test_an_upgrade_and_the_day_after_it_have_all_asked_again_in_portions(pool, monkeypatch):
    """What an older release left due, or changed while both ran, nobody noted."""
    monkeypatch.setattr(asking, "_PORTION", 3)
    placed = an_elected_one(pool, *(pool.token(f"phrase {number}", "phrase") for number in range(3)))
    others = [pool.account(pool.token(f"alone {number}", "phrase")) for number in range(10)]
    send(pool.borealis, "evidence?round=1", *others)
    work(pool)
    members = set(Placed.objects.filter(campaign__isnull=False, elected=False).values_list("suspect", "looked_at"))
    upgrade = importlib.import_module("indicators.migrations.0050_all_asked_again").ask
    for ask in (lambda: upgrade(None, None), lambda: call_command("reread", "--anyway")):
        right = placed.get().campaign
        placed.update(campaign=None, elected=False, grade="")
        ask()
        assert Placed.objects.filter(looked_at=None, campaign=None).count() == 11
        work(pool)
        assert placed.get().campaign == right
        assert_as_from_scratch()
    assert members == set(
        Placed.objects.filter(campaign__isnull=False, elected=False).values_list("suspect", "looked_at")
    )


def test_only_tokens_that_an_account_carries_no_more_are_looked_at_after_all_have_a_place(pool, monkeypatch):
    monkeypatch.setattr(placing, "TOKENS", 0)
    kept, gone, new = (pool.token(name, "phrase") for name in ("kept", "gone", "new"))
    first, second = pool.account(kept, gone), pool.account(kept, gone)
    send(pool.aster, "evidence?round=1", first, second)
    assert not Stir.objects.filter(kind=Stir.Kind.LET_GO).exists()
    send(pool.aster, "evidence?round=1", first | {"tokens": [kept, new]}, second | {"publisher_action": "limited"})
    let_go = Stir.objects.filter(kind=Stir.Kind.LET_GO)
    values = EvidenceToken.objects.filter(pk__in=let_go.values("key")).values_list("value", flat=True)
    assert [bytes(value).hex() for value in values] == [gone["value"]]
    while any(piece(pool.group.pk) for piece in placing.pieces(pool.group.pk)):
        pass
    assert let_go.exists()
    assert Placed.objects.count() == 2


def test_what_comes_while_the_last_look_is_taken_is_found_by_it(pool, monkeypatch):
    """Another worker is turned away meanwhile: nobody but the one that looks is left to find it."""
    campaign_of(pool, "x", count=12)
    elect, late = proposing.elect_some, [pool.account(pool.token("late"))]

    def elect_then_something_comes(group_id):
        did = elect(group_id)
        if not did and late:
            send(pool.aster, "evidence?round=1", late.pop())
        return did

    monkeypatch.setattr(proposing, "elect_some", elect_then_something_comes)
    work(pool)
    assert not late
    assert Placed.objects.count() == Suspect.objects.count()


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_do_all_once():
    pool = Pooling()
    campaign_of(pool, "x")
    campaign_of(pool, "y")
    done = []

    def run():
        try:
            while Stir.objects.exists() or Cluster.objects.filter(due__isnull=False).exists():
                done.append(proposing.work(pool.group.pk))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=DEADLINE_S)
    assert True in done
    assert Placed.objects.count() == Suspect.objects.count()
    assert_as_from_scratch()
    assert connection.alias
