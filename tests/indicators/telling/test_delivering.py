"""Webhooks as a state machine: each state, each way from one to the next, workers that die in between, and two at once."""

from __future__ import annotations

import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from django.db import connection, connections
from standardwebhooks.webhooks import Webhook

from exchange import clock, incarnation, outbound, paging
from exchange.errors import Conflict, Forbidden, NotFound, TooMany
from indicators.feeds.filters import EVERYTHING
from indicators.log import changes, walking
from indicators.models import Delivery, Subscription
from indicators.stix import making
from indicators.telling import claiming, delivering, notifying, subscribing, writing
from indicators.telling import sending as desks
from indicators.telling.attempting import Outcome
from partners.scopes import Scope
from tests import build, sending
from tests.indicators.telling.stage import BROKEN, FINE, GONE, START, now, signed_bytes, told
from tests.waiting import DEADLINE_S

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
    delivery = told(cast, subscription)
    second = build.an_indicator()
    build.publish(cast.viewer("aster"), second, groups=("ring",))
    assert notifying.dispatch(subscription.pk) is None
    assert sending.send_next() == FINE
    ended = now(delivery)
    assert (ended.state, ended.attempts, ended.finished_at, ended.status_code) == ("delivered", 1, START, 200)
    notifying.dispatch(subscription.pk)
    sending.send_next()
    assert [change["id"] for change in answers[1][1][1]["data"]["changes"]] == [second["id"]]
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


# due -> due, sooner


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


# by hand


def test_each_ping_has_an_id_of_its_own_also_while_paused(cast, reader, time, answers):
    subscription = subscribe(reader)
    notifying.change(reader, subscription.pk, {"state": "paused"})
    for _ in range(2):
        notifying.ping(reader, subscription.pk)
        assert sending.send_next() == FINE
    ids = [headers["webhook-id"] for _, _, headers in answers[1]]
    assert len(set(ids)) == 2
    assert {body["type"] for _, body, _ in answers[1]} == {"ping"}
    with pytest.raises(NotFound):
        notifying.ping(cast.viewer("aster"), subscription.pk)


@pytest.mark.parametrize("ends", ["delivered", "dead"])
def test_what_has_ended_is_sent_again_under_its_own_id_and_alters_nothing_else(cast, reader, time, answers, ends):
    subscription = subscribe(reader)
    delivery = told(cast, subscription)
    fail(delivery, FINE if ends == "delivered" else GONE)
    seq = now(subscription).seq
    again = notifying.send_again(reader, delivery.pk)
    assert again.pk != delivery.pk
    answers[0][:] = [outbound.Reply(500, None, b"")]
    sending.send_next()
    assert (now(again).state, now(delivery).state, now(subscription).seq) == ("dead", ends, seq)
    assert now(subscription).state == ("active" if ends == "delivered" else "dead")
    twice = notifying.send_again(reader, again.pk)
    answers[0][:] = [outbound.Reply(200, None, b"")]
    sending.send_next()
    assert now(twice).state == "delivered"
    assert {headers["webhook-id"] for _, _, headers in answers[1]} == {f"msg_{delivery.pk}"}


def test_what_waits_is_due_now_and_what_is_being_sent_is_left(cast, reader, time):
    delivery = fail(told(cast, subscribe(reader)))
    assert notifying.send_again(reader, delivery.pk).due_at == START
    sending.claim()
    with pytest.raises(Conflict):
        notifying.send_again(reader, delivery.pk)
    with pytest.raises(NotFound):
        notifying.send_again(cast.viewer("aster"), delivery.pk)


def test_messages_by_hand_are_bounded(cast, reader, time, django_assert_num_queries):
    subscription = subscribe(reader)
    for _ in range(10):
        notifying.ping(reader, subscription.pk)
    with django_assert_num_queries(2), pytest.raises(TooMany):  # and no lock: 16 who ask at once wait for nobody
        notifying.ping(reader, subscription.pk)
    Delivery.unrestricted.update(state="dead")
    notifying.ping(reader, subscription.pk)


def test_messages_by_hand_are_bounded_by_the_hour_too(cast, reader, time, monkeypatch):
    monkeypatch.setattr(delivering, "_MAX_BY_HAND_PER_HOUR", 3)
    subscription = subscribe(reader)
    for _ in range(3):
        notifying.ping(reader, subscription.pk)
        Delivery.unrestricted.update(state="delivered")
    with pytest.raises(TooMany):
        notifying.ping(reader, subscription.pk)
    other = cast.viewer("aster")
    notifying.ping(other, subscribe(other).pk)
    time.shift(timedelta(hours=1, seconds=1))
    notifying.ping(reader, subscription.pk)


