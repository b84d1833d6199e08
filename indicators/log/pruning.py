"""The log is pruned of removes that everybody who still follows has read long ago.

A remove is of use to who held the object and has not read so far. After `CHANGE_DAYS` it goes. Who was away longer than
that, and whose log is pruned of anything that they have not read, is told to start over; who has read it, however long
ago, notices nothing: what was pruned is noted in the sight of those alone who were told of it. Entries of versions
stay, revocations with them, for TAXII serves each version at its place.
"""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db import connection, transaction

from exchange import clock
from exchange.celery import app
from indicators.log import traced, walking
from indicators.publishing import rationing

_PAGE = 5_000


@transaction.atomic
def prune(*, limit: int = _PAGE) -> int:
    """Delete at most `limit` rows of the log that are older than they are kept; returns how many."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL exchange.pruning = 'on'")
        cursor.execute(_PRUNE, {"until": clock.now() - timedelta(days=settings.CHANGE_DAYS), "limit": limit})
        (count,) = cursor.fetchone()
        if count < limit:
            cursor.execute(_CLOSE, {"until": clock.now() - timedelta(days=settings.CHANGE_DAYS)})
    return int(count)


_UNTIL = walking.past("%(until)s::timestamptz")

# One row: how many were deleted. Walks `change_that_removes` channel by channel. The sights are marked in the same
# transaction, in one order with others who prune at the same time.
_PRUNE = f"""
WITH {_UNTIL}, old AS MATERIALIZED (
    SELECT found.channel, found.seq FROM partners_channel k CROSS JOIN LATERAL (
        SELECT c.channel, c.seq FROM indicators_change c
        WHERE c.channel = k.id AND c.op = 'remove' AND c.reason <> 'revoked' AND c.seq <= (SELECT past.seq FROM past)
        ORDER BY c.seq LIMIT %(limit)s) found
    ORDER BY found.seq LIMIT %(limit)s
), gone AS (
    DELETE FROM indicators_change c USING old WHERE c.channel = old.channel AND c.seq = old.seq
), lost AS MATERIALIZED (
    SELECT s.id, max(old.seq) AS seq FROM old JOIN partners_sight s
        ON s.channel_id = old.channel AND old.seq > s.since AND old.seq <= coalesce(s.until, old.seq)
    GROUP BY s.id
), noted AS (
    UPDATE partners_sight s SET lost = greatest(s.lost, lost.seq) FROM lost WHERE s.id = lost.id
)
SELECT count(*) FROM old
"""

# What was closed before, and has nothing left to tell, goes; what it lost is noted where its partner is told by name.
_CLOSE = f"""
WITH {_UNTIL}, closed AS (
    DELETE FROM partners_sight s WHERE s.until <= (SELECT past.seq FROM past)
       AND NOT EXISTS (SELECT FROM indicators_change c WHERE c.channel = s.channel_id AND c.op = 'remove'
                       AND c.seq > s.since AND c.seq <= s.until)
       AND NOT EXISTS (SELECT FROM indicators_telling t
                       WHERE t.partner_id = s.partner_id AND t.channel_id = s.channel_id)
    RETURNING s.partner_id, s.group_id, s.lost
)
UPDATE partners_sight s SET lost = greatest(s.lost, closed.lost)
FROM (SELECT partner_id, group_id, max(lost) AS lost FROM closed WHERE lost > 0 GROUP BY 1, 2) closed
JOIN partners_channel k ON k.reach = 'told' AND k.partner_id = closed.partner_id
                       AND k.group_id IS NOT DISTINCT FROM closed.group_id
WHERE s.partner_id = closed.partner_id AND s.channel_id = k.id AND s.until IS NULL
"""


@app.task(name="indicators.log.pruning.prune_old")
def prune_old() -> None:
    """Prune all that is old enough."""
    while prune() == _PAGE:
        pass
    rationing.forget_old()
    traced.forget_old()
