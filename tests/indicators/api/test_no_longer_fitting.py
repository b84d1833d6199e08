"""Who follows a filter by `/changes` is told to let go of what it held, by whatever way that stopped fitting."""

from __future__ import annotations

import pytest

from indicators.opinions import giving
from tests import build
from tests.indicators.api.caller import Caller, read
from tests.indicators.api.test_delta import Subscriber, visible, withdraw
from tests.indicators.log.test_joining import joins, leaves

pytestmark = pytest.mark.django_db


class Follower:
    """One who keeps what `/changes` tells of a feed, or of all, and asks for what is new."""

    def __init__(self, caller: Caller, text: str = "") -> None:
        self.caller, self.cursor, self.held = caller, "", set()
        made = text and read(caller.send("POST", "feeds", {"name": text, "text": text}), 201)["id"]
        self.feed = f"&feed={made}" if made else ""
        self.news()

    def news(self) -> list[tuple[str, str, str]]:
        page = read(self.caller.get(f"changes?limit=100&cursor={self.cursor}{self.feed}"))
        for change in page["changes"]:
            (self.held.add if change["op"] == "upsert" else self.held.discard)(change["id"])
        self.cursor = page["cursor"]
        return [(change["op"], change["reason"], change["id"]) for change in page["changes"]]


def readdressed(caller: Caller, stix: dict, **to: object) -> None:
    assert caller.send("PUT", f"objects/{stix['id']}/audience", to).status_code == 204


@pytest.fixture
def dissenting(cast, aster) -> dict:
    """An object that two partners see, of whom one will dissent."""
    build.a_ring(cast.aster, cast.borealis, slug="second")
    stix = build.an_indicator(tlp_word="green")
    assert aster.push(stix, query="?groups=ring").status_code == 200
    return stix


def test_what_is_marked_more_strictly_leaves_who_follows_the_marking(aster, borealis):
    stix = build.an_indicator(tlp_word="green")
    aster.push(stix, query="?groups=ring")
    reader = Follower(borealis, "tlp:clear,green")
    assert reader.held == {stix["id"]}
    readdressed(aster, stix, tlp="amber")
    assert reader.news() == [("remove", "filtered", stix["id"])]


def test_what_is_disputed_and_then_shown_to_others_leaves_those_who_held_it(cast, aster, borealis, dissenting):
    reader = Follower(borealis)
    assert reader.held == {dissenting["id"]}
    giving.give(cast.viewer("borealis"), dissenting["id"], opinion="disagree", reason="false_positive")
    readdressed(aster, dissenting, groups=["ring", "second"])
    assert ("remove", "disputed", dissenting["id"]) in reader.news()
    assert dissenting["id"] not in reader.held


def test_what_was_revised_and_then_granted_leaves_who_held_what_it_was(cast, aster, borealis):
    second = build.a_ring(cast.aster, slug="second")
    stix = build.an_indicator(confidence=80)
    aster.push(stix, query="?groups=ring,second")
    reader = Follower(borealis, "confidence:>=50")
    assert reader.held == {stix["id"]}
    aster.push(stix | {"confidence": 10, "modified": build.later()})
    joins(cast.borealis, second)
    assert ("remove", "filtered", stix["id"]) in reader.news()
    assert reader.held == set() == visible(borealis) - {stix["id"]}


def test_what_was_withdrawn_and_comes_back_as_another_version_leaves_who_held_the_first(aster, borealis):
    stix = build.an_indicator(confidence=80)
    aster.push(stix)
    reader = Follower(borealis, "confidence:>=50")
    assert reader.held == {stix["id"]}
    withdraw(aster, stix)
    aster.push(stix | {"confidence": 10, "modified": build.later()}, query="?wake=true")
    assert reader.news() == [("remove", "filtered", stix["id"])]


def test_what_is_disputed_and_recalled_and_brought_back_leaves_those_who_held_it(cast, aster, borealis, dissenting):
    reader = Follower(borealis)
    giving.give(cast.viewer("borealis"), dissenting["id"], opinion="disagree", reason="false_positive")
    withdraw(aster, dissenting)
    aster.push(dissenting, query="?wake=true&groups=ring")
    assert ("remove", "disputed", dissenting["id"]) in reader.news()
    assert reader.held.isdisjoint({dissenting["id"]})


