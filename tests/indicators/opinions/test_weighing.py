"""Usefulness: buckets over three or more partners, once an interval, to the publisher alone; what is its own, exactly."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange import clock
from indicators.opinions import giving, weighing
from partners.models import Group
from tests import build
from tests.indicators.api.caller import Caller, code, read
from tests.indicators.opinions.test_flooding import ack

pytestmark = pytest.mark.django_db
OTHERS = ("borealis", "cygnus", "eridanus", "fornax")


@given(st.integers(0, 1_000))
def test_a_bucket_begins_at_or_below_the_number_and_there_is_none_under_three(partners):
    found = weighing.bucket(partners)
    assert (found is None) == (partners < 3)
    assert found is None or found <= partners


@given(st.integers(0, 1_000), st.integers(0, 1_000), st.integers(0, 9))
def test_precision_is_tenths_rounded_down_of_three_or_more(confirms, dissents, partners):
    found = weighing.precision(confirms, dissents, partners=partners)
    if partners < 3 or not confirms + dissents:
        assert found is None
    else:
        assert 0 <= confirms / (confirms + dissents) - found < 0.1 + 1e-9


@pytest.fixture
def cast(settings):
    settings.PREVALENCE_INTERVAL_S = 3_600
    made = build.the_cast()
    labs = [build.a_partner(name.title()) for name in OTHERS[2:]]
    made.keys.update({lab.slug: build.a_key(lab) for lab in labs})
    build.a_ring(made.aster, made.borealis, made.cygnus, *labs, slug="wide")
    return made


@pytest.fixture
def theirs(cast):
    hour = clock.now().replace(minute=0, second=0, microsecond=0) - timedelta(hours=4)
    made = build.an_indicator(extension={"first_seen": clock.rfc3339(hour), "last_seen": clock.rfc3339(hour)})
    assert build.publish(cast.viewer("aster"), made, groups=("wide",)).counts["accepted"] == 1
    return made["id"]


def asked(cast, path="usefulness", who="aster"):
    return read(Caller(cast.keys[who]).get(path))


def after(monkeypatch, **by):
    moment = clock.now() + timedelta(**by)
    monkeypatch.setattr(clock, "now", lambda: moment)


@pytest.mark.slow
def test_three_partners_are_told_as_a_bucket_and_two_are_not_nor_a_third_within_the_hour(cast, theirs, monkeypatch):
    for who in OTHERS[:2]:
        ack(cast, who, theirs, blocked=50)
    one, every = asked(cast, f"objects/{theirs}/usefulness"), asked(cast)
    assert {one[word] for word in weighing.WORDS} == {None} == {every[word] for word in weighing.WORDS}
    ack(cast, OTHERS[2], theirs, blocked=0)
    ack(cast, OTHERS[3], theirs, blocked=50)
    giving.give(cast.viewer("borealis"), theirs, opinion="disagree", reason="false_positive")
    assert asked(cast, f"objects/{theirs}/usefulness") == one, "a number moves once an interval"
    after(monkeypatch, minutes=61)
    now = asked(cast, f"objects/{theirs}/usefulness")
    assert {word: now[word] for word in weighing.WORDS} == {
        "hold": 3,
        "matched": 3,
        "blocked": 3,
        "disagreed": None,
    }
    every = asked(cast)
    assert (every["matched"], every["by_kind"]["account-pattern"]["matched"]) == (3, 3)


def test_a_number_moves_once_in_the_longest_interval_of_ones_groups_and_then_at_once(cast, theirs, monkeypatch):
    aster = cast.viewer("aster")
    of = Group.objects.filter
    for ring, wide, longest in ((60, 90, 90), (60, None, 3_600), (7_200, None, 7_200)):
        of(slug="ring").update(interval_s=ring)
        of(slug="wide").update(interval_s=wide)
        assert weighing.interval(aster) == timedelta(seconds=longest)
    after(monkeypatch)  # it stands from now on
    first = asked(cast)["as_of"]
    after(monkeypatch, minutes=119, seconds=59)
    assert asked(cast)["as_of"] == first
    after(monkeypatch, seconds=1)
    assert asked(cast)["as_of"] != first


def test_precision_is_of_what_others_judged(cast, theirs, monkeypatch):
    bad = build.an_indicator()
    build.publish(cast.viewer("aster"), bad, groups=("wide",))
    for who in OTHERS[:3]:
        giving.give(cast.viewer(who), theirs, opinion="agree", reason="confirmed_here")
    giving.give(cast.viewer("borealis"), bad["id"], opinion="disagree", reason="victim")
    assert asked(cast)["precision"] == 0.5
    for who in OTHERS[1:3]:
        giving.take_back(cast.viewer(who), theirs)
    after(monkeypatch, minutes=61)
    assert asked(cast)["precision"] is None, "one partner's judgement alone is told as no number"


def test_what_is_its_own_is_told_exactly(cast, theirs):
    giving.give(cast.viewer("borealis"), theirs, opinion="agree", reason="confirmed_here")
    ack(cast, "borealis", theirs, blocked=5)
    own = asked(cast, who="borealis")["own"]
    assert own["uses"] == {"held": 1, "met": 1}
    assert own["gives"]["opinions"] == 1
    mine = asked(cast)["own"]
    assert (mine["gives"]["published"], mine["gives"]["living"]) == (1, 1)
    assert 3.9 < mine["median_hours_to_share"] < 5.1


@pytest.mark.slow
def test_nobody_else_is_told_of_an_indicator(cast, theirs):
    assert Caller(cast.keys["borealis"]).get(f"objects/{theirs}/usefulness").status_code == 404
    reader = build.a_key(cast.aster, build.Scope.READ)
    assert code(Caller(reader).get("usefulness"), 403) == "missing-scope"
