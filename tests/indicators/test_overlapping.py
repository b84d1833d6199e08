"""A network within a network, and ranges of card numbers that overlap, are a match as equal values are."""

from __future__ import annotations

import ipaddress
import random

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from indicators import matching, reading
from indicators.feeds import spelling
from indicators.feeds.filters import EVERYTHING, Filter
from indicators.log import changes
from indicators.models import Span
from indicators.reading.selecting import Selection
from indicators.stix import making
from indicators.values import overlapping
from partners.attribution import Attribution
from tests import build, stores
from tests.drilling import runs
from tests.indicators.api.caller import Caller
from tests.indicators.matching.test_no_match import narrow, revoke, withdraw
from tests.indicators.matching.test_where_found import join
from tests.indicators.test_matching import classical, ends, found, unnamed
from tests.plans import read_by, watched

pytestmark = pytest.mark.django_db

ADDRESS, NARROW, WIDE = "185.77.147.7/32", "185.77.147.0/24", "185.77.0.0/16"


@pytest.fixture
def cast():
    return build.the_cast()


def net(value: str, **more) -> dict:
    return making.account_pattern("net", carrier={"value": value}, **more)


def bins(value: str) -> dict:
    return making.payment_fingerprint("bin_range", carrier={"value": value})


def push(cast, who: str, *made: dict, **where) -> str:
    answer = build.publish(cast.viewer(who), *made, **(where or {"everyone": True}))
    assert answer.counts["accepted"] == len(made), answer.results
    return made[0]["id"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (net(NARROW), net(ADDRESS)),
        (net(WIDE), net(NARROW)),
        (net(WIDE), net(ADDRESS)),
        (net("2a10:1cc0::/32"), net("2a10:1cc0:5::/48")),
        (net("2a10:1cc0:5::/48"), net("2a10:1cc0:5:6::/64")),
        (net(NARROW), classical("[ipv4-addr:value = '185.77.147.9']")),
        (net(NARROW), classical("[url:value = 'http://185.77.147.9/']")),
        (bins("411111"), bins("41111150-41111160")),
        (bins("41111140-41111155"), bins("41111150-41111160")),
        (bins("4111115"), bins("41111155")),
    ],
)
def test_what_overlaps_is_a_match_whichever_came_first(cast, one, other):
    for first, second in ((one, other), (other, one)):
        made = [first | {"id": making.account_pattern()["id"]}, second | {"id": making.account_pattern()["id"]}]
        place = changes.own_end(cast.viewer("cygnus"))
        ids = {push(cast, who, stix) for who, stix in zip(("aster", "borealis"), made, strict=True)}
        assert found(cast, "cygnus") == [ids]
        assert found(cast, "aster") == [ids]
        told = changes.since(cast.viewer("cygnus"), EVERYTHING, after=place, limit=10).changes
        assert [[ends(match) for match in change.matches] for change in told] == [[], [ids]]
        since = matching.since(cast.viewer("cygnus"), after=place, limit=10).matches
        assert [ends(match) for match in since] == [ids]
        listed = reading.page(cast.viewer("cygnus"), Selection(matched=True), limit=10).statements
        assert {said.stix_id for said in listed} == ids, "both are objects that have a match"
        build.publish(cast.viewer("aster"), made[0] | {"revoked": True, "modified": build.later()}, everyone=True)
        assert found(cast, "cygnus") == []
        build.publish(cast.viewer("borealis"), made[1] | {"revoked": True, "modified": build.later()}, everyone=True)
        assert not Span.unrestricted.exists()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (net(NARROW), net("185.77.148.7/32")),
        (net(NARROW), net("185.77.146.0/24")),
        (net(NARROW), net("as64496")),
        (net("2a10:1cc0:5::/48"), net("2a10:1cc0:6:6::/64")),
        (bins("41111140-41111149"), bins("41111150-41111160")),
        (classical("[ipv4-addr:value = '185.0.0.0/8']"), net(ADDRESS)),
    ],
)
def test_what_lies_beside_or_is_too_wide_to_be_listed_is_none(cast, one, other):
    push(cast, "aster", one)
    push(cast, "borealis", other)
    assert found(cast, "cygnus") == []
    assert reading.page(cast.viewer("cygnus"), Selection(matched=True), limit=10).statements == []