def test_who_only_reads_sends_nothing_by_hand(cast, reader, time):
    delivery = told(cast, subscription := subscribe(reader))
    only_reads = build.viewer_of(cast.borealis, Scope.READ)
    with pytest.raises(Forbidden):
        notifying.send_again(only_reads, delivery.pk)
    with pytest.raises(Forbidden):
        notifying.ping(only_reads, subscription.pk)


def test_messages_by_hand_stand_beside_the_changes(cast, reader, time, answers):
    subscription = subscribe(reader)
    notifying.ping(reader, subscription.pk)
    delivery = told(cast, subscription)  # a ping that waits blocks nothing
    assert {sending.claim().pk, sending.claim().pk} > {delivery.pk}


# fair shares


def test_a_partner_holds_a_share_and_the_others_come_first(cast, reader, time):
    many = [subscribe(reader) for _ in range(10)]
    build.publish(cast.viewer("aster"), build.an_indicator(), groups=("ring",))
    for each in many:
        notifying.dispatch(each.pk)
    time.shift(1)
    other = told(cast, subscribe(cast.viewer("aster")))
    assert claiming.due() == claiming.SHARE + 1
    claimed = [sending.claim() for _ in range(claiming.SHARE + 1)]
    assert claimed[1].pk == other.pk  # one of each, though nine were due before it
    assert sending.claim() is None
    assert claiming.due() == 0
    sending.conclude(claimed[0], BROKEN)
    assert sending.claim().partner_id == cast.borealis.pk


def test_of_what_failed_before_half_a_share_is_tried_at_a_time(cast, reader, time):
    many = [subscribe(reader) for _ in range(4)]
    build.publish(cast.viewer("aster"), build.an_indicator(), groups=("ring",))
    for each in many:
        notifying.dispatch(each.pk)
    for each in [sending.claim() for _ in many]:
        sending.conclude(each, BROKEN)
    time.shift(delivering.RETRY_AFTER[0])
    assert [bool(sending.claim()) for _ in range(3)] == [True, True, False]
    told(cast, subscribe(reader))
    assert sending.claim() is not None


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


def test_what_ended_long_ago_is_forgotten(cast, reader, time):
    subscription = subscribe(reader)
    old = told(cast, subscription)
    fail(old, FINE)
    Delivery.unrestricted.update(finished_at=START - timedelta(days=31))
    waiting = told(cast, subscription)
    notifying.forget_old_deliveries()
    assert list(Delivery.unrestricted.all()) == [waiting]


def test_a_subscription_that_cannot_be_told_keeps_no_other_from_it(cast, reader, time, monkeypatch):
    cards = subscribing.save_feed(reader, name="cards", filter_json={"kinds": ["account-pattern"]})
    subscribe(reader, feed_id=cards.pk)
    fine = subscribe(reader)
    build.publish(cast.viewer("aster"), build.an_indicator(), groups=("ring",))
    real = subscribing.filter_of

    def filter_of(feed):
        if feed is not None:
            raise ValueError
        return real(feed)

    monkeypatch.setattr(subscribing, "filter_of", filter_of)
    monkeypatch.setattr(notifying, "wake", lambda count=1: None)
    notifying.sweep()
    assert [each.subscription_id for each in Delivery.unrestricted.all()] == [fine.pk]


def test_no_more_is_made_due_than_workers_can_soon_take_and_the_log_keeps_the_rest(
    cast, reader, time, answers, monkeypatch
):
    monkeypatch.setattr(notifying, "_MOST_DUE", 2)
    subscriptions = [subscribe(reader, url=f"{URL}/{number}") for number in range(5)]
    build.publish(cast.viewer("aster"), build.an_indicator(), groups=("ring",))
    notifying.sweep()
    assert Delivery.unrestricted.count() == 2
    while Delivery.unrestricted.count() < len(subscriptions):
        notifying.deliver()
        notifying.sweep()
    notifying.deliver()
    assert {each.state for each in Delivery.unrestricted.all()} == {"delivered"}
    assert len({body["data"]["subscription"] for _, body, _ in answers[1]}) == len(subscriptions)


