"""Which messages are sent next: a portion is claimed at a time, of which each partner has a fair share.

First come the partners with the fewest messages under way, and never more than SHARE of one partner are under way over
all processes, so that receivers that do not answer delay nobody else's. A worker that dies leaves rows that are claimed
again when their claims end. Replays of one subscription go one after another, and wait while its breaker is open.
After the store was restored, a subscription is sent nothing but pings until it has received `start-over`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import prefetch_related_objects

from exchange import clock, incarnation, sql
from indicators.models import Delivery, Subscription

#: Messages of one partner that may be under way at a time, and of these, such as failed before, or whose endpoint did
#: not take what it was sent last.
SHARE = 8
SHARE_OF_FAILED = 2
_CLAIM = timedelta(seconds=60)
#: Key of the advisory lock under which deliveries are claimed: "dlvr".
_CLAIM_LOCK = 0x646C7672
#: What the exchange sends by itself, and tries until it arrives or is given up.
OWN = (Delivery.Kind.CHANGES, Delivery.Kind.FEED_CHANGED, Delivery.Kind.START_OVER)


def due() -> int:
    """How many deliveries could be claimed at this moment."""
    asked: dict[str, datetime | int] = {"now": clock.now(), "share": SHARE}
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, asked)
        return int(cursor.fetchone()[0])


def claim(most: int) -> list[Delivery]:
    """Take up to `most` deliveries that are due, fairly, each with its subscription and feed; four statements or five.

    What is ours is read once others may claim: nobody waits for that.
    """
    places = _claimed(most)
    if not places:
        return []
    taken = [_read(row) for row in sql.ask(_TAKEN, {"ids": list(places)})]
    for one in taken:
        one.incarnation = places[one.pk][1]
    _fetch_others(taken)
    return sorted(taken, key=lambda one: places[one.pk][0])


@transaction.atomic
def _claimed(most: int) -> dict[UUID, tuple[int, str]]:
    """The ids that were claimed, each with its turn and the store's incarnation.

    Claims follow each other, so that the shares are exact. First is looked at no more than the partners whose turn it
    is and who have enough together; where that was not so, at all.
    """
    moment = clock.now()
    asked: dict[str, datetime | int] = {
        "now": moment,
        "until": moment + _CLAIM,
        "share": SHARE,
        "share_of_failed": SHARE_OF_FAILED,
    }
    with connection.cursor() as cursor:
        cursor.execute(_ALONE, [_CLAIM_LOCK])
    rows = sql.ask(_OF_CHOSEN, {**asked, "most": most})
    if len(rows) < most and not (rows and rows[0][-1]):
        others = sql.ask(_OF_ALL, {**asked, "most": most - len(rows)})
        rows += [(pk, len(rows) + turn, *more) for pk, turn, *more in others]
    return {pk: (turn, present) for pk, turn, present, _ in rows}


def _read(row: Sequence[Any]) -> Delivery:
    delivery = sql.instance(Delivery, row)
    delivery.subscription = sql.instance(Subscription, row[_OF_DELIVERY:])
    return delivery


def _fetch_others(taken: Sequence[Delivery]) -> None:
    """Their feeds, and what they send again: of those that have one."""
    if told_of_feeds := [one.subscription for one in taken if one.subscription.feed_id]:
        prefetch_related_objects(told_of_feeds, "feed")
    if again := [one for one in taken if one.again_of_id]:
        prefetch_related_objects(again, "again_of")


_OF_DELIVERY = len(Delivery._meta.concrete_fields)  # noqa: SLF001 - the documented way to a model's fields
# A row for each of these deliveries: its columns, and those of its subscription.
_TAKEN = f"""
SELECT {sql.columns(Delivery, "d")}, {sql.columns(Subscription, "s")} FROM unnest(%(ids)s::uuid[]) AS given(id)
CROSS JOIN LATERAL (SELECT * FROM indicators_delivery d WHERE d.id = given.id OFFSET 0) d
CROSS JOIN LATERAL (SELECT * FROM indicators_subscription s WHERE s.id = d.subscription_id OFFSET 0) s
"""


# Nobody waits for the disk while all wait for them: a claim that a crash takes back is made again.
_ALONE = "SELECT pg_advisory_xact_lock(%s), set_config('synchronous_commit', 'off', true)"
# Of a due delivery `d` to subscription `s`, which is sent again of `o`: whether it may be sent as things are.
_MAY_GO = f"""
(s.state = 'active' OR d.kind NOT IN ('changes', 'refiltered', 'start-over'))
AND (coalesce(o.kind, d.kind) IN ('ping', 'start-over') OR s.incarnation = {incarnation.SQL})
AND (d.kind <> 'replay' OR s.opened_at IS NULL)
"""
# By its key alone, beside however many that are done with.
_SENT_BEFORE = (
    "LEFT JOIN LATERAL (SELECT o.kind FROM indicators_delivery o WHERE o.id = d.again_of_id LIMIT 1) o ON true"
)
# A row for each partner who has messages under way.
_AT_WORK = """
SELECT d.partner_id, count(*) AS all_of_it, count(*) FILTER (WHERE d.attempts > 0 OR s.failures > 0) AS failed
FROM indicators_delivery d JOIN indicators_subscription s ON s.id = d.subscription_id
WHERE d.state = 'sending' AND d.claimed_until >= %(now)s GROUP BY d.partner_id
"""
# A row for each active partner who has something due and room for it: of how many at most, whether one is urgent, and
# since when it is due. Walks the index of what is due to a partner, a share of it at most: a number that PostgreSQL is
# told, or it would take it for a tenth of all and sort that.
_WAITS = f"""
SELECT p.id, coalesce(w.all_of_it, 0) AS under_way, least(q.count, %(share)s - coalesce(w.all_of_it, 0)) AS fits,
       q.urgent, q.due_at
