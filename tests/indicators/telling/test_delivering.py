"""Webhooks as a state machine: each state, each way from one to the next, workers that die in between, and two at once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from standardwebhooks.webhooks import Webhook

from exchange import clock, outbound, paging
from indicators.feeds.filters import EVERYTHING
from indicators.log import changes, walking
from indicators.models import Delivery
from indicators.stix import making
from indicators.telling import claiming, delivering, notifying, subscribing, writing
from indicators.telling.attempting import Outcome
from tests import build, sending
from tests.indicators.telling.stage import BROKEN, FINE, GONE, START, now, signed_bytes, told

pytestmark = pytest.mark.django_db

URL = "https://receiver.example/hook"


def subscribe(viewer, url=URL, feed_id=None):
    return subscribing.subscribe(viewer, url=url, feed_id=feed_id)[0]


def fail(delivery, outcome=BROKEN):
    claimed = sending.claim()
    assert claimed.pk == delivery.pk
    sending.conclude(claimed, outcome)
    return now(delivery)


# due -> sending


def test_what_is_due_is_claimed_once(cast, reader, time):
    delivery = told(cast, subscribe(reader))
    claimed = sending.claim()
    assert (claimed.pk, claimed.state) == (delivery.pk, "sending")
    assert sending.claim() is None


def test_what_is_due_later_is_not_claimed_before(cast, reader, time):
    delivery = fail(told(cast, subscribe(reader)))
    assert sending.claim() is None
    time.shift(delivering.RETRY_AFTER[0])
    assert sending.claim().pk == delivery.pk


def test_what_is_paused_waits_and_goes_on(cast, reader, time, hints):
    subscription = subscribe(reader)
    delivery = told(cast, subscription)
    notifying.change(reader, subscription.pk, {"state": "paused"})
    assert sending.claim() is None
    assert claiming.due() == 0
    notifying.change(reader, subscription.pk, {"state": "active"})
    assert sending.claim().pk == delivery.pk


def test_what_is_due_to_a_suspended_partner_waits_for_its_return(cast, reader, time):
    delivery = told(cast, subscribe(reader))
    cast.borealis.state = "suspended"
    cast.borealis.save(update_fields=["state"])
    assert sending.claim() is None
    cast.borealis.state = "active"
    cast.borealis.save(update_fields=["state"])
    assert sending.claim().pk == delivery.pk


# sending -> sending: a worker that died


def test_what_a_worker_died_with_is_claimed_again_under_the_same_id(cast, reader, time, answers):
    delivery = told(cast, subscribe(reader))
    died_with = sending.claim()
    sending.attempt(died_with)  # sent, and dead before it could write that down
    time.shift(59)
    assert sending.claim() is None
    time.shift(2)
    assert sending.send_next().delivered
    assert now(delivery).state == "delivered"
    assert len({headers["webhook-id"] for _, _, headers in answers[1]}) == 1


def test_who_comes_back_after_his_claim_is_over_writes_nothing(cast, reader, time):
    delivery = told(cast, subscribe(reader))
    late = sending.claim()
    time.shift(61)
    other = sending.claim()
    sending.conclude(late, GONE)
    assert (now(delivery).state, now(delivery).attempts) == ("sending", 0)
    sending.conclude(other, FINE)
    assert now(delivery).state == "delivered"
    sending.conclude(other, BROKEN)
    assert now(delivery).state == "delivered"


# sending -> delivered, due, dead


def test_a_receipt_ends_it_and_the_next_message_tells_what_came_meanwhile(cast, reader, time, answers):
    subscription = subscribe(reader)
    first, second = build.an_indicator(), build.an_indicator()
    build.publish(cast.viewer("aster"), first, groups=("ring",))
    delivery = Delivery.unrestricted.get(pk=notifying.dispatch(subscription.pk))
    build.publish(cast.viewer("aster"), second, groups=("ring",))
    assert notifying.dispatch(subscription.pk) is None
    assert sending.send_next() == FINE
    ended = now(delivery)
    assert (ended.state, ended.attempts, ended.finished_at, ended.status_code) == ("delivered", 1, START, 200)
    notifying.dispatch(subscription.pk)
    sending.send_next()
    told_of = [[change["id"] for change in message["data"]["changes"]] for _, message, _ in answers[1]]
    assert told_of == [[first["id"]], [second["id"]]]
    assert notifying.dispatch(subscription.pk) is None


def test_a_failure_is_tried_again_by_the_schedule_and_then_given_up(cast, reader, time):
    subscription = subscribe(reader)
    delivery = told(cast, subscription)
    for attempts, wait in enumerate(delivering.RETRY_AFTER, start=1):
        failed = fail(delivery)
        assert (failed.state, failed.attempts, failed.due_at) == ("due", attempts, clock.now() + wait)
        time.shift(wait)
    ended = fail(delivery)
    assert (ended.state, ended.attempts, ended.finished_at) == ("dead", 8, clock.now())
    assert now(subscription).state == "dead"
    assert sending.claim() is None
    # whoever resumes it is told all of it, from where it was given up
    notifying.change(reader, subscription.pk, {"state": "active"})
    again = Delivery.unrestricted.get(pk=notifying.dispatch(subscription.pk))
    assert again.first_seq == delivery.first_seq


def test_410_gives_up_at_once(cast, reader, time):
    subscription = subscribe(reader)
    assert fail(told(cast, subscription), GONE).state == "dead"
    assert now(subscription).state == "dead"


@pytest.mark.parametrize(
    ("asked_s", "waits"),
    [
        (None, timedelta(seconds=5)),
        (1, timedelta(seconds=5)),
        (90, timedelta(seconds=90)),
        (999_999, timedelta(days=1)),
    ],
)
def test_a_receiver_may_ask_for_more_time_up_to_a_day(cast, reader, time, asked_s, waits):
    asked = timedelta(seconds=asked_s) if asked_s else None
    failed = fail(told(cast, subscribe(reader)), Outcome(delivered=False, words="", status_code=503, retry_after=asked))
    assert failed.due_at == clock.now() + waits


def test_what_may_not_be_seen_any_more_is_not_told(cast, reader, time, answers):
    one = build.an_indicator()
    build.publish(cast.viewer("aster"), one, groups=("ring",))
    subscription = subscribe(reader)
    delivery = told(cast, subscription)
    Delivery.unrestricted.filter(pk=delivery.pk).update(first_seq=delivery.last_seq)
    assert sending.send_next().words == "Nothing was left to tell."
    assert answers[1] == []


@pytest.mark.parametrize(
    ("raised", "words"),
    [(outbound.Failed("No answer within 10 seconds."), "No answer within 10 seconds."), (outbound.Blocked(), "public")],
)
def test_no_answer_is_a_failure_with_its_words(cast, reader, time, answers, raised, words):
    delivery = told(cast, subscribe(reader))
    answers[0][:] = [raised]
    sending.send_next()
    assert now(delivery).state == "due"
    assert words in now(delivery).outcome


# secrets


def test_two_secrets_sign_for_a_time_and_then_the_new_one_alone(cast, reader, time, answers):
    subscription, old = subscribing.subscribe(reader, url=URL, feed_id=None)
    _, new = subscribing.rotate_secret(reader, subscription.pk, overlap=timedelta(hours=24))

    def verified():
        notifying.ping(reader, subscription.pk)
        sending.send_next()
        _, body, headers = answers[1][-1]
        raw, held = signed_bytes(body), []
        for name, secret in (("old", old), ("new", new)):
            try:
                Webhook(secret).verify(raw, dict(headers))
                held.append(name)
            except Exception:
                continue
        return held

    assert verified() == ["old", "new"]
    time.shift(timedelta(hours=24))
    assert verified() == ["new"]
    subscribing.rotate_secret(reader, subscription.pk, overlap=timedelta(0))
    assert verified() == []
    assert now(subscription).old_secret == "", "what signs no more is not kept"


def test_what_ended_long_ago_is_forgotten(cast, reader, time):
    subscription = subscribe(reader)
    old = told(cast, subscription)
    fail(old, FINE)
    Delivery.unrestricted.update(finished_at=START - timedelta(days=31))
    waiting = told(cast, subscription)
    notifying.forget_old_deliveries()
    assert list(Delivery.unrestricted.all()) == [waiting]


# what a message says


def sweep():
    notifying.sweep()
    outcomes = []
    while (outcome := sending.send_next()) is not None:
        outcomes.append(outcome)
        notifying.sweep()
    return outcomes


def test_a_message_says_more_only_where_its_own_stretch_holds_more(cast, reader, time, answers, monkeypatch):
    subscription = subscribe(reader)
    told(cast, subscription)
    monkeypatch.setattr(writing, "MAX_CHANGES", 1)
    build.publish(cast.viewer("aster"), build.an_indicator(), groups=("ring",))  # beyond what the message is about
    notifying.deliver()
    assert [message["data"]["more"] for _, message, _ in answers[1]] == [False]


def test_a_message_carries_nothing_to_enforce_before_an_entry_begins(cast, reader, time, answers):
    begins = clock.rfc3339(clock.now() + timedelta(days=5))
    subscription = subscribe(reader)
    build.publish(cast.viewer("aster"), build.an_indicator(valid_from=begins), groups=("ring",))
    notifying.dispatch(subscription.pk)
    sweep()
    ((_, body, _),) = answers[1]
    assert set(body["data"]) == {"subscription", "incarnation", "feed", "place", "urgent", "changes", "more", "link"}
    assert [set(change) for change in body["data"]["changes"]] == [{"op", "reason", "id", "type", "kind"}]


def test_what_tells_of_a_removal_is_urgent_and_goes_first(cast, reader, time, answers):
    first, second = subscribe(reader), subscribe(reader)
    made = build.an_indicator()
    build.publish(cast.viewer("aster"), made, groups=("ring",))
    notifying.dispatch(first.pk)
    time.shift(1)
    build.publish(cast.viewer("aster"), made | {"revoked": True, "modified": build.later()}, groups=("ring",))
    notifying.dispatch(second.pk)
    claimed = sending.claim()
    assert (claimed.subscription_id, claimed.urgent) == (second.pk, True)
    assert (sending.claim().subscription_id, Delivery.unrestricted.filter(urgent=True).count()) == (first.pk, 1)


def test_the_place_in_a_message_is_the_subscribers_own_however_much_others_publish(cast, reader, time, answers):
    build.publish(cast.viewer("aster"), build.an_indicator(), groups=("ring",))
    own = changes.own_end(reader)
    subscription = subscribe(reader)
    build.publish(cast.viewer("aster"), build.an_indicator(), partners=("cygnus",))
    assert notifying.dispatch(subscription.pk) is None
    assert now(subscription).seq > own, "it has looked further"
    told(cast, subscription)
    sending.send_next()
    place = answers[1][0][1]["data"]["place"]
    assert paging.unseal(place, viewer=reader.partner_id, scope=f"changes;{EVERYTHING.scope}") == [own, 0]


def test_what_lies_behind_much_that_a_feed_leaves_out_is_told_all_the_same(cast, reader, time, monkeypatch):
    monkeypatch.setattr(writing, "MAX_CHANGES", 1)
    monkeypatch.setattr(changes, "_MOST_LOOKED_AT", 1)
    monkeypatch.setattr(walking, "_LEAST_ROWS", 2)
    cards = subscribing.save_feed(reader, name="cards", filter_json={"kinds": ["payment-fingerprint"]})
    subscription = subscribe(reader, feed_id=cards.pk)
    build.publish(cast.viewer("aster"), *(build.an_indicator() for _ in range(8)), groups=("ring",))
    build.publish(cast.viewer("aster"), making.payment_fingerprint(), groups=("ring",))
    delivery = Delivery.unrestricted.get(pk=notifying.dispatch(subscription.pk))
    assert delivery.changes == 1
