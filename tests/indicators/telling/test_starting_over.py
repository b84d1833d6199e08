"""After a restore each subscriber is told to start over, before anything else is told, and until it was received."""

from __future__ import annotations

import pytest

from exchange import incarnation, outbound
from indicators.models import Delivery
from indicators.telling import delivering, notifying
from tests import build
from tests.indicators.telling.stage import now, told
from tests.indicators.telling.test_delivering import URL, subscribe, sweep

pytestmark = pytest.mark.django_db


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
