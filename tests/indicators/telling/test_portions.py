"""Many messages at once: what is read once for all of them, and that each is its own nonetheless."""

from __future__ import annotations

import socket
import threading
import time

import orjson
import psycopg
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from exchange import outbound, pooling
from exchange.memory import Memory
from exchange.stepping import READ
from indicators.log import changes
from indicators.models import Delivery, Subscription
from indicators.telling import claiming, delivering, notifying, subscribing, writing
from indicators.telling import sending as desks
from indicators.telling.attempting import Letter
from partners.groups import membership
from partners.keys import auth
from partners.models import Group
from tests import build, sending
from tests.indicators.telling.stage import BROKEN, FINE, now, told
from tests.waiting import until

pytestmark = pytest.mark.django_db

URL = "https://receiver.example/hook"


def subscribe(viewer, count, feed_id=None):
    return [subscribing.subscribe(viewer, url=f"{URL}/{n}", feed_id=feed_id)[0] for n in range(count)]


def publish(cast, *objects):
    build.publish(cast.viewer("aster"), *(objects or [build.an_indicator()]), groups=("ring",))


def asked(act):
    with CaptureQueriesContext(
        connection,
    ) as queries:
        result = act()
    return result, len(queries)


def send(portion):
    """As a desk does, in this thread."""
    written = [(one, letter) for one, letter in writing.write(portion)]
    assert all(isinstance(letter, Letter) for _, letter in written)
    delivering.conclude([(one, FINE) for one, _ in written])
    return written


def test_twenty_subscriptions_of_a_partner_cost_as_many_statements_as_two(cast, reader, time, answers):
    few = subscribe(reader, 2)
    publish(cast)
    made, statements = asked(lambda: notifying.dispatch_all([one.pk for one in few]))
    assert len(made) == 2
    _, of_sending = asked(lambda: send(claiming.claim(2)))
    many = [*few, *subscribe(reader, 18)]
    publish(cast)
    made, statements_of_many = asked(lambda: notifying.dispatch_all([one.pk for one in many]))
    assert len(made) == len(many)
    assert statements_of_many == statements
    sent, of_sending_many = asked(lambda: send(claiming.claim(20)))
    assert len(sent) == claiming.SHARE
    assert of_sending_many == of_sending


def test_partners_take_turns_and_each_portion_asks_the_log_one_thing(cast, time, answers):
    aster, borealis = cast.viewer("aster"), cast.viewer("borealis")
    feeds = [
        subscribing.save_feed(aster, name=f"feed {n}", filter_json={"kinds": ["account-pattern"], "min_confidence": n})
        for n in range(3)
    ]
    first = [{one.pk for one in subscribe(aster, 2, feed_id=feed.pk)} for feed in feeds]
    second = {one.pk for one in subscribe(borealis, 2)}
    publish(cast)
    portions = [set(one) for one in notifying._to_be_told()]
    assert sorted(portions, key=min) == sorted([*first, second], key=min)
    assert second in portions[:2], "before anybody's second"


def test_each_of_a_portion_is_told_what_its_own_partner_and_feed_may_see(cast, time, answers):
    cards = subscribing.save_feed(cast.viewer("borealis"), name="nets", filter_json={"kinds": ["account-pattern"]})
    publish(cast)  # whom nobody is subscribed to yet
    (everything,) = subscribe(cast.viewer("borealis"), 1)
    (of_feed,) = subscribe(cast.viewer("borealis"), 1, feed_id=cards.pk)
    (outside,) = subscribe(cast.viewer("cygnus"), 1)
    account, own = build.an_indicator(), build.an_indicator()
    publish(cast, account)
    build.publish(cast.viewer("aster"), own, partners=("cygnus",))
    notifying.sweep()
    notifying.deliver()
    said = {
        body["data"]["subscription"]: ([one["id"] for one in body["data"]["changes"]], body["data"]["place"])
        for _, body, _ in answers[1]
    }
    assert said[str(everything.pk)][0] == [account["id"]] == said[str(of_feed.pk)][0]
    assert said[str(outside.pk)][0] == [own["id"]]
    assert len({place for _, place in said.values()}) == 3
    assert len({headers["webhook-id"] for _, _, headers in answers[1]}) == 3