def test_the_answer_says_which_values_overlap_and_counts_no_publisher_more(cast):
    wide = push(cast, "aster", net(NARROW))
    address = push(cast, "borealis", net(ADDRESS))
    caller = Caller(cast.keys["cygnus"])
    (match,) = caller.get("matches").json()["matches"]
    assert (match["basis"], match["domain"], match["value"]) == ("overlap", "net", ADDRESS)
    assert {one["id"]: one.get("value") for one in match["objects"]} == {address: None, wide: NARROW}
    two = Selection(Filter(spelling.read_text("publishers:>=2")))
    assert reading.page(cast.viewer("cygnus"), two, limit=10).statements == []
    same = push(cast, "cygnus", net(ADDRESS))
    (match,) = caller.get("matches").json()["matches"]
    assert match["basis"] == "token"
    assert {one["id"]: one.get("value") for one in match["objects"]} == {address: None, same: None, wide: NARROW}


def test_two_that_say_one_value_and_lie_in_a_third_ones_network_are_found_at_what_came_last(cast):
    addresses = [push(cast, who, net(f"185.77.147.{number}/32")) for number, who in enumerate(("aster", "borealis"))]
    assert found(cast, "cygnus") == [], "two addresses do not overlap each other"
    wide = push(cast, "cygnus", net(NARROW))
    assert found(cast, "cygnus") == [{wide, *addresses}]
    later = push(cast, "borealis", net("185.77.147.9/32"))
    assert found(cast, "cygnus") == [{later, wide}, {wide, *addresses, later}]
    told = matching.since(cast.viewer("dorado"), after=0, limit=10).matches
    assert [ends(match) for match in told] == [{wide, *addresses, later}, {later, wide}]


def test_own_networks_do_not_match_each_other_nor_two_that_come_from_the_exchange(cast):
    push(cast, "aster", net(NARROW), net(ADDRESS))
    assert found(cast, "aster") == found(cast, "cygnus") == []
    for who, value in (("borealis", "45.96.1.0/24"), ("cygnus", "45.96.1.4/32")):
        unnamed(cast.viewer(who), net(value), attribution=Attribution.EXCHANGE)
    assert found(cast, "aster") == []


@pytest.mark.parametrize("end", [withdraw, narrow, revoke])
def test_what_ended_or_left_ones_sight_leaves_at_once(cast, end):
    push(cast, "aster", net(NARROW))
    inside = net(ADDRESS)
    push(cast, "borealis", inside)
    assert len(found(cast, "aster")) == 1
    end(cast, inside)
    assert found(cast, "aster") == []


def test_who_joins_later_finds_it_at_what_came_into_sight(cast):
    mine = push(cast, "cygnus", net(NARROW))
    theirs = push(cast, "borealis", net(ADDRESS), groups=("ring",))
    assert found(cast, "cygnus") == []
    place = changes.own_end(cast.viewer("cygnus"))
    join(cast)
    since = matching.since(cast.viewer("cygnus"), after=place, limit=10)
    assert [ends(match) for match in since.matches] == [{mine, theirs}]


def test_a_revised_value_is_matched_anew(cast):
    stix = net("45.99.1.1/32")
    push(cast, "borealis", stix)
    push(cast, "aster", net(NARROW))
    other = net(ADDRESS)
    push(cast, "borealis", other | {name: stix[name] for name in ("id", "created")} | {"modified": build.later()})
    assert [stix["id"] in one for one in found(cast, "aster")] == [True]


