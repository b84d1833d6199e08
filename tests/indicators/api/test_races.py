"""Retries that overtake each other: threads of their own, connections of their own."""

from __future__ import annotations

import json
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event

import pytest
from django.db import connections, transaction

from exchange.errors import Conflict, NotFound, Refused
from indicators.feeds import filters
from indicators.models import Feed, Holding, SharedId, Subscription
from indicators.reading import lines
from indicators.telling import subscribing
from tests import build, stores, waiting
from tests.indicators.api.caller import Caller, read

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(count: int, ask):
    """All at the same time; each thread lets go of its connection."""

    def one(number: int):
        try:
            return ask(number)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


@pytest.fixture
def aster(transactional_db):
    return Caller(build.a_key(build.a_partner("Aster")))


def test_one_key_sent_by_many_at_once_publishes_once_and_answers_all_alike(aster):
    objects = [build.an_indicator() for _ in range(5)]
    answers = at_once(6, lambda number: aster.push(*objects, Idempotency_Key="one"))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert sum("Idempotency-Replayed" not in answer.headers for answer in answers) == 1
    assert len(read(aster.get("changes"))["changes"]) == 5


def test_equal_bytes_without_a_key_sent_by_many_at_once_are_accepted_once(aster):
    one = build.an_indicator()
    answers = at_once(6, lambda number: read(aster.push(one))["results"][0]["status"])
    assert sorted(answers) == ["accepted", *["unchanged"] * 5]


def test_a_feed_s_name_taken_by_many_at_once_is_given_once(aster):
    statuses = at_once(6, lambda number: aster.send("POST", "feeds", {"name": "cards"}).status_code)
    assert sorted(statuses) == [201, *[409] * 5]


def test_the_first_pushes_without_a_name_do_not_wait_for_each_other_for_ever(aster):
    answers = at_once(6, lambda number: aster.push(build.an_indicator(), query="?everyone=true&attribution=exchange"))
    assert [read(answer)["counts"]["accepted"] for answer in answers] == [1] * 6


_HOOK = "https://receiver.example/hook"


def one_after_the_other(first, second) -> tuple[Future, Future]:
    """The second begins while the first has not committed; it does once the second waits for it, or has ended."""
    done, go_on = Event(), Event()

    def ahead():
        try:
            with transaction.atomic():
                first()
                done.set()
                assert go_on.wait(waiting.DEADLINE_S)
        finally:
            done.set()
            connections.close_all()

    def behind():
        try:
            assert done.wait(waiting.DEADLINE_S)
            second()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        ends = pool.submit(ahead), pool.submit(behind)
        try:
            waiting.until(lambda: ends[1].done() or stores.somebody_waits())
        finally:
            go_on.set()
    return ends


def test_two_publishers_who_bring_one_id_at_the_same_moment_are_one_line_to_each_reader(aster):
    """The second waits for the place in the log of the first, and then finds what that brought: the id is shared."""
    ahead, behind = (Caller(build.a_key(build.a_partner(name))) for name in ("Borealis", "Cygnus"))
    made = build.an_indicator(tlp_word="green")
    accepted = []

    def push(caller):
        accepted.append(read(caller.push(made, query="?everyone=true"))["counts"]["accepted"])

    ends = one_after_the_other(lambda: push(ahead), lambda: push(behind))
    assert ([end.exception() for end in ends], accepted) == ([None, None], [1, 1])
    assert [one.stix_id for one in SharedId.objects.all()] == [made["id"]]
    told = json.loads(b"".join(aster.get("bundle").streaming_content))["objects"]
    assert [one["id"] for one in told if one["type"] == "indicator"] == [made["id"]]
    (line,) = lines.chosen(aster.viewer, [made["id"]]).values()
    assert Holding.unrestricted.get(pk=line).publisher_id == ahead.viewer.partner_id


@pytest.mark.parametrize("how", ["subscribe", "change"])
@pytest.mark.parametrize("changed_first", [True, False])
def test_an_address_is_told_of_a_feed_as_it_is_when_it_begins_to_move_meanwhile(aster, how, changed_first):
    """By the set of the feed, whichever came first; only what concerns the partner alone cannot be told of it."""
    viewer = aster.viewer
    feed = subscribing.save_feed(
        viewer, name="cards", filter_json=filters.accepted(viewer, "confidence:>=70").to_json()
    )
    if how == "change":
        there, _ = subscribing.subscribe(viewer, url=_HOOK, feed_id=None)

    def subscribes():
        if how == "change":
            subscribing.change(viewer, there.pk, {"feed": feed.pk})
        else:
            subscribing.subscribe(viewer, url=_HOOK, feed_id=feed.pk, only_yours=True)

    def moves():
        subscribing.change_feed(viewer, feed.pk, filter_json=filters.accepted(viewer, "until:<7d").to_json())

    ahead, behind = one_after_the_other(*((moves, subscribes) if changed_first else (subscribes, moves)))
    assert ahead.exception() is None
    if how == "change":
        assert behind.exception() is None
        assert Subscription.unrestricted.get(feed=feed).set_id is not None
        return
    refused = behind.exception()
    assert isinstance(refused, Refused)
    assert refused.code == "filter-moves"
    assert Subscription.unrestricted.filter(feed=feed).exists() is not changed_first
    assert bool(filters.parse(Feed.unrestricted.get(pk=feed.pk).filter).moving) is changed_first


def test_an_address_and_the_filter_of_its_feed_are_changed_at_once_and_neither_waits_for_ever(aster, monkeypatch):
    viewer = aster.viewer
    feed = subscribing.save_feed(viewer, name="cards", filter_json={})
    there, _ = subscribing.subscribe(viewer, url=_HOOK, feed_id=feed.pk)
    wanted = filters.accepted(viewer, "confidence:>=70").to_json()
    locked, go_on, really = Event(), Event(), subscribing._placed_anew

    def slowly(*args):
        locked.set()
        assert go_on.wait(waiting.DEADLINE_S)
        really(*args)

    def act(number):
        try:
            if number == 0:
                return subscribing.change_feed(viewer, feed.pk, filter_json=wanted)
            assert locked.wait(waiting.DEADLINE_S)
            return subscribing.change(viewer, there.pk, {"only": "yours"})
        finally:
            connections.close_all()

    monkeypatch.setattr(subscribing, "_placed_anew", slowly)
    with ThreadPoolExecutor(2) as pool:
        ends = [pool.submit(act, number) for number in range(2)]
        try:
            waiting.until(lambda: ends[1].done() or stores.somebody_waits())
        finally:
            go_on.set()
    assert [one.exception() for one in ends] == [None, None]


@pytest.mark.parametrize("deleted_first", [True, False])
def test_no_address_is_subscribed_to_a_feed_that_is_deleted_meanwhile(aster, deleted_first):
    viewer = aster.viewer
    feed = subscribing.save_feed(viewer, name="cards", filter_json={})

    def subscribes():
        subscribing.subscribe(viewer, url=_HOOK, feed_id=feed.pk)

    def deletes():
        subscribing.delete_feed(viewer, feed.pk)

    ahead, behind = one_after_the_other(*((deletes, subscribes) if deleted_first else (subscribes, deletes)))
    assert ahead.exception() is None
    assert isinstance(behind.exception(), NotFound if deleted_first else Conflict)
