"""A match is asked, never stored: complete under the rule, found at the later of two, told by nothing that is hidden."""

from __future__ import annotations

import hashlib
import random
import threading
import uuid
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import orjson
import pytest
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from exchange import clock, outbound
from exchange.sql import Message
from indicators import matching, publishing, reading
from indicators.api import events
from indicators.ending import retiring, withdrawing
from indicators.feeds import spelling
from indicators.feeds.filters import EVERYTHING, Filter
from indicators.log import changes
from indicators.matching import standing
from indicators.models import Carries, Epoch, Holding, StixObject, TokenValue
from indicators.publishing.reach import Reach
from indicators.reading.selecting import Selection
from indicators.stix import making, parsing
from indicators.stix.drafts import TokenValue as TokenSaid
from indicators.telling import notifying, subscribing
from indicators.values import carrying
from partners import sight
from partners.attribution import Attribution
from partners.models import Membership
from tests import build, sending, stores
from tests.drilling import runs
from tests.indicators.api.caller import Caller, read
from tests.plans import read_by, watched
from tests.waiting import DEADLINE_S

pytestmark = pytest.mark.django_db

SAME = making.token("cd" * 32)


@pytest.fixture
def cast():
    return build.the_cast()


def say(cast, who: str, count: int = 1, token=SAME, *, subkind="email", carrier=None, **where) -> list[str]:
    """Publish objects that carry the same value, to everyone if it is not said to whom; their ids."""
    made = [making.account_pattern(subkind, carrier=carrier or {"token": token}) for _ in range(count)]
    build.publish(cast.viewer(who), *made, **(where or {"everyone": True}))
    return [each["id"] for each in made]


def unnamed(viewer, *objects, attribution=Attribution.PSEUDONYM, group=None) -> None:
    reach = Reach(named=True, everyone=group is None, groups=(group,) if group else (), attribution=attribution)
    elements = parsing.read_batch(orjson.dumps({"objects": objects}))
    answer = publishing.publish(elements, by=viewer, reach=reach, request=publishing.Request(uuid.uuid4().bytes * 2))
    assert answer.counts["accepted"] == len(objects), answer.results


def ends(match) -> set[str]:
    return {end.stix_id for end in match.ends}


def found(cast, who: str) -> list[set[str]]:
    return [ends(match) for match in matching.newest(cast.viewer(who), limit=100).matches]


# --- What was lost before


def test_what_is_hidden_beside_takes_no_match_away(cast):
    (mine,) = say(cast, "aster", groups=("ring",))
    (theirs,) = say(cast, "borealis", groups=("ring",))
    (hidden,) = say(cast, "borealis", partners=("cygnus",))
    assert found(cast, "aster") == [{mine, theirs}]
    assert found(cast, "borealis") == [{mine, theirs, hidden}]
    assert found(cast, "cygnus") == []


def test_a_revoked_newest_twin_takes_no_match_along(cast):
    (mine,) = say(cast, "aster")
    (older,) = say(cast, "borealis")
    twin = making.account_pattern(carrier={"token": SAME})
    build.publish(cast.viewer("borealis"), twin, everyone=True)
    assert found(cast, "aster") == [{mine, older, twin["id"]}]
    build.publish(cast.viewer("borealis"), twin | {"revoked": True, "modified": build.later()}, everyone=True)
    assert found(cast, "aster") == [{mine, older}]


def test_two_pseudonyms_of_one_publisher_are_two_sources(cast):
    other = build.a_ring(cast.aster, cast.borealis, slug="other")
    one, two = (making.account_pattern(carrier={"token": SAME}) for _ in range(2))
    unnamed(cast.viewer("aster"), one, group=cast.ring.pk)
    unnamed(cast.viewer("aster"), two, group=other.pk)
    assert found(cast, "borealis") == [{one["id"], two["id"]}]
    assert found(cast, "aster") == [], "it knows that both are its own"


def test_what_two_say_as_the_exchange_is_one_source(cast):
    one, two = (making.account_pattern(carrier={"token": SAME}) for _ in range(2))
    unnamed(cast.viewer("aster"), one, attribution=Attribution.EXCHANGE)
    unnamed(cast.viewer("borealis"), two, attribution=Attribution.EXCHANGE)
    assert found(cast, "cygnus") == []
    assert found(cast, "aster") == [{one["id"], two["id"]}], "it knows its own"
    (third,) = say(cast, "cygnus")
    assert found(cast, "cygnus") == [{one["id"], two["id"], third}]


