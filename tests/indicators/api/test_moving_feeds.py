"""Feeds whose filter changes by itself: told of and read by every surface as all others are, by the places of a set."""

from __future__ import annotations

from datetime import timedelta

import orjson
import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from exchange import clock, incarnation, sql
from indicators.feeds import comparing, filters, hinting, proving
from indicators.models import Delivery, FeedSet, InForce, Subscription
from indicators.stix import making
from indicators.telling import delivering, looking, notifying, writing
from indicators.telling.attempting import Outcome
from tests import build, sending
from tests.indicators.api.caller import code, read
from tests.indicators.api.test_delta import Subscriber
from tests.waiting import until

pytestmark = pytest.mark.django_db

_HOOK = "https://receiver.example/hook"


@pytest.fixture(autouse=True)
def slow(monkeypatch):
    """However long a look takes, the next one may follow."""
    monkeypatch.setattr(proving, "_SHARE", float("inf"))
    monkeypatch.setattr(proving, "_TOGETHER", float("inf"))


@pytest.fixture
def sent(monkeypatch):
    """What receivers were sent; they take everything."""
    monkeypatch.setattr(notifying, "hint", lambda: None)
    return sending.receivers(monkeypatch)


@pytest.fixture
def time():
    with time_machine.travel(clock.now(), tick=False) as travelling:
        yield travelling


def saved(caller, text, name="sure"):
    return read(caller.send("POST", "feeds", {"name": name, "text": text}), 201)["id"]


def ending(**after):
    return build.an_indicator(valid_until=clock.rfc3339(clock.now() + timedelta(**after)))


def carrying(carrier):
    return making.account_pattern(carrier=carrier)


def withdrawn(caller, one):
    assert caller.send("POST", f"objects/{one['id']}/withdraw", {}).status_code == 204


def told(sent):
    """What a sweep finds and delivers: the messages since the last one."""
    before = len(sent)
    notifying.look()
    notifying.look_behind()
    notifying.sweep()
    notifying.deliver()
    return sent[before:]


def changed(message):
    return [(one["op"], one["reason"], one["id"]) for one in message["data"]["changes"]]


def looked(sent, time):
    """The same, once a set is asked for anew by itself."""
    time.shift(proving._MOVES + timedelta(seconds=1))
    return told(sent)


def test_an_address_is_told_what_the_clock_lets_in_and_pulls_it_by_the_delta(aster, borealis, sent, time):
    """The clock is PostgreSQL's: the one object ends in seven days and what a busy machine takes until it is told."""
    feed = saved(borealis, "until:<7d")
    read(borealis.send("POST", "subscriptions", {"url": _HOOK, "feed": feed}), 201)
    near, far = ending(days=3), ending(days=7, seconds=5)
    aster.push(near, far)
    (message,) = told(sent)
    assert (message["type"], message["data"]["feed"], message["data"]["urgent"]) == ("objects.changed", feed, False)
    assert changed(message) == [("upsert", "published", near["id"])]
    assert told(sent) == [], "nothing is told twice"
    (message,) = until(lambda: looked(sent, time))
    assert changed(message) == [("upsert", "published", far["id"])], "by the clock alone"
    *rows, trailer = borealis.get(message["data"]["link"].partition("/api/v1/")[2]).content.splitlines()
    assert [orjson.loads(line)["id"] for line in rows] == [far["id"]], "its link leads to what came"
    assert orjson.loads(trailer)["trailer"]["set_count"] == 2


def test_what_others_say_moves_a_feed_and_a_removal_is_urgent(aster, borealis, sent, time):
    feed = saved(aster, "publishers:>=2")
    read(aster.send("POST", "subscriptions", {"url": _HOOK, "feed": feed}), 201)
    carrier = {"token": making.token("ab" * 32)}
    first, second = carrying(carrier), carrying(carrier)
    borealis.push(first)
    assert looked(sent, time) == []
    aster.push(second)
    assert {one[2] for message in looked(sent, time) for one in changed(message)} == {first["id"], second["id"]}
    withdrawn(aster, second)
    messages = looked(sent, time)
    assert {one for message in messages for one in changed(message)} == {
        ("remove", "withdrawn", second["id"]),
        ("remove", "filtered", first["id"]),
    }
    assert all(message["data"]["urgent"] for message in messages)


