"""A suspended partner's opinions do not count until it is reinstated: those who hear them are told of both.

Standing asks the partner's state, so the truth turns at once; what follows the log is told in portions, by a sweep that
finds in the store whom it has not told of yet. The only writer of Silence.
"""

from __future__ import annotations

from django.db import connection, transaction

from exchange.celery import app
from indicators.models import Opinion, Silence
from indicators.opinions import recording

#: Opinions told of in one transaction, and such portions in one sweep; the next goes on from there.
_PORTION = 500
_PORTIONS = 20


@app.task(name="indicators.opinions.silencing.catch_up", ignore_result=True)
def catch_up() -> None:
    """Tell of the opinions of partners that were suspended or reinstated. Safe to run at any time, and twice."""
    with connection.cursor() as cursor:
        cursor.execute(_TURNED)
    for _ in range(_PORTIONS):
        if not _told_some():
            return


def _told_some() -> bool:
    """Tell of the next opinions of one partner. False where nobody is left, or another sweep is at it."""
    with transaction.atomic():
        waiting = Silence.unrestricted.select_for_update(skip_locked=True).filter(reached__isnull=False)
        turned = waiting.order_by("pk").first()
        if turned is None:
            return False
        said = Opinion.unrestricted.filter(partner=turned.partner_id, pk__gt=turned.reached).order_by("pk")
        rows = list(said[:_PORTION])
        turned.reached = rows[-1].pk if len(rows) == _PORTION else None
        turned.save(update_fields=["reached"])
        recording.tell(row for row in rows if row.says)
        return True


# Begins anew with each partner that was suspended, or reinstated, since it was told of last, also where it was both:
# who looked in between saw its opinions not count. Of the others, notes since when they are as they are.
_TURNED = """
INSERT INTO indicators_silence AS s (partner_id, silent, since, reached)
SELECT p.id, p.state = 'suspended', p.state_since, CASE WHEN p.state = 'suspended' OR told.silent IS NOT NULL THEN 0 END
FROM partners_partner p LEFT JOIN indicators_silence told ON told.partner_id = p.id
WHERE (told.silent, told.since) IS DISTINCT FROM (p.state = 'suspended', p.state_since)
ON CONFLICT (partner_id) DO UPDATE SET silent = excluded.silent, since = excluded.since, reached = 0
WHERE (s.silent, s.since) IS DISTINCT FROM (excluded.silent, excluded.since)
"""