def test_many_equal_values_are_one_match_of_a_few_objects_and_cost_others_nothing(cast):
    (quiet,) = say(cast, "aster", token=making.token("ab" * 32))
    (other,) = say(cast, "borealis", token=making.token("ab" * 32))
    assert found(cast, "cygnus") == [{quiet, other}]
    with CaptureQueriesContext(connection) as before:
        found(cast, "cygnus")
    for who in ("aster", "borealis"):
        say(cast, who, 200, groups=("ring",))
    with CaptureQueriesContext(connection) as after:
        assert found(cast, "cygnus") == [{quiet, other}]
    assert len(after) == len(before)
    newest, older = matching.newest(cast.viewer("aster"), limit=5).matches
    assert [len(side.ends) for side in newest.sides] == [6, 6]
    assert ends(older) == {quiet, other}


def test_a_page_of_matches_asks_as_often_as_one(cast):
    for number in range(40):
        for who in ("aster", "borealis"):
            say(cast, who, token=making.token(f"{number:02x}" * 32))
    viewer = cast.viewer("cygnus")
    end, asked = changes.own_end(viewer), []
    for back in (1, 80):
        with CaptureQueriesContext(connection) as queries:
            told = changes.since(viewer, EVERYTHING, after=end - back, limit=100).changes
        assert sum(bool(change.matches) for change in told) == (back + 1) // 2
        asked.append(len(queries))
    assert asked[0] == asked[1] <= 5


def test_a_page_looks_at_few_more_values_than_it_has_matches(cast, monkeypatch):
    values = [making.token(f"{number:064x}") for number in range(60)]
    for who in ("aster", "borealis"):
        made = [making.account_pattern("email", carrier={"token": value}) for value in values]
        build.publish(cast.viewer(who), *made, everyone=True)
    asked = []
    really = standing.sides_of
    monkeypatch.setattr(
        standing,
        "sides_of",
        lambda viewer, rows: asked.append(len({row.value_id for row in rows})) or really(viewer, rows),
    )
    for limit, most in ((5, 16), (40, 50)):
        asked.clear()
        assert len(matching.newest(cast.viewer("aster"), limit=limit).matches) == limit
        assert sum(asked) <= most, "each value costs dozens of blocks"


def test_what_stands_behind_a_value_costs_its_readers_nothing(cast):
    """Rows that are read for a page of matches, however many carry its value, seen and unseen by the reader."""

    def read(work, last) -> int:
        with watched() as plans:
            work(last)
        return read_by(plans)

    stores.forget_statistics()
    viewer = cast.viewer("cygnus")
    wanted = Filter(spelling.read_text("publishers:>=2"))
    reads = (
        lambda last: changes.since(viewer, EVERYTHING, after=last - 1, limit=10),
        lambda last: matching.since(viewer, after=last - 1, limit=5),
        lambda last: reading.page(viewer, Selection(once=True, matched=True), after=last - 1, limit=1),
        lambda last: reading.page(viewer, Selection(wanted), after=last - 1, limit=1),
    )
    rows = []
    for more in (60, 1_500):
        for who in ("aster", "borealis"):
            say(cast, who, more)
            say(cast, who, more, partners=("dorado",))
        say(cast, "aster")
        last = changes.head()
        rows.append([read(work, last) for work in reads])
    assert all(many <= few + 20 for few, many in zip(*rows, strict=True)), rows
    (match,) = matching.newest(viewer, limit=5).matches
    assert [len(side.ends) for side in match.sides] == [6, 6]


def test_the_objects_that_matches_name_bound_a_page_and_the_cursor_goes_on(cast, monkeypatch):
    for who in ("aster", "borealis"):
        say(cast, who, 20)
    viewer = cast.viewer("cygnus")
    whole = changes.since(viewer, EVERYTHING, after=0, limit=100)
    assert (len(whole.changes), whole.more) == (40, False)
    monkeypatch.setattr(changes, "_MOST_ENDS", 30)
    told, place, pages = [], 0, 0
    while True:
        span = changes.since(viewer, EVERYTHING, after=place, limit=100)
        assert sum(len(match.ends) for change in span.changes for match in change.matches) <= 30
        told, place, pages = [*told, *span.changes], span.reached, pages + 1
        if not span.more:
            break
    assert (told, place) == (whole.changes, whole.reached)
    assert pages >= 8


