"""Where a match is found: at the later of its two ends, as its reader came to see them, page by page in both directions."""

from __future__ import annotations

import random
import uuid
from collections import defaultdict
from datetime import timedelta

import pytest
from django.db import transaction

from exchange import clock
from indicators import matching
from indicators.ending import withdrawing
from indicators.feeds.filters import EVERYTHING
from indicators.log import changes
from indicators.matching import standing
from indicators.matching.finding import End, Standing
from indicators.models import Carries, StixObject
from indicators.stix import making
from partners import sight
from partners.models import Membership
from partners.sources import Source
from tests import build
from tests.drilling import runs
from tests.indicators.api.caller import Caller
from tests.indicators.test_matching import ends, found, say

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast():
    return build.the_cast()


def test_who_comes_to_see_one_end_later_finds_the_match_there(cast):
    (mine,) = say(cast, "cygnus")
    (theirs,) = say(cast, "borealis", groups=("ring",))
    say(cast, "borealis", token=making.token("ab" * 32))
    place = matching.newest(cast.viewer("cygnus"), limit=1).end
    assert found(cast, "cygnus") == []
    join(cast)
    since = matching.since(cast.viewer("cygnus"), after=place, limit=10)
    assert [ends(match) for match in since.matches] == [{mine, theirs}]
    assert matching.since(cast.viewer("cygnus"), after=since.reached, limit=10).matches == []
    assert found(cast, "cygnus") == [{mine, theirs}]
    leave(cast)
    assert found(cast, "cygnus") == []


def test_a_reader_who_loses_one_of_two_ways_to_see_an_end_finds_no_new_match(cast):
    """The log tells of the way that is gone: a row of its own, at a later place than where the object was told."""
    build.a_ring(cast.aster, cast.borealis, slug="second")
    say(cast, "borealis", partners=("aster",))
    (theirs,) = say(cast, "aster", groups=("ring", "second"))
    viewer = cast.viewer("borealis")
    before = matching.newest(viewer, limit=1)
    told = Caller(cast.keys["aster"]).send("PUT", f"objects/{theirs}/audience", {"groups": ["second"]})
    assert told.status_code == 204
    assert changes.own_end(viewer) > before.end, "it is told that the group is gone"
    assert matching.since(viewer, after=before.end, limit=10).matches == []
    assert matching.newest(viewer, limit=1).matches == before.matches


def test_where_all_but_one_side_end_while_a_match_is_read_none_is_told(cast, monkeypatch):
    say(cast, "borealis", partners=("aster",))
    (mine,) = say(cast, "aster")
    (match,) = found(cast, "aster")
    assert len(match) == 2
    read = standing._ends
    monkeypatch.setattr(
        standing, "_ends", lambda *asked: {key: end for key, end in read(*asked).items() if end.stix_id == mine}
    )
    assert found(cast, "aster") == []


def test_an_object_that_carries_a_value_and_another_that_overlaps_it_is_named_once_as_its_carrier():
    name = ("v", "network", "", "", "198.51.100.0/24")
    around = Standing(
        *name, source=1, aside=False, first=1, last=1, last_at=None, holdings=(7, 8), overlapping=("a", "b")
    )
    itself = Standing(*name, source=2, aside=False, first=2, last=2, last_at=None, holdings=(7,))
    source = Source(uuid.uuid4(), "Aster", "aster")
    ends = {key: End(key, f"indicator--{key}", "", None, source) for key in (7, 8)}
    named = [(one.object_id, one.overlapping) for one in standing._ends_of([around, itself], ends)]
    assert named == [(7, ""), (8, "b")]


def test_what_was_found_at_the_very_moment_counts_as_found_since(cast):
    say(cast, "borealis")
    say(cast, "aster")
    viewer = cast.viewer("aster")
    moment = matching.newest(viewer, limit=1).matches[0].found_at
    later = moment + timedelta(microseconds=1)
    assert [matching.recent(viewer, since=since, most=9) for since in (moment, later)] == [
        matching.Recent(1, moment, cut=False),
        matching.Recent(0, None, cut=False),
    ]


def join(cast):
    with sight.changing([cast.cygnus.pk]):
        Membership.objects.create(partner=cast.cygnus, group=cast.ring)


def leave(cast):
    with sight.changing([cast.cygnus.pk]):
        Membership.objects.filter(partner=cast.cygnus, until=None).update(until=clock.now())


