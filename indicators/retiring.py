"""Let go of what has run out: the end of an indicator's validity becomes a remove for all who held it."""

from django.db import transaction
from django.db.models import Q

from exchange import clock
from exchange.celery import app
from indicators import changes, notifying
from indicators.models import Change, StixObject

_PAGE = 1_000


@transaction.atomic
def expire(*, limit: int = _PAGE) -> int:
    """Tell the end of validity of at most `limit` objects; yields how many. May run in several places at once."""
    moment = clock.now()
    due = list(
        StixObject.unrestricted.select_for_update(skip_locked=True, no_key=True)
        .filter(Q(valid_until__lte=moment), latest=True, expired_at=None)
        .order_by("valid_until", "pk")
        .only("pk", "publisher_id", "audience_id", "revoked")[:limit]
    )
    StixObject.unrestricted.filter(pk__in=[row.pk for row in due]).update(expired_at=moment)
    changes.append(
        [
            changes.NewChange(
                object_id=row.pk,
                publisher_id=row.publisher_id,
                audience_id=row.audience_id,
                op=Change.Op.REMOVE,
                reason=Change.Reason.EXPIRED,
            )
            for row in due
            if not row.revoked
        ]
    )
    return len(due)


@app.task(name="indicators.retiring.expire_due")
def expire_due() -> None:
    """Tell every end of validity that has come."""
    told = 0
    while (count := expire()) > 0:
        told += count
    if told:
        notifying.hint()