@pytest.mark.parametrize("seed", runs(3, quick=1))
def test_of_many_that_carry_a_value_some_stand_for_all(cast, seed, monkeypatch):
    """With any number counted as many: each value is found once by pages of any size, as if all were looked at."""
    chance = random.Random(seed)
    held = defaultdict(list)
    for _ in range(30):
        who, value = chance.choice(["aster", "borealis"]), chance.choice(["aa", "bb", "cc"])
        if held[who] and chance.random() < 0.4:
            stix = chance.choice(held[who]) | {"modified": build.later()}
            build.publish(cast.viewer(who), stix, everyone=True)
            continue
        stix = making.account_pattern(carrier={"token": making.token(value * 32)})
        build.publish(cast.viewer(who), stix, **chance.choice([{"everyone": True}, {"groups": ("ring",)}]))
        held[who].append(stix)
    viewer = cast.viewer("cygnus")
    whole = {match.value_id for match in matching.newest(viewer, limit=100).matches}
    monkeypatch.setattr(standing, "_FEW", 1)
    monkeypatch.setattr(standing, "_ENDS", 1)
    for rows in (2, 5, 1_000):
        found, before = [], None
        while True:
            page = matching.newest(viewer, before=before, limit=1, rows=rows)
            found += [match.value_id for match in page.matches]
            if (before := page.before) is None:
                break
        assert (set(found), len(found)) == (whole, len(whole))
    told = {match.value_id for match in matching.since(viewer, after=0, limit=100).matches}
    assert told == whole


# --- What is no match


def test_a_fingerprint_of_a_payment_provider_is_compared_within_its_scope_alone(cast):
    said = [
        (who, making.payment_fingerprint("psp_fp", carrier={"token": SAME}, extension={"psp_scope": scope * 16}))
        for who, scope in (("aster", "ab"), ("borealis", "cd"), ("cygnus", "ab"))
    ]
    for who, stix in said:
        build.publish(cast.viewer(who), stix, everyone=True)
    assert found(cast, "aster") == [{said[0][1]["id"], said[2][1]["id"]}]


@pytest.mark.parametrize(
    ("make", "subkind"),
    [
        (making.account_pattern, "cluster_rule"),
        (making.payment_fingerprint, "billing_rule"),
        *((making.prompt_signature, subkind) for subkind in ("regex", "nova_rule", "feature_rule")),
    ],
)
def test_rules_and_texts_match_by_the_hash_of_the_pattern_and_give_no_entry(cast, make, subkind):
    one, two = make(subkind), make(subkind)
    for who, stix in (("aster", one), ("borealis", two)):
        assert build.publish(cast.viewer(who), stix, everyone=True).counts["accepted"] == 1
    (match,) = matching.newest(cast.viewer("cygnus"), limit=10).matches
    assert (match.domain, match.scheme, match.key_epoch) == (subkind, "sha256", "")
    assert match.value == hashlib.sha256(one["pattern"].encode()).hexdigest()
    assert ends(match) == {one["id"], two["id"]}
    for wanted, count in ((EVERYTHING, 2), (Filter.of(with_entries=True), 0)):
        told = changes.since(cast.viewer("cygnus"), wanted, after=0, limit=10).changes
        assert ([change.entries for change in told], len(told)) == (["[]"] * count, count)


def test_what_is_there_to_be_matched_only_meets_what_is_listed(cast):
    urls = [classical("[url:value = 'https://relay.example/']") for _ in range(2)]
    build.publish(cast.viewer("aster"), urls[0], everyone=True)
    build.publish(cast.viewer("borealis"), urls[1], everyone=True)
    domains = [match.domain for match in matching.newest(cast.viewer("cygnus"), limit=10).matches]
    assert domains == ["url:value"], "the host of either is aside"
    host = classical("[domain-name:value = 'relay.example']")
    build.publish(cast.viewer("cygnus"), host, everyone=True)
    newest = matching.newest(cast.viewer("aster"), limit=10).matches[0]
    assert (newest.domain, ends(newest)) == ("host", {host["id"], *(url["id"] for url in urls)})


def test_a_value_whose_place_lies_beyond_what_is_read_first_is_found_there_and_once(cast):
    """Addresses alone do not meet in their host, so the newest rows that carry it are no place of it."""
    url, host = (
        classical(f"[{said}]")
        for said in ("url:value = 'https://relay.example/'", "domain-name:value = 'relay.example'")
    )
    build.publish(cast.viewer("borealis"), url, groups=("ring",))
    build.publish(cast.viewer("aster"), host, groups=("ring",))
    build.publish(cast.viewer("aster"), *(classical(url["pattern"]) for _ in range(20)), groups=("ring",))
    matches = matching.newest(cast.viewer("borealis"), limit=10).matches
    assert [one.domain for one in matches] == ["url:value", "host"]
    assert ends(matches[1]) == {url["id"], host["id"]}
    count, _ = matching.recent(cast.viewer("borealis"), since=clock.now() - timedelta(days=1), most=10, limit=1)
    assert count == 2


