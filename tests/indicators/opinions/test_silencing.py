"""A suspended partner's opinions do not count, for or against, and count again once it is reinstated; both are told."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import orjson
import pytest

from exchange import clock, schedule
from indicators import reading
from indicators.log import changes
from indicators.models import Holding, Opinion, Silence, Told
from indicators.opinions import flooding, giving, overview, recording, sighting, silencing, weighing
from indicators.stix import making
from indicators.telling import inbox
from partners.groups import life
from partners.keys import auth
from tests import build
from tests.indicators.api.caller import Caller, read
from tests.indicators.api.test_delta import Subscriber
from tests.indicators.opinions.test_judging import _listed, _told

pytestmark = pytest.mark.django_db


@pytest.fixture
def world() -> Any:
    """Cygnus dissents from an indicator of Aster's, which Borealis reads."""
    cast = build.the_cast()
    said = making.account_pattern("net", carrier={"value": "198.51.100.0/24"}, tlp_word="green")
    build.publish(cast.viewer("aster"), said, everyone=True)
    giving.give(cast.viewer("cygnus"), said["id"], opinion="disagree", reason="false_positive")
    return cast, auth.viewer_of_user(build.a_user(cast.operator)), said["id"]


def test_it_comes_back_to_lists_and_leaves_them_again(world: Any) -> None:
    cast, operator, stix_id = world
    borealis, delta = cast.viewer("borealis"), Subscriber(Caller(cast.keys["borealis"]))
    delta.catch_up()
    assert not _listed(borealis)
    for act, listed, told, row, standing in (
        ("suspend", True, ("upsert", "judged"), ("upsert", "published"), "unreviewed"),
        ("reinstate", False, ("remove", "disputed"), ("remove", "disputed"), "disputed"),
    ):
        before = changes.head()
        if act == "suspend":
            life.suspend(cast.cygnus, by=operator, why="A stolen key.")
        else:
            life.reinstate(cast.cygnus, by=operator)
        silencing.catch_up()
        assert (_listed(borealis), _told(borealis, before)) == (listed, [told])
        rows = delta.catch_up()
        assert [(one["op"], one["reason"]) for one in rows if one["id"] == stix_id] == [row]
        (judged,) = read(Caller(cast.keys["borealis"]).get(f"objects/{stix_id}/opinions"))["judged"]
        assert judged["standing"] == standing
        assert judged["opinions"][0]["partner"].get("suspended", False) is listed
        end = changes.head()
        silencing.catch_up()
        assert changes.head() == end, "told once"


@pytest.mark.slow
def test_who_does_not_hear_an_opinion_is_told_nothing_of_it(world: Any) -> None:
    cast, operator, _ = world
    ours = build.an_indicator()
    build.publish(cast.viewer("aster"), ours, groups=("ring",))
    giving.give(cast.viewer("borealis"), ours["id"], opinion="disagree", reason="false_positive")
    ends = {name: changes.own_end(cast.viewer(name)) for name in ("aster", "cygnus")}
    life.suspend(cast.borealis, by=operator, why="A stolen key.")
    silencing.catch_up()
    assert changes.own_end(cast.viewer("cygnus")) == ends["cygnus"]
    assert _told(cast.viewer("aster"), ends["aster"]) == [("upsert", "judged")]


def test_a_confirmation_does_not_count_either(world: Any) -> None:
    cast, operator, stix_id = world
    eve = build.a_partner("Eve")
    giving.give(build.viewer_of(eve), stix_id, opinion="agree", reason="confirmed_here")
    assert _listed(cast.viewer("borealis"))
    before = changes.head()
    life.suspend(eve, by=operator, why="A stolen key.")
    silencing.catch_up()
    assert not _listed(cast.viewer("borealis"))
    assert _told(cast.viewer("borealis"), before) == [("remove", "disputed")]


