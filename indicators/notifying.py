"""Tell subscribers that something changed: thin, signed messages, tried again until they arrive or are given up.

The log is the truth and a Delivery row is the queue. `dispatch` turns a stretch of the log into a row;
`deliver` claims the row, asks again what the partner may see, and sends. A worker that dies in between leaves a
row that the next sweep takes up. A message names ids and a link; content leaves by one door, the delta feed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from django.conf import settings
from django.db import transaction
from django.db.models import Q
from structlog import get_logger

from exchange import clock, hints, outbound, paging, signing
from exchange.celery import app
from exchange.errors import Conflict, NotFound
from indicators import changes, subscribing
from indicators.feeds.filters import Filter
from indicators.models import Delivery, Subscription
from partners.auth import viewer_of_partner
from partners.models import Partner
from partners.scopes import Scope
from partners.sharing import Viewer

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
_TIMEOUT_S = 15.0
_CLAIM = timedelta(seconds=60)
#: How long a fresh delivery is left to the worker that was told of it before a sweep takes it up.
_GRACE = timedelta(seconds=2)
_MAX_REPLY_BYTES = 16_384
_MAX_CHANGES = 100
_GONE = 410


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one attempt ended. `retry_after` is what the receiver asked for, if it did."""

    delivered: bool
    words: str
    status_code: int | None = None
    retry_after: timedelta | None = None
    gone: bool = False


def next_try(attempts: int, *, failed_at: datetime, asked: timedelta | None = None) -> datetime | None:
    """When a message that failed `attempts` times is due again; None when it is given up."""
    if attempts > len(RETRY_AFTER):
        return None
    wait = RETRY_AFTER[attempts - 1]
    return failed_at + max(wait, min(asked or wait, timedelta(days=1)))


def dispatch(subscription_id: UUID) -> UUID | None:
    """Turn what is new for a subscription into one delivery; yields it, or None where there is nothing to tell.

    While a delivery is under way no second one is made: the log waits, and the next message tells all of it.
    The log is looked at once more after the row was let go, for whoever came meanwhile found it taken and left.
    """
    while True:
        delivery, reached = _take_up(subscription_id)
        if delivery is not None or reached is None or reached >= changes.head():
            return delivery.pk if delivery else None


@transaction.atomic
def _take_up(subscription_id: UUID) -> tuple[Delivery | None, int | None]:
    """The delivery that was made, if any, and the place reached; no place where there was nothing to do."""
    subscription = (
        Subscription.unrestricted.select_for_update(skip_locked=True, of=("self",))
        .select_related("feed")
        .filter(pk=subscription_id, state=Subscription.State.ACTIVE)
        .first()
    )
    if subscription is None or subscription.deliveries(manager="unrestricted").filter(_UNDER_WAY).exists():
        return None, None
    viewer = viewer_of_partner(subscription.partner_id)
    if viewer is None:
        return None, None
    end = changes.head()
    span = changes.since(viewer, _wanted(subscription), after=subscription.seq, limit=_MAX_CHANGES)
    reached = max(end, span.reached)
    delivery = None
    if span.changes:
        delivery = Delivery.unrestricted.create(
            partner_id=subscription.partner_id,
            subscription=subscription,
            first_seq=subscription.seq,
            last_seq=reached,
            changes=len(span.changes),
        )
    Subscription.unrestricted.filter(pk=subscription.pk).update(seq=reached)
    return delivery, reached


def send(delivery_id: UUID) -> None:
    """Make one attempt, if the delivery is due and nobody else is at it."""
    moment = clock.now()
    claimed = (
        Delivery.unrestricted.filter(
            pk=delivery_id,
            subscription__state=Subscription.State.ACTIVE,
            partner__state=Partner.State.ACTIVE,  # what was due to a suspended partner waits for its return
        )
        .filter(Q(state=Delivery.State.DUE, due_at__lte=moment) | _abandoned(moment))
        .update(state=Delivery.State.SENDING, claimed_until=moment + _CLAIM)
    )
    if not claimed:
        return
    delivery = Delivery.unrestricted.select_related("subscription__feed").get(pk=delivery_id)
    _conclude(delivery, _attempt(delivery))


def send_test(viewer: Viewer, subscription_id: UUID) -> Outcome:
    """Send one signed `ping` now, outside the log, and say how it went. Raises NotFound, Forbidden."""
    viewer.require(Scope.SUBSCRIBE)
    subscription = subscribing.own_subscription(viewer, subscription_id)
    message = {"type": "ping", "timestamp": clock.rfc3339(clock.now()), "data": {"subscription": str(subscription.pk)}}
    return _post(subscription, message_id=f"ping_{subscription.pk}", message=message)


def redeliver(viewer: Viewer, delivery_id: UUID) -> None:
    """Make a delivery that was given up due again. Raises NotFound, Conflict."""
    viewer.require(Scope.SUBSCRIBE)
    viewer.require_all_groups()
    own = Delivery.objects.of(viewer).filter(pk=delivery_id)
    if not own.exists():
        raise NotFound
    again = {"state": Delivery.State.DUE, "attempts": 0, "due_at": clock.now(), "finished_at": None}
    if not own.filter(state=Delivery.State.DEAD).update(**again):
        raise Conflict("Only a delivery that was given up can be sent again.", code="not-given-up")
    transaction.on_commit(lambda: deliver.delay(str(delivery_id)))