def classical(pattern: str) -> dict:
    return {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator--{uuid.uuid4()}",
        "created": "2026-01-01T00:00:00.000Z",
        "modified": "2026-01-01T00:00:00.000Z",
        "pattern": pattern,
        "pattern_type": "stix",
        "valid_from": "2026-01-01T00:00:00Z",
        "indicator_types": ["malicious-activity"],
    }


def test_what_ended_leaves_at_once(cast):
    (mine,) = say(cast, "aster")
    for end in (revoke, withdraw, narrow, expire):
        theirs = making.account_pattern(carrier={"token": SAME})
        build.publish(cast.viewer("borealis"), theirs, everyone=True)
        assert found(cast, "aster") == [{mine, theirs["id"]}], end
        end(cast, theirs)
        assert found(cast, "aster") == [], end
        assert Caller(cast.keys["aster"]).get("objects?q=" + "cd" * 32).status_code == 200


def revoke(cast, stix):
    build.publish(cast.viewer("borealis"), stix | {"revoked": True, "modified": build.later()}, everyone=True)


def withdraw(cast, stix):
    withdrawing.withdraw(cast.viewer("borealis"), [stix["id"]])


def narrow(cast, stix):
    Caller(build.a_key(cast.borealis)).send("PUT", f"objects/{stix['id']}/audience", {"partners": ["cygnus"]})


def expire(cast, stix):
    moment = clock.now() - timedelta(minutes=1)
    Holding.unrestricted.filter(stix_id=stix["id"]).update(valid_until=moment)
    retiring.expire_due()


def test_a_value_is_that_of_the_newest_version_also_where_that_is_taken_back(cast):
    (mine,) = say(cast, "aster")
    first = making.account_pattern(carrier={"token": SAME})
    build.publish(cast.viewer("borealis"), first, everyone=True)
    other = making.account_pattern(carrier={"token": making.token("ef" * 32)})
    second = other | {"id": first["id"], "created": first["created"], "modified": build.later()}
    build.publish(cast.viewer("borealis"), second, everyone=True)
    assert found(cast, "aster") == []
    newest = Holding.unrestricted.get(stix_id=first["id"]).newest_id
    withdrawing.withdraw_versions(cast.viewer("borealis"), first["id"], [newest])
    assert found(cast, "aster") == [{mine, first["id"]}]


# --- Where it is found


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
    for moment, count in ((clock.now() - timedelta(hours=1), 9), (clock.now() + timedelta(hours=1), 0)):
        counted, shown = matching.recent(viewer, since=moment, most=500, limit=4)
        assert (counted, [match.value_id for match in shown]) == (count, whole[:4])


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
    counted, shown = matching.recent(cast.viewer("cygnus"), since=since, most=500, limit=2)
    assert (counted, len(shown)) == (5, 2)


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


# --- Values


def test_a_value_is_stored_once_whoever_carries_it_and_an_epoch_has_its_time(cast):
    token = making.token("12" * 32) | {"scheme": "oprf-ristretto255-sha512", "key_epoch": "2026q4"}
    for who in ("aster", "borealis"):
        say(cast, who, 2, token=token)
    value = TokenValue.objects.get(value="12" * 32)
    assert Carries.unrestricted.filter(token_value=value).count() == 4
    epoch = Epoch.objects.get(scheme="oprf-ristretto255-sha512", name="2026q4")
    assert (value.epoch_id, value.shared) == (epoch.pk, True)
    assert f"{epoch.begins:%Y-%m-%d} {epoch.ends:%Y-%m-%d}" == "2026-10-01 2027-01-01"


def test_a_value_longer_than_an_entry_of_an_index_is_matched(cast):
    pattern = f"[url:value = 'https://relay.example/{'x' * 2000}']"
    for who in ("aster", "borealis"):
        build.publish(cast.viewer(who), classical(pattern), everyone=True)
    (match,) = matching.newest(cast.viewer("cygnus"), limit=10).matches
    assert len(match.value) > 2_000


@pytest.mark.django_db(transaction=True)
def test_pushes_of_the_same_new_values_neither_block_for_good_nor_lose_a_match():
    cast, rounds, size = build.the_cast(), 3, 30
    ready = threading.Barrier(3)

    def push(who: str, seed: int) -> None:
        try:
            chance = random.Random(seed)
            for number in range(rounds):
                tokens = [making.token(f"{number:02x}{place:02x}" * 16) for place in range(size)]
                chance.shuffle(tokens)
                ready.wait(DEADLINE_S)
                made = [making.account_pattern(carrier={"token": token}) for token in tokens]
                build.publish(cast.viewer(who), *made, everyone=True)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(push, who, place) for place, who in enumerate(("aster", "borealis", "cygnus"))]:
            done.result(DEADLINE_S)
    matches = matching.newest(cast.viewer("dorado"), limit=1_000).matches
    assert len(matches) == rounds * size
    assert {len(match.sides) for match in matches} == {3}


