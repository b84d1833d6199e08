"""Dead letters, and sending again what was sent: by id, or all of a stretch of time.

A dead letter is a message that was given up and that nothing after it told: neither a replay that arrived or waits, nor
a later message over the same stretch of the log. Replays keep the `webhook-id` of their message, are tried once and go
one after another, the oldest first. While the breaker of their endpoint is open they wait.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from exchange import clock
from exchange.errors import NotFound, Refused, TooMany
from indicators.models import Delivery
from indicators.telling import subscribing
from partners.log import audit
from partners.models import Partner
from partners.scopes import Scope
from partners.viewer import Viewer

#: Messages of one answer, and of one replay.
MOST = 100
#: Replays of one partner that may wait at a time.
MOST_WAITING = 500

_TOLD = (Delivery.Kind.CHANGES, Delivery.Kind.FEED_CHANGED, Delivery.Kind.START_OVER)
_REPEATS = (Delivery.Kind.AGAIN, Delivery.Kind.REPLAY)
_UNDER_WAY = (Delivery.State.DUE, Delivery.State.SENDING)


@dataclass(frozen=True, slots=True)
class Letters:
    """Messages, the oldest first. `more`: there are others after them."""

    letters: tuple[Delivery, ...]
    more: bool


def dead(
    viewer: Viewer, subscription_id: UUID, *, since: datetime | None = None, until: datetime | None = None
) -> Letters:
    """The dead letters of a subscription of one's own, made in [since, until). Raises NotFound, Forbidden."""
    subscribing.own_subscription(viewer, subscription_id)
    return _first(_dead(_within(viewer, subscription_id, since, until)))


def count_dead(viewer: Viewer) -> int:
    """How many dead letters a partner's subscriptions have together. One query."""
    return _dead(_within(viewer, None, None, None)).count()


def count_dead_each(viewer: Viewer) -> dict[UUID, int]:
    """By subscription of the partner, how many dead letters it has; of those that have any. One query."""
    found = _dead(_within(viewer, None, None, None)).order_by().values_list("subscription")
    return dict(found.annotate(Count("pk")))


def replay(
    viewer: Viewer,
    subscription_id: UUID,
    *,
    ids: Collection[UUID] = (),
    since: datetime | None = None,
    until: datetime | None = None,
    everything: bool = False,
) -> Letters:
    """Have messages of a subscription sent again: those of `ids`, or the dead letters of [since, until).

    With `everything`, what arrived in that time is sent again, too. Returns the rows that tell how that goes; of what
    is already on its way, none. `more`: ask again, for at most MOST go at a time. Raises NotFound for a subscription
    or a message that is not one's own, Forbidden, TooMany while MOST_WAITING wait.
    """
    viewer.require(Scope.SUBSCRIBE)
    if ids and (since or until or everything):
        raise Refused("Messages by their ids, or by time.", code="bad-range", at="/deliveries")
    if since is not None and until is not None and since >= until:
        raise Refused("The end is not after the beginning.", code="bad-range", at="/until")
    with transaction.atomic():
        Partner.objects.select_for_update(no_key=True).get(pk=viewer.partner_id)
        subscription = subscribing.own_subscription(viewer, subscription_id)
        room = MOST_WAITING - _waiting(viewer)
        if ids:
            found = _first(_idle(_named(viewer, subscription_id, ids)))
        else:
            sent = _within(viewer, subscription_id, since, until)
            found = _first(_idle(sent) if everything else _dead(sent))
        if found.letters and room <= 0:
            raise TooMany("So many replays wait already.", code="too-many-messages", retry_after_s=30)
        rows = [_repeat(one, place) for place, one in enumerate(found.letters[:room])]
        made = Delivery.unrestricted.bulk_create(rows)
        if made:
            audit.record(
                audit.Verb.DELIVERIES_REPLAYED, by=viewer, target=f"subscription:{subscription.pk}", count=len(made)
            )
    return Letters(tuple(made), found.more or len(made) < len(found.letters))


def _repeat(letter: Delivery, place: int) -> Delivery:
    """A replay of a message; those of one call are due in the order of their messages."""
    moment = clock.now()
    return Delivery(
        partner_id=letter.partner_id,
        subscription_id=letter.subscription_id,
        kind=Delivery.Kind.REPLAY,
        again_of_id=letter.pk,
        first_seq=letter.first_seq,
        last_seq=letter.last_seq,
        first_place=letter.first_place,
        last_place=letter.last_place,
        changes=letter.changes,
        created_at=moment + timedelta(microseconds=place),
        due_at=moment + timedelta(microseconds=place),
    )


def _within(
    viewer: Viewer, subscription_id: UUID | None, since: datetime | None, until: datetime | None
) -> QuerySet[Delivery]:
    """What the exchange told by itself, within a time, and was done with."""
    found = Delivery.objects.of(viewer).filter(kind__in=_TOLD).exclude(state__in=_UNDER_WAY)
    if subscription_id is not None:
        found = found.filter(subscription=subscription_id)
    if since is not None:
        found = found.filter(created_at__gte=since)
    return found.filter(created_at__lt=until) if until is not None else found


def _named(viewer: Viewer, subscription_id: UUID, ids: Collection[UUID]) -> QuerySet[Delivery]:
    """The messages of these ids, of what was sent again the first one. Raises NotFound where one is not there."""
    asked = Delivery.objects.of(viewer).filter(subscription=subscription_id, pk__in=set(ids))
    found = dict(asked.exclude(kind=Delivery.Kind.PING).values_list("pk", "again_of"))
    if len(found) < len(set(ids)):
        raise NotFound
    return Delivery.objects.of(viewer).filter(pk__in={first or pk for pk, first in found.items()})


def _dead(sent: QuerySet[Delivery]) -> QuerySet[Delivery]:
    repeated = _repeats().filter(state__in=(*_UNDER_WAY, Delivery.State.DELIVERED))
    over_it: Any = {"first_seq__lte": OuterRef("first_seq"), "last_seq__gte": OuterRef("last_seq")}
    of_set: Any = {"first_place__lte": OuterRef("first_place"), "last_place__gte": OuterRef("last_place")}
    told_later = Delivery.unrestricted.filter(
        Q(**over_it, first_place__isnull=True) | Q(**of_set),
        subscription=OuterRef("subscription"),
        kind=OuterRef("kind"),
        state=Delivery.State.DELIVERED,
        created_at__gt=OuterRef("created_at"),
    )
    return sent.filter(~Exists(repeated), ~Exists(told_later), state=Delivery.State.DEAD)


def _idle(sent: QuerySet[Delivery]) -> QuerySet[Delivery]:
    """Those that are not on their way now."""
    return sent.filter(~Q(state__in=_UNDER_WAY), ~Exists(_repeats().filter(state__in=_UNDER_WAY)))


def _repeats() -> QuerySet[Delivery]:
    return Delivery.unrestricted.filter(
        subscription=OuterRef("subscription"), again_of=OuterRef("pk"), kind__in=_REPEATS
    )


def _first(found: QuerySet[Delivery]) -> Letters:
    rows = list(found.select_related("subscription").order_by("created_at", "pk")[: MOST + 1])
    return Letters(tuple(rows[:MOST]), len(rows) > MOST)


def _waiting(viewer: Viewer) -> int:
    return Delivery.objects.of(viewer).filter(kind=Delivery.Kind.REPLAY, state__in=_UNDER_WAY).count()
