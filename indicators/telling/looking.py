"""Look after feeds that move by themselves for the addresses that are told of them.

What such a filter lets through changes without a change in the log, so its set (`feeds.proving`) is brought up to date:
after a commit, and at times. Where the set then has a later place than an address was told of, `notifying` tells it.
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


def is_due() -> bool:
    """Whether there is a set to look at."""
    return _told().filter(_is_due()).exists()


def look() -> bool:
    """Bring the sets up to date that are due; whether there is something to tell. Safe at any time, and twice."""
    moved = False
    for feed_id in _due():
        try:
            moved |= _looked(feed_id)
        except Exception:  # one feed that cannot be read must not keep others from being looked after
            log.exception("feed.not-looked-at", feed=str(feed_id))
    return moved


def _told() -> QuerySet[Subscription]:
    """The addresses that are told of such feeds."""
    return Subscription.unrestricted.filter(
        state=Subscription.State.ACTIVE, partner__state=Partner.State.ACTIVE, set_id__isnull=False
    )


def _is_due() -> Q:
    """Its time has come, or something was committed since, and nobody is at it."""
    moment = clock.now()
    return Q(look_at__lte=moment) | Q(look_at__lte=moment + EVERY, seq__lt=changes.head())


def _due() -> Sequence[UUID]:
    """The feeds to look at, each partner's first before anybody's second; who waits longest comes first."""
    rows = _told().filter(_is_due()).order_by("look_at", "pk").values_list("partner", "feed")
    found: dict[UUID, list[UUID]] = {}
    for partner_id, feed_id in dict.fromkeys(rows):
        found.setdefault(partner_id, []).append(feed_id)
    return [feed_id for each in zip_longest(*found.values()) for feed_id in each if feed_id is not None]


def _looked(feed_id: UUID) -> bool:
    """Bring the set of a feed up to date; whether there is something to tell of it."""
    told, head = _told().filter(feed=feed_id), changes.head()
    if not told.filter(_is_due()).update(look_at=clock.now() + _CLAIM):
        return False
    feed = Feed.unrestricted.get(pk=feed_id)
    viewer = viewers_among({feed.partner_id}).get(feed.partner_id)
    if viewer is None:
        return False
    feed_set = hinting.caught_up(viewer, subscribing.filter_of(feed), feed=feed_id)
    for one in told.exclude(set_id=feed_set.pk):
        _begin_anew(one, feed_set)
    told.update(look_at=clock.now() + (EVERY if feed_set.complete else timedelta(0)), seq=head)
    return feed_set.complete and told.filter(place__lt=feed_set.place).exists()


def _begin_anew(one: Subscription, feed_set: FeedSet) -> None:
    """Its set is another one: what went meanwhile is told by none. After a restore, the sweep says so anyway."""
    Subscription.unrestricted.filter(pk=one.pk).update(set_id=feed_set.pk, place=feed_set.place)
    if one.incarnation == incarnation.read():
        delivering.start_over(one.pk)
