"""Digests by e-mail: when they are due, what they say and to whom, and how they end without signing in."""

from __future__ import annotations

import email.policy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from smtplib import SMTPServerDisconnected
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.core.mail import EmailMessage
from django.test import Client

from exchange.errors import NotFound, Refused
from indicators.ending import withdrawing
from indicators.feeds import filters
from indicators.log import changes
from indicators.models import Digest
from indicators.opinions import giving
from indicators.telling import digesting, subscribing
from indicators.telling.digesting import Wish
from partners import mailing
from partners.models import Mail, User
from tests import build

pytestmark = pytest.mark.django_db

START = datetime(2026, 11, 24, 10, 30, tzinfo=UTC)
HOURLY, DAILY, OFF = Digest.Every.HOURLY, Digest.Every.DAILY, Digest.Every.OFF


@pytest.fixture
def time():
    with time_machine.travel(START, tick=False) as travelling:
        yield travelling


@pytest.fixture
def cast(time, db):
    return build.the_cast()


@pytest.fixture
def reader(cast):
    return cast.viewer("borealis")


@pytest.fixture
def person(cast):
    return build.a_user(cast.borealis, "analyst")


def chosen(reader, person, **wish):
    digesting.choose(reader, person, Wish(**{"every": HOURLY, **wish}))
    return Digest.objects.get(user=person)


def feed_of(reader, name="Cards"):
    return subscribing.save_feed(reader, name=name, filter_json={})


def turn():
    """What the task does, and then a worker that sends."""
    digesting.catch_up()
    while mailing.send_next():
        pass


def publish(cast, **more):
    indicator = build.an_indicator(**more)
    build.publish(cast.viewer("aster"), indicator, groups=("ring",))
    return indicator


# when


@pytest.mark.parametrize(
    ("wish", "after", "due"),
    [
        (Wish(OFF), "2026-11-24T10:30+00:00", None),
        (Wish(HOURLY), "2026-11-24T10:30+00:00", "2026-11-24T11:00+00:00"),
        (Wish(HOURLY), "2026-11-24T11:00+00:00", "2026-11-24T12:00+00:00"),
        (Wish(HOURLY, 8, "UTC", 22, 7), "2026-11-24T21:30+00:00", "2026-11-25T07:00+00:00"),
        (Wish(HOURLY, 8, "UTC", 9, 17), "2026-11-24T08:30+00:00", "2026-11-24T17:00+00:00"),
        (Wish(HOURLY, 8, "America/New_York", 22, 7), "2026-11-24T03:30+00:00", "2026-11-24T12:00+00:00"),
        (Wish(DAILY, 8, "Europe/Berlin"), "2026-11-24T06:30+00:00", "2026-11-24T07:00+00:00"),
        (Wish(DAILY, 8, "Europe/Berlin"), "2026-11-24T07:00+00:00", "2026-11-25T07:00+00:00"),
        (Wish(DAILY, 8, "Europe/Berlin"), "2026-10-24T07:00+00:00", "2026-10-25T07:00+00:00"),  # the clock went back
        (Wish(DAILY, 2, "Europe/Berlin"), "2026-03-28T12:00+00:00", "2026-03-29T01:00+00:00"),  # there is no 2:00
        (Wish(DAILY, 3, "UTC", 22, 7), "2026-11-24T10:30+00:00", "2026-11-25T07:00+00:00"),
        (Wish(DAILY, 8, "Asia/Kathmandu"), "2026-11-24T00:00+00:00", "2026-11-24T02:15+00:00"),
        (Wish(HOURLY, 8, "UTC", 5, 5), "2026-11-24T04:30+00:00", "2026-11-24T05:00+00:00"),
    ],
)
def test_the_next_one_is_at_a_full_hour_outside_the_quiet_ones(wish, after, due):
    found = digesting.next_due(wish, after=datetime.fromisoformat(after))
    assert found == (datetime.fromisoformat(due) if due else None)


@pytest.mark.parametrize("every", [HOURLY, DAILY])
def test_what_nobody_was_there_to_send_waits_until_the_quiet_hours_are_over(
    cast, reader, person, time, mailoutbox, every
):
    digest = chosen(reader, person, every=every, hour=21, quiet_from=22, quiet_until=7, feeds=(feed_of(reader).pk,))
    publish(cast)
    time.move_to(START.replace(hour=23, minute=10))
    turn()
    digest.refresh_from_db()
    assert (mailoutbox, digest.due_at) == ([], datetime(2026, 11, 25, 7, tzinfo=UTC))
    time.move_to(digest.due_at)
    turn()
    assert len(mailoutbox) == 1


