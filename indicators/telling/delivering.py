"""Bring messages to subscribers: a Delivery row is the queue, and each partner has a fair share of who works on it.

Whoever has a hand free claims the next row: of the partner with the fewest messages under way, and never more than
SHARE of one partner over all processes, so that receivers that do not answer delay nobody else's. While a receiver is
waited for, no database connection is held. A worker that dies leaves a row that is claimed again when its claim ends.

A row of `changes` is tried until it arrives or is given up. A `ping`, or what a person sends `again` or has replayed,
is tried once. Replays of one subscription go one after another, and wait while its breaker is open (`breaker`).
After the store was restored, a subscription is sent nothing but pings until it has received `start-over`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, F, Q
from structlog import get_logger

from exchange import clock, incarnation, outbound, paging, signing, tracing
from exchange.errors import Conflict, NotFound, TooMany
from indicators.log import changes, traced
from indicators.models import Delivery, Subscription
from indicators.telling import breaker, shaping, subscribing
from partners.keys.auth import viewer_of_partner
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
TIMEOUT_S = 10.0
#: Messages of one partner that may be under way at a time, and of these, such as failed before.
SHARE = 4
SHARE_OF_FAILED = 2
#: Changes that one message names.
MAX_CHANGES = 100
_CLAIM = timedelta(seconds=60)
_KEPT = timedelta(days=30)
_MAX_REPLY_BYTES = 16_384
_GONE = 410
#: Messages by hand of one partner: that may wait at a time, and within an hour.
_MAX_WAITING_BY_HAND = 10
_MAX_BY_HAND_PER_HOUR = 120
#: Key of the advisory lock under which deliveries are claimed: "dlvr".
_CLAIM_LOCK = 0x646C7672

#: What the exchange sends by itself, and tries until it arrives or is given up.
_OWN = (Delivery.Kind.CHANGES, Delivery.Kind.FEED_CHANGED, Delivery.Kind.START_OVER)
#: What a person sends one by one.
_BY_HAND = (Delivery.Kind.AGAIN, Delivery.Kind.PING)
UNDER_WAY = Q(kind=Delivery.Kind.CHANGES, state__in=[Delivery.State.DUE, Delivery.State.SENDING])


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one attempt ended. `retry_after` is what the receiver asked for, if it did; `asked`: it was asked at all."""

    delivered: bool
    words: str
    status_code: int | None = None
    retry_after: timedelta | None = None
    gone: bool = False
    asked: bool = True


def next_try(attempts: int, *, failed_at: datetime, asked: timedelta | None = None) -> datetime | None:
    """When a message that failed `attempts` times is due again; None when it is given up."""
    if attempts > len(RETRY_AFTER):
        return None
    wait = RETRY_AFTER[attempts - 1]
    return failed_at + max(wait, min(asked or wait, timedelta(days=1)))


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


def send_next() -> Outcome | None:
    """Claim the next delivery and make one attempt; None where there is none to claim."""
    delivery = claim()
    if delivery is None:
        return None
    outcome = attempt(delivery)
    conclude(delivery, outcome)
    return outcome


@transaction.atomic
def claim() -> Delivery | None:
    """Take the next delivery that is due, fairly. Claims follow each other, so that the shares are exact."""
    moment = clock.now()
    asked: dict[str, datetime | int] = {
        "now": moment,
        "until": moment + _CLAIM,
        "share": SHARE,
        "share_of_failed": SHARE_OF_FAILED,
    }
    with connection.cursor() as cursor:
        cursor.execute(_ALONE, [_CLAIM_LOCK])
        cursor.execute(_CLAIM_NEXT, asked)
        claimed = cursor.fetchone()
    if claimed is None:
        return None
    delivery = Delivery.unrestricted.select_related("subscription__feed", "again_of").get(pk=claimed[0])
    delivery.incarnation = claimed[1]
    return delivery