def test_a_sweep_takes_a_partners_together_and_not_what_is_under_way(cast, reader, time, monkeypatch):
    many = [subscribe(reader) for _ in range(3)]
    other = subscribe(cast.viewer("aster"))

    def to_be_told():
        return [set(ids) for ids in notifying._to_be_told()]

    all_of_it = {each.pk for each in many}
    build.publish(cast.viewer("aster"), build.an_indicator(), groups=("ring",))
    assert to_be_told() in ([all_of_it, {other.pk}], [{other.pk}, all_of_it])
    for each in many:
        notifying.dispatch(each.pk)
    build.publish(cast.viewer("aster"), build.an_indicator(), groups=("ring",))
    assert to_be_told() == [{other.pk}]
    for _ in many:
        sending.conclude(sending.claim(), BROKEN)
    assert to_be_told() == [{other.pk}]  # they rest
    time.shift(2)
    build.publish(cast.viewer("aster"), build.an_indicator(), groups=("ring",))
    Delivery.unrestricted.update(due_at=START + timedelta(hours=1), rests_until=START)
    assert set().union(*to_be_told()) == {other.pk, *all_of_it}


# with real workers and a real receiver


def a_desk():
    """Of another process."""
    return desks.Desk(ask=lambda: None, help_=lambda: None)


