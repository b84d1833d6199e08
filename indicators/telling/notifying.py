"""Tell subscribers that something changed: thin, signed messages, tried again until they arrive or are given up.

The log is the truth. `dispatch` turns a stretch of the log into a Delivery row; `delivering` brings it to its receiver.
What a worker that died left undone is found by the next sweep, from the store alone. A message names ids and a link;
content leaves by one door, the delta feed.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import batched, zip_longest
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import CharField, Exists, F, OuterRef, Q
from django.db.models.expressions import RawSQL
from structlog import get_logger

from exchange import clock, hints, incarnation
from exchange.celery import app
from exchange.errors import Gone
from indicators.feeds import hinting
from indicators.feeds.filters import Filter
from indicators.log import changes, following
from indicators.models import Delivery, Feed, FeedSet, Subscription
from indicators.telling import (
    claiming,
    concerning,
    delivering,
    enqueuing,
    looking,
    replaying,
    sending,
    subscribing,
    writing,
)
from indicators.telling.enqueuing import New
from partners.keys.auth import viewers_among
from partners.models import Partner
from partners.viewer import Viewer

log = get_logger()

#: Workers that are woken at a time; each goes on until there is nothing to claim, and wakes others while there is more.
_MOST_WOKEN = 4
#: Portions of the log's readers that are told in one transaction.
_TOGETHER = 16
#: Messages that wait to be claimed while more are made: the log keeps the others until some of these have gone.
_MOST_DUE = 2_048
_WOKEN_S = 10
#: The store's incarnation, in a query.
_PRESENT = RawSQL(incarnation.SQL, (), output_field=CharField())  # noqa: S611 - a constant of ours


def dispatch(subscription_id: UUID) -> UUID | None:
    """Turn what is new for a subscription into one delivery; returns it, or None where there is nothing to tell.

    While a delivery is under way no second one is made: the log waits, and the next message tells all of it.
    """
    return next(iter(dispatch_all([subscription_id])), None)


def dispatch_all(subscription_ids: Collection[UUID], *, until: float | None = None) -> list[UUID]:
    """The same of several subscriptions, in one transaction; returns the deliveries.

    Whose row another worker holds is left to them. The log is looked at once more after the rows were let go, for
    whoever came meanwhile found them taken and left; after `until` (of the monotonic clock), by another sweep.
    """
    made: list[UUID] = []
    left = list(subscription_ids)
    while left:
        deliveries, reached = _take_up(left)
        made += deliveries
        end = changes.head() if reached else 0
        left = [pk for pk, place in reached.items() if place < end]
        if left and until is not None and time.monotonic() > until:
            hint()
            break
    return made


@transaction.atomic
def _take_up(ids: Collection[UUID]) -> tuple[list[UUID], dict[UUID, int]]:
    """The deliveries that were made or became due, and the places reached by those that were told nothing."""
    held = list(
        Subscription.unrestricted.select_for_update(skip_locked=True, no_key=True, of=("self",))
        .select_related("feed")
        .filter(pk__in=ids, state=Subscription.State.ACTIVE)
        .annotate(present=_PRESENT)
        .order_by("pk")
    )
    viewers = viewers_among({one.partner_id for one in held}) if held else {}
    mine = [one for one in held if one.partner_id in viewers]
    told = [_start_over(one) for one in mine if one.incarnation != one.present]
    mine = [one for one in mine if one.incarnation == one.present]
    waiting = {
        one.subscription_id: one for one in Delivery.unrestricted.filter(delivering.UNDER_WAY, subscription__in=mine)
    }
    told += [_hurried(viewers[one.partner_id], one, waiting[one.pk]) for one in mine if one.pk in waiting]
    made, reached = _made(viewers, [one for one in mine if one.pk not in waiting])
    return [one.pk for one in (*told, *made) if one], reached


def _made(viewers: Mapping[UUID, Viewer], subscriptions: Sequence[Subscription]) -> tuple[list[New], dict[UUID, int]]:
    """A delivery for each subscription that there is something new for; the places of the others.

    The log is read once for those of a partner that stand at one place with one filter.
    """
    made, told_nothing, at = _made_of_sets(viewers, subscriptions), {}, defaultdict[int, list[UUID]](list)
    subscriptions = [one for one in subscriptions if one.set_id is None]
    end = changes.head() if subscriptions else 0
    for viewer, wanted, seq, only_yours, alike in _alike(viewers, subscriptions):
        try:
            span = writing.since(viewer, wanted, after=seq, limit=writing.MAX_CHANGES, matched=only_yours)
        except Gone:  # it was away for longer than removes are kept
            for one in alike:
                delivering.start_over(one.pk)
            continue
        reached = span.reached if span.more and (only_yours or not span.changes) else max(end, span.reached)
        count, urgent = len(span.changes), changes.is_urgent(span.changes)
        if only_yours:
            said = concerning.hints(viewer, span.changes, only_yours=True)
            count, urgent = len(said), concerning.is_urgent(said)
        for one in alike:
            at[reached].append(one.pk)
            if count:
                made.append(New(one, reached=reached, count=count, urgent=urgent))
            else:
                told_nothing[one.pk] = reached
    enqueuing.write(made)
    for reached, ids in at.items():
        enqueuing.reach(ids, reached)
    return made, told_nothing


def _made_of_sets(viewers: Mapping[UUID, Viewer], subscriptions: Sequence[Subscription]) -> list[New]:
    """A delivery for each that is told of a feed that moves by itself, by the set that `looking` brings up to date."""
    made: list[New] = []
    for one in subscriptions:
        if one.set_id is None:
            continue
        feed_set = FeedSet.unrestricted.filter(pk=one.set_id, place__gt=one.place, complete=True).first()
        if feed_set is None:
            continue
        if one.place < feed_set.pruned:  # it was away for longer than removals are kept
            Subscription.unrestricted.filter(pk=one.pk).update(place=feed_set.place)
            delivering.start_over(one.pk)
            continue
        news = hinting.news(viewers[one.partner_id], feed_set.pk, after=one.place, limit=writing.MAX_CHANGES)
        if news.changes:
            urgent = changes.is_urgent(news.changes)
            places = (one.place, feed_set.place)
            made.append(New(one, reached=one.seq, count=len(news.changes), urgent=urgent, places=places))
        Subscription.unrestricted.filter(pk=one.pk).update(place=feed_set.place)
    return made


def _alike(
    viewers: Mapping[UUID, Viewer], subscriptions: Iterable[Subscription]
) -> list[tuple[Viewer, Filter, int, bool, list[Subscription]]]:
    """Those that ask the log the same: of one partner, by one filter, from one place, for all or what concerns it."""
    found: dict[tuple[UUID, str, int, bool], tuple[Viewer, Filter, int, bool, list[Subscription]]] = {}
    for one in subscriptions:
        wanted = subscribing.filter_of(one.feed)
        same = (one.partner_id, wanted.scope, one.seq, one.only_yours)
        asks = (viewers[one.partner_id], wanted, one.seq, one.only_yours, list[Subscription]())
        found.setdefault(same, asks)[4].append(one)
    return list(found.values())


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

    Only what the subscriber may see counts: were it any change, the time of attempts would tell of others' acts. An
    address that is told what concerns its partner alone is hurried by that alone.
    """
    moment = clock.now()
    rests = waiting.rests_until is None or waiting.rests_until > moment
    if waiting.state != Delivery.State.DUE or waiting.due_at <= moment or rests:
        return None
    if subscription.set_id is not None:
        later = FeedSet.unrestricted.filter(pk=subscription.set_id, place__gt=max(subscription.place, waiting.seen_seq))
        place = later.values_list("place", flat=True).first()
        return waiting if place and delivering.hurry_for_news(waiting, seen=place, at=moment) else None
    after = max(subscription.seq, waiting.seen_seq)
    only_yours, wanted = subscription.only_yours, subscribing.filter_of(subscription.feed)
    limit = writing.MAX_CHANGES if only_yours else 1
    news = writing.since(viewer, wanted, after=after, limit=limit, matched=only_yours)
    if not (concerning.hints(viewer, news.changes, only_yours=True) if only_yours else news.changes):
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
    for _ in range(count):
        deliver.apply_async(expires=_WOKEN_S)