def test_what_left_its_sight_after_the_claim_is_not_told(cast, reader, time, answers):
    made = build.an_indicator()
    first, second = subscribe(reader, 2)
    publish(cast, made)
    notifying.dispatch_all([first.pk, second.pk])
    portion = claiming.claim(2)
    publish(cast, made | {"revoked": True, "modified": build.later()})
    outcomes = [outcome for _, outcome in writing.write(portion)]
    assert [outcome.words for outcome in outcomes] == ["Nothing was left to tell."] * 2


def test_whose_partner_takes_part_no_more_after_the_claim_is_sent_nothing_and_it_waits(cast, reader, time, answers):
    (one,) = subscribe(reader, 1)
    delivery = told(cast, one)
    portion = claiming.claim(1)
    cast.borealis.state = "suspended"
    cast.borealis.save(update_fields=["state"])
    delivering.conclude(list(writing.write(portion)))
    assert (now(delivery).state, now(delivery).attempts, answers[1]) == ("due", 1, [])
    assert now(one).failures == 0, "nobody asked it"


def test_the_next_portions_of_a_partner_ask_the_log_again_only_once_something_is_committed(
    cast, reader, time, answers, monkeypatch
):
    made = build.an_indicator()
    publish(cast, made)
    told_ = subscribe(reader, 8)
    Subscription.unrestricted.update(seq=0)
    notifying.dispatch_all([one.pk for one in told_])

    def write():
        portion = claiming.claim(2)
        return asked(lambda: [outcome for _, outcome in writing.write(portion)])

    first, of_first = write()
    second, of_second = write()
    assert of_second < of_first
    assert [orjson.loads(one.body)["data"]["changes"] for one in second] == [
        orjson.loads(one.body)["data"]["changes"] for one in first
    ]
    with monkeypatch.context() as at_once:
        at_once.setattr(writing, "_SAID", Memory(most=1))
        _, of_third = write()  # as another process, or later
    assert of_third == of_first
    publish(cast, made | {"revoked": True, "modified": build.later()})
    outcomes, _ = write()
    assert [outcome.words for outcome in outcomes] == ["Nothing was left to tell."] * 2


@pytest.mark.slow
def test_who_sees_less_since_the_last_portion_is_told_less_at_once(cast, reader, time, answers, monkeypatch):
    publish(cast)
    told_ = subscribe(reader, 4)
    Subscription.unrestricted.update(seq=0)
    notifying.dispatch_all([one.pk for one in told_])
    portion, later = claiming.claim(2), claiming.claim(2)
    assert all(isinstance(letter, Letter) for _, letter in writing.write(portion))
    admin = auth.viewer_of_user(build.a_user(cast.borealis))
    end = changes.head()
    membership.leave(admin, Group.objects.get(slug="ring"))
    monkeypatch.setattr(changes, "head", lambda: end)  # it counts before the log says so
    assert [outcome.words for _, outcome in writing.write(later)] == ["Nothing was left to tell."] * 2


def test_a_message_that_cannot_be_written_keeps_no_other_from_being_sent(cast, reader, time, answers, monkeypatch):
    broken, fine = subscribe(reader, 2)
    publish(cast)
    notifying.dispatch_all([broken.pk, fine.pk])
    real = subscribing.secrets_of

    def secrets_of(subscription, *, at):
        if subscription.pk == broken.pk:
            raise ValueError
        return real(subscription, at=at)

    monkeypatch.setattr(subscribing, "secrets_of", secrets_of)
    notifying.deliver()
    assert [body["data"]["subscription"] for _, body, _ in answers[1]] == [str(fine.pk)]
    assert Delivery.unrestricted.get(subscription=broken).state == "sending"
    monkeypatch.setattr(subscribing, "secrets_of", real)
    time.shift(61)
    notifying.deliver()
    assert Delivery.unrestricted.get(subscription=broken).state == "delivered"


