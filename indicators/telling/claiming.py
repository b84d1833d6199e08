"""Which messages are sent next: a portion is claimed at a time, of which each partner has a fair share.

First come the partners with the fewest messages under way, and never more than SHARE of one partner are under way over
all processes, so that receivers that do not answer delay nobody else's. A worker that dies leaves rows that are claimed
again when their claims end. Replays of one subscription go one after another, and wait while its breaker is open.
After the store was restored, a subscription is sent nothing but pings until it has received `start-over`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Count, Q

from exchange import clock, incarnation
from indicators.models import Delivery, Subscription
from partners.models import Partner

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
    moment = clock.now()
    at_work = dict(
        Delivery.unrestricted.filter(state=Delivery.State.SENDING, claimed_until__gte=moment)
        .values_list("partner")
        .annotate(count=Count("pk"))
    )
    waiting = _claimable(moment).values_list("partner").annotate(count=Count("pk"))
    return sum(min(count, max(0, SHARE - at_work.get(partner, 0))) for partner, count in waiting)


@transaction.atomic
def claim(most: int) -> list[Delivery]:
    """Take up to `most` deliveries that are due, fairly, each with its subscription and feed; four statements.

    Claims follow each other, so that the shares are exact.
    """
    moment = clock.now()
    asked: dict[str, datetime | int] = {
        "now": moment,
        "until": moment + _CLAIM,
        "share": SHARE,
        "share_of_failed": SHARE_OF_FAILED,
        "most": most,
    }
    with connection.cursor() as cursor:
        cursor.execute(_ALONE, [_CLAIM_LOCK])
        cursor.execute(_CLAIM_NEXT, asked)
        places = {pk: (turn, present) for pk, turn, present in cursor.fetchall()}
    if not places:
        return []
    found = list(Delivery.unrestricted.select_related("subscription__feed", "again_of").filter(pk__in=places))
    for one in found:
        one.incarnation = places[one.pk][1]
    return sorted(found, key=lambda one: places[one.pk][0])


# Nobody waits for the disk while all wait for them: a claim that a crash takes back is made again.
_ALONE = "SELECT pg_advisory_xact_lock(%s), set_config('synchronous_commit', 'off', true)"
# A row for each delivery that was claimed: its id, its turn, and the store's incarnation. Walks the partial indexes of
# what is due and of what is being sent. `place` counts the messages of one partner in the order in which they go,
# `tried` those of them that failed before; `waits`: another replay of its subscription goes first.
_CLAIM_NEXT = f"""
WITH at_work AS (
    SELECT d.partner_id, count(*) AS all_of_it, count(*) FILTER (WHERE d.attempts > 0 OR s.failures > 0) AS failed
    FROM indicators_delivery d JOIN indicators_subscription s ON s.id = d.subscription_id
    WHERE d.state = 'sending' AND d.claimed_until >= %(now)s GROUP BY d.partner_id
), replaying AS (
    SELECT subscription_id FROM indicators_delivery
    WHERE state = 'sending' AND claimed_until >= %(now)s AND kind = 'replay'
), fit AS (
    SELECT d.id, d.partner_id, d.attempts > 0 OR s.failures > 0 AS failed, d.urgent, d.due_at,
           coalesce(w.all_of_it, 0) AS under_way, coalesce(w.failed, 0) AS failed_under_way,
           count(*) FILTER (WHERE d.attempts > 0 OR s.failures > 0)
               OVER (PARTITION BY d.partner_id ORDER BY NOT d.urgent, d.due_at, d.id) AS tried,
           d.kind = 'replay' AND 1 < count(*) FILTER (WHERE d.kind = 'replay')
               OVER (PARTITION BY d.subscription_id ORDER BY d.due_at, d.id) AS waits
    FROM indicators_delivery d
    JOIN indicators_subscription s ON s.id = d.subscription_id
    JOIN partners_partner p ON p.id = d.partner_id
    LEFT JOIN at_work w ON w.partner_id = d.partner_id
    LEFT JOIN indicators_delivery o ON o.id = d.again_of_id
    WHERE ((d.state = 'due' AND d.due_at <= %(now)s) OR (d.state = 'sending' AND d.claimed_until < %(now)s))
      AND p.state = 'active' AND (s.state = 'active' OR d.kind NOT IN ('changes', 'refiltered', 'start-over'))
      AND (coalesce(o.kind, d.kind) IN ('ping', 'start-over') OR s.incarnation = {incarnation.SQL})
      AND (d.kind <> 'replay' OR s.opened_at IS NULL AND NOT s.id IN (SELECT subscription_id FROM replaying))
), placed AS (
    SELECT fit.*, under_way + row_number()
               OVER (PARTITION BY partner_id ORDER BY failed, NOT urgent, due_at, id) AS place
    FROM fit WHERE NOT waits AND (NOT failed OR failed_under_way + tried <= %(share_of_failed)s)
), turns AS (
    SELECT id, row_number() OVER (ORDER BY place, failed, NOT urgent, due_at, id) AS turn
    FROM placed WHERE place <= %(share)s ORDER BY turn LIMIT %(most)s
), next AS (
    SELECT d.id, turns.turn FROM indicators_delivery d JOIN turns ON turns.id = d.id
    WHERE (d.state = 'due' AND d.due_at <= %(now)s) OR (d.state = 'sending' AND d.claimed_until < %(now)s)
    FOR UPDATE OF d SKIP LOCKED
)
UPDATE indicators_delivery d SET state = 'sending', claimed_until = %(until)s FROM next WHERE d.id = next.id
RETURNING d.id, next.turn, {incarnation.SQL}
"""


def _claimable(moment: datetime) -> Any:
    """What waits to be sent, of partners and subscriptions that are active (a suspended partner's waits for it)."""
    return Delivery.unrestricted.filter(
        Q(state=Delivery.State.DUE, due_at__lte=moment) | Q(state=Delivery.State.SENDING, claimed_until__lt=moment),
        ~Q(kind__in=OWN) | Q(subscription__state=Subscription.State.ACTIVE),
        ~Q(kind=Delivery.Kind.REPLAY) | Q(subscription__opened_at=None),
        Q(kind__in=[Delivery.Kind.PING, Delivery.Kind.START_OVER])
        | Q(again_of__kind=Delivery.Kind.START_OVER)
        | Q(subscription__incarnation=incarnation.read()),
        partner__state=Partner.State.ACTIVE,
    )