FROM partners_partner p LEFT JOIN at_work w ON w.partner_id = p.id
CROSS JOIN LATERAL (
    SELECT count(*) AS count, bool_or(f.urgent) AS urgent, min(f.due_at) AS due_at
    FROM (
        SELECT d.urgent, d.due_at
        FROM indicators_delivery d JOIN indicators_subscription s ON s.id = d.subscription_id
        {_SENT_BEFORE}
        WHERE d.partner_id = p.id AND d.state = 'due' AND d.due_at <= %(now)s AND {_MAY_GO}
        ORDER BY d.urgent DESC, d.due_at, d.id LIMIT {SHARE}
    ) f
) q
WHERE p.state = 'active' AND q.count > 0 AND coalesce(w.all_of_it, 0) < %(share)s
"""
# A row for each delivery whose claim is over.
_LEFT = f"""
SELECT d.partner_id
FROM indicators_delivery d JOIN indicators_subscription s ON s.id = d.subscription_id
JOIN partners_partner p ON p.id = d.partner_id {_SENT_BEFORE}
WHERE d.state = 'sending' AND d.claimed_until < %(now)s AND p.state = 'active' AND {_MAY_GO}
"""
_COUNT = f"""
WITH at_work AS ({_AT_WORK})
SELECT (SELECT coalesce(sum(fits), 0) FROM ({_WAITS}) w) + (SELECT count(*) FROM ({_LEFT}) l)
"""
# A row for each delivery that could be claimed, of the partners whose turn it is: by the index of what is due to a
# partner, however much is due to others. And of all: by the partial indexes of what is due and being sent. Either is
# read once and by its index, whatever PostgreSQL takes the number of partners and of what is due for: OFFSET 0 keeps
# it from joining all that is due to the chosen instead, MATERIALIZED from reading it again for each row of another.
_COLUMNS = "d.id, d.partner_id, d.subscription_id, d.again_of_id, d.kind, d.urgent, d.due_at, d.attempts"
_READY = "(d.state = 'due' AND d.due_at <= %(now)s) OR (d.state = 'sending' AND d.claimed_until < %(now)s)"
_OF_EACH = f"""
SELECT d.* FROM chosen CROSS JOIN LATERAL (
    SELECT {_COLUMNS} FROM indicators_delivery d
    WHERE d.partner_id = chosen.id AND d.state = 'due' AND d.due_at <= %(now)s
    UNION ALL
    SELECT {_COLUMNS} FROM indicators_delivery d
    WHERE d.partner_id = chosen.id AND d.state = 'sending' AND d.claimed_until < %(now)s
    OFFSET 0
) d
"""
_OF_ANY = f"SELECT {_COLUMNS} FROM indicators_delivery d WHERE {_READY}"
# A row for each delivery that was claimed: its id, its turn, the store's incarnation, and whether all partners were
# looked at; of those of `ready`. `chosen` are the partners whose turn it is, until they have enough together. What is
# taken is found by its key: PostgreSQL does not know how few they are, and would join all that is due.
# `place` counts the messages of one partner in the order in which they go, `tried` those of them that failed before;
# `waits`: another replay of its subscription goes first.
_CLAIM_NEXT = f"""
WITH at_work AS ({_AT_WORK}), replaying AS (
    SELECT subscription_id FROM indicators_delivery
    WHERE state = 'sending' AND claimed_until >= %(now)s AND kind = 'replay'
), turn_of AS MATERIALIZED (
    SELECT id, sum(fits) OVER (ORDER BY under_way, NOT urgent, due_at, id) - fits < %(most)s AS has_come
    FROM ({_WAITS}) w
), chosen AS (
    SELECT id FROM turn_of WHERE has_come UNION {_LEFT}
), ready AS MATERIALIZED ({{ready}}), fit AS (
    SELECT d.id, d.partner_id, d.attempts > 0 OR s.failures > 0 AS failed, d.urgent, d.due_at,
           coalesce(w.all_of_it, 0) AS under_way, coalesce(w.failed, 0) AS failed_under_way,
           count(*) FILTER (WHERE d.attempts > 0 OR s.failures > 0)
               OVER (PARTITION BY d.partner_id ORDER BY NOT d.urgent, d.due_at, d.id) AS tried,
           d.kind = 'replay' AND 1 < count(*) FILTER (WHERE d.kind = 'replay')
               OVER (PARTITION BY d.subscription_id ORDER BY d.due_at, d.id) AS waits
    FROM ready d
    CROSS JOIN LATERAL (SELECT * FROM indicators_subscription s WHERE s.id = d.subscription_id OFFSET 0) s
    JOIN partners_partner p ON p.id = d.partner_id
    LEFT JOIN at_work w ON w.partner_id = d.partner_id
    {_SENT_BEFORE}
    WHERE p.state = 'active' AND {_MAY_GO}
      AND (d.kind <> 'replay' OR NOT s.id IN (SELECT subscription_id FROM replaying))
), placed AS (
    SELECT fit.*, under_way + row_number()
               OVER (PARTITION BY partner_id ORDER BY failed, NOT urgent, due_at, id) AS place
    FROM fit WHERE NOT waits AND (NOT failed OR failed_under_way + tried <= %(share_of_failed)s)
), turns AS (
    SELECT id, row_number() OVER (ORDER BY place, failed, NOT urgent, due_at, id) AS turn
    FROM placed WHERE place <= %(share)s ORDER BY turn LIMIT %(most)s
), next AS (
    SELECT d.id, turns.turn FROM turns CROSS JOIN LATERAL (
        SELECT d.id FROM indicators_delivery d WHERE d.id = turns.id AND ({_READY}) LIMIT 1 FOR UPDATE SKIP LOCKED
    ) d
)
UPDATE indicators_delivery d SET state = 'sending', claimed_until = %(until)s
FROM next WHERE d.id = next.id AND d.id = ANY(ARRAY(SELECT id FROM next))
RETURNING d.id, next.turn, {incarnation.SQL}, NOT EXISTS (SELECT FROM turn_of WHERE NOT has_come)
"""
_OF_CHOSEN, _OF_ALL = _CLAIM_NEXT.format(ready=_OF_EACH), _CLAIM_NEXT.format(ready=_OF_ANY)