# Nobody waits for the disk while all wait for them: a claim that a crash takes back is made again.
_ALONE = "SELECT pg_advisory_xact_lock(%s), set_config('synchronous_commit', 'off', true)"
# One row: the id of the delivery that was claimed, and the store's incarnation. Walks the partial indexes of what is
# due and of what is being sent. Replays of one subscription are claimed in the order in which they are due, each after
# the one before it has ended.
_CLAIM_NEXT = f"""
WITH at_work AS (
    SELECT partner_id, count(*) AS all_of_it, count(*) FILTER (WHERE attempts > 0) AS failed
    FROM indicators_delivery WHERE state = 'sending' AND claimed_until >= %(now)s GROUP BY partner_id
), replaying AS (
    SELECT subscription_id FROM indicators_delivery
    WHERE state = 'sending' AND claimed_until >= %(now)s AND kind = 'replay'
), next AS (
    SELECT d.id, {incarnation.SQL} AS incarnation
    FROM indicators_delivery d
    JOIN indicators_subscription s ON s.id = d.subscription_id
    JOIN partners_partner p ON p.id = d.partner_id
    LEFT JOIN at_work w ON w.partner_id = d.partner_id
    LEFT JOIN indicators_delivery o ON o.id = d.again_of_id
    WHERE ((d.state = 'due' AND d.due_at <= %(now)s) OR (d.state = 'sending' AND d.claimed_until < %(now)s))
      AND p.state = 'active' AND (s.state = 'active' OR d.kind NOT IN ('changes', 'refiltered', 'start-over'))
      AND (coalesce(o.kind, d.kind) IN ('ping', 'start-over') OR s.incarnation = {incarnation.SQL})
      AND (d.kind <> 'replay' OR s.opened_at IS NULL AND NOT s.id IN (SELECT subscription_id FROM replaying))
      AND coalesce(w.all_of_it, 0) < %(share)s
      AND (d.attempts = 0 OR coalesce(w.failed, 0) < %(share_of_failed)s)
    ORDER BY coalesce(w.all_of_it, 0), d.attempts > 0, NOT d.urgent, d.due_at, d.id
    LIMIT 1 FOR UPDATE OF d SKIP LOCKED
)
UPDATE indicators_delivery d SET state = 'sending', claimed_until = %(until)s FROM next WHERE d.id = next.id
RETURNING d.id, next.incarnation
"""


def _claimable(moment: datetime) -> Any:
    """What waits to be sent, of partners and subscriptions that are active (a suspended partner's waits for it)."""
    return Delivery.unrestricted.filter(
        Q(state=Delivery.State.DUE, due_at__lte=moment) | Q(state=Delivery.State.SENDING, claimed_until__lt=moment),
        ~Q(kind__in=_OWN) | Q(subscription__state=Subscription.State.ACTIVE),
        ~Q(kind=Delivery.Kind.REPLAY) | Q(subscription__opened_at=None),
        Q(kind__in=[Delivery.Kind.PING, Delivery.Kind.START_OVER])
        | Q(again_of__kind=Delivery.Kind.START_OVER)
        | Q(subscription__incarnation=incarnation.read()),
        partner__state=Partner.State.ACTIVE,
    )


def attempt(delivery: Delivery) -> Outcome:
    """Write the message, after asking again what the partner may see, and send it."""
    if delivery.kind == Delivery.Kind.PING:
        return _post(delivery, _message(delivery, "ping", {}))
    if _is_of(delivery, Delivery.Kind.START_OVER):
        return _post(delivery, _message(delivery, "start-over", {"link": _beginning(delivery.subscription)}))
    if _is_of(delivery, Delivery.Kind.FEED_CHANGED):
        feed = str(delivery.subscription.feed_id or "all")
        about = {"feed": feed, "urgent": True, "link": _beginning(delivery.subscription)}
        return _post(delivery, _message(delivery, "feed.changed", about))
    viewer = viewer_of_partner(delivery.partner_id)
    if viewer is None:
        return Outcome(delivered=False, words="The partner is not active.", asked=False)
    wanted = subscribing.filter_of(delivery.subscription.feed)
    span = changes.since(viewer, wanted, after=delivery.first_seq, limit=MAX_CHANGES)
    told = [change for change in span.changes if change.seq <= delivery.last_seq]
    if not told:
        return Outcome(delivered=True, words="Nothing was left to tell.", asked=False)
    more = span.more and span.reached < delivery.last_seq
    begins = changes.own_end(viewer, up_to=delivery.first_seq)  # the subscription's place tells of others
    cursor = paging.seal([begins, 0], viewer=viewer.partner_id, scope=f"changes;{wanted.scope}")
    message = _message(delivery, "objects.changed", _changed(delivery, told, more=more, cursor=cursor))
    return _post(delivery, message, about=traced.of(change.seq for change in told))


def _is_of(delivery: Delivery, kind: Delivery.Kind) -> bool:
    """Whether it tells what this kind tells, as it does when it is sent again."""
    return kind in (delivery.kind, delivery.again_of.kind if delivery.again_of else "")


def _beginning(subscription: Subscription) -> str:
    """Where its feed is read from the beginning."""
    return f"{settings.BASE_URL}/api/v1/changes" + (f"?feed={subscription.feed_id}" if subscription.feed_id else "")


def _message(delivery: Delivery, what: str, data: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        "type": what,
        "timestamp": clock.rfc3339(clock.now()),
        "data": {
            "subscription": str(delivery.subscription_id),
            "incarnation": incarnation.word(delivery.incarnation),
            **data,
        },
    }


def _changed(delivery: Delivery, told: list[changes.Told], *, more: bool, cursor: str) -> Mapping[str, Any]:
    """Which objects changed, and where to read what they say now: no value, and nothing to enforce."""
    feed = f"&feed={delivery.subscription.feed_id}" if delivery.subscription.feed_id else ""
    return {
        "feed": str(delivery.subscription.feed_id or "all"),
        "place": cursor,
        "urgent": changes.is_urgent(told),
        "changes": [changes.hint_of(change) for change in told],
        "more": more,
        "link": f"{settings.BASE_URL}/api/v1/changes?cursor={cursor}{feed}",
    }