@pytest.mark.parametrize("every", [HOURLY, DAILY])
def test_what_waited_for_a_worker_into_the_quiet_hours_waits_until_they_are_over(
    cast, reader, person, time, mailoutbox, every
):
    """Where hours begin at half past, an hourly one may be due half an hour before them."""
    zone = {"time_zone": "Asia/Kolkata", "hour": 21, "quiet_from": 22, "quiet_until": 7}
    digest = chosen(reader, person, every=every, feeds=(feed_of(reader).pk,), **zone)
    publish(cast)
    time.move_to(START.replace(hour=16))  # 21:30 there
    digesting.catch_up()
    time.move_to(START.replace(hour=16, minute=31))  # 22:01
    while mailing.send_next():
        pass
    digest.refresh_from_db()
    assert (mailoutbox, digest.due_at) == ([], datetime(2026, 11, 25, 2, tzinfo=UTC))  # 7:30
    time.move_to(digest.due_at)
    turn()
    assert len(mailoutbox) == 1


@pytest.mark.parametrize(
    ("wish", "at"),
    [
        ({"hour": 24}, "/hour"),
        ({"quiet_from": 22}, "/quiet_until"),
        ({"quiet_from": -1, "quiet_until": 3}, "/quiet_from"),
        ({"time_zone": "Mars/Olympus"}, "/time_zone"),
        ({"time_zone": "../etc/passwd"}, "/time_zone"),
    ],
)
def test_what_is_no_choice_is_refused_at_its_field(reader, person, wish, at):
    with pytest.raises(Refused) as refused:
        chosen(reader, person, **wish)
    assert refused.value.at == at


def test_only_feeds_and_people_of_ones_own(cast, reader, person):
    with pytest.raises(NotFound):
        chosen(reader, person, feeds=(feed_of(cast.viewer("aster")).pk,))
    with pytest.raises(NotFound):
        chosen(cast.viewer("aster"), person)


# what


def test_it_counts_what_came_and_went_of_a_feed_that_moves_by_itself(cast, reader, person, time, mailoutbox):
    """`age` is the store's own time, so what is published here is younger than any filter asks."""
    feed = subscribing.save_feed(reader, name="New", filter_json=filters.accepted(reader, "age:<520w").to_json())
    publish(cast)
    chosen(reader, person, feeds=(feed.pk,))
    gone, _ = publish(cast), publish(cast)
    time.shift(timedelta(hours=1))
    turn()
    assert "New: 2 new or changed, 0 to be dropped" in mailoutbox[0].body, "and not the one from before"
    withdrawing.withdraw(cast.viewer("aster"), [gone["id"]])
    time.shift(timedelta(hours=1))
    turn()
    assert "New: 0 new or changed, 1 to be dropped" in mailoutbox[1].body
    time.shift(timedelta(hours=1))
    turn()
    assert len(mailoutbox) == 2


def test_a_feed_that_is_chosen_while_one_is_sent_counts_from_then(cast, reader, person, time, mailoutbox, monkeypatch):
    moves = filters.accepted(reader, "age:<520w").to_json()
    first, second = (subscribing.save_feed(reader, name=name, filter_json=moves) for name in ("First", "Second"))
    chosen(reader, person, feeds=(first.pk,))
    really = digesting._mail

    def meanwhile(*args):
        chosen(reader, person, feeds=(first.pk, second.pk))
        really(*args)

    publish(cast)
    time.shift(timedelta(hours=1))
    with monkeypatch.context() as patched:
        patched.setattr(digesting, "_mail", meanwhile)
        turn()
    publish(cast)
    time.shift(timedelta(hours=1))
    turn()
    assert "First: 1 new or changed" in mailoutbox[1].body
    assert "Second: 1 new or changed" in mailoutbox[1].body


def test_a_key_for_some_groups_chooses_a_digest_of_all_that_the_person_sees(cast, reader, person, time, mailoutbox):
    feed = subscribing.save_feed(reader, name="New", filter_json=filters.accepted(reader, "age:<520w").to_json())
    chosen(replace(reader, limited=True, key_groups=reader.group_ids), person, feeds=(feed.pk,))
    publish(cast)
    time.shift(timedelta(hours=1))
    turn()
    assert "New: 1 new or changed, 0 to be dropped" in mailoutbox[0].body


def test_it_counts_what_changed_in_feeds_and_says_no_value(cast, reader, person, time, mailoutbox):
    feed = feed_of(reader)
    chosen(reader, person, feeds=(feed.pk,))
    indicator = publish(cast)
    time.shift(timedelta(hours=1))
    turn()
    (mail,) = mailoutbox
    assert mail.to == [person.email]
    assert mail.subject == "Exchange: changes in 1 feed"
    assert "Cards: 1 new or changed, 0 to be dropped" in mail.body
    assert f"view={feed.pk}" in mail.body
    assert indicator["id"] not in mail.body
    assert "Aster" not in mail.body
    time.shift(timedelta(hours=1))
    turn()
    assert len(mailoutbox) == 1  # nothing new, nothing sent


def test_it_tells_what_concerns_its_partner_without_the_names_of_others(cast, person, time, mailoutbox):
    aster = build.a_user(cast.aster, "analyst")
    chosen(cast.viewer("aster"), aster)
    time.shift(timedelta(minutes=1))
    indicator = publish(cast)
    giving.give(cast.viewer("borealis"), indicator["id"], opinion="disagree", reason="false_positive")
    time.shift(timedelta(hours=1))
    turn()
    (mail,) = mailoutbox
    assert mail.subject == "Exchange: 1 for you"
    assert "an opinion on one of yours: false positive" in mail.body
    assert f"/indicators/{indicator['id']}" in mail.body
    assert "Borealis" not in mail.body + mail.subject


