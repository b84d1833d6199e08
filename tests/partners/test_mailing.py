"""Mail: queued in the transaction, sent by a worker, in fair shares, and tried again."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import connection, connections, transaction

from exchange import clock
from partners import mailing
from partners.models import Mail
from tests import build
from tests.waiting import DEADLINE_S

pytestmark = pytest.mark.django_db

START = datetime.now(tz=UTC).replace(microsecond=0)


@pytest.fixture
def time():
    with time_machine.travel(START, tick=False) as travelling:
        yield travelling


def tell(partner=None, address="bea@aster.example"):
    mailing.tell(address, subject="News", text="Secret link", partner_id=partner.pk if partner else None)


def test_a_message_is_sent_once_and_nothing_of_it_stays(mailoutbox):
    tell()
    assert b"Secret" not in bytes(Mail.objects.get().content)
    assert mailoutbox == []
    mailing.post()
    mailing.post()
    assert [(mail.to, mail.subject, mail.body) for mail in mailoutbox] == [
        (["bea@aster.example"], "News", "Secret link")
    ]
    assert not Mail.objects.exists()


def test_what_did_not_happen_is_not_told(mailoutbox):
    with transaction.atomic():
        tell()
        transaction.set_rollback(True)
    mailing.post()
    assert mailoutbox == []


def test_a_message_that_fails_is_tried_again_and_given_up_in_the_end(time, monkeypatch):
    def refused(*_):
        raise ConnectionRefusedError

    monkeypatch.setattr(mailing, "send_mail", refused)
    tell()
    for attempts, wait in enumerate(mailing.RETRY_AFTER, start=1):
        mailing.post()
        mail = Mail.objects.get()
        assert (mail.attempts, mail.due_at, mail.claimed_until) == (attempts, clock.now() + wait, None)
        time.shift(wait)
    mailing.post()
    assert not Mail.objects.exists()


def test_a_message_that_is_of_no_use_any_more_is_not_sent(time, mailoutbox):
    tell()
    time.shift(timedelta(hours=25))
    mailing.post()
    assert mailoutbox == []
    assert not Mail.objects.exists()


def test_what_a_worker_died_with_is_sent_by_the_next(time, mailoutbox):
    tell()
    mailing._claim()
    mailing.post()
    assert mailoutbox == []
    time.shift(121)
    mailing.post()
    assert len(mailoutbox) == 1


def test_one_partner_has_two_under_way_and_all_together_four(time):
    aster, borealis, cygnus = (build.a_partner(name) for name in ("Aster", "Borealis", "Cygnus"))
    for _ in range(5):
        tell(aster)
    time.shift(1)
    for partner in (borealis, cygnus, None):
        tell(partner)
    claimed = [mailing._claim() for _ in range(5)]
    assert [claim.partner_id for claim in claimed[:1]] == [aster.pk]
    assert {claim.partner_id for claim in claimed[1:4]} == {borealis.pk, cygnus.pk, None}
    assert claimed[4] is None
    Mail.objects.exclude(partner=aster).delete()
    assert mailing._claim().partner_id == aster.pk
    assert mailing._claim() is None


@pytest.mark.django_db(transaction=True)
def test_no_connection_is_held_while_the_mail_server_takes_its_time(monkeypatch):
    held = []
    monkeypatch.setattr(mailing, "send_mail", lambda *_: held.append(connections["default"].connection))
    monkeypatch.setattr(mailing, "hint", lambda: None)
    tell()

    def work():
        mailing.post()
        connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    worker.join(DEADLINE_S)
    assert held == [None]
    assert not Mail.objects.exists()


def test_the_operator_sees_how_long_messages_wait(client, time):
    tell()
    time.shift(timedelta(minutes=9))
    text = client.get("/metrics").content.decode()
    assert "exchange_mails_waiting 1.0" in text
    waits = float(text.partition("\nexchange_mail_oldest_seconds ")[2].split()[0])
    assert waits == 540
