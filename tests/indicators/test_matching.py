"""A match is asked, never stored: complete under the rule, found at the later of two, told by nothing that is hidden."""

from __future__ import annotations

import random
import uuid
from collections import defaultdict

import orjson
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from exchange import outbound
from indicators import matching, publishing, reading
from indicators.feeds import spelling
from indicators.feeds.filters import EVERYTHING, Filter
from indicators.log import changes
from indicators.matching import standing
from indicators.publishing.reach import Reach
from indicators.reading.selecting import Selection
from indicators.stix import making, parsing
from indicators.telling import concerning, notifying, subscribing
from partners.attribution import Attribution
from tests import build, sending, stores
from tests.drilling import runs
from tests.indicators.api.caller import Caller, read
from tests.plans import read_by, watched

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


@pytest.mark.slow
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
    for more in (60, 500):
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


@pytest.mark.slow
def test_a_hidden_holder_moves_nothing_where_a_few_become_many(cast, monkeypatch):
    """Of just as many as are all looked at, the one that was revised last is shown, whoever else holds the value."""
    monkeypatch.setattr(standing, "_FEW", 9)
    mine = [making.account_pattern(carrier={"token": SAME}) for _ in range(8)]
    say(cast, "borealis")
    build.publish(cast.viewer("aster"), *mine, partners=("aster",))
    build.publish(cast.viewer("aster"), revised := mine[1] | {"modified": build.later()}, partners=("aster",))
    aster = Caller(cast.keys["aster"])
    before = aster.get("matches").content
    assert revised["id"].encode() in before
    for who in ("borealis", "cygnus"):
        say(cast, who, 2, partners=("dorado",))
        assert aster.get("matches").content == before


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


@pytest.mark.slow
def test_a_webhook_and_a_stream_of_events_name_the_objects_of_a_match_to_who_sees_both(cast, monkeypatch):
    sent: list[dict] = []

    def post(url, body, **asked):
        sent.append(orjson.loads(body))
        return outbound.Reply(204, None, b"")

    sending.answer_by(monkeypatch, post)
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
        (hint,) = concerning.hints(cast.viewer(who), [found])
        assert hint.get("matches") == expected
        assert ("matches" in change) == (expected is not None)
