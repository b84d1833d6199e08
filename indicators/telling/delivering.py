"""What becomes of a delivery: how its attempts end, when it is due again, and what a person has sent by hand.

A row of `changes` is tried until it arrives or is given up. A `ping`, or what a person sends `again` or has replayed,
is tried once.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Count, F, Q
from structlog import get_logger

from exchange import clock, sql
from exchange.errors import Conflict, NotFound, TooMany
from indicators.log import changes
from indicators.models import Delivery, Subscription
from indicators.telling import breaker, subscribing, writing
from indicators.telling.attempting import Outcome
from indicators.telling.claiming import OWN
from partners.models import Partner
from partners.scopes import Scope
from partners.viewer import Viewer

log = get_logger()

#: Standard Webhooks, "Deliverability and reliability": the waits between attempts, about 28 hours in all.
RETRY_AFTER = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=10),
)
_KEPT = timedelta(days=30)
#: Messages by hand of one partner: that may wait at a time, and within an hour.
_MAX_WAITING_BY_HAND = 10
_MAX_BY_HAND_PER_HOUR = 120

#: In the place of a subscription's incarnation, where it was away too long: no store has it, so that it starts over.
_AWAY = "away"
#: What a person sends one by one.
_BY_HAND = (Delivery.Kind.AGAIN, Delivery.Kind.PING)
UNDER_WAY = Q(kind=Delivery.Kind.CHANGES, state__in=[Delivery.State.DUE, Delivery.State.SENDING])


def next_try(attempts: int, *, failed_at: datetime, asked: timedelta | None = None) -> datetime | None:
    """When a message that failed `attempts` times is due again; None when it is given up."""
    if attempts > len(RETRY_AFTER):
        return None
    wait = RETRY_AFTER[attempts - 1]
    return failed_at + max(wait, min(asked or wait, timedelta(days=1)))


def conclude(ended: Sequence[tuple[Delivery, Outcome]]) -> None:
    """Write down how attempts ended, and whether and when there are others. Of each, only the claim's holder may.

    All in one transaction; where that fails, each in its own, so that one that cannot be written down spoils no other.
    An attempt before its time, which news had brought forward, costs none of those that are planned.
    """
    if not ended:
        return
    try:
        _conclude(ended)
    except Exception as error:
        if len(ended) == 1:
            raise
        log.warning("deliveries.concluded-singly", error=type(error).__name__)
        for each in ended:
            try:
                _conclude([each])
            except Exception:
                log.exception("delivery.not-concluded", delivery=str(each[0].pk))


@dataclass(frozen=True, slots=True)
class _End:
    """What is written of one attempt."""

    delivery: Delivery
    outcome: Outcome
    state: Delivery.State
    attempts: int
    due_at: datetime
    rests_until: datetime


@transaction.atomic
def _conclude(ended: Sequence[tuple[Delivery, Outcome]]) -> None:
    moment = clock.now()
    ends = [_end(delivery, outcome, at=moment) for delivery, outcome in ended]
    written = _written(ends, at=moment)
    ends = [end for end in ends if end.delivery.pk in written]
    breaker.note([(end.delivery, end.outcome.delivered) for end in ends if end.outcome.asked], at=moment)
    for end in ends:
        _consequences(end)
    arrived = {end.delivery.subscription_id for end in ends if end.outcome.delivered}
    if arrived:
        hurry(*arrived, at=moment)
    _log(ends)


def _log(ends: Sequence[_End]) -> None:
    """A line for each that did not arrive, and one for all that did: their rows tell them apart."""
    for end in ends:
        if end.state != Delivery.State.DELIVERED:
            facts = {"kind": end.delivery.kind, "state": end.state.value, "attempts": end.attempts}
            log.info("delivery.attempted", delivery=str(end.delivery.pk), **facts)
    if count := sum(end.state == Delivery.State.DELIVERED for end in ends):
        log.info("deliveries.arrived", count=count)


def _end(delivery: Delivery, outcome: Outcome, *, at: datetime) -> _End:
    early = delivery.planned_at is not None and delivery.planned_at > at
    attempts, rest = delivery.attempts + (0 if early else 1), breaker.rest(delivery.subscription)
    due_at = None
    if delivery.kind in OWN and not outcome.gone:
        due_at = delivery.planned_at if early else next_try(attempts, failed_at=at, asked=outcome.retry_after)
    failed = Delivery.State.DUE if due_at else Delivery.State.DEAD
    return _End(
        delivery=delivery,
        outcome=outcome,
        state=Delivery.State.DELIVERED if outcome.delivered else failed,
        attempts=attempts,
        due_at=due_at if due_at and not outcome.delivered else delivery.due_at,
        rests_until=at + max(rest, min(outcome.retry_after or rest, timedelta(days=1))),
    )


def _written(ends: Sequence[_End], *, at: datetime) -> set[UUID]:
    """The deliveries whose end was written: those that were still claimed by us. One statement."""
    given = {
        "ids": [end.delivery.pk for end in ends],
        "claims": [end.delivery.claimed_until for end in ends],
        "states": [end.state.value for end in ends],
        "attempts": [end.attempts for end in ends],
        "due": [end.due_at for end in ends],
        "rests": [end.rests_until for end in ends],
        "codes": [end.outcome.status_code for end in ends],
        "words": [end.outcome.words[:200] for end in ends],
        "now": at,
    }
    return {pk for (pk,) in sql.ask(_WRITE, given)}


# A row for each delivery whose end was written: its id. Locked in the order of their ids.
_WRITE = """
UPDATE indicators_delivery d SET
    state = e.state, attempts = e.attempts, due_at = e.due_at, planned_at = NULL, rests_until = e.rests_until,
    claimed_until = NULL, finished_at = CASE WHEN e.state <> 'due' THEN %(now)s::timestamptz END,
    status_code = e.status_code, outcome = e.outcome
