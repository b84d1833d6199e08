"""The palette of the head bar: what a few typed characters may mean, values first, then campaigns, feeds and places."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_POST

from exchange.translating import later
from indicators import reading
from indicators.campaigns import viewing
from indicators.feeds.filters import EVERYTHING, Filter
from indicators.models import Feed
from indicators.portal import rows
from indicators.reading import Statement
from indicators.reading.selecting import Selection
from partners.models import Group
from partners.portal import places
from partners.portal.access import page, show
from partners.scopes import Scope
from partners.viewer import Viewer

_MOST = 6
_LEAST_CHARS = 2
_MOST_CHARS = 250
# The beginning of an id: of any STIX type, or the digits alone.
_ID = re.compile(r"[a-z0-9-]+--[0-9a-f-]*", re.IGNORECASE)
_INDICATORS = Filter.of(types=("indicator",))


class Lead(NamedTuple):
    """Where one may go: the address, what it is called, and its picture."""

    address: str
    label: str
    icon: str


# What people look for by what they want to do: the words, the route, its picture, and who may.
_ACTS = (
    (later("Publish a list of values"), "portal-publish", "upload", Scope.PUBLISH),
    (later("Paste values to look for"), "portal-paste", "clip", Scope.READ),
    (later("New feed"), "portal-feed-new", "plus", Scope.SUBSCRIBE),
    (later("Recall what was published by mistake"), "portal-recalls", "undo", Scope.PUBLISH),
    (later("New API key"), "keys", "key", Scope.ADMIN),
    (later("Invite a person"), "people", "people", Scope.ADMIN),
)


@require_POST
@page
def find(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """What fits so far. The text comes in a form, so that no address holds a value."""
    text = request.POST.get("search", "").replace("\0", "").strip()[:_MOST_CHARS]
    enough = len(text) >= _LEAST_CHARS
    return show(
        request,
        viewer,
        "indicators/found.html",
        here="",
        rows=rows.of(viewer, _objects(viewer, text)) if enough else [],
        campaigns=viewing.called(viewer, text, limit=_MOST) if enough else [],
        places=[*(_named(viewer, text) if enough else []), *_places(viewer, text)],
        text=text,
    )


def _objects(viewer: Viewer, text: str) -> Sequence[Statement]:
    """Indicators in force first; where few are, what has ended, and by an id any object. Two queries of the list."""
    living = Selection(filter=_INDICATORS, words=text, living=True)
    found = reading.newest(viewer, living, limit=_MOST).statements
    if len(found) == _MOST:
        return found
    wanted = Selection(filter=EVERYTHING if _ID.fullmatch(text) else _INDICATORS, words=text)
    known = {one.object_id for one in found}
    more = [one for one in reading.newest(viewer, wanted, limit=_MOST).statements if one.object_id not in known]
    return [*found, *more][:_MOST]


def _named(viewer: Viewer, text: str) -> list[Lead]:
    """The partner's feeds and groups of which the name has this. Two queries."""
    feeds = Feed.objects.of(viewer).filter(name__icontains=text).order_by("name", "pk")[:_MOST]
    groups = Group.objects.filter(pk__in=viewer.group_ids, name__icontains=text).order_by("name")[:_MOST]
    return [
        *(Lead(reverse("portal-feed", args=[one.pk]), one.name, "feed") for one in feeds),
        *(Lead(reverse("group-page", args=[one.slug]), one.name, "people") for one in groups),
    ]


def _places(viewer: Viewer, text: str) -> list[Lead]:
    """Acts and places of which the name has this."""
    may = [one for one in _ACTS if one[-1] in viewer.scopes]
    acts = [Lead(reverse(route), str(label), icon) for label, route, icon, _ in may]
    there = [Lead(reverse(place.route), str(place.label), place.icon) for place in places.all_of(viewer)]
    return [one for one in (*there, *acts) if text.lower() in one.label.lower()][:_MOST]