@pytest.mark.slow
def test_nothing_hidden_moves_what_is_found(cast):
    def told() -> list:
        viewer = cast.viewer("borealis")
        newest = [sorted(ends(match)) for match in matching.newest(viewer, limit=100).matches]
        return [newest, [sorted(ends(match)) for match in matching.since(viewer, after=0, limit=100).matches]]

    hidden = {"partners": ("dorado",)}
    push(cast, "cygnus", net(WIDE), *(net(f"185.77.147.{last}/32") for last in range(100, 150)), **hidden)
    push(cast, "aster", net(NARROW), groups=("ring",))
    assert told() == [[], []]
    push(cast, "borealis", net(ADDRESS), groups=("ring",))
    before = told()
    assert len(before[0]) == 1
    push(cast, "cygnus", net(ADDRESS), *(net(f"185.77.147.{last}/32") for last in range(150, 200)), **hidden)
    assert told() == before


@pytest.mark.slow
def test_what_others_say_within_a_network_costs_its_readers_the_same(cast):
    stores.forget_statistics()
    push(cast, "borealis", net(NARROW))
    viewer, rows = cast.viewer("cygnus"), []
    for more in (40, 200):
        hosts = [str(one) for one in ipaddress.ip_network(NARROW)]
        push(cast, "aster", *(net(f"{host}/32") for host in hosts[:more]))
        push(cast, "aster", *(net(f"{host}/32") for host in hosts[:more]), partners=("dorado",))
        last = push(cast, "borealis", net(NARROW))
        with watched() as plans:
            (match,) = matching.since(viewer, after=changes.head() - 1, limit=5).matches
        assert last in ends(match)
        assert max(len(side.ends) for side in match.sides) == 6
        rows.append(read_by(plans))
    assert rows[1] <= rows[0] + 40, rows


def test_values_that_cannot_overlap_ask_no_second_query(cast):
    for who in ("aster", "borealis"):
        push(cast, who, making.account_pattern(carrier={"token": making.token("ab" * 32)}))
    with CaptureQueriesContext(connection) as equal:
        assert len(found(cast, "cygnus")) == 1
    assert not [query for query in equal if "indicators_span" in query["sql"]]


@pytest.mark.parametrize("seed", runs(3, quick=1))
def test_all_pairs_that_overlap_are_found_and_no_others(cast, seed):
    """Beside a plain count of pairs: of networks and ranges of three labs, whichever way they are read."""
    chance = random.Random(seed)
    said: list[tuple[str, str, tuple]] = []
    for _ in range(40):
        who = chance.choice(("aster", "borealis", "cygnus"))
        if chance.random() < 0.5:
            bits = chance.choice((16, 24, 25, 30, 32))
            value = ipaddress.ip_network((f"185.77.147.{chance.randrange(256)}", bits), strict=False)
            stix, span = net(str(value)), (int(value[0]), int(value[-1]))
        else:
            low = 41111100 + chance.randrange(60)
            high = low + chance.randrange(20)
            stix, span = bins(f"{low}-{high}" if high > low else str(low)), (-high, -low)
        audience = chance.choice(({"everyone": True}, {"groups": ("ring",)}))
        if who == "cygnus":
            audience = {"everyone": True}
        said.append((push(cast, who, stix, **audience), who, span))
    wanted = {
        frozenset((one, other))
        for one, whose, (first, last) in said
        for other, theirs, (begins, ended) in said
        if whose != theirs and first <= ended and begins <= last
    }
    viewer, before, seen = cast.viewer("aster"), None, set()
    while True:
        page = matching.newest(viewer, before=before, limit=3, rows=7)
        seen |= {frozenset(pair) for match in page.matches for pair in _pairs(match)}
        if (before := page.before) is None:
            break
    assert seen == wanted
    told = matching.since(viewer, after=0, limit=200).matches
    assert {frozenset(pair) for match in told for pair in _pairs(match)} == wanted


def _pairs(match):
    """One that carries the value, and one of another source that overlaps it or carries it, too."""
    for one in match.ends:
        for other in match.ends:
            if one.source.id != other.source.id and not one.overlapping:
                yield one.stix_id, other.stix_id


def test_of_very_many_some_are_looked_at(cast):
    hosts = [net(f"{host}/32") for host in list(ipaddress.ip_network(NARROW))[: overlapping.MOST + 8]]
    push(cast, "aster", *hosts)
    wide = push(cast, "borealis", net(NARROW))
    assert [wide in one for one in found(cast, "cygnus")] == [True]