#: Of this process.
_DESK = sending.Desk(ask=lambda: hint(), help_=lambda: wake())  # noqa: PLW0108 - looked up when they are called


@app.task(name="indicators.telling.notifying.deliver")
def deliver() -> None:
    """Messages, portion by portion, until nothing can be claimed; where this process is at it already, it is told."""
    _DESK.work()


@app.task(name="indicators.telling.notifying.look")
def look() -> None:
    """Look after the feeds that move by themselves whose time has come, and tell what is new of them."""
    if looking.look():
        hint()


@app.task(name="indicators.telling.notifying.look_behind")
def look_behind() -> None:
    """The same of those that may have something new by the log."""
    if looking.look(woken=True):
        hint()


@app.task(name="indicators.telling.notifying.sweep")
def sweep() -> None:
    """Find everything that is to be told or due, from the store alone, and wake workers for it."""
    if looking.is_behind():
        hints.SENDER.send_soon(look_behind)
    woken, due, until = 0, claiming.due(), time.monotonic() + following.MOST_S
    for together in batched(_to_be_told(), _TOGETHER):
        portions, most = [], 0
        for ids in together:
            if (room := _MOST_DUE - due - most) > 0:
                portions.append(ids[:room])
                most += min(len(portions[-1]), claiming.SHARE)
        if not portions:
            break  # whoever delivers asks for another sweep
        made = _dispatched(portions, until=until)
        due += min(made, most)
        if made and woken < _MOST_WOKEN:
            wake()
            woken += 1
    wake(min(-(-due // claiming.SHARE), _MOST_WOKEN) - woken)


def _dispatched(portions: Sequence[Sequence[UUID]], *, until: float) -> int:
    """How many messages were made or became due; where that fails for all together, each is tried by itself."""
    ids = [pk for portion in portions for pk in portion]
    try:
        return len(dispatch_all(ids, until=until))
    except Exception as error:
        if len(ids) == 1:  # one subscription that cannot be told must not keep others from being told
            log.exception("subscription.not-told", subscription=str(ids[0]))
            return 0
        log.warning("subscriptions.told-singly", first=str(ids[0]), count=len(ids), error=type(error).__name__)
    singly: Iterable[Sequence[Sequence[UUID]]]
    singly = ([portion] for portion in portions) if len(portions) > 1 else ([[pk]] for pk in ids)
    return sum(_dispatched(each, until=until) for each in singly)


def _to_be_told() -> list[list[UUID]]:
    """The subscriptions that something may be new for: together those of a partner that ask the log the same.

    Each partner's first portion comes before anybody's second, who waits longest first: each is one read, under locks.

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
    moved = Exists(FeedSet.unrestricted.filter(pk=OuterRef("set_id"), place__gt=OuterRef("place"), complete=True))
    told_by_log = Q(set_id__isnull=True, seq__lt=changes.head())
    # What a row says by itself is asked first: parts of an OR are asked in the order in which they are written.
    new = (told_by_log | Q(moved, set_id__isnull=False)) & Q(incarnation=F("present")) & ~Exists(waits)
    restored = ~Q(incarnation=F("present")) & ~Exists(starts_over)
    active = Subscription.unrestricted.annotate(present=_PRESENT).filter(
        new | restored, state=Subscription.State.ACTIVE, partner__state=Partner.State.ACTIVE
    )
    found: dict[UUID, dict[tuple[UUID | None, int], list[UUID]]] = {}
    for partner_id, feed_id, seq, pk in active.order_by("seq", "pk").values_list("partner", "feed", "seq", "pk"):
        found.setdefault(partner_id, {}).setdefault((feed_id, seq), []).append(pk)
    rounds = zip_longest(*(portions.values() for portions in found.values()))
    return [portion for each in rounds for portion in each if portion]


@app.task(name="indicators.telling.notifying.forget_old_deliveries")
def forget_old_deliveries() -> None:
    """Forget what was delivered or given up long ago."""
    while delivering.forget_old() > 0:
        pass