def test_who_joins_is_told_of_nothing_that_its_filter_never_let_through(cast, aster, cygnus):
    """What is told of a group to its new member was never told to it before."""
    aster.push(*(build.an_indicator(confidence=10) for _ in range(3)), build.an_indicator(confidence=80))
    reader = Follower(cygnus, "confidence:>=50")
    joins(cast.cygnus, cast.ring)
    assert [op for op, _, _ in reader.news()] == ["upsert"]


@pytest.fixture
def two_groups(cast) -> None:
    """Borealis is in both, Cygnus in the second alone."""
    build.a_ring(cast.aster, cast.borealis, cast.cygnus, slug="second")


def shown_in(aster: Caller, *groups: str) -> dict:
    stix = build.an_indicator()
    assert aster.push(stix, query=f"?groups={','.join(groups)}").status_code == 200
    return stix


@pytest.mark.usefixtures("two_groups")
@pytest.mark.slow
def test_what_is_taken_out_of_a_group_leaves_its_feed_for_who_sees_it_by_another(aster, borealis):
    stix = shown_in(aster, "ring", "second")
    all_of_it, of_ring = Follower(borealis), Follower(borealis, "group:ring")
    agent = Subscriber(borealis, of_ring.feed.removeprefix("&feed="))
    agent.catch_up()
    assert of_ring.held == agent.ids() == {stix["id"]}
    readdressed(aster, stix, groups=["second"])
    assert of_ring.news() == [("remove", "filtered", stix["id"])]
    assert all_of_it.news() == [("upsert", "granted", stix["id"])]
    assert [(row["op"], row["reason"]) for row in agent.catch_up()] == [("remove", "filtered")]


@pytest.mark.usefixtures("two_groups")
@pytest.mark.slow
def test_who_sees_it_as_before_learns_nothing_of_a_group_that_is_not_theirs(aster, cygnus):
    stix = shown_in(aster, "ring", "second")
    reader = Follower(cygnus)
    before = reader.cursor
    readdressed(aster, stix, groups=["second"])
    assert (reader.news(), reader.cursor) == ([], before)
    readdressed(aster, stix, groups=["ring", "second"])
    assert (reader.news(), reader.cursor) == ([], before)


def test_who_sees_it_in_their_group_is_not_told_that_it_went_to_others_besides(aster, borealis):
    stix = build.an_indicator()
    assert aster.push(stix, query="?groups=ring&partners=borealis,dorado").status_code == 200
    reader = Follower(borealis)
    assert reader.held == {stix["id"]}
    readdressed(aster, stix, groups=["ring"])
    assert reader.news() == []


@pytest.mark.slow
def test_who_left_a_group_learns_nothing_of_what_is_taken_out_of_it_later(cast, aster, borealis):
    """They lose a name of their own at the same place of the log, and see it by another group as before."""
    build.a_ring(cast.aster, cast.borealis, slug="second")
    stix = build.an_indicator()
    assert aster.push(stix, query="?groups=ring,second&partners=borealis,dorado").status_code == 200
    leaves(cast.borealis, "ring")
    reader = Follower(borealis)
    readdressed(aster, stix, groups=["second"])
    assert reader.news() == []


@pytest.mark.usefixtures("two_groups")
@pytest.mark.parametrize("reader", ["borealis", "aster"])
def test_what_is_seen_by_another_way_leaves_the_feed_of_a_group_that_is_left(cast, aster, reader):
    stix = shown_in(aster, "ring", "second")
    follower = Follower(Caller(cast.keys[reader]), "group:ring")
    agent = Subscriber(follower.caller, follower.feed.removeprefix("&feed="))
    agent.catch_up()
    assert follower.held == agent.ids() == {stix["id"]}
    leaves(getattr(cast, reader), "ring")
    assert follower.news() == [("remove", "filtered", stix["id"])]
    assert [(row["op"], row["reason"]) for row in agent.catch_up()] == [("remove", "filtered")]


def test_a_marking_that_alone_changed_is_told_by_the_delta(aster, borealis):
    stix = build.an_indicator(tlp_word="green")
    aster.push(stix, query="?groups=ring")
    agent = Subscriber(borealis)
    assert [row["tlp"] for row in agent.catch_up()] == ["green"]
    readdressed(aster, stix, tlp="amber")
    assert [(row["op"], row["reason"], row["tlp"]) for row in agent.catch_up()] == [("upsert", "revised", "amber")]
    readdressed(aster, stix, partners=["borealis", "dorado"])
    assert agent.catch_up() == []
