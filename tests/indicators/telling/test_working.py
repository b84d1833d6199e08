"""Workers take fair shares, what cannot be told keeps nothing else waiting, and real receivers are sent each message once."""

from __future__ import annotations

import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from django.db import connection, connections

from exchange import outbound
from indicators.models import Delivery, Subscription
from indicators.telling import claiming, delivering, notifying, subscribing
from indicators.telling import sending as desks
from tests import build, sending
from tests.indicators.telling.stage import BROKEN, START, now, told
from tests.indicators.telling.test_delivering import URL, subscribe
from tests.waiting import DEADLINE_S, until

pytestmark = pytest.mark.django_db


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
@pytest.mark.slow
def test_two_workers_send_each_message_once_and_hold_no_connection_meanwhile(receiver, monkeypatch):
    cast = build.the_cast()
    viewers = [cast.viewer("aster"), cast.viewer("borealis")]
    subscriptions = [subscribe(viewer, receiver.url) for viewer in viewers for _ in range(3)]
    build.publish(viewers[0], build.an_indicator(), groups=("ring",))
    for each in subscriptions:
        notifying.dispatch(each.pk)
    held, real = [], outbound.posting

    def posting(*args, **more):
        held.append(connections["default"].connection)
        return (yield from real(*args, **more))

    monkeypatch.setattr(outbound, "posting", posting)

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
        until(lambda: len(silent.seen) >= claiming.SHARE)
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