def test_what_was_given_up_is_told_once_the_address_answers_again_and_a_dead_letter_is_no_longer_one(
    aster, borealis, sent, time
):
    feed = saved(borealis, "age:<3w")
    there = read(borealis.send("POST", "subscriptions", {"url": _HOOK, "feed": feed}), 201)["id"]
    one, two = build.an_indicator(), build.an_indicator()
    aster.push(one)
    notifying.look()
    (delivery,) = notifying.dispatch_all([there])
    claimed = Delivery.unrestricted.select_related("subscription", "again_of").get(pk=delivery)
    Delivery.unrestricted.filter(pk=delivery).update(state="sending", claimed_until=clock.now())
    claimed.refresh_from_db()
    delivering.conclude([(claimed, Outcome(delivered=False, words="Answered 410.", status_code=410, gone=True))])
    assert Subscription.unrestricted.get(pk=there).state == Subscription.State.DEAD
    assert len(read(borealis.get(f"subscriptions/{there}/dead-letters"))["deliveries"]) == 1
    aster.push(two)
    read(borealis.send("PATCH", f"subscriptions/{there}", {"state": "active"}))
    (message,) = looked(sent, time)
    assert {said[2] for said in changed(message)} == {one["id"], two["id"]}
    assert read(borealis.get(f"subscriptions/{there}/dead-letters"))["deliveries"] == []


def test_what_concerns_oneself_alone_is_told_by_the_log_and_not_of_such_a_feed(borealis):
    feed, plain = saved(borealis, "until:<7d"), saved(borealis, "confidence:>=70", name="plain")
    only = {"url": _HOOK, "only": "yours"}
    assert code(borealis.send("POST", "subscriptions", {**only, "feed": feed}), 422) == "filter-moves"
    there = read(borealis.send("POST", "subscriptions", {**only, "feed": plain}), 201)["id"]
    assert code(borealis.send("PATCH", f"feeds/{plain}", {"text": "until:<7d"}), 422) == "filter-moves"
    assert code(borealis.send("PATCH", f"subscriptions/{there}", {"feed": feed}), 422) == "filter-moves"
    both = {"feed": feed, "only": None}
    assert read(borealis.send("PATCH", f"subscriptions/{there}", both))["feed"] == feed
    assert code(borealis.get(f"changes?feed={feed}"), 422) == "filter-moves"
    assert code(borealis.get("events?filter=until:<7d"), 422) == "filter-moves"
    assert code(borealis.get(f"events?feed={feed}&kind=account-pattern"), 422) == "filter-moves"


def test_a_feed_that_begins_to_move_and_stops_is_told_of_without_a_gap(aster, borealis, sent, time):
    feed = saved(borealis, "confidence:>=0")
    read(borealis.send("POST", "subscriptions", {"url": _HOOK, "feed": feed}), 201)
    first, second, third = (build.an_indicator() | {"confidence": 80} for _ in range(3))
    aster.push(first)
    told(sent)
    read(borealis.send("PATCH", f"feeds/{feed}", {"text": "age:<3w"}))
    (message,) = told(sent)
    assert (message["type"], message["data"]["link"].endswith(f"/feeds/{feed}/delta")) == ("feed.changed", True)
    aster.push(second)
    assert [changed(message) for message in looked(sent, time)] == [[("upsert", "published", second["id"])]]
    read(borealis.send("PATCH", f"feeds/{feed}", {"text": "confidence:>=70"}))
    (message,) = told(sent)
    assert message["type"] == "feed.changed"
    aster.push(third)
    assert [changed(message) for message in told(sent)] == [[("upsert", "published", third["id"])]]


