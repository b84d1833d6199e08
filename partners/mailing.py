"""Tell a person something by e-mail: a row of the queue first, sent by a worker. The only writer of Mail.

The row is written in the transaction that has something to tell, so nothing is told of what did not happen, and no
request waits for a mail server. Its content lies sealed, and the row is gone once it is sent or given up. Of one
partner SHARE messages are under way at a time, and MOST of all.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from smtplib import SMTPException
from uuid import UUID

from django.core.mail import send_mail
from django.db import connection, transaction
from prometheus_client.core import GaugeMetricFamily
from structlog import get_logger

from exchange import clock, counting, hints, sealing
from exchange.celery import app
from partners.models import Mail

log = get_logger()

SHARE = 2
MOST = 4
#: The waits between attempts; after the last one, or at its end, a message is given up.
RETRY_AFTER = (
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=10),
    timedelta(hours=1),
    timedelta(hours=6),
)
_KEPT = timedelta(hours=24)
_CLAIM = timedelta(seconds=120)
_TURN_S = 60.0
_SEALED_FOR = "mail"
#: Key of the advisory lock under which messages are claimed: "mail".
_CLAIM_LOCK = 0x6D61696C

#: What is sent is decided when it is sent: by purpose, a function of what was asked for.
Writes = Callable[[str], None]
_WRITES: dict[str, Writes] = {}


def tell(address: str, *, subject: str, text: str, partner_id: UUID | None) -> None:
    """Have a plain message sent, on behalf of a partner, once the transaction is committed."""
    _queue("message", json.dumps([address, subject, text]), partner_id=partner_id, kept=_KEPT)


def ask_later(
    purpose: str, asked: str, *, kept: timedelta, partner_id: UUID | None = None, pause: timedelta = timedelta()
) -> None:
    """Have a worker decide what to tell whom, by the function that `writes` gave; each question is the same row.

    Not before a `pause`, and for as long as it is `kept`.
    """
    _queue(purpose, asked, partner_id=partner_id, kept=kept, pause=pause)


def writes(purpose: str, write: Writes) -> None:
    """Say what a worker does with what was asked for `purpose`."""
    _WRITES[purpose] = write


def _queue(
    purpose: str, content: str, *, partner_id: UUID | None, kept: timedelta, pause: timedelta = timedelta()
) -> None:
    now = clock.now()
    row = Mail(partner_id=partner_id, purpose=purpose, due_at=now + pause, until=now + kept)
    row.content = sealing.seal(content.encode(), purpose=_SEALED_FOR, bound=[row.pk.bytes])
    row.save(force_insert=True)
    transaction.on_commit(lambda: hint())  # noqa: PLW0108 - looked up when it is called


def send_next() -> bool:
    """Claim the next message and try to send it; whether there was one to claim."""
    mail = _claim()
    if mail is None:
        return False
    mine = Mail.objects.filter(pk=mail.pk, claimed_until=mail.claimed_until)
    if mail.until <= clock.now():
        log.warning("mail.given-up", mail=str(mail.pk), attempts=mail.attempts)
        mine.delete()
        return True
    try:
        _send(mail)
    except (OSError, SMTPException) as error:
        due_at = next_try(mail.attempts + 1, failed_at=clock.now())
        log.warning("mail.failed", mail=str(mail.pk), error=type(error).__name__, given_up=due_at is None)
        counting.MAILS.labels("failed").inc()
        if due_at is None:
            mine.delete()
        else:
            mine.update(attempts=mail.attempts + 1, due_at=due_at, claimed_until=None)
        return True
    mine.delete()
    return True


def next_try(attempts: int, *, failed_at: datetime) -> datetime | None:
    """When a message that failed `attempts` times is due again; None when it is given up."""
    return failed_at + RETRY_AFTER[attempts - 1] if attempts <= len(RETRY_AFTER) else None


def openers() -> Iterator[Callable[[], str]]:
    """For `exchange.proving`."""
    return (partial(_content, mail) for mail in Mail.objects.order_by("pk").iterator())


def reseal() -> int:
    """Seal what waits anew with the present SECRET_KEY; how many mails were under another one."""
    count = 0
    for mail in Mail.objects.order_by("pk"):
        fresh = sealing.reseal(bytes(mail.content), purpose=_SEALED_FOR, bound=[mail.pk.bytes])
        if fresh != bytes(mail.content):
            count += Mail.objects.filter(pk=mail.pk).update(content=fresh)
    return count


def _content(mail: Mail) -> str:
    return sealing.unseal(bytes(mail.content), purpose=_SEALED_FOR, bound=[mail.pk.bytes]).decode()


def _send(mail: Mail) -> None:
    content = _content(mail)
    if mail.purpose in _WRITES:
        _WRITES[mail.purpose](content)
        return
    address, subject, text = json.loads(content)
    if not connection.in_atomic_block:
        connection.close()  # back to the pool, while the mail server takes its time
    send_mail(subject, text, None, [address])
    counting.MAILS.labels("sent").inc()


@transaction.atomic
def _claim() -> Mail | None:
    """Take the next message that is due, of the partner with the fewest under way; one claim after another."""
    moment = clock.now()
    asked: dict[str, datetime | int] = {"now": moment, "until": moment + _CLAIM, "share": SHARE, "most": MOST}
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_CLAIM_LOCK])
        cursor.execute(_CLAIM_NEXT, asked)
        claimed = cursor.fetchone()
    return Mail.objects.get(pk=claimed[0]) if claimed else None


_CLAIM_NEXT = """
WITH at_work AS (
    SELECT partner_id, count(*) AS held FROM partners_mail WHERE claimed_until >= %(now)s GROUP BY partner_id
), next AS (
    SELECT m.id FROM partners_mail m LEFT JOIN at_work w ON w.partner_id IS NOT DISTINCT FROM m.partner_id
    WHERE m.due_at <= %(now)s AND (m.claimed_until IS NULL OR m.claimed_until < %(now)s)
      AND coalesce(w.held, 0) < %(share)s AND (SELECT coalesce(sum(held), 0) FROM at_work) < %(most)s
    ORDER BY coalesce(w.held, 0), m.attempts > 0, m.due_at, m.id LIMIT 1 FOR UPDATE OF m SKIP LOCKED
)
UPDATE partners_mail m SET claimed_until = %(until)s FROM next WHERE m.id = next.id RETURNING m.id
"""


def gauges() -> Iterator[GaugeMetricFamily]:
    """How many messages wait, and for how long the oldest has: a mail server that fails shows here first."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*), min(created_at) FROM partners_mail")
        waiting, oldest = cursor.fetchone()
    age_s = (clock.now() - oldest).total_seconds() if oldest else 0
    yield GaugeMetricFamily("exchange_mails_waiting", "Messages that wait to be sent.", value=waiting)
    yield GaugeMetricFamily("exchange_mail_oldest_seconds", "Since the oldest of them was queued.", value=age_s)


def hint() -> None:
    """Ask a worker to look at the queue; to be called after the commit."""
    hints.SENDER.send_soon(post)


@app.task(name="partners.mailing.post")
def post() -> None:
    """Send what is due, one after another, until nothing can be claimed."""
    until = time.monotonic() + _TURN_S
    while send_next() and time.monotonic() < until:
        pass