def _attempt(delivery: Delivery) -> Outcome:
    subscription = delivery.subscription
    viewer = viewer_of_partner(delivery.partner_id)
    if viewer is None:
        return Outcome(delivered=False, words="The partner is not active.")
    wanted = _wanted(subscription)
    span = changes.since(viewer, wanted, after=delivery.first_seq, limit=_MAX_CHANGES)
    told = [change for change in span.changes if change.seq <= delivery.last_seq]
    if not told:
        return Outcome(delivered=True, words="Nothing was left to tell.")
    more = span.more and span.reached < delivery.last_seq
    message = _message(delivery, told, more=more, viewer=viewer, wanted=wanted)
    return _post(subscription, message_id=f"msg_{delivery.pk}", message=message)


def _message(
    delivery: Delivery, told: list[changes.Told], *, more: bool, viewer: Viewer, wanted: Filter
) -> Mapping[str, Any]:
    cursor = paging.seal([delivery.first_seq, 0], viewer=viewer.partner_id, scope=f"changes;{wanted.scope}")
    feed = f"&feed={delivery.subscription.feed_id}" if delivery.subscription.feed_id else ""
    return {
        "type": "objects.changed",
        "timestamp": clock.rfc3339(clock.now()),
        "data": {
            "subscription": str(delivery.subscription_id),
            "changes": [
                {
                    "op": change.op,
                    "reason": change.reason,
                    "id": change.stix_id,
                    "type": change.stix_type,
                    "kind": change.kind,
                }
                for change in told
            ],
            "more": more,
            "link": f"{settings.BASE_URL}/api/v1/changes?cursor={cursor}{feed}",
        },
    }


def _post(subscription: Subscription, *, message_id: str, message: Mapping[str, Any]) -> Outcome:
    body = orjson.dumps(message)
    signed = signing.headers(
        secret=subscribing.secret_of(subscription), message_id=message_id, at=clock.now(), body=body
    )
    try:
        reply = outbound.post(
            subscription.url,
            body,
            headers={"Content-Type": "application/json", "User-Agent": "Exchange-Webhook/1", **signed},
            timeout_s=_TIMEOUT_S,
            max_bytes=_MAX_REPLY_BYTES,
        )
    except outbound.Blocked as blocked:
        return Outcome(delivered=False, words=str(blocked))
    except outbound.Failed as failed:
        return Outcome(delivered=False, words=str(failed))
    return judge(reply)


def judge(reply: outbound.Reply) -> Outcome:
    """Any 2xx is a receipt; 410 says that nobody listens any more; all else is a failure to be tried again."""
    words = f"Answered {reply.status}."
    if 200 <= reply.status < 300:
        return Outcome(delivered=True, words=words, status_code=reply.status)
    asked = timedelta(seconds=reply.retry_after_s) if reply.retry_after_s is not None else None
    return Outcome(
        delivered=False, words=words, status_code=reply.status, retry_after=asked, gone=reply.status == _GONE
    )


@transaction.atomic
def _conclude(delivery: Delivery, outcome: Outcome) -> None:
    """Write down how an attempt ended, and whether and when there is another."""
    moment = clock.now()
    attempts = delivery.attempts + 1
    due = None if outcome.gone else next_try(attempts, failed_at=moment, asked=outcome.retry_after)
    failed = Delivery.State.DUE if due else Delivery.State.DEAD
    state = Delivery.State.DELIVERED if outcome.delivered else failed
    Delivery.unrestricted.filter(pk=delivery.pk, state=Delivery.State.SENDING).update(
        state=state,
        attempts=attempts,
        due_at=due or delivery.due_at,
        claimed_until=None,
        finished_at=None if state == Delivery.State.DUE else moment,
        status_code=outcome.status_code,
        outcome=outcome.words[:200],
    )
    if state == Delivery.State.DEAD:
        Subscription.unrestricted.filter(pk=delivery.subscription_id).update(
            state=Subscription.State.DEAD, seq=delivery.first_seq
        )
    log.info("delivery.attempted", delivery=str(delivery.pk), state=state.value, attempts=attempts)
    if state == Delivery.State.DELIVERED:
        transaction.on_commit(hint)


def _wanted(subscription: Subscription) -> Filter:
    return subscribing.filter_of(subscription.feed)


_UNDER_WAY = Q(state__in=[Delivery.State.DUE, Delivery.State.SENDING])


def _abandoned(moment: datetime) -> Q:
    """Claimed by a worker that did not come back."""
    return Q(state=Delivery.State.SENDING, claimed_until__lt=moment)


def hint() -> None:
    """Ask a worker to look at the log; to be called after the commit."""
    hints.SENDER.send_soon(sweep)


@app.task(name="indicators.notifying.deliver")
def deliver(delivery_id: str) -> None:
    """One attempt at one delivery."""
    send(UUID(delivery_id))


@app.task(name="indicators.notifying.sweep")
def sweep() -> None:
    """Find everything that is to be told or due, from the store alone, and hand it to workers."""
    active = Subscription.unrestricted.filter(
        state=Subscription.State.ACTIVE, partner__state=Partner.State.ACTIVE, seq__lt=changes.head()
    )
    for subscription_id in active.order_by("seq", "pk").values_list("pk", flat=True):
        if (delivery_id := dispatch(subscription_id)) is not None:
            deliver.delay(str(delivery_id))
    moment = clock.now()
    overdue = Delivery.unrestricted.filter(
        Q(state=Delivery.State.DUE, due_at__lte=moment - _GRACE)
        | Q(state=Delivery.State.DUE, due_at__lte=moment, attempts__gt=0)
        | _abandoned(moment),
        subscription__state=Subscription.State.ACTIVE,
        partner__state=Partner.State.ACTIVE,
    )
    for delivery_id in overdue.order_by("due_at", "pk").values_list("pk", flat=True)[:1_000]:
        deliver.delay(str(delivery_id))
