"""Let go of what has run out: the end of an indicator's validity becomes a remove for all who held it.

And the answers to pushes are forgotten once nobody will ask for them again.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, OuterRef, QuerySet

from exchange import clock
from exchange.celery import app
from indicators import excerpts
from indicators.ending import recalling
from indicators.feeds import receipts
from indicators.log import changes
from indicators.models import Batch, Change, Outflow
from indicators.opinions import tallying, weighing
from indicators.telling import notifying
from partners.log import audit
from partners.models import Partner

_PAGE = 1_000
#: Removes of one transaction: all who publish wait while they get their places.
_EXPIRED = 250


@transaction.atomic
def expire(*, limit: int = _EXPIRED) -> int:
    """Tell the end of validity of at most `limit` holdings; returns how many. May run in several places at once."""
    with connection.cursor() as cursor:
        cursor.execute(_EXPIRE, {"moment": clock.now(), "limit": limit})
        due = cursor.fetchall()
    removes = [
        changes.NewChange(holding, newest, audience, Change.Op.REMOVE, Change.Reason.EXPIRED)
        for holding, newest, audience in due
    ]
    changes.append(removes)
    return len(due)


# A row for each holding whose end has come: its key, its newest version and its audience. Walks
# `holding_by_end_of_validity`; what somebody else changes right now is left for the next time.
_EXPIRE = """
WITH due AS (
    SELECT id FROM indicators_holding WHERE state = 'live' AND valid_until <= %(moment)s
    ORDER BY valid_until, id LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE indicators_holding h SET state = 'expired' FROM due WHERE h.id = due.id
RETURNING h.id, h.newest_id, h.audience_id
"""


def forget_batches(*, limit: int = _PAGE) -> int:
    """Delete answers to pushes that are older than they are kept, at most `limit` of each partner; returns how many.

    With it goes its Idempotency-Key. What still refers to a batch, such as what waits in quarantine, keeps it.
    """
    oldest = clock.now() - timedelta(days=settings.BATCH_DAYS)
    return sum(_forget(partner_id, oldest, limit=limit) for partner_id in Partner.objects.values_list("pk", flat=True))


def forget_outflows() -> None:
    """Delete what no cap is held against any more."""
    Outflow.unrestricted.filter(hour__lt=clock.now() - timedelta(days=2)).delete()


@transaction.atomic
def _forget(partner_id: UUID, oldest: datetime, *, limit: int) -> int:
    """Those of one partner, found by its index."""
    old = Batch.unrestricted.filter(partner_id=partner_id, received_at__lt=oldest)
    for referring in _referring_to_a_batch():
        old = old.exclude(Exists(referring))
    due = list(old.order_by("received_at", "pk").values_list("pk", flat=True)[:limit])
    if due:
        Batch.unrestricted.filter(pk__in=due).delete()
        audit.record(audit.Verb.BATCHES_FORGOTTEN, by=None, target=f"partner:{partner_id}", count=len(due))
    return len(due)


def _referring_to_a_batch() -> Iterator[QuerySet[Any]]:
    """Of each table that refers to batches, the rows that refer to the one that is asked about."""
    for relation in Batch._meta.related_objects:  # noqa: SLF001 - Django's own way to ask for them
        rows = relation.related_model._base_manager  # noqa: SLF001
        yield rows.filter(**{relation.field.name: OuterRef("pk")})


@app.task(name="indicators.ending.retiring.forget_old_batches")
def forget_old_batches() -> None:
    """Forget every answer that is kept no longer, and what was counted long ago."""
    forget_outflows()
    excerpts.forget_ended()
    recalling.forget()
    receipts.forget()
    tallying.forget()
    weighing.forget()
    while forget_batches() > 0:
        pass


@app.task(name="indicators.ending.retiring.expire_due")
def expire_due() -> None:
    """Tell every end of validity that has come."""
    told = 0
    while (count := expire()) > 0:
        told += count
    if told:
        notifying.hint()