def test_each_arrival_is_told_once_and_the_newest_first_has_each_value_once(cast):
    viewer, place = cast.viewer("cygnus"), 0
    say(cast, "aster", 2)
    assert matching.since(viewer, after=place, limit=10).matches == []
    (one,) = say(cast, "borealis")
    told = matching.since(viewer, after=place, limit=10)
    assert [one in ends(match) for match in told.matches] == [True]
    (two,) = say(cast, "borealis")
    again = matching.since(viewer, after=told.reached, limit=10)
    assert [{one, two} <= ends(match) for match in again.matches] == [True]
    idle = matching.since(viewer, after=again.reached, limit=10)
    assert (idle.matches, idle.reached, idle.more) == ([], again.reached, False)
    assert len(found(cast, "cygnus")) == 1


def test_pages_make_the_whole_in_both_directions_however_few_rows_a_request_covers(cast):
    for number in range(9):
        token = making.token(f"{number:02x}" * 32)
        for who in ("aster", "borealis", "aster"):
            say(cast, who, token=token)
        say(cast, "aster", token=making.token(uuid.uuid4().hex * 2))
    viewer = cast.viewer("cygnus")
    whole = [match.value_id for match in matching.newest(viewer, limit=100).matches]
    assert len(whole) == 9
    for rows in (2, 3, 7, 1_000):
        pages, before = [], None
        while True:
            page = matching.newest(viewer, before=before, limit=2, rows=rows)
            pages += [match.value_id for match in page.matches]
            assert len(page.matches) <= 2
            if (before := page.before) is None:
                break
        assert pages == whole
        told, place = [], 0
        while True:
            stretch = matching.since(viewer, after=place, limit=2, rows=rows)
            told += [match.value_id for match in stretch.matches]
            assert stretch.reached > place or not stretch.more
            assert len(stretch.matches) <= 2
            place = stretch.reached
            if not stretch.more:
                break
        assert list(dict.fromkeys(reversed(told))) == whole


def test_what_was_found_again_last_stands_first(cast):
    def values():
        return [match.value for match in matching.newest(cast.viewer("cygnus"), limit=9).matches]

    first, second = making.token("0a" * 32), making.token("0b" * 32)
    for token in (first, second):
        for who in ("aster", "borealis"):
            say(cast, who, token=token)
    say(cast, "aster", token=first)
    assert values() == [first["value"], second["value"]]
    say(cast, "borealis", token=second)
    assert values() == [second["value"], first["value"]]


def test_what_was_found_since_is_counted_to_its_end_however_few_rows_are_looked_at_in_one_go(cast, monkeypatch):
    monkeypatch.setattr("indicators.matching.asking._MOST", 2)
    for number in range(5):
        for who in ("aster", "borealis"):
            say(cast, who, token=making.token(f"{number:02x}" * 32))
    since = clock.now() - timedelta(hours=1)
    told = {who: matching.recent(cast.viewer(who), since=since, most=500) for who in ("aster", "cygnus")}
    assert [(one.count, one.cut) for one in told.values()] == [(5, False), (0, False)], "of one's own values alone"
    assert matching.recent(cast.viewer("aster"), since=since, most=3).count == 3


def test_values_of_others_keep_ones_own_from_nothing_but_so_many_are_looked_at(cast, monkeypatch):
    monkeypatch.setattr("indicators.matching.asking._STRETCH", 2)
    monkeypatch.setattr("indicators.matching.asking._LOOKED_AT", 8)
    since = clock.now() - timedelta(hours=1)
    for number, second in enumerate(("aster", *["cygnus"] * 5)):
        for who in ("borealis", second):
            say(cast, who, token=making.token(f"{number:02x}" * 32))
    assert matching.recent(cast.viewer("aster"), since=since, most=9).count == 1
    monkeypatch.setattr("indicators.matching.asking._LOOKED_AT", 4)
    assert matching.recent(cast.viewer("aster"), since=since, most=9) == matching.Recent(0, None, cut=True)


def test_what_came_last_to_one_of_some_objects_is_told_first(cast):
    first, second = making.token("0a" * 32), making.token("0b" * 32)
    mine = [*say(cast, "aster", token=first), *say(cast, "aster", token=second)]
    for token in (second, first):
        say(cast, "borealis", token=token)
    versions = list(StixObject.unrestricted.filter(holding__stix_id__in=mine).values_list("pk", flat=True))
    told = matching.among(cast.viewer("cygnus"), versions, limit=2)
    assert [match.value for match in told] == [first["value"], second["value"]]


def test_a_full_page_ends_with_its_last_match_whatever_others_carry_unseen_behind_it(cast):
    tokens = [making.token(f"{number:02x}" * 32) for number in range(3)]
    say(cast, "cygnus", token=tokens[1], partners=("dorado",))
    for who, token in (("aster", tokens[0]), ("borealis", tokens[0]), ("aster", tokens[1])):
        say(cast, who, token=token)  # the last one's row is marked as matched: with what Borealis does not see
    for who in ("aster", "borealis"):
        say(cast, who, token=tokens[2])
    page = matching.since(cast.viewer("borealis"), after=0, limit=1)
    assert ([match.value for match in page.matches], page.more) == ([tokens[0]["value"]], True)
    assert page.reached == page.matches[0].seq


