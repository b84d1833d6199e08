"""Endpoints that fail: the breaker and its mails, dead letters and replays, and the shapes of Slack and Teams."""

from __future__ import annotations

from datetime import timedelta

import pytest
from standardwebhooks.webhooks import Webhook

from exchange.errors import Forbidden, NotFound, Refused, TooMany
from indicators.models import Delivery, Subscription
from indicators.telling import breaker, claiming, notifying, replaying, subscribing
from indicators.telling.attempting import Outcome
from partners import mailing
from partners.models import Mail
from partners.scopes import Scope
from tests import build, sending
from tests.indicators.telling.stage import BROKEN, FINE, GONE, START, now, signed_bytes, told

pytestmark = pytest.mark.django_db


@pytest.fixture
def person(cast):
    return build.a_user(cast.borealis, "admin")


@pytest.fixture
def subscription(reader, time):
    return subscribing.subscribe(reader, url="https://receiver.example/hook/s3cret", feed_id=None)[0]


def end(outcome):
    """Claim the next message, and conclude it so."""
    claimed = sending.claim()
    sending.conclude(claimed, outcome)
    return now(claimed)


def a_dead_letter(cast, subscription):
    """A message that was given up; its subscription is resumed behind it, so the next one tells what comes then."""
    letter = told(cast, subscription)
    end(GONE)
    Subscription.unrestricted.filter(pk=subscription.pk).update(state="active", seq=letter.last_seq)
    return letter


# the breaker


def failing(cast, subscription, time, times=breaker.MOST):
    delivery = told(cast, subscription)
    for _ in range(times):
        end(BROKEN)
        time.move_to(now(delivery).due_at)
    return delivery


def test_five_failures_in_succession_open_it_and_its_owner_is_told_once(cast, reader, subscription, person, time):
    failing(cast, subscription, time, times=breaker.MOST - 1)
    assert (now(subscription).failures, now(subscription).opened_at, Mail.objects.count()) == (4, None, 0)
    end(BROKEN)
    assert now(subscription).opened_at is not None
    assert Mail.objects.count() == 1
    time.move_to(START + timedelta(days=1))
    end(BROKEN)
    assert Mail.objects.count() == 1


def test_the_mail_names_the_host_alone(cast, subscription, person, time, mailoutbox):
    failing(cast, subscription, time)
    assert mailing.send_next()
    (mail,) = mailoutbox
    assert mail.to == [person.email]
    assert "receiver.example" in mail.body
    assert "s3cret" not in mail.subject + mail.body
    assert "receiver.example" not in mail.subject


def test_those_alone_are_mailed_who_may_change_it_and_may_still_sign_in(cast, subscription, person, time, mailoutbox):
    publisher = build.a_user(cast.borealis, "publisher")
    for role in ("analyst", "counsel"):
        build.a_user(cast.borealis, role)
    gone = build.a_user(cast.borealis, "admin")
    gone.is_active = False
    gone.save(update_fields=["is_active"])
    build.a_user(cast.aster, "admin")
    failing(cast, subscription, time)
    while mailing.send_next():
        pass
    assert sorted(mail.to for mail in mailoutbox) == sorted([[person.email], [publisher.email]])


@pytest.mark.parametrize("state", ["dead", "paused"])
def test_who_is_told_nothing_any_more_is_not_mailed_of_what_is_sent_again_by_hand(
    cast, reader, subscription, person, time, state
):
    letter = told(cast, subscription)
    end(FINE)
    Subscription.unrestricted.filter(pk=subscription.pk).update(state=state)
    for _ in range(breaker.MOST):
        notifying.send_again(reader, letter.pk)
        end(BROKEN)
    assert (now(subscription).failures, now(subscription).opened_at) == (breaker.MOST, None)
    assert Mail.objects.count() == 0


def test_what_is_sent_again_or_replayed_and_fails_counts(cast, reader, subscription, time):
    letter = a_dead_letter(cast, subscription)
    before = now(subscription).failures
    notifying.send_again(reader, letter.pk)
    end(BROKEN)
    notifying.replay(reader, subscription.pk)
    end(BROKEN)
    assert now(subscription).failures == before + 2


def test_one_message_that_arrives_closes_it(cast, reader, subscription, time, answers):
    failing(cast, subscription, time)
    notifying.ping(reader, subscription.pk)
    end(FINE)
    assert (now(subscription).failures, now(subscription).opened_at) == (0, None)


def test_a_test_that_fails_says_nothing_of_an_endpoint(cast, reader, subscription, time):
    for _ in range(breaker.MOST):
        notifying.ping(reader, subscription.pk)
        end(BROKEN)
    assert now(subscription).failures == 0


def test_a_message_with_nothing_left_to_tell_closes_none(cast, reader, subscription, time, answers):
    delivery = failing(cast, subscription, time)
    claimed = sending.claim()
    sending.conclude(claimed, Outcome(delivered=True, words="Nothing was left to tell.", asked=False))
    assert now(delivery).state == "delivered"
    assert now(subscription).opened_at is not None