@pytest.mark.slow
def test_who_lost_sight_of_what_came_is_not_told_its_id(aster, borealis, cygnus, sent, time):
    feed = saved(borealis, "age:<3w")
    read(borealis.send("POST", "subscriptions", {"url": _HOOK, "feed": feed}), 201)
    one, two = build.an_indicator(), build.an_indicator()
    aster.push(one, two)
    notifying.look()
    notifying.sweep()
    withdrawn(aster, one)
    notifying.deliver()
    assert [said[2] for said in changed(sent[-1])] == [two["id"]]
    hidden = build.an_indicator()
    assert read(cygnus.push(hidden, query="?partners=dorado&tlp=red"))["counts"]["accepted"] == 1
    assert hidden["id"] not in str(looked(sent, time))


def test_what_is_seen_is_told_however_much_before_it_is_not_seen_any_more(aster, borealis, sent, time, monkeypatch):
    monkeypatch.setattr(writing, "MAX_CHANGES", 2)
    feed = saved(borealis, "age:<3w")
    read(borealis.send("POST", "subscriptions", {"url": _HOOK, "feed": feed}), 201)
    one, two, three = (build.an_indicator() for _ in range(3))
    aster.push(one, two)
    notifying.look()
    aster.push(three)
    notifying.look_behind()
    withdrawn(aster, one)
    withdrawn(aster, two)
    notifying.sweep()
    notifying.deliver()
    assert [said[2] for message in sent for said in changed(message)] == [three["id"]]


def test_who_was_away_for_longer_than_removals_are_kept_starts_over(aster, borealis, sent, time):
    feed = saved(borealis, "age:<3w")
    there = read(borealis.send("POST", "subscriptions", {"url": _HOOK, "feed": feed}), 201)["id"]
    one, two = build.an_indicator(), build.an_indicator()
    aster.push(one)
    told(sent)
    read(borealis.send("PATCH", f"subscriptions/{there}", {"state": "paused"}))
    withdrawn(aster, one)
    Subscriber(borealis, feed).catch_up()
    long_ago = clock.now() - proving.KEPT - timedelta(days=1)
    InForce.unrestricted.exclude(removed="").update(told_at=long_ago)
    proving.forget()
    aster.push(two)
    read(borealis.send("PATCH", f"subscriptions/{there}", {"state": "active"}))
    messages = [*looked(sent, time), *told(sent)]
    assert [message["type"] for message in messages] == ["start-over"]


def test_who_was_told_of_all_removals_goes_on_once_they_are_forgotten(aster, borealis, sent, time):
    feed = saved(borealis, "age:<3w")
    read(borealis.send("POST", "subscriptions", {"url": _HOOK, "feed": feed}), 201)
    one, two = build.an_indicator(), build.an_indicator()
    aster.push(one)
    told(sent)
    withdrawn(aster, one)
    assert [changed(message) for message in told(sent)] == [[("remove", "withdrawn", one["id"])]]
    InForce.unrestricted.update(told_at=clock.now() - proving.KEPT - timedelta(days=1))
    proving.forget()
    aster.push(two)
    assert [message["type"] for message in [*looked(sent, time), *told(sent)]] == ["objects.changed"]


@pytest.mark.slow
def test_what_others_commit_unseen_brings_no_look_forward_and_delays_none(aster, borealis, cygnus, sent, time):
    feed = saved(borealis, "age:<3w")
    read(borealis.send("POST", "subscriptions", {"url": _HOOK, "feed": feed}), 201)
    told(sent)
    time.shift(proving._MOVES + timedelta(seconds=1))
    Subscription.unrestricted.update(look_at=clock.now() + timedelta(seconds=5))

    def times():
        return FeedSet.unrestricted.get().looked_at, Subscription.unrestricted.get().look_at

    before = times()
    assert read(cygnus.push(build.an_indicator(), query="?partners=dorado&tlp=red"))["counts"]["accepted"] == 1
    assert looking.is_behind()
    notifying.look_behind()
    assert times() == before
    assert not looking.is_behind()
    aster.push(build.an_indicator())
    notifying.look_behind()
    looked_at, look_at = times()
    assert (looked_at > before[0], look_at) == (True, before[1]), "what one sees may"