def test_what_may_not_be_seen_when_it_is_sent_is_not_told(cast, reader, person, time, mailoutbox):
    chosen(reader, person, feeds=(feed_of(reader).pk,))
    publish(cast)
    time.shift(timedelta(hours=1))
    digesting.catch_up()  # it is due, and waits to be sent
    cast.borealis.state = "suspended"
    cast.borealis.save(update_fields=["state"])
    while mailing.send_next():
        pass
    assert mailoutbox == []


@pytest.mark.parametrize("lost", ["inactive", "off", "address"])
def test_nothing_is_sent_to_who_left_meanwhile(cast, reader, person, time, mailoutbox, lost):
    digest = chosen(reader, person, feeds=(feed_of(reader).pk,))
    publish(cast)
    time.shift(timedelta(hours=1))
    digesting.catch_up()
    if lost == "off":
        digesting.end(digesting.token_of(digest))
    else:
        User.objects.filter(pk=person.pk).update(**({"is_active": False} if lost == "inactive" else {"email": ""}))
    while mailing.send_next():
        pass
    assert mailoutbox == []


def test_a_mail_server_that_fails_loses_nothing(cast, reader, person, time, mailoutbox, monkeypatch):
    chosen(reader, person, feeds=(feed_of(reader).pk,))
    publish(cast)
    time.shift(timedelta(hours=1))
    with monkeypatch.context() as broken:

        def fail(self, *args, **more):
            raise SMTPServerDisconnected("gone")

        broken.setattr(EmailMessage, "send", fail)
        digesting.catch_up()
        assert mailing.send_next()
    time.shift(timedelta(hours=1))  # the first one is given up, the next one tells all of it
    publish(cast)
    turn()
    (mail,) = mailoutbox
    assert "2 new or changed" in mail.body
    assert Mail.objects.count() == 0


def test_two_workers_make_each_digest_once(cast, reader, person, time):
    chosen(reader, person)
    time.shift(timedelta(hours=1))
    digesting.catch_up()
    digesting.catch_up()
    assert Mail.objects.count() == 1


def test_it_begins_when_it_is_chosen(cast, reader, person, time, mailoutbox):
    publish(cast)
    digest = chosen(reader, person, feeds=(feed_of(reader).pk,))
    assert (digest.told_at, digest.seq) == (START, changes.head())
    time.shift(timedelta(hours=1))
    turn()
    assert mailoutbox == []


# ending it


def test_a_mail_program_ends_it_by_one_click_and_reading_the_link_ends_nothing(cast, reader, person, time, mailoutbox):
    chosen(reader, person, feeds=(feed_of(reader).pk,))
    publish(cast)
    time.shift(timedelta(hours=1))
    turn()
    (mail,) = mailoutbox
    assert mail.extra_headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    address = mail.extra_headers["List-Unsubscribe"].strip("<>")
    assert address in mail.body
    sent = mail.message(policy=email.policy.SMTP).as_bytes()
    assert f"\r\nList-Unsubscribe: <{address}>\r\n".encode() in sent, "not coded, however long it is"
    path = "/" + address.split("/", 3)[3]
    client = Client(enforce_csrf_checks=True)
    for _ in range(2):
        page = client.get(path)
        assert (page.status_code, b"End the digest?" in page.content) == (200, True)
    assert Digest.objects.get().every == "hourly"
    for _ in range(2):
        assert client.post(path, {"List-Unsubscribe": "One-Click"}).status_code == 200
        assert (Digest.objects.get().every, Digest.objects.get().due_at) == ("off", None)


@pytest.mark.parametrize("token", ["x", "a:b:c", "e30:1abc:xyz"])
def test_a_link_that_is_not_ours_ends_nothing(reader, person, token):
    chosen(reader, person)
    for ask in (Client().get, Client().post):
        assert ask(f"/digest/end/{token}").status_code == 404
    assert Digest.objects.get().every == "hourly"


# the page


def test_a_person_chooses_on_their_page(client, cast, reader, person):
    build.sign_in(client, person)
    feed = feed_of(reader)
    wish = {"every": "daily", "hour": "7", "time_zone": "Europe/Berlin", "quiet_from": "22", "quiet_until": "6"}
    assert client.post("/account/digest", wish | {"feeds": [str(feed.pk)]}).status_code == 302
    assert digesting.of(person) == Wish(DAILY, 7, "Europe/Berlin", 22, 6, (feed.pk,))
    page = client.get("/account/digest").content.decode()
    assert '<option value="daily" selected>' in page
    assert "<option selected>Europe/Berlin</option>" in page
    refused = client.post("/account/digest", wish | {"quiet_until": "25"})
    assert b"An hour from 0 to 23." in refused.content


def test_zones_are_of_the_iana_database():
    assert "Europe/Berlin" in digesting.zones()
    assert all(ZoneInfo(name) for name in digesting.zones())