def test_while_it_is_open_news_hurries_less_often(cast, subscription, time):
    delivery = failing(cast, subscription, time)
    end(BROKEN)  # the first failure of an open breaker
    time.shift(breaker.REST * 2)
    build.publish(cast.viewer("aster"), build.an_indicator(), groups=("ring",))
    assert notifying.dispatch(subscription.pk) is None
    time.shift(breaker.LONG_REST)
    assert notifying.dispatch(subscription.pk) == delivery.pk


@pytest.mark.parametrize("wanted", [{"state": "active"}, {"url": "https://other.example/hook"}])
def test_whoever_resumes_it_or_names_another_address_begins_anew(cast, reader, subscription, time, hints, wanted):
    failing(cast, subscription, time)
    notifying.change(reader, subscription.pk, wanted)
    assert (now(subscription).failures, now(subscription).opened_at) == (0, None)


def test_its_owner_is_told_when_it_is_given_up(cast, subscription, person, time):
    told(cast, subscription)
    end(GONE)
    assert now(subscription).state == "dead"
    assert Mail.objects.count() == 1


# dead letters and replays


def test_a_message_that_was_given_up_is_a_dead_letter_until_it_arrives(cast, reader, subscription, time, answers):
    letter = a_dead_letter(cast, subscription)
    assert [one.pk for one in replaying.dead(reader, subscription.pk).letters] == [letter.pk]
    assert replaying.count_dead(reader) == 1
    (again,) = notifying.replay(reader, subscription.pk).letters
    assert (again.kind, again.again_of_id) == ("replay", letter.pk)
    assert replaying.dead(reader, subscription.pk).letters == ()  # it is on its way
    assert notifying.replay(reader, subscription.pk).letters == ()  # and goes once
    end(BROKEN)
    assert replaying.count_dead(reader) == 1  # it failed, so it is one again
    notifying.replay(reader, subscription.pk)
    assert sending.send_next().delivered
    (_, _, headers) = answers[1][-1]
    assert headers["webhook-id"] == f"msg_{letter.pk}"
    assert replaying.count_dead(reader) == 0


def test_what_a_later_message_told_is_no_dead_letter(cast, reader, subscription, time, answers, hints):
    told(cast, subscription)
    end(GONE)
    assert replaying.count_dead(reader) == 1
    time.shift(timedelta(minutes=1))
    notifying.change(reader, subscription.pk, {"state": "active"})
    notifying.dispatch(subscription.pk)
    assert sending.send_next().delivered
    assert replaying.count_dead(reader) == 0


def test_what_told_something_else_at_the_same_place_makes_no_message_arrive(cast, reader, subscription, time):
    """A message of another kind, or one of the same kind that went before."""
    about = {"partner_id": reader.partner_id, "subscription": subscription, "changes": 0}
    place = {"first_seq": subscription.seq, "last_seq": subscription.seq}
    for kind, state in (("refiltered", "delivered"), ("refiltered", "dead"), ("changes", "delivered")):
        Delivery.unrestricted.create(**about, **place, kind=kind, state=state)
        time.shift(timedelta(minutes=1))
    assert [one.kind for one in replaying.dead(reader, subscription.pk).letters] == ["refiltered"]
    Delivery.unrestricted.create(**about, **place, kind="refiltered", state="delivered")
    assert replaying.count_dead(reader) == 0


def test_of_a_stretch_of_time_the_beginning_is_in_it_and_the_end_is_not(cast, reader, subscription, time):
    letter = a_dead_letter(cast, subscription)
    at = now(letter).created_at

    def found(**stretch):
        return [one.pk for one in replaying.dead(reader, subscription.pk, **stretch).letters]

    assert (found(since=at), found(until=at)) == ([letter.pk], [])


def test_a_replay_that_failed_is_replayed_as_the_message_that_it_repeats(cast, reader, subscription, time):
    letter = a_dead_letter(cast, subscription)
    (first,) = notifying.replay(reader, subscription.pk).letters
    end(BROKEN)
    (second,) = notifying.replay(reader, subscription.pk, ids=[first.pk]).letters
    assert second.again_of_id == letter.pk


def test_of_one_subscription_one_replay_is_claimed_however_many_are_asked_for(cast, reader, subscription, time):
    letters = []
    for _ in range(3):
        letters.append(a_dead_letter(cast, subscription).pk)
        time.shift(timedelta(minutes=1))
    notifying.replay(reader, subscription.pk)
    time.shift(timedelta(minutes=1))
    assert [one.again_of_id for one in claiming.claim(3)] == letters[:1]


def test_replays_go_one_after_another_in_the_order_of_their_messages(cast, reader, subscription, time, answers):
    letters = []
    for _ in range(3):
        letters.append(a_dead_letter(cast, subscription).pk)
        time.shift(timedelta(minutes=1))
    notifying.replay(reader, subscription.pk)
    time.shift(timedelta(minutes=1))
    went = []
    while (claimed := sending.claim()) is not None:
        assert sending.claim() is None  # the next one waits for this one
        went.append(claimed.again_of_id)
        sending.conclude(claimed, FINE)
    assert went == letters