def test_of_one_partner_s_feeds_one_is_looked_at_at_a_time(borealis, sent, time, monkeypatch):
    for name in ("first", "second"):
        read(borealis.send("POST", "subscriptions", {"url": _HOOK, "feed": saved(borealis, "age:<3w", name)}), 201)
    under_way, most, really = [], [], hinting.caught_up

    def meanwhile(*args, **more):
        under_way.append(more["feed"])
        most.append(len(under_way))
        looking.look()  # as another worker does
        try:
            return really(*args, **more)
        finally:
            under_way.pop()

    monkeypatch.setattr(hinting, "caught_up", meanwhile)
    looking.look()
    assert most == [1, 1]


def test_of_one_partner_s_sets_one_is_compared_at_a_time_and_others_sets_meanwhile(cast, aster, borealis, cygnus, time):
    mine, theirs = (Subscriber(one, saved(one, "publishers:>=2")) for one in (cygnus, borealis))
    carrier = {"token": making.token("ab" * 32)}
    first = carrying(carrier)
    borealis.push(first, query="?everyone=true")
    another = connection.copy()  # another process, which compares another set of the same partner's
    try:
        with another.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute(proving._ALONE, {"partner": str(cast.viewer("cygnus").partner_id)})
            assert cursor.fetchone() == (True,)
            mine.catch_up()
            theirs.catch_up()
            aster.push(carrying(carrier), query="?everyone=true")
            time.shift(proving._MOVES + timedelta(seconds=1))
            mine.catch_up()
            theirs.catch_up()
            assert (first["id"] in mine.ids(), first["id"] in theirs.ids()) == (False, True)
    finally:
        another.close()
    mine.catch_up()
    assert first["id"] not in mine.ids(), "not tried again at once"
    time.shift(proving._NEXT_TRY + timedelta(seconds=1))
    mine.catch_up()
    assert first["id"] in mine.ids()


def test_all_sets_of_a_partner_share_what_they_may_take(borealis, cygnus, time, monkeypatch):
    shared = []
    monkeypatch.setattr(proving, "_rest_s", lambda took_s, *, sets: shared.append(sets) or 0.0)
    for one, name in ((borealis, "first"), (borealis, "second"), (borealis, "third"), (cygnus, "theirs")):
        Subscriber(one, saved(one, "age:<3w", name)).catch_up()
    Subscriber(borealis, saved(borealis, "confidence:>=50", "still")).catch_up()
    assert shared == [1, 2, 3, 1]


@pytest.mark.parametrize(("sets", "part"), [(1, 0.05), (2, 0.05), (4, 0.025), (500, 0.0002)])
def test_a_set_takes_a_twentieth_of_the_time_at_most_and_all_of_a_partner_a_tenth(sets, part, monkeypatch):
    monkeypatch.undo()  # the pause of this module's other tests
    assert 4.0 / proving._rest_s(4.0, sets=sets) == pytest.approx(part)
    assert sets * part <= 0.1


def test_a_stream_is_not_begun_at_a_place_of_a_set_that_is_gone(aster, borealis):
    feed = Subscriber(borealis, saved(borealis, "age:<3w"))
    feed.catch_up()
    there = feed.path.replace("feeds/", "events?feed=").removesuffix("/delta")
    assert borealis.ask("HEAD", f"{there}&cursor={feed.cursor}").status_code == 200
    FeedSet.unrestricted.all().delete()
    assert code(borealis.get(f"{there}&cursor={feed.cursor}"), 410) == "start-over"


def test_who_subscribes_is_told_from_now_on_also_of_a_set_that_is_not_complete_yet(
    aster, borealis, sent, time, monkeypatch
):
    monkeypatch.setattr(proving, "_STRETCH", 2)
    feed = saved(borealis, "age:<3w")
    for _ in range(5):
        aster.push(build.an_indicator())
    read(borealis.send("POST", "subscriptions", {"url": _HOOK, "feed": feed}), 201)
    assert [*told(sent), *looked(sent, time)] == []
    one = build.an_indicator()
    aster.push(one)
    assert [changed(message) for message in told(sent)] == [[("upsert", "published", one["id"])]]