def test_an_end_that_cannot_be_written_down_spoils_no_other(cast, reader, time, monkeypatch):
    first, second = subscribe(reader, 2)
    publish(cast)
    notifying.dispatch_all([first.pk, second.pk])
    portion = claiming.claim(2)
    real = delivering._consequences

    def consequences(end):
        if end.delivery.subscription_id == first.pk:
            raise ValueError
        real(end)

    monkeypatch.setattr(delivering, "_consequences", consequences)
    delivering.conclude([(one, FINE) for one in portion])
    states = dict(Delivery.unrestricted.values_list("subscription", "state"))
    assert states == {first.pk: "sending", second.pk: "delivered"}


def test_what_fails_to_be_posted_at_all_is_a_failed_attempt(cast, reader, time, answers):
    (one,) = subscribe(reader, 1)
    answers[0][:] = [RuntimeError("nobody thought of it")]
    delivery = told(cast, one)
    notifying.deliver()
    assert (now(delivery).state, now(delivery).attempts, now(one).failures) == ("due", 1, 1)


def test_to_an_endpoint_that_fails_fresh_messages_too_are_few_at_a_time(cast, reader, time):
    many = subscribe(reader, 6)
    publish(cast)
    notifying.dispatch_all([one.pk for one in many])
    delivering.conclude([(one, BROKEN) for one in claiming.claim(6)])
    Delivery.unrestricted.all().delete()
    publish(cast)
    notifying.dispatch_all([one.pk for one in many])
    assert len(claiming.claim(6)) == claiming.SHARE_OF_FAILED
    assert claiming.claim(6) == [], "while these are under way"


def test_who_was_away_for_longer_than_removes_are_kept_starts_over(cast, reader, time, answers, monkeypatch):
    (one,) = subscribe(reader, 1)
    waits = told(cast, one)
    real = changes.since
    pruned = {"before": waits.last_seq}

    def since(viewer, wanted, *, after, **more):
        if after < pruned["before"]:
            raise changes.Gone("You were away too long. Start over without a cursor.", code="start-over")
        return real(viewer, wanted, after=after, **more)

    monkeypatch.setattr(changes, "since", since)
    notifying.deliver()
    assert (now(waits).state, answers[1]) == ("delivered", [])
    publish(cast)
    notifying.sweep()
    notifying.deliver()
    notifying.sweep()
    notifying.deliver()
    assert [body["type"] for _, body, _ in answers[1]] == ["start-over", "objects.changed"]

    pruned["before"] = now(one).seq + 1_000  # it slept through this before a message was made
    publish(cast)
    notifying.sweep()
    pruned["before"] = 0
    notifying.sweep()
    notifying.deliver()
    assert [body["type"] for _, body, _ in answers[1]][2:] == ["start-over"]


def test_whose_turn_it_is_but_may_send_little_keeps_no_room_from_the_others(cast, reader, time):
    """Eight of the first partner are due, and all failed before: two of them may go, and the claim is filled up."""
    failing = subscribe(reader, claiming.SHARE)
    publish(cast)
    notifying.dispatch_all([one.pk for one in failing])
    Subscription.unrestricted.update(failures=1)
    time.shift(1)
    others = subscribe(cast.viewer("aster"), 3)
    publish(cast)
    notifying.dispatch_all([one.pk for one in others])
    assert claiming.due() == claiming.SHARE + len(others)
    claimed = [one.partner_id for one in claiming.claim(5)]
    assert sorted(claimed) == sorted([cast.borealis.pk] * claiming.SHARE_OF_FAILED + [cast.aster.pk] * len(others))


def test_an_expired_claim_comes_back_however_much_is_due_to_others(cast, reader, time):
    (one,) = subscribe(reader, 1)
    lost = told(cast, one)
    assert [each.pk for each in claiming.claim(1)] == [lost.pk]
    time.shift(61)
    others = subscribe(cast.viewer("aster"), 4)
    publish(cast)
    notifying.dispatch_all([each.pk for each in others])
    assert lost.pk in {each.pk for each in claiming.claim(2)}


