"""Look after feeds that move by themselves for the addresses that are told of them.

What such a filter lets through changes without a change in the log, so its set (`feeds.proving`) is brought up to date:
after a commit, by what the log says, and at times, whole. Where the set then has a later place than an address was told
of, `notifying` tells it. A commit that the partner does not see brings no look at the whole forward, and delays none.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import zip_longest
from uuid import UUID

from django.db.models import Q, QuerySet
from structlog import get_logger

from exchange import clock, incarnation
from indicators.feeds import hinting
from indicators.log import changes
from indicators.models import Feed, FeedSet, Subscription
from indicators.telling import delivering, subscribing
from partners.keys.auth import viewers_among
from partners.models import Partner

log = get_logger()

#: How often a set is looked at where nothing was committed.
EVERY = timedelta(seconds=10)
#: For so long no other worker looks at the same.
_CLAIM = timedelta(minutes=1)


def is_behind() -> bool:
    """Whether something was committed, by anybody, since a set was looked at."""
    return _told().filter(_is_due(woken=True)).exists()


def look(*, woken: bool = False) -> bool:
    """Bring the sets up to date whose time has come; whether there is something to tell. Safe at any time, and twice.

    `woken`: because something was committed, those that were not looked at since, by what their log says. When their
    time comes stays as it is.
    """
    moved = False
    for partner_id, feed_id in _due(woken=woken):
        try:
            moved |= _looked(partner_id, feed_id, woken=woken)
        except Exception:  # one feed that cannot be read must not keep others from being looked after
            log.exception("feed.not-looked-at", feed=str(feed_id))
            _told().filter(feed=feed_id).update(look_at=clock.now() + EVERY)
    return moved


def _told() -> QuerySet[Subscription]:
    """The addresses that are told of such feeds."""
    return Subscription.unrestricted.filter(
        state=Subscription.State.ACTIVE, partner__state=Partner.State.ACTIVE, set_id__isnull=False
    )


def _is_due(*, woken: bool) -> Q:
    """Nobody is at it, and its time has come or, with `woken`, something was committed since."""
    moment = clock.now()
    return Q(look_at__lte=moment + EVERY, seq__lt=changes.head()) if woken else Q(look_at__lte=moment)


def _due(*, woken: bool) -> Sequence[tuple[UUID, UUID]]:
    """Partners and feeds to look at, each partner's first before anybody's second; who waits longest comes first."""
    rows = _told().filter(_is_due(woken=woken)).order_by("look_at", "pk").values_list("partner", "feed")
    found: dict[UUID, list[tuple[UUID, UUID]]] = {}
    for row in dict.fromkeys(rows):
        found.setdefault(row[0], []).append(row)
    return [row for each in zip_longest(*found.values()) for row in each if row is not None]


def _looked(partner_id: UUID, feed_id: UUID, *, woken: bool) -> bool:
    """Bring the set of a feed up to date; whether there is something to tell of it.

    Of one partner's, mostly one worker at a time: however long they take, others have theirs.
    """
    told, head, moment = _told().filter(feed=feed_id), changes.head(), clock.now()
    planned = told.order_by("look_at").values_list("look_at", flat=True).first()
    if _told().filter(partner=partner_id, look_at__gt=moment + 2 * EVERY).exists():
        return False
    if not told.filter(_is_due(woken=woken)).update(look_at=moment + _CLAIM):
        return False
    feed = Feed.unrestricted.get(pk=feed_id)
    viewer = viewers_among({feed.partner_id}).get(feed.partner_id)
    if viewer is None:
        return False
    feed_set = hinting.caught_up(viewer, subscribing.filter_of(feed), feed=feed_id, woken=woken)
    for one in told.exclude(set_id=feed_set.pk):
        _begin_anew(one, feed_set)
    if feed_set.complete:
        told.filter(place__gt=feed_set.place).update(place=feed_set.place)
    upcoming = planned if woken else clock.now() + EVERY
    told.update(look_at=upcoming if feed_set.complete else clock.now(), seq=head)
    return feed_set.complete and told.filter(place__lt=feed_set.place).exists()


def _begin_anew(one: Subscription, feed_set: FeedSet) -> None:
    """Its set is another one: what went meanwhile is told by none. After a restore, the sweep says so anyway."""
    same = Subscription.unrestricted.filter(pk=one.pk, feed=one.feed_id, set_id=one.set_id)
    if same.update(set_id=feed_set.pk, place=subscribing.beginning(feed_set)) and one.incarnation == incarnation.read():
        delivering.start_over(one.pk)