def test_a_process_that_hears_late_of_a_restore_leaves_the_set_that_was_begun_since(aster, borealis, monkeypatch):
    feed = Subscriber(borealis, saved(borealis, "age:<3w"))
    feed.catch_up()
    incarnation.begin()
    incarnation.forget()
    feed.cursor = ""
    feed.catch_up()
    before = FeedSet.unrestricted.get().pk
    monkeypatch.setattr(incarnation, "_known", "")
    viewer, wanted = borealis.viewer, filters.accepted(borealis.viewer, "age:<3w")
    assert proving.brought(viewer, wanted, feed=feed.path.split("/")[1]).pk == before


def test_a_set_that_was_begun_anew_has_its_addresses_start_over(aster, borealis, sent, time):
    feed = saved(borealis, "age:<3w")
    read(borealis.send("POST", "subscriptions", {"url": _HOOK, "feed": feed}), 201)
    aster.push(build.an_indicator())
    told(sent)
    FeedSet.unrestricted.all().delete()
    messages = [*looked(sent, time), *told(sent)]
    assert [message["type"] for message in messages] == ["start-over"]
    assert messages[0]["data"]["link"].endswith(f"/feeds/{feed}/delta")


def test_looking_costs_the_same_queries_however_much_a_feed_holds(aster, borealis, sent, time):
    feed = saved(borealis, "age:<3w")
    read(borealis.send("POST", "subscriptions", {"url": _HOOK, "feed": feed}), 201)
    counts = []
    for _ in range(2):
        aster.push(*(build.an_indicator() for _ in range(20)))
        told(sent)
        time.shift(proving._MOVES + timedelta(seconds=1))
        with CaptureQueriesContext(connection) as captured:
            looking.look()
        counts.append(len(captured))
    assert counts[0] == counts[1]


def test_a_comparison_that_takes_too_long_is_broken_off_and_the_set_stays(aster, borealis, sent, time, monkeypatch):
    feed = saved(borealis, "until:<7d")
    read(borealis.send("POST", "subscriptions", {"url": _HOOK, "feed": feed}), 201)
    near, far, next_one = ending(days=3), ending(days=7, seconds=5), ending(days=2)
    aster.push(near, far)
    assert len(told(sent)) == 1
    with monkeypatch.context() as slowly:
        slowly.setattr(comparing, "_MOVED", "WITH seen AS ({seen}) SELECT pg_sleep(600)::text")
        slowly.setattr(comparing, "_IN_TIME", {"statement_timeout": "50ms"})
        aster.push(next_one)
        (message,) = looked(sent, time)
        assert changed(message) == [("upsert", "published", next_one["id"])], (
            "what the log says is taken in all the same"
        )
    ((waits,),) = sql.ask("SHOW statement_timeout")
    assert waits == "0", "the limit was that query's alone"
    (message,) = until(lambda: looked(sent, time))
    assert changed(message) == [("upsert", "published", far["id"])]