def test_many_are_told_of_in_portions_and_what_was_interrupted_goes_on(world: Any, monkeypatch: Any) -> None:
    cast, operator, _ = world
    more = [build.an_indicator(tlp_word="green") for _ in range(4)]
    build.publish(cast.viewer("aster"), *more, everyone=True)
    for one in more:
        giving.give(cast.viewer("cygnus"), one["id"], opinion="disagree", reason="stale")
    monkeypatch.setattr(silencing, "_PORTION", 2)
    monkeypatch.setattr(silencing, "_PORTIONS", 1)
    before = changes.head()
    life.suspend(cast.cygnus, by=operator, why="A stolen key.")
    told = []
    for _ in range(4):
        silencing.catch_up()
        told.append(len(_told(cast.viewer("borealis"), before)))
    assert told == [2, 4, 5, 5]
    life.reinstate(cast.cygnus, by=operator)
    silencing.catch_up()
    life.suspend(cast.cygnus, by=operator, why="Again.")
    silencing.catch_up()
    silence = Silence.unrestricted.get(partner=cast.cygnus)
    assert silence.silent, "who turns back before all was told is told of from the beginning"
    assert silence.reached is not None


def test_who_is_reinstated_before_anybody_was_told_is_told_of_for_lists_may_have_changed_meanwhile(world: Any) -> None:
    cast, operator, stix_id = world
    silencing.catch_up()  # as it does every few seconds
    aster, delta = cast.viewer("aster"), Subscriber(Caller(cast.keys["borealis"]))
    delta.catch_up()
    life.suspend(cast.cygnus, by=operator, why="A stolen key.")
    (said,) = reading.said(aster, stix_id)
    build.publish(aster, orjson.loads(said.body) | {"modified": build.later()}, everyone=True)
    assert [(one["op"], one["id"]) for one in delta.catch_up()] == [("upsert", stix_id)], "it does not count now"
    life.reinstate(cast.cygnus, by=operator)
    silencing.catch_up()
    assert [(one["op"], one["reason"]) for one in delta.catch_up()] == [("remove", "disputed")]


def test_what_a_partner_said_before_it_was_suspended_counts_again_also_if_nobody_had_recorded_it(world: Any) -> None:
    cast, operator, stix_id = world
    said = Opinion.unrestricted.get().said_by
    life.suspend(cast.cygnus, by=operator, why="A stolen key.")
    recording.recorded(said.pk, actor="")
    life.reinstate(cast.cygnus, by=operator)
    silencing.catch_up()
    assert not _listed(cast.viewer("borealis"))
    assert giving.read(cast.viewer("borealis"), stix_id)[0].standing == "disputed"


def test_nothing_that_is_counted_counts_it(world: Any) -> None:
    """What the publisher's home and Judgement list, and how good its indicators are: as if nobody had said it."""
    cast, operator, _ = world
    aster, long_ago = cast.viewer("aster"), clock.now() - timedelta(days=1)
    for number in range(3):
        more = build.an_indicator(tlp_word="green")
        build.publish(aster, more, everyone=True)
        word = ("agree", "confirmed_here") if number else ("disagree", "stale")
        giving.give(build.viewer_of(build.a_partner(f"Lab {number}")), more["id"], opinion=word[0], reason=word[1])

    def counted() -> tuple[int, dict[str, int], int, float | None]:
        Told.unrestricted.all().delete()  # as after the interval
        return (
            inbox.dissents(aster, since=long_ago).count(),
            overview.counts(aster),
            len(overview.page(aster, "received", before=None, limit=9)[0]),
            weighing.of_all(aster)["precision"],
        )

    before = counted()
    assert before == (2, {"received": 4, "dissents": 2, "given": 0}, 4, 0.5)
    life.suspend(cast.cygnus, by=operator, why="A stolen key.")
    assert counted() == (1, {"received": 3, "dissents": 1, "given": 0}, 3, 0.6)
    life.reinstate(cast.cygnus, by=operator)
    assert counted() == before


def test_a_sighting_that_nobody_had_counted_before_its_partner_was_suspended_counts_again_later(world: Any) -> None:
    cast, operator, stix_id = world
    sighting.report(cast.viewer("cygnus"), stix_id, count=4, first_seen=clock.now(), last_seen=clock.now())
    life.suspend(cast.cygnus, by=operator, why="A stolen key.")
    flooding.catch_up()
    holding = Holding.unrestricted.get(stix_id=stix_id)
    assert flooding._met([holding.pk], since=clock.now() - timedelta(hours=2)) == {}
    life.reinstate(cast.cygnus, by=operator)
    flooding.catch_up()
    met = flooding._met([holding.pk], since=clock.now() - timedelta(hours=2))
    assert met[holding.pk].keys() == {cast.cygnus.pk}


def test_beat_begins_it() -> None:
    assert schedule.SCHEDULE["silence"]["task"] == silencing.catch_up.name