def _post(delivery: Delivery, message: Mapping[str, Any], *, about: Sequence[str] = ()) -> Outcome:
    body, moment = shaping.body(delivery.subscription, message), clock.now()
    secrets = subscribing.secrets_of(delivery.subscription, at=moment)
    signed = signing.headers(secrets=secrets, message_id=message_id(delivery), at=moment, body=body)
    if not connection.in_atomic_block:
        connection.close()  # back to the pool, while the receiver takes its time
    facts = {"exchange.delivery": str(delivery.pk), "exchange.delivery.kind": delivery.kind}
    with tracing.span("delivery", kind="client", links=about, **facts) as step:
        try:
            reply = outbound.post(
                delivery.subscription.url,
                body,
                headers={"Content-Type": "application/json", "User-Agent": "Exchange-Webhook/1", **signed},
                timeout_s=TIMEOUT_S,
                max_bytes=_MAX_REPLY_BYTES,
            )
        except (outbound.Blocked, outbound.Failed) as failed:
            step.set_attribute("error.type", type(failed).__name__)
            return Outcome(delivered=False, words=str(failed))
        step.set_attribute("http.response.status_code", reply.status)
        return judge(reply)


def message_id(delivery: Delivery) -> str:
    """The `webhook-id`: each message's own. What is sent again keeps the one that it had."""
    if delivery.kind == Delivery.Kind.PING:
        return f"ping_{delivery.pk}"
    return f"msg_{delivery.again_of_id or delivery.pk}"


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
def conclude(delivery: Delivery, outcome: Outcome) -> None:
    """Write down how an attempt ended, and whether and when there is another. Only the claim's holder may.

    An attempt before its time, which news had brought forward, costs none of those that are planned.
    """
    moment = clock.now()
    early = delivery.planned_at is not None and delivery.planned_at > moment
    attempts, rest = delivery.attempts + (0 if early else 1), breaker.rest(delivery.subscription)
    due_at = None
    if delivery.kind in _OWN and not outcome.gone:
        due_at = delivery.planned_at if early else next_try(attempts, failed_at=moment, asked=outcome.retry_after)
    failed = Delivery.State.DUE if due_at else Delivery.State.DEAD
    state = Delivery.State.DELIVERED if outcome.delivered else failed
    own = Delivery.unrestricted.filter(
        pk=delivery.pk, state=Delivery.State.SENDING, claimed_until=delivery.claimed_until
    )
    written = own.update(
        state=state,
        attempts=attempts,
        due_at=due_at if due_at and not outcome.delivered else delivery.due_at,
        planned_at=None,
        rests_until=moment + max(rest, min(outcome.retry_after or rest, timedelta(days=1))),
        claimed_until=None,
        finished_at=None if state == Delivery.State.DUE else moment,
        status_code=outcome.status_code,
        outcome=outcome.words[:200],
    )
    if not written:
        return
    if outcome.asked:
        breaker.note(delivery, arrived=outcome.delivered, at=moment)
    if state == Delivery.State.DEAD and delivery.kind in _OWN:
        _give_up(delivery)
    if outcome.delivered and _is_of(delivery, Delivery.Kind.START_OVER):
        Subscription.unrestricted.filter(pk=delivery.subscription_id).update(incarnation=delivery.incarnation)
    if outcome.delivered:
        hurry(delivery.subscription_id, at=moment)
    log.info("delivery.attempted", delivery=str(delivery.pk), kind=delivery.kind, state=state.value, attempts=attempts)


def _give_up(delivery: Delivery) -> None:
    """The subscription ends where this message began, and its owner is told."""
    own = Subscription.unrestricted.filter(pk=delivery.subscription_id)
    if delivery.kind == Delivery.Kind.CHANGES:
        own.update(seq=delivery.first_seq)
    if own.exclude(state=Subscription.State.DEAD).update(state=Subscription.State.DEAD):
        breaker.given_up(delivery.subscription)


def hurry(subscription_id: UUID, *, at: datetime) -> None:
    """Make what waits for its next attempt due now: its receiver has answered, or somebody says that it will."""
    _waiting(subscription_id, at).update(planned_at=_PLANNED, due_at=at)


def hurry_for_news(delivery: Delivery, *, seen: int, at: datetime) -> bool:
    """The same because there is something new, up to place `seen`: at most once for each, and after a rest."""
    waits = _waiting(delivery.subscription_id, at).filter(pk=delivery.pk, rests_until__lte=at, seen_seq__lt=seen)
    return bool(waits.update(planned_at=_PLANNED, due_at=at, seen_seq=seen))


_PLANNED = F("due_at")


def _waiting(subscription_id: UUID, at: datetime) -> Any:
    return Delivery.unrestricted.filter(
        subscription=subscription_id, kind__in=_OWN, state=Delivery.State.DUE, due_at__gt=at
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
