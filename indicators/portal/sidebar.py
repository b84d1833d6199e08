"""What `indicators` adds to the side bar of every page, which `partners` draws: saved views and numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_safe

from exchange import clock
from exchange.memory import Memory
from indicators.models import Feed
from indicators.portal import inbox, items
from indicators.reading import listing
from indicators.telling import subscribing
from partners.portal.access import page, show
from partners.scopes import Scope
from partners.viewer import Viewer

#: So many stand there; all of them are tabs of the list.
MOST = 8


#: For so long a person is told the same numbers: each page asks for them.
_FRESH = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Counts:
    """What stands beside the places, and beside the saved views."""

    at: datetime
    places: tuple[tuple[str, str, listing.Tally], ...]  # place, what is counted, how many
    views: tuple[tuple[UUID, listing.Tally], ...]


_TOLD: Memory[tuple[str, int, frozenset[Scope]], Counts] = Memory(most=512)


class Saved(NamedTuple):
    """A line of the side bar."""

    feed: UUID
    name: str
    address: str


def saved_views(request: HttpRequest) -> dict[str, Callable[[], list[Saved]] | str]:
    """Context processor: the partner's feeds by name, read only where a page draws its side bar. One query then.

    One more than have room there, where there are more.
    """
    return {"saved_views": partial(_saved, getattr(request, "viewer", None)), "counted_at": reverse("side-counts")}


def _saved(viewer: Viewer | None) -> list[Saved]:
    if viewer is None:
        return []
    found = Feed.objects.of(viewer).order_by("name", "pk").values_list("pk", "name")[: MOST + 1]
    return [Saved(pk, name, f"{reverse('indicators')}?{urlencode({'view': pk})}") for pk, name in found]


@require_safe
@page
def counts(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """How much asks at each place, and how many each saved view holds; asked for once a page is there."""
    return show(request, viewer, "indicators/side_counts.html", here="", told=_counted(viewer))


def _counted(viewer: Viewer) -> Counts:
    """The numbers, kept for a moment by who asks and what they may see."""
    key = (viewer.actor, viewer.sight, viewer.scopes)
    told = _TOLD.get(key)
    if told is None or told.at < clock.now() - _FRESH:
        told = _counted_anew(viewer)
        _TOLD.put(key, told)
    return told


def _counted_anew(viewer: Viewer) -> Counts:
    asks = inbox.of(viewer, {})
    ours = [one for one in asks if one.icon in ("flag", "scales") and one.section == "tonight"]
    waits = [one for one in asks if one.icon in ("eye", "lock")]
    feeds = list(Feed.objects.of(viewer).order_by("name", "pk")[:MOST])
    views = listing.tallied(viewer, [subscribing.filter_of(feed) for feed in feeds])
    return Counts(
        clock.now(),
        (
            ("start", gettext("ask for an act"), items.tally(asks)),
            ("portal-judgement", gettext("opinions and appeals on ours"), items.tally(ours)),
            ("waiting", gettext("wait for somebody of ours"), items.tally(waits)),
        ),
        tuple((feed.pk, tally) for feed, tally in zip(feeds, views, strict=True)),
    )