def test_a_collection_dates_what_comes_by_when_it_came_and_is_read_without_loss(aster, borealis, time):
    feed = saved(borealis, "publishers:>=2")
    path = f"/taxii2/exchange/collections/{feed}/"
    assert read(borealis.get(path))["title"] == "Feed sure"
    carriers = [{"token": making.token(f"{place:02x}" * 32)} for place in range(5)]
    early = [carrying(carrier) for carrier in carriers]
    aster.push(*early)
    assert borealis.get(f"{path}objects/?match[type]=indicator").content == b"{}"
    own = [carrying(carrier) for carrier in carriers]
    borealis.push(*own)
    time.shift(proving._MOVES + timedelta(seconds=1))
    found, after = [], ""
    while len(found) < 10:  # by `added_after` alone, two at a time
        page = borealis.get(f"{path}objects/?match[type]=indicator&limit=2{after}")
        found += [one["id"] for one in orjson.loads(page.content)["objects"]]
        after = f"&added_after={page.headers['X-TAXII-Date-Added-Last']}"
    assert sorted(found) == sorted(one["id"] for one in (*early, *own)), "each once, the early ones too"
    by_next, place = [], ""
    while place is not None:
        document = read(borealis.get(f"{path}manifest/?match[type]=indicator&limit=3{place}"))
        by_next += [one["id"] for one in document["objects"]]
        place = f"&next={document['next']}" if document["more"] else None
    assert by_next == found
    dates = {
        one["id"]: one["date_added"] for one in read(borealis.get(f"{path}manifest/?match[type]=indicator"))["objects"]
    }
    first = read(borealis.get(f"{path}manifest/?match[type]=indicator&limit=2&added_after={dates[found[1]]}"))
    assert [one["id"] for one in first["objects"]] == found[2:4]
    for since, expected in ((found[1], found[4:]), (found[6], found[7:]), (found[9], [])):
        rest = read(borealis.get(
            f"{path}manifest/?match[type]=indicator&next={first['next']}&added_after={dates[since]}"
        ))  # fmt: skip
        assert [one["id"] for one in rest.get("objects", [])] == expected, (
            "also where it asks for later ones from now on"
        )
    assert read(borealis.get(f"{path}objects/{early[0]['id']}/"))["objects"][0]["id"] == early[0]["id"]
    assert len(read(borealis.get(f"{path}objects/{early[0]['id']}/versions/"))["versions"]) == 1
    withdrawn(borealis, own[0])
    time.shift(proving._MOVES + timedelta(seconds=1))
    left = read(borealis.get(f"{path}objects/?match[type]=indicator"))["objects"]
    assert len(left) == 8, "what went is gone in silence"
    assert borealis.get(f"{path}objects/{early[0]['id']}/").status_code == 404
    assert aster.get(path).status_code == 404, "nobody else has it"


def test_a_collection_loses_nothing_of_what_its_set_told_at_one_moment_before_it_moved(aster, borealis, time):
    feed = saved(borealis, "confidence:>=0")
    sent = [build.an_indicator() | {"confidence": 80} for _ in range(5)]
    aster.push(*sent)
    Subscriber(borealis, feed).catch_up()
    InForce.unrestricted.update(told_at=clock.now())  # as it was while nothing went by it
    read(borealis.send("PATCH", f"feeds/{feed}", {"text": "age:<3w"}))
    found, after = [], ""
    for _ in range(3):
        page = borealis.get(f"/taxii2/exchange/collections/{feed}/objects/?match[type]=indicator&limit=2{after}")
        found += [one["id"] for one in orjson.loads(page.content)["objects"]]
        after = f"&added_after={page.headers['X-TAXII-Date-Added-Last']}"
    assert sorted(found) == sorted(one["id"] for one in sent)


def test_a_cursor_of_a_set_that_was_begun_anew_starts_over(aster, borealis):
    feed = saved(borealis, "age:<3w")
    aster.push(*(build.an_indicator() for _ in range(3)))
    path = f"/taxii2/exchange/collections/{feed}/objects/?match[type]=indicator&limit=2"
    place = read(borealis.get(path))["next"]
    FeedSet.unrestricted.all().delete()
    assert borealis.get(f"{path}&next={place}").status_code == 410


def test_rows_of_one_set_are_told_one_after_the_other_also_where_the_clock_goes_back(aster, borealis, time):
    feed = Subscriber(borealis, saved(borealis, "age:<3w"))
    for back in (0, 1, 1):
        time.shift(timedelta(minutes=-back))
        aster.push(*(build.an_indicator() for _ in range(3)))
        feed.catch_up()
    told_at = list(InForce.unrestricted.order_by("place").values_list("told_at", flat=True))
    assert len(told_at) == 9
    assert told_at == sorted(set(told_at))
