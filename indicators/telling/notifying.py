"""Tell subscribers that something changed: thin, signed messages, tried again until they arrive or are given up.

The log is the truth. `dispatch` turns a stretch of the log into a Delivery row; `delivering` brings it to its receiver.
What a worker that died left undone is found by the next sweep, from the store alone. A message names ids and a link;
content leaves by one door, the delta feed.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import CharField, Exists, F, OuterRef, Q, Window
from django.db.models.expressions import RawSQL
from django.db.models.functions import RowNumber
from structlog import get_logger

from exchange import clock, hints, incarnation
from exchange.celery import app
from indicators.log import changes
from indicators.models import Delivery, Feed, Subscription
from indicators.telling import delivering, replaying, subscribing
from partners.keys.auth import viewer_of_partner
from partners.models import Partner
from partners.viewer import Viewer

log = get_logger()

#: Workers that are woken at a time; each goes on until there is nothing to claim.
_MOST_WOKEN = 16
#: Messages that wait to be claimed while more are made: the log keeps the others until some of these have gone.
_MOST_DUE, _LOOK = 512, 64
_WOKEN_S = 10
#: After this long, a worker's thread lets others have their turn.
_TURN_S = 60.0
#: The store's incarnation, in a query.
_PRESENT = RawSQL(incarnation.SQL, (), output_field=CharField())  # noqa: S611 - a constant of ours


def dispatch(subscription_id: UUID) -> UUID | None:
    """Turn what is new for a subscription into one delivery; returns it, or None where there is nothing to tell.

    While a delivery is under way no second one is made: the log waits, and the next message tells all of it.
    The log is looked at once more after the row was let go, for whoever came meanwhile found it taken and left.
    """
    while True:
        delivery, reached = _take_up(subscription_id)
        if delivery is not None or reached is None or reached >= changes.head():
            return delivery.pk if delivery else None


@transaction.atomic
def _take_up(subscription_id: UUID) -> tuple[Delivery | None, int | None]:
    """The delivery that was made or became due, and the place reached; no place where there was nothing to do."""
    subscription = (
        Subscription.unrestricted.select_for_update(skip_locked=True, of=("self",))
        .select_related("feed")
        .filter(pk=subscription_id, state=Subscription.State.ACTIVE)
        .annotate(present=_PRESENT)
        .first()
    )
    viewer = viewer_of_partner(subscription.partner_id) if subscription else None
    if subscription is None or viewer is None:
        return None, None
    if subscription.incarnation != subscription.present:
        return _start_over(subscription), None
    under_way = subscription.deliveries(manager="unrestricted").filter(delivering.UNDER_WAY).first()
    if under_way is not None:
        return _hurried(viewer, subscription, under_way), None
    end = changes.head()
    wanted = subscribing.filter_of(subscription.feed)
    span = changes.since(viewer, wanted, after=subscription.seq, limit=delivering.MAX_CHANGES, matched=False)
    reached = span.reached if span.more and not span.changes else max(end, span.reached)
    delivery = None
    if span.changes:
        delivery = Delivery.unrestricted.create(
            partner_id=subscription.partner_id,
            subscription=subscription,
            first_seq=subscription.seq,
            last_seq=reached,
            changes=len(span.changes),
            urgent=changes.is_urgent(span.changes),
        )
    Subscription.unrestricted.filter(pk=subscription.pk).update(seq=reached)
    return delivery, reached


def _start_over(subscription: Subscription) -> Delivery | None:
    """The message that must go before all others because the store was restored; None where it is under way."""
    under_way = Q(kind=Delivery.Kind.START_OVER, state__in=[Delivery.State.DUE, Delivery.State.SENDING])
    if subscription.deliveries(manager="unrestricted").filter(under_way).exists():
        return None
    return Delivery.unrestricted.create(
        partner_id=subscription.partner_id,
        subscription=subscription,
        kind=Delivery.Kind.START_OVER,
        first_seq=subscription.seq,
        last_seq=subscription.seq,
        changes=0,
    )


def _hurried(viewer: Viewer, subscription: Subscription, waiting: Delivery) -> Delivery | None:
    """The delivery that waits for its next attempt, if something new for this subscription has made it due now.

    Only what the subscriber may see counts: were it any change, the time of attempts would tell of others' acts.
    """
    moment = clock.now()
    rests = waiting.rests_until is None or waiting.rests_until > moment
    if waiting.state != Delivery.State.DUE or waiting.due_at <= moment or rests:
        return None
    after = max(subscription.seq, waiting.seen_seq)
    news = changes.since(viewer, subscribing.filter_of(subscription.feed), after=after, limit=1, matched=False)
    if not news.changes:
        Delivery.unrestricted.filter(pk=waiting.pk).update(seen_seq=max(after, news.reached))
        return None
    return waiting if delivering.hurry_for_news(waiting, seen=max(news.reached, changes.head()), at=moment) else None


def change_feed(
    viewer: Viewer, feed_id: UUID, *, name: str | None = None, filter_json: Mapping[str, Any] | None = None
) -> Feed:
    """As `subscribing.change_feed`; where it selects something else, each address that it is told to is told that."""
    with transaction.atomic():
        feed, selects = subscribing.change_feed(viewer, feed_id, name=name, filter_json=filter_json)
        if not selects:
            return feed
        told = Subscription.unrestricted.filter(feed=feed).exclude(state=Subscription.State.DEAD)
        waits = Delivery.unrestricted.filter(
            subscription=OuterRef("pk"), kind=Delivery.Kind.FEED_CHANGED, state=Delivery.State.DUE
        )
        for subscription in told.exclude(Exists(waits)):
            Delivery.unrestricted.create(
                partner_id=subscription.partner_id,
                subscription=subscription,
                kind=Delivery.Kind.FEED_CHANGED,
                first_seq=subscription.seq,
                last_seq=subscription.seq,
                changes=0,
                urgent=True,
            )
    return _soon(feed)


def ping(viewer: Viewer, subscription_id: UUID) -> Delivery:
    """As `delivering.ping`, and a worker is woken for it."""
    return _soon(delivering.ping(viewer, subscription_id))


def send_again(viewer: Viewer, delivery_id: UUID) -> Delivery:
    """As `delivering.send_again`, and a worker is woken for it."""
    return _soon(delivering.send_again(viewer, delivery_id))


def replay(
    viewer: Viewer,
    subscription_id: UUID,
    *,
    ids: Collection[UUID] = (),
    since: datetime | None = None,
    until: datetime | None = None,
    everything: bool = False,
) -> replaying.Letters:
    """As `replaying.replay`, and a worker is woken for it."""
    return _soon(replaying.replay(viewer, subscription_id, ids=ids, since=since, until=until, everything=everything))


def change(viewer: Viewer, subscription_id: UUID, wanted: Mapping[str, Any]) -> Subscription:
    """As `subscribing.change`; whoever resumes it, or names another address, says that it will answer now."""
    with transaction.atomic():
        subscription = subscribing.change(viewer, subscription_id, wanted)
        if subscription.state == Subscription.State.ACTIVE:
            delivering.hurry(subscription_id, at=clock.now())
    return _soon(subscription)


def _soon[Row](row: Row) -> Row:
    transaction.on_commit(lambda: hint())  # noqa: PLW0108 - looked up when it is called
    return row


def hint() -> None:
    """Ask a worker to look at the log; to be called after the commit."""
    hints.SENDER.send_soon(sweep)


def wake(count: int = 1) -> None:
    """Have so many workers look for what is due. What is lost on the way is sent again by the next sweep."""
    for _ in range(min(count, _MOST_WOKEN)):
        deliver.apply_async(expires=_WOKEN_S)


@app.task(name="indicators.telling.notifying.deliver")
def deliver() -> None:
    """Attempts, one after another, until nothing can be claimed."""
    until = time.monotonic() + _TURN_S
    while (outcome := delivering.send_next()) is not None:
        if outcome.delivered:
            hint()
        if time.monotonic() > until:
            wake()
            return


@app.task(name="indicators.telling.notifying.sweep")
def sweep() -> None:
    """Find everything that is to be told or due, from the store alone, and wake workers for it."""
    woken = 0
    for place, subscription_id in enumerate(_to_be_told()):
        if place % _LOOK == 0 and place and delivering.due() >= _MOST_DUE:
            break  # whoever delivers one asks for another sweep
        try:
            made = dispatch(subscription_id)
        except Exception:  # one subscription that cannot be told must not keep others from being told
            log.exception("subscription.not-told", subscription=str(subscription_id))
            continue
        if made is not None:
            if woken < _MOST_WOKEN:
                wake()
            woken += 1
    wake(delivering.due() - min(woken, _MOST_WOKEN))


def _to_be_told() -> list[UUID]:
    """The subscriptions that something may be new for, each partner's first one before anybody's second.

    Whose message is under way is left out, unless news may bring that forward: it would be looked at again and again.
    """
    moment = clock.now()
    under_way = Delivery.unrestricted.filter(delivering.UNDER_WAY, subscription=OuterRef("pk"))
    waits = under_way.exclude(state=Delivery.State.DUE, due_at__gt=moment, rests_until__lte=moment)
    starts_over = Delivery.unrestricted.filter(
        subscription=OuterRef("pk"),
        kind=Delivery.Kind.START_OVER,
        state__in=[Delivery.State.DUE, Delivery.State.SENDING],
    )
    new = ~Exists(waits) & Q(incarnation=F("present"), seq__lt=changes.head())
    restored = ~Exists(starts_over) & ~Q(incarnation=F("present"))
    active = Subscription.unrestricted.annotate(present=_PRESENT).filter(
        new | restored, state=Subscription.State.ACTIVE, partner__state=Partner.State.ACTIVE
    )
    turn = Window(RowNumber(), partition_by="partner", order_by=["seq", "pk"])
    return list(active.annotate(turn=turn).order_by("turn", "seq", "pk").values_list("pk", flat=True))


@app.task(name="indicators.telling.notifying.forget_old_deliveries")
def forget_old_deliveries() -> None:
    """Forget what was delivered or given up long ago."""
    while delivering.forget_old() > 0:
        pass
