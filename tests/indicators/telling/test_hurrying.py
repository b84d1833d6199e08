"""What waits is due sooner: when there is news, after a good ping, at another address, and never for what is not seen."""

from __future__ import annotations

from datetime import timedelta

import pytest

from exchange import clock, outbound
from exchange.errors import NotFound
from indicators.models import Delivery
from indicators.telling import delivering, notifying, subscribing
from indicators.telling.attempting import Outcome
from tests import build, sending
from tests.indicators.telling.stage import now, told
from tests.indicators.telling.test_delivering import fail, subscribe

pytestmark = pytest.mark.django_db


def test_news_makes_the_waiting_one_due_after_a_rest_and_costs_no_attempt(cast, reader, time):
    subscription = subscribe(reader)
    delivery = told(cast, subscription)
    for _ in range(3):  # the next attempt is half an hour away
        failed = fail(delivery)
        time.move_to(failed.due_at)
    failed = fail(delivery)
    planned = failed.due_at
    build.publish(cast.viewer("aster"), build.an_indicator(), groups=("ring",))
    assert notifying.dispatch(subscription.pk) is None  # it rests
    time.shift(61)
    assert notifying.dispatch(subscription.pk) == delivery.pk
    early = fail(delivery)
    assert (early.state, early.attempts, early.due_at) == ("due", 4, planned)
    time.shift(61)
    assert notifying.dispatch(subscription.pk) is None  # the same news, once
    build.publish(cast.viewer("aster"), build.an_indicator(), groups=("ring",))
    assert notifying.dispatch(subscription.pk) == delivery.pk
    time.move_to(planned)
    assert fail(delivery).attempts == 5


@pytest.mark.slow
def test_a_change_that_the_subscriber_may_not_see_hurries_nothing(cast, reader, time):
    subscription = subscribe(reader)
    delivery = fail(told(cast, subscription))
    time.shift(2)
    delivery = fail_again(delivery, time)
    time.shift(61)
    build.publish(cast.viewer("aster"), build.an_indicator(), partners=("cygnus",))
    assert notifying.dispatch(subscription.pk) is None
    assert now(delivery).due_at == delivery.due_at


def fail_again(delivery, time):
    time.move_to(delivery.due_at)
    return fail(delivery)


def test_of_two_sweeps_that_found_the_same_news_one_makes_it_due(cast, reader, time):
    delivery = fail_again(fail(told(cast, subscribe(reader))), time)
    time.shift(61)
    seen, at = now(delivery).seen_seq + 1, clock.now()
    assert delivering.hurry_for_news(delivery, seen=seen, at=at)
    Delivery.unrestricted.filter(pk=delivery.pk).update(due_at=delivery.due_at)  # it was tried, and failed
    assert not delivering.hurry_for_news(delivery, seen=seen, at=at)
    assert delivering.hurry_for_news(delivery, seen=seen + 1, at=at)


def test_a_receiver_that_asked_for_time_is_left_alone_whatever_the_news(cast, reader, time):
    subscription = subscribe(reader)
    asked = Outcome(delivered=False, words="", status_code=429, retry_after=timedelta(hours=1))
    fail(told(cast, subscription), asked)
    build.publish(cast.viewer("aster"), build.an_indicator(), groups=("ring",))
    time.shift(timedelta(minutes=59))
    assert notifying.dispatch(subscription.pk) is None


def test_a_good_ping_makes_the_waiting_one_due_and_a_bad_one_does_not(cast, reader, time, answers):
    subscription = subscribe(reader)
    delivery = fail_again(fail(told(cast, subscription)), time)
    answers[0][:] = [outbound.Reply(500, None, b""), outbound.Reply(204, None, b"")]
    bad = notifying.ping(reader, subscription.pk)
    sending.send_next()
    assert now(bad).state == "dead"
    assert now(subscription).state == "active"
    assert sending.claim() is None
    good = notifying.ping(reader, subscription.pk)
    sending.send_next()
    assert now(good).state == "delivered"
    assert sending.claim().pk == delivery.pk


def test_another_address_is_tried_at_once(cast, reader, time, answers):
    subscription = subscribe(reader)
    delivery = fail_again(fail(told(cast, subscription)), time)
    notifying.change(reader, subscription.pk, {"url": "https://other.example/"})
    sending.send_next()
    assert answers[1][0][0] == "https://other.example/"
    assert now(delivery).state == "delivered"


def test_another_feed_tells_of_something_else_from_where_it_stopped(cast, reader, time, answers):
    subscription = subscribe(reader)
    cards = subscribing.save_feed(reader, name="cards", filter_json={"kinds": ["payment-fingerprint"]})
    notifying.change(reader, subscription.pk, {"feed": cards.pk})
    build.publish(cast.viewer("aster"), build.an_indicator(), groups=("ring",))
    assert notifying.dispatch(subscription.pk) is None
    notifying.change(reader, subscription.pk, {"feed": None})
    build.publish(cast.viewer("aster"), build.an_indicator(), groups=("ring",))
    assert notifying.dispatch(subscription.pk) is not None
    with pytest.raises(NotFound):
        notifying.change(cast.viewer("aster"), subscription.pk, {"feed": None})
    theirs = subscribing.save_feed(cast.viewer("aster"), name="cards", filter_json={})
    with pytest.raises(NotFound):
        notifying.change(reader, subscription.pk, {"feed": theirs.pk})
