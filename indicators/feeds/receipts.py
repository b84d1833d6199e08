"""What an instance of a subscriber says it has applied of a feed: the only writer of Receipt and Release."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.db.models import QuerySet

from exchange import clock
from exchange.errors import Refused
from exchange.lists import pages
from indicators.feeds import deltas
from indicators.feeds.filters import Filter
from indicators.models import Change, FeedSet, InForce, Receipt, Release
from indicators.opinions import tallying
from partners.viewer import Viewer

COUNTS = ("blocked", "shadow", "suppressed", "skipped")
#: Instances of one subscriber that are remembered; the one that was longest silent is forgotten.
_MOST_INSTANCES = 100
_KEPT = timedelta(days=90)


def take(viewer: Viewer, wanted: Filter, *, feed: str, said: Mapping[str, Any]) -> bool | None:
    """Remember what an instance applied; whether its set hash is the exchange's.

    None where the exchange moved on since, or the instance says no hash.

    Raises Malformed and Gone for a cursor that leads nowhere, Refused for what is not said as it should be.
    """
    instance = said.get("instance") or ""
    if not 1 <= len(instance) <= 64 or not instance.isprintable():
        raise Refused("A name of 1 to 64 characters.", code="bad-receipt", at="/instance")
    counts = {name: said[name] for name in COUNTS if said.get(name) is not None}  # what is not said is not 0
    for name, count in counts.items():
        if not 0 <= count < 2**53:
            raise Refused("A number from 0 on.", code="bad-receipt", at=f"/{name}")
    late = _late(said.get("late") or ())
    met = tallying.read(said.get("met") or (), now=clock.now())
    pk, place = deltas.place_of(viewer, wanted, feed=feed, cursor=said.get("cursor") or "")
    tallying.take(viewer, met, by=instance)
    feed_set = FeedSet.objects.of(viewer).filter(pk=pk).first()
    if feed_set is None or place > feed_set.place:
        return None
    equal = None
    if place == feed_set.place and said.get("set_hash"):
        equal = (said.get("set_count"), said.get("set_hash")) == (feed_set.count, bytes(feed_set.total).hex())
    if equal is not False:  # who holds something else has not shown that they let go
        _note_release(feed_set, instance, place)
    Receipt.unrestricted.update_or_create(
        feed_set=feed_set,
        instance=instance,
        defaults={
            "version": (said.get("version") or "")[:40],
            "place": place,
            "equal": equal,
            "counts": counts,
            "late": late,
            "lag_s": said.get("lag_s"),
            "at": clock.now(),
        },
    )
    held = Receipt.unrestricted.filter(feed_set=feed_set).order_by("-at")
    for old in held[_MOST_INSTANCES:]:
        old.delete()
    return equal


def _late(said: Sequence[Any]) -> list[dict[str, Any]]:
    """Which parts an instance says are behind. Raises Refused naming the field; nothing else of it is kept."""
    if len(said) > len(pages.PARTS):
        raise Refused("Each kind of part once.", code="bad-receipt", at="/late")
    found: list[dict[str, Any]] = []
    for place, one in enumerate(said):
        at = f"/late/{place}"
        if not isinstance(one, dict) or set(one) - {"part", "count", "behind_s"}:
            raise Refused("A part, count and behind_s.", code="bad-receipt", at=at)
        if one.get("part") not in pages.PARTS or any(one["part"] == other["part"] for other in found):
            raise Refused(f"Each once: {', '.join(pages.PARTS)}.", code="bad-receipt", at=f"{at}/part")
        numbers = {"count": one.get("count", 1), "behind_s": one.get("behind_s")}
        for name, number in numbers.items():
            if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < 2**31:
                raise Refused("A number from 0 on.", code="bad-receipt", at=f"{at}/{name}")
        found.append({"part": one["part"], **numbers})
    return found


def _note_release(feed_set: FeedSet, instance: str, place: int) -> None:
    """Remember the moment at which an instance has let go of what was recalled."""
    before = Receipt.unrestricted.filter(feed_set=feed_set, instance=instance).values_list("place", flat=True).first()
    since = 0 if before is None else before
    if since < place and _recalled(feed_set).filter(place__gt=since, place__lte=place).exists():
        Release.unrestricted.create(feed_set=feed_set, instance=instance, place=place, at=clock.now())


def _recalled(feed_set: FeedSet) -> QuerySet[InForce]:
    return InForce.unrestricted.filter(feed_set=feed_set, removed=Change.Reason.RECALLED)


def forget() -> None:
    """Delete moments that no recall asks for any more."""
    Release.unrestricted.filter(at__lt=clock.now() - _KEPT).delete()