@pytest.mark.django_db(transaction=True)
def test_whoever_writes_the_same_new_values_waits_in_one_order():
    cast = build.the_cast()
    say(cast, "aster", 2)
    first, second = Holding.unrestricted.order_by("pk")
    ready = threading.Barrier(2)

    def write(holding: Holding, step: int) -> None:
        try:
            for number in range(10):
                said = [TokenSaid("device", "clear", "", f"{number}-{place}") for place in range(500)][::step]
                message = Message()
                carrying.write([carrying.Carrying(holding.pk, holding.audience_id, said, anew=True)], within=message)
                ready.wait(DEADLINE_S)
                with transaction.atomic():
                    message.send()
        finally:
            ready.abort()
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(write, first, 1), pool.submit(write, second, -1)]:
            done.result(DEADLINE_S)
    assert TokenValue.objects.filter(subkind="device").count() == 5_000


# --- Faces


def test_the_delta_feed_tells_a_match_beside_the_later_of_its_objects(cast):
    aster = Caller(cast.keys["aster"])
    (mine,) = say(cast, "aster")
    begun = read(aster.get("changes"))
    assert [change.get("matches") for change in begun["changes"]] == [None]
    (theirs,) = say(cast, "borealis")
    (change,) = read(aster.get(f"changes?cursor={begun['cursor']}"))["changes"]
    assert (change["op"], change["id"]) == ("upsert", theirs)
    (match,) = change["matches"]
    assert {end["id"] for end in match["objects"]} == {mine, theirs}
    assert match == read(aster.get("matches"))["matches"][0]


def test_matches_since_are_followed_by_a_cursor(cast):
    aster = Caller(cast.keys["aster"])
    (mine,) = say(cast, "aster")
    since = read(aster.get("matches"))["since"]
    idle = read(aster.get(f"matches?since={since}"))
    assert (idle["matches"], idle["more"], idle["since"]) == ([], False, since)
    say(cast, "cygnus", partners=("dorado",))
    assert read(aster.get(f"matches?since={since}"))["since"] == since, "what is hidden moves nothing"
    (theirs,) = say(cast, "borealis")
    page = read(aster.get(f"matches?since={since}"))
    assert [{end["id"] for end in match["objects"]} for match in page["matches"]] == [{mine, theirs}]
    assert read(aster.get(f"matches?since={page['since']}"))["matches"] == []
    assert aster.get(f"matches?since={since}x").status_code == 400


def test_a_webhook_and_a_stream_of_events_name_the_objects_of_a_match_to_who_sees_both(cast, monkeypatch):
    sent: list[dict] = []

    def post(url, body, **asked):
        sent.append(orjson.loads(body))
        return outbound.Reply(204, None, b"")

    monkeypatch.setattr(outbound, "post", post)
    monkeypatch.setattr(notifying, "wake", lambda count=1: None)
    (mine,) = say(cast, "aster", groups=("ring",))
    subscribed = [subscribing.subscribe(cast.viewer(who), url=f"https://{who}.example/", feed_id=None)[0] for who in
                  ("borealis", "cygnus")]  # fmt: skip
    streams = {who: Caller(cast.keys[who]) for who in ("borealis", "cygnus")}
    places = {who: read(caller.get("changes"))["cursor"] for who, caller in streams.items()}
    (theirs,) = say(cast, "cygnus")
    for subscription in subscribed:
        notifying.dispatch(subscription.pk)
        sending.send_next()
    hints = {message["data"]["subscription"]: message["data"]["changes"] for message in sent}
    (told,), (own,) = (hints[str(subscription.pk)] for subscription in subscribed)
    assert told["matches"] == [{"domain": "email", "ids": sorted([mine, theirs])}]
    assert (own["id"], "matches" in own) == (theirs, False)
    for who, expected in (("borealis", [{"domain": "email", "ids": sorted([mine, theirs])}]), ("cygnus", None)):
        (change,) = read(streams[who].get(f"changes?cursor={places[who]}"))["changes"]
        found = changes.since(cast.viewer(who), EVERYTHING, after=0, limit=99).changes[-1]
        assert events._told(changes.Span([found], 0, more=False), feed="")["changes"][0].get("matches") == expected
        assert ("matches" in change) == (expected is not None)
