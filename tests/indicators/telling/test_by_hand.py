"""Messages that people send by hand: pings, and what has ended once more; within their bounds, beside the changes."""

from __future__ import annotations

from datetime import timedelta

import pytest

from exchange import outbound
from exchange.errors import Conflict, Forbidden, NotFound, TooMany
from indicators.models import Delivery
from indicators.telling import delivering, notifying
from partners.scopes import Scope
from tests import build, sending
from tests.indicators.telling.stage import FINE, GONE, START, now, told
from tests.indicators.telling.test_delivering import fail, subscribe

pytestmark = pytest.mark.django_db


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