FROM (
    SELECT given.*
    FROM unnest(%(ids)s::uuid[], %(claims)s::timestamptz[], %(states)s::text[], %(attempts)s::int[],
                %(due)s::timestamptz[], %(rests)s::timestamptz[], %(codes)s::int[], %(words)s::text[])
         AS given(id, claimed_until, state, attempts, due_at, rests_until, status_code, outcome)
    JOIN (
        SELECT id, claimed_until FROM indicators_delivery
        WHERE id = ANY(%(ids)s::uuid[]) AND state = 'sending' ORDER BY id FOR NO KEY UPDATE
    ) held ON held.id = given.id AND held.claimed_until = given.claimed_until
) e
WHERE d.id = e.id
RETURNING d.id
"""


def _consequences(end: _End) -> None:
    """What the end of an attempt means for its subscription, where it means anything."""
    delivery, outcome = end.delivery, end.outcome
    if end.state == Delivery.State.DEAD and delivery.kind in OWN:
        _give_up(delivery)
    if outcome.delivered and writing.is_of(delivery, Delivery.Kind.START_OVER):
        Subscription.unrestricted.filter(pk=delivery.subscription_id).update(incarnation=delivery.incarnation)
    if outcome.away:
        start_over(delivery.subscription_id)


def start_over(subscription_id: UUID) -> None:
    """Of what it was to be told something is pruned: the next sweep has it start over, and it goes on from now."""
    Subscription.unrestricted.filter(pk=subscription_id).update(seq=changes.head(), incarnation=_AWAY)


def _give_up(delivery: Delivery) -> None:
    """The subscription ends where this message began, and its owner is told."""
    own = Subscription.unrestricted.filter(pk=delivery.subscription_id)
    if delivery.kind == Delivery.Kind.CHANGES:
        own.update(seq=delivery.first_seq)
        own.filter(set_id__isnull=False, place__gt=delivery.first_place or 0).update(place=delivery.first_place or 0)
    if own.exclude(state=Subscription.State.DEAD).update(state=Subscription.State.DEAD):
        breaker.given_up(delivery.subscription)


def hurry(*subscription_ids: UUID, at: datetime) -> None:
    """Make what waits for its next attempt due now: its receiver has answered, or somebody says that it will."""
    _waiting(subscription_ids, at).update(planned_at=_PLANNED, due_at=at)


def hurry_for_news(delivery: Delivery, *, seen: int, at: datetime) -> bool:
    """The same because there is something new, up to place `seen`: at most once for each, and after a rest."""
    waits = _waiting([delivery.subscription_id], at).filter(pk=delivery.pk, rests_until__lte=at, seen_seq__lt=seen)
    return bool(waits.update(planned_at=_PLANNED, due_at=at, seen_seq=seen))


_PLANNED = F("due_at")


def _waiting(subscription_ids: Collection[UUID], at: datetime) -> Any:
    return Delivery.unrestricted.filter(
        subscription__in=subscription_ids, kind__in=OWN, state=Delivery.State.DUE, due_at__gt=at
    )


def ping(viewer: Viewer, subscription_id: UUID) -> Delivery:
    """Have one signed `ping` sent, outside the log; its row tells how that went. Raises NotFound, TooMany."""
    viewer.require(Scope.SUBSCRIBE)
    subscription = subscribing.own_subscription(viewer, subscription_id)
    return _by_hand(
        viewer, subscription, kind=Delivery.Kind.PING, first_seq=subscription.seq, last_seq=subscription.seq
    )


def send_again(viewer: Viewer, delivery_id: UUID) -> Delivery:
    """Have a delivery sent again, whatever came of it: returns the row that tells how that went.

    What waits for its next attempt is due now. What was delivered or given up is sent once more, under the id that it
    had. Raises NotFound, Forbidden, TooMany; Conflict while it is being sent.
    """
    viewer.require(Scope.SUBSCRIBE)
    viewer.require_all_groups()
    delivery = own_delivery(viewer, delivery_id)
    if delivery.state == Delivery.State.SENDING:
        raise Conflict("It is being sent at this moment.", code="being-sent")
    if delivery.state == Delivery.State.DUE:
        hurry(delivery.subscription_id, at=clock.now())
        return own_delivery(viewer, delivery_id)
    if delivery.kind == Delivery.Kind.PING:
        return ping(viewer, delivery.subscription_id)
    return _by_hand(
        viewer,
        delivery.subscription,
        kind=Delivery.Kind.AGAIN,
        first_seq=delivery.first_seq,
        last_seq=delivery.last_seq,
        first_place=delivery.first_place,
        last_place=delivery.last_place,
        changes=delivery.changes,
        again_of_id=delivery.again_of_id or delivery.pk,
    )


def own_delivery(viewer: Viewer, delivery_id: UUID) -> Delivery:
    """A delivery to the viewer's own partner. Raises NotFound; Forbidden for a key that sees less than it tells."""
    viewer.require_all_groups()
    found = Delivery.objects.of(viewer).select_related("subscription").filter(pk=delivery_id).first()
    if found is None:
        raise NotFound
    return found