def test_partners_are_told_together_and_one_that_cannot_be_keeps_no_other_from_it(cast, time, answers, monkeypatch):
    aster, cygnus = cast.viewer("aster"), cast.viewer("cygnus")
    broken, *fine = [subscribe(viewer, 2) for viewer in (aster, cast.viewer("borealis"), cygnus)]
    build.publish(cast.viewer("aster"), build.an_indicator(), everyone=True)
    real, asked = changes.since, []

    def since(viewer, wanted, **more):
        asked.append(viewer.partner_id)
        if viewer.partner_id == aster.partner_id:
            raise ValueError
        return real(viewer, wanted, **more)

    monkeypatch.setattr(changes, "since", since)
    notifying.sweep()
    told_of = set(Delivery.unrestricted.values_list("subscription", flat=True))
    assert told_of == {one.pk for pair in fine for one in pair}
    assert asked.count(cygnus.partner_id) <= 2, "once together, once by itself"
    monkeypatch.setattr(changes, "since", real)
    with CaptureQueriesContext(connection) as queries:
        notifying.sweep()
    assert Delivery.unrestricted.filter(subscription__in=[one.pk for one in broken]).count() == len(broken)
    assert sum("INSERT" in each["sql"] for each in queries.captured_queries) == 1


@pytest.mark.django_db(transaction=True)
def test_fifty_silent_receivers_of_one_partner_delay_nobody_at_the_same_desk(monkeypatch):
    (may_answer, silent), posted = socket.socketpair(), []

    def posting(url, body, **more):
        posted.append(url)
        if "silent" in url:
            with silent.dup() as own:
                yield own.fileno(), READ, time.monotonic() + 60
        return outbound.Reply(204, None, b"")

    monkeypatch.setattr(outbound, "posting", posting)
    cast = build.the_cast()
    for n in range(50):
        subscribing.subscribe(cast.viewer("aster"), url=f"https://silent.example/{n}", feed_id=None)
    (other,) = subscribe(cast.viewer("borealis"), 1)
    desk = desks.Desk(ask=lambda: None, help_=lambda: None)

    def work():
        try:
            desk.work()
        finally:
            connection.close()

    monkeypatch.setattr(notifying, "wake", lambda count=1: None)
    publish(cast)
    notifying.sweep()
    worker = threading.Thread(target=work)
    worker.start()
    try:
        until(lambda: Delivery.unrestricted.get(subscription=other).state == "delivered")
        publish(cast)  # while the same desk waits for the silent ones
        notifying.sweep()
        desk.work()  # returns at once: it tells the one that works
        until(lambda: Delivery.unrestricted.filter(subscription=other, state="delivered").count() == 2)
        assert len([url for url in posted if "silent" in url]) == claiming.SHARE
    finally:
        Subscription.unrestricted.exclude(pk=other.pk).update(state="paused")
        may_answer.close()
        worker.join(60)
    silent.close()
    assert not worker.is_alive()
    assert Delivery.unrestricted.filter(state="sending").count() == 0
    assert sending.claim() is None


@pytest.mark.django_db(transaction=True)
def test_others_may_claim_while_a_claim_reads_what_it_took(cast, reader, answers, monkeypatch):
    subscriptions = subscribe(reader, 1)
    publish(cast)
    assert len(notifying.dispatch_all([one.pk for one in subscriptions])) == 1
    read, others_may = claiming._read, []

    def reading(row):
        with psycopg.connect(pooling.direct(), autocommit=True) as other:
            others_may.extend(other.execute("SELECT pg_try_advisory_xact_lock(%s)", [claiming._CLAIM_LOCK]).fetchone())
        return read(row)

    monkeypatch.setattr(claiming, "_read", reading)
    assert len(claiming.claim(8)) == 1
    assert others_may == [True]