class Receiver(ThreadingHTTPServer):
    """Keeps what it is sent; answers when it is allowed to."""

    daemon_threads = True

    def __init__(self):
        self.seen, self.may_answer = [], threading.Event()
        self.may_answer.set()
        super().__init__(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append((self.headers["webhook-id"], body))
        self.server.may_answer.wait(DEADLINE_S)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture
def receiver():
    started = Receiver()
    yield started
    started.may_answer.set()
    started.shutdown()
    started.server_close()


@pytest.mark.django_db(transaction=True)
def test_two_workers_send_each_message_once_and_hold_no_connection_meanwhile(receiver, monkeypatch):
    cast = build.the_cast()
    viewers = [cast.viewer("aster"), cast.viewer("borealis")]
    subscriptions = [subscribe(viewer, receiver.url) for viewer in viewers for _ in range(3)]
    build.publish(viewers[0], build.an_indicator(), groups=("ring",))
    for each in subscriptions:
        notifying.dispatch(each.pk)
    held, real = [], outbound.post

    def post(*args, **more):
        held.append(connections["default"].connection)
        return real(*args, **more)

    monkeypatch.setattr(outbound, "post", post)

    def work():
        try:
            a_desk().work()
        finally:
            connection.close()

    workers = [threading.Thread(target=work) for _ in range(2)]
    for each in workers:
        each.start()
    for each in workers:
        each.join(DEADLINE_S)
    assert set(Delivery.unrestricted.values_list("state", flat=True)) == {"delivered"}
    ids = [name for name, _ in receiver.seen]
    assert len(ids) == len(set(ids)) == len(subscriptions)
    assert held == [None] * len(subscriptions)


@pytest.mark.django_db(transaction=True)
def test_silent_receivers_of_one_partner_leave_hands_for_the_others(receiver):
    silent = Receiver()
    silent.may_answer.clear()
    cast = build.the_cast()
    many = [subscribe(cast.viewer("aster"), silent.url) for _ in range(12)]
    build.publish(cast.viewer("borealis"), build.an_indicator(), groups=("ring",))
    for each in many:
        notifying.dispatch(each.pk)

    def work():
        try:
            a_desk().work()
        finally:
            connection.close()

    workers = [threading.Thread(target=work) for _ in range(claiming.SHARE + 1)]
    for each in workers:
        each.start()
    try:
        other = told(cast, subscribe(cast.viewer("borealis"), receiver.url))
        fifth = threading.Thread(target=work)
        fifth.start()
        fifth.join(DEADLINE_S)
        assert now(other).state == "delivered"
        assert len(silent.seen) == claiming.SHARE
    finally:
        Subscription.unrestricted.update(state="paused")
        silent.may_answer.set()
        for each in workers:
            each.join(DEADLINE_S)
        silent.shutdown()
        silent.server_close()


# after a restore


def sweep():
    notifying.sweep()
    outcomes = []
    while (outcome := sending.send_next()) is not None:
        outcomes.append(outcome)
        notifying.sweep()
    return outcomes


def said(answers):
    return [(body["type"], body["data"]["incarnation"]) for _, body, _ in answers[1]]


def test_every_message_says_the_incarnation_and_a_new_one_is_told_to_start_over_before_anything_else(
    cast, reader, time, answers
):
    subscription = subscribe(reader)
    waits = told(cast, subscription)  # what was due in the backup is due after the restore
    incarnation.begin()
    present = incarnation.read()
    build.publish(cast.viewer("aster"), build.an_indicator(), groups=("ring",))
    sweep()
    assert said(answers) == [("start-over", present), ("objects.changed", present), ("objects.changed", present)]
    assert answers[1][0][1]["data"]["link"].endswith("/api/v1/changes")
    assert (now(waits).state, now(subscription).incarnation) == ("delivered", present)
    assert sweep() == []
    delivering.ping(reader, subscription.pk)
    sweep()
    assert said(answers)[-1] == ("ping", present)


def test_before_the_first_restore_the_word_is_there_too_and_nobody_starts_over(cast, reader, time, answers):
    told(cast, subscribe(reader))
    sweep()
    assert said(answers) == [("objects.changed", "first")]


def test_who_subscribes_after_a_restore_has_nothing_to_start_over(cast, reader, time, answers):
    incarnation.begin()
    told(cast, subscribe(reader))
    sweep()
    assert said(answers) == [("objects.changed", incarnation.read())]


def test_nothing_is_told_until_start_over_was_received(cast, reader, time, answers):
    subscription = subscribe(reader)
    told(cast, subscription)
    incarnation.begin()
    answers[0][:] = [outbound.Reply(500, None, b""), outbound.Reply(200, None, b"")]
    sweep()
    assert [kind for kind, _ in said(answers)] == ["start-over"]
    time.shift(delivering.RETRY_AFTER[0])
    sweep()
    assert [kind for kind, _ in said(answers)] == ["start-over", "start-over", "objects.changed"]


def test_start_over_that_is_given_up_is_told_when_the_subscription_is_resumed(cast, reader, time, answers):
    subscription = subscribe(reader)
    incarnation.begin()
    answers[0][:] = [outbound.Reply(410, None, b""), outbound.Reply(200, None, b"")]
    sweep()
    assert now(subscription).state == "dead"
    notifying.change(reader, subscription.pk, {"state": "active"})
    sweep()
    assert [kind for kind, _ in said(answers)] == ["start-over", "start-over"]


@pytest.mark.parametrize("restored", [True, False])
def test_of_a_partners_subscriptions_that_one_dies_whose_receiver_is_gone(cast, reader, time, answers, restored):
    dies, lives = subscribe(reader), subscribe(reader, URL + "/other")
    other = subscribe(cast.viewer("aster"), URL + "/third")
    if restored:
        incarnation.begin()
        notifying.dispatch(dies.pk)
    else:
        told(cast, dies)
    answers[0][:] = [outbound.Reply(410, None, b"")]
    notifying.deliver()
    assert [now(one).state for one in (dies, lives, other)] == ["dead", "active", "active"]


def test_receiving_start_over_is_one_subscriptions_own(cast, reader, time, answers):
    first, second = subscribe(reader), subscribe(reader, URL + "/other")
    incarnation.begin()
    notifying.dispatch(first.pk)
    notifying.deliver()
    assert now(first).incarnation != now(second).incarnation


def test_a_message_says_more_only_where_its_own_stretch_holds_more(cast, reader, time, answers, monkeypatch):
    subscription = subscribe(reader)
    told(cast, subscription)
    monkeypatch.setattr(writing, "MAX_CHANGES", 1)
    build.publish(cast.viewer("aster"), build.an_indicator(), groups=("ring",))  # beyond what the message is about
    notifying.deliver()
    assert [message["data"]["more"] for _, message, _ in answers[1]] == [False]


def test_start_over_can_be_sent_again_under_its_id(cast, reader, time, answers):
    subscription = subscribe(reader)
    incarnation.begin()
    sweep()
    (first,) = Delivery.unrestricted.filter(subscription=subscription)
    delivering.send_again(reader, first.pk)
    sweep()
    (_, _, before), (_, _, after) = answers[1]
    assert [kind for kind, _ in said(answers)] == ["start-over", "start-over"]
    assert before["webhook-id"] == after["webhook-id"]


def test_a_second_restore_starts_over_once_more(cast, reader, time, answers):
    subscribe(reader)
    for _ in range(2):
        incarnation.begin()
        sweep()
    assert len({word for _, word in said(answers)}) == 2


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