def _by_hand(viewer: Viewer, subscription: Subscription, **row: Any) -> Delivery:
    """A message that a person asked for. Raises TooMany: it must not become a way to flood an address.

    Whoever asks too often learns so by one query. Only where there seems to be room are they counted one by one.
    """
    _require_room(viewer)
    with transaction.atomic():
        Partner.objects.select_for_update(no_key=True).get(pk=viewer.partner_id)
        _require_room(viewer)
        return Delivery.unrestricted.create(
            partner_id=viewer.partner_id, subscription=subscription, **({"changes": 0} | row)
        )


def _require_room(viewer: Viewer) -> None:
    lately = Delivery.objects.of(viewer).filter(kind__in=_BY_HAND, created_at__gt=clock.now() - timedelta(hours=1))
    waiting = Count("pk", filter=Q(state__in=[Delivery.State.DUE, Delivery.State.SENDING]))
    counted = lately.aggregate(waiting=waiting, lately=Count("pk"))
    if counted["waiting"] >= _MAX_WAITING_BY_HAND or counted["lately"] >= _MAX_BY_HAND_PER_HOUR:
        raise TooMany("So many messages by hand are enough for now.", code="too-many-messages", retry_after_s=30)


def forget_old(*, limit: int = 1_000) -> int:
    """Delete deliveries that ended more than 30 days ago, at most `limit`; returns how many."""
    old = Delivery.unrestricted.filter(finished_at__lt=clock.now() - _KEPT).order_by("finished_at", "pk")
    return int(Delivery.unrestricted.filter(pk__in=list(old.values_list("pk", flat=True)[:limit])).delete()[0])
