"""Labs take turns: what one lab sends, however much, does not hold up what becomes of the others' accounts."""

from datetime import timedelta

import pytest
from django.db import connection

from indicators.campaigns import electing, joining, placing, proposing, queueing
from indicators.campaigns.tables import Placed, PureToken, Stir, Suspect
from tests.indicators.campaigns.sending import Pooling, answer_of, send
from tests.indicators.campaigns.test_placing import an_elected_one, assert_as_from_scratch, work

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(queueing, "PAUSE", timedelta(0))


@pytest.fixture
def pool():
    return Pooling()


def a_round(pool):
    """One piece of each kind."""
    for piece in placing.pieces(pool.group.pk):
        piece(pool.group.pk)


def placed(pool, name):
    return Placed.objects.filter(partner=pool.partners[name]).count()


def accounts(pool, name, count, **more):
    return [pool.account(pool.token(f"{name} {number}"), **more) for number in range(count)]


def test_accounts_of_all_labs_are_placed_in_turn(pool, monkeypatch):
    monkeypatch.setattr(placing, "ACCOUNTS", 6)
    send(pool.aster, "evidence?round=1", *accounts(pool, "aster", 40))
    for name in ("borealis", "cygnus"):
        send(pool.labs[name], "evidence?round=1", *accounts(pool, name, 2))
    a_round(pool)
    assert [placed(pool, name) for name in ("aster", "borealis", "cygnus")] == [2, 2, 2]
    a_round(pool)
    assert placed(pool, "aster") == 8, "what others leave is for who has more"
    work(pool)
    assert_as_from_scratch()


def test_a_large_sending_again_holds_nobody_up(pool, monkeypatch):
    """Aster says something else of all its accounts: each is to leave its place, and then to be placed anew."""
    lines = accounts(pool, "aster", 60)
    send(pool.aster, "evidence?round=1", *lines)
    work(pool)
    monkeypatch.setattr(placing, "ACCOUNTS", 2)
    send(pool.aster, "evidence?round=1", *(line | {"publisher_action": "limited"} for line in lines))
    send(pool.borealis, "evidence?round=1", *accounts(pool, "borealis", 1))
    a_round(pool)
    assert Stir.objects.filter(kind=Stir.Kind.LEFT).count() == 40
    assert placed(pool, "borealis") == 1
    assert placed(pool, "aster") == 40, "those that are to leave go before any of the same lab is placed"
    work(pool)
    assert placed(pool, "aster") == 60
    assert_as_from_scratch()


@pytest.mark.slow
def test_answers_of_one_lab_hold_nobody_up(pool, monkeypatch):
    """Tokens that become pure wait in the queue of the lab whose answers made them so."""
    monkeypatch.setattr(placing, "TOKENS", 2)
    names = ("aster", "borealis")
    lines = {name: accounts(pool, name, count) for name, count in zip(names, (20, 1), strict=True)}
    for name, held in lines.items():
        send(pool.labs[name], "evidence?round=1", *held)
        said = [answer_of(token, 8, 8) for line in held for token in line["tokens"]]
        send(pool.labs[name], "prevalence", *said)
    a_round(pool)
    assert PureToken.objects.count() == 2
    values = Stir.objects.filter(kind=Stir.Kind.TOKEN).values_list("lab", flat=True)
    assert set(values) == {pool.partners["aster"].pk}


def test_votes_of_all_labs_are_asked_in_turn(pool, monkeypatch):
    an_elected_one(pool, *(pool.token(f"phrase {number}", "phrase") for number in range(3)))
    monkeypatch.setattr(electing, "_ELECTED_AT_ONCE", 4)
    send(pool.aster, "evidence?round=1", *accounts(pool, "aster", 30))
    send(pool.borealis, "evidence?round=1", *accounts(pool, "borealis", 2))
    while Stir.objects.exists():
        a_round(pool)
    waits = Placed.objects.filter(campaign=None, looked_at=None)
    assert waits.count() == 32
    assert proposing.elect_some(pool.group.pk)
    assert waits.filter(partner=pool.partners["borealis"]).count() == 0
    assert waits.count() == 28


def test_who_carries_a_common_token_without_a_place_is_not_walked(pool, monkeypatch):
    """A token votes until it is common; then its carriers are read once, and no more than few of them from then on."""
    monkeypatch.setattr(joining, "RARE", 4)
    monkeypatch.setattr(placing, "ACCOUNTS", 3)
    phrases = [pool.token(f"phrase {number}", "phrase") for number in range(3)]
    elected = an_elected_one(pool, *phrases)
    assert set(votes(phrases)) == {True}
    crowd = [pool.account(*phrases) for _ in range(60)]
    send(pool.borealis, "evidence?round=1", *crowd)
    a_round(pool)
    assert set(votes(phrases)) == {False}
    assert elected.get().looked_at is None, "it is asked once"
    work(pool)
    assert elected.get().campaign is None
    assert_as_from_scratch()
    late = pool.account(*phrases)
    send(pool.borealis, "evidence?round=1", late)
    a_round(pool)
    assert Placed.objects.filter(campaign=None, looked_at=None).count() == 1, "the late one itself, and nobody else"
    send(pool.borealis, "evidence?round=1", *({"account": each["account"], "gone": True} for each in (*crowd, late)))
    work(pool)
    assert set(votes(phrases)) == {True}
    assert elected.get().elected
    assert_as_from_scratch()


def votes(phrases):
    values = [bytes.fromhex(phrase["value"]) for phrase in phrases]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT u.votes FROM indicators_puretoken u JOIN indicators_evidencetoken t ON t.id = u.token"
            " WHERE t.value = ANY(%s)",
            [values],
        )
        return [vote for (vote,) in cursor.fetchall()]


def test_what_an_older_release_put_into_the_queue_is_taken(pool):
    """Its rows name no lab."""
    send(pool.aster, "evidence?round=1", *accounts(pool, "aster", 3))
    Stir.objects.update(lab=queueing.NOBODY)
    work(pool)
    assert Placed.objects.count() == Suspect.objects.count() == 3