def test_the_order_holds_over_a_worker_that_died(cast, reader, subscription, time):
    first = a_dead_letter(cast, subscription)
    time.shift(timedelta(minutes=1))
    a_dead_letter(cast, subscription)
    notifying.replay(reader, subscription.pk)
    time.shift(timedelta(seconds=1))
    assert sending.claim().again_of_id == first.pk
    time.shift(timedelta(minutes=5))
    assert sending.claim().again_of_id == first.pk


def test_replays_wait_while_the_breaker_is_open(cast, reader, subscription, time):
    a_dead_letter(cast, subscription)
    (row,) = notifying.replay(reader, subscription.pk).letters
    Subscription.unrestricted.filter(pk=subscription.pk).update(opened_at=START, failures=9)
    time.shift(timedelta(minutes=1))
    assert sending.claim() is None
    assert claiming.due() == 0
    notifying.ping(reader, subscription.pk)
    assert end(FINE).kind == "ping"
    assert sending.claim().pk == row.pk


def test_by_time_dead_letters_alone_or_what_arrived_too(cast, reader, subscription, time):
    told(cast, subscription)
    good = end(FINE)
    time.shift(timedelta(hours=1))
    middle = START + timedelta(minutes=30)
    bad = a_dead_letter(cast, subscription)

    def replayed(**asked):
        made = notifying.replay(reader, subscription.pk, **asked).letters
        Delivery.unrestricted.filter(kind="replay").delete()
        return [one.again_of_id for one in made]

    assert replayed() == [bad.pk]
    assert replayed(until=middle) == []
    assert replayed(until=middle, everything=True) == [good.pk]
    assert replayed(since=middle) == [bad.pk]
    assert replayed(everything=True) == [good.pk, bad.pk]
    assert replayed(ids=[good.pk]) == [good.pk]
    with pytest.raises(Refused):
        replayed(since=middle, until=middle)
    with pytest.raises(Refused):
        replayed(since=middle, ids=[good.pk])


def test_replays_are_bounded_and_go_on_where_they_stopped(cast, reader, subscription, time, monkeypatch):
    monkeypatch.setattr(replaying, "MOST", 2)
    monkeypatch.setattr(replaying, "MOST_WAITING", 3)
    for _ in range(4):
        a_dead_letter(cast, subscription)
        time.shift(timedelta(minutes=1))
    first, second = notifying.replay(reader, subscription.pk), notifying.replay(reader, subscription.pk)
    assert (len(first.letters), first.more) == (2, True)
    assert (len(second.letters), second.more) == (1, True)
    with pytest.raises(TooMany):
        notifying.replay(reader, subscription.pk)
    notifying.ping(reader, subscription.pk)  # a test has room beside them


def test_anothers_messages_are_as_absent_as_none(cast, reader, subscription, time):
    letter, aster = a_dead_letter(cast, subscription), cast.viewer("aster")
    other = subscribing.subscribe(aster, url="https://receiver.example/", feed_id=None)[0]
    for act in (
        lambda: notifying.replay(aster, subscription.pk),
        lambda: replaying.dead(aster, subscription.pk),
        lambda: notifying.replay(aster, other.pk, ids=[letter.pk]),
    ):
        with pytest.raises(NotFound):
            act()
    with pytest.raises(Forbidden):
        notifying.replay(build.viewer_of(cast.borealis, Scope.READ), subscription.pk)
    assert replaying.count_dead(aster) == 0


# shapes


def sent_as(cast, reader, answers, form, name="Cards <!channel> [a](https://x.example)"):
    feed = subscribing.save_feed(reader, name=name, filter_json={})
    one, secret = subscribing.subscribe(reader, url="https://hooks.example/x", feed_id=feed.pk, form=form)
    told(cast, one)
    assert sending.send_next().delivered
    _, body, headers = answers[1][-1]
    text = signed_bytes(body)
    assert Webhook(secret).verify(text, dict(headers))
    return feed, text, body


def test_slack_is_told_numbers_and_a_link_and_nobody_is_called(cast, reader, time, answers):
    feed, text, body = sent_as(cast, reader, answers, "slack")
    assert "1 new or changed" in body["text"]
    assert "<!channel>" not in body["text"]
    assert body["blocks"][0]["text"]["type"] == "plain_text"
    assert f"/indicators?view={feed.pk}|" in body["blocks"][1]["text"]["text"]
    assert "indicator--" not in text


def test_teams_is_told_numbers_and_a_link_in_an_adaptive_card(cast, reader, time, answers):
    feed, text, body = sent_as(cast, reader, answers, "teams")
    (card,) = body["attachments"]
    assert (body["type"], card["contentType"]) == ("message", "application/vnd.microsoft.card.adaptive")
    (run,) = card["content"]["body"][1]["inlines"]
    assert "1 new or changed" in run["text"]
    assert card["content"]["actions"][0]["url"].endswith(f"/indicators?view={feed.pk}")
    assert "indicator--" not in text


def test_another_shape_is_refused(reader):
    with pytest.raises(Refused):
        subscribing.subscribe(reader, url="https://hooks.example/x", feed_id=None, form="irc")