@pytest.mark.slow
def test_nothing_hidden_moves_what_is_found_or_where(cast):
    """Cygnus, unseen, carries the values first, or comes between, or fills the log: Borealis is told the same."""

    def world(*, hides: bool) -> list:
        with transaction.atomic():
            told = []
            for number in range(6):
                token = making.token(f"{number:02x}" * 32)
                for who in ("aster", "borealis"):
                    if hides:
                        say(cast, "cygnus", 3, token=token, partners=("dorado",))
                    said = making.account_pattern(carrier={"token": token}, name=f"{who} {number}")
                    build.publish(cast.viewer(who), said, groups=("ring",))
            viewer, before, place = cast.viewer("borealis"), None, 0
            while True:
                page = matching.newest(viewer, before=before, limit=2, rows=3)
                told.append([[end.title for end in match.ends] for match in page.matches])
                if (before := page.before) is None:
                    break
            while True:
                stretch = matching.since(viewer, after=place, limit=2, rows=3)
                told.append([[end.title for end in match.ends] for match in stretch.matches])
                place = stretch.reached
                if not stretch.more:
                    break
            page = changes.since(viewer, EVERYTHING, after=0, limit=100).changes
            told.append([[end.title for match in change.matches for end in match.ends] for change in page])
            transaction.set_rollback(True)
        return told

    assert world(hides=False) == world(hides=True)


@pytest.mark.parametrize("seed", runs(4, quick=2))
def test_it_is_complete_under_the_rule_whatever_happens(cast, seed, monkeypatch):
    """Against plain Python over what each viewer reads: random acts of three, of two values, seen by four."""
    monkeypatch.setattr(standing, "_ENDS", 99)
    chance = random.Random(seed)
    other = build.a_ring(cast.borealis, cast.cygnus, slug="other")
    assert other.slug == "other"
    held: dict[str, dict[str, dict]] = defaultdict(dict)
    places = dict.fromkeys(("aster", "borealis", "cygnus", "dorado"), 0)
    known: dict[str, dict] = defaultdict(dict)
    where = {
        "aster": [{"everyone": True}, {"groups": ("ring",)}, {"partners": ("cygnus",)}, {"partners": ("dorado",)}],
        "borealis": [{"everyone": True}, {"groups": ("ring",)}, {"groups": ("other",)}, {"partners": ("aster",)}],
        "cygnus": [{"everyone": True}, {"groups": ("other",)}, {"partners": ("aster", "dorado")}],
    }
    for _ in range(25):
        who = chance.choice(list(where))
        act, mine = chance.random(), held[who]
        if act < 0.6 or not mine:
            carrier = {"token": making.token(chance.choice(["aa", "bb"]) * 32)}
            stix = making.account_pattern(carrier=carrier)
            build.publish(cast.viewer(who), stix, **chance.choice(where[who]))
            mine[stix["id"]] = stix
        elif act < 0.75:
            stix = mine.pop(chance.choice(sorted(mine)))
            withdrawing.withdraw(cast.viewer(who), [stix["id"]])
        elif act < 0.85:
            stix = mine.pop(chance.choice(sorted(mine)))
            build.publish(cast.viewer(who), stix | {"revoked": True, "modified": build.later()}, everyone=True)
        else:
            stix = mine[chance.choice(sorted(mine))]
            Caller(build.a_key(getattr(cast, who))).send(
                "PUT", f"objects/{stix['id']}/audience", _document(chance.choice(where[who]))
            )
        for name in places:
            viewer = cast.viewer(name)
            wanted = _oracle(viewer)
            told = {match.value: ends(match) for match in matching.newest(viewer, limit=100).matches}
            assert told == wanted, (name, act)
            if chance.random() < 0.4:
                stretch = matching.since(viewer, after=places[name], limit=100)
                places[name] = stretch.reached
                known[name] |= {match.value: ends(match) for match in stretch.matches}
                for value, of_value in wanted.items():
                    assert of_value <= known[name].get(value, set()), (name, value)


def _document(where: dict) -> dict:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in where.items()}


def _oracle(viewer) -> dict[str, set[str]]:
    """What the viewer sees of living holdings, by value, where two or more publishers say it."""
    by_value: dict[str, dict] = defaultdict(lambda: defaultdict(set))
    rows = Carries.objects.visible_to(viewer).filter(holding__state="live")
    for value, publisher, stix_id in rows.values_list("token_value__value", "holding__publisher", "holding__stix_id"):
        by_value[value][publisher].add(stix_id)
    return {value: set().union(*of.values()) for value, of in by_value.items() if len(of) > 1}
