"""The palette of the head bar: what a few typed characters may mean, values first, then places to go."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_POST

from indicators import reading
from indicators.feeds.filters import Filter
from indicators.portal import rows
from indicators.reading.selecting import Selection
from partners.portal import places
from partners.portal.access import page, show
from partners.viewer import Viewer

_MOST = 6
_LEAST_CHARS = 2
_MOST_CHARS = 250


@require_POST
@page
def find(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """What fits so far. The text comes in a form, so that no address holds a value."""
    text = request.POST.get("search", "").replace("\0", "").strip()[:_MOST_CHARS]
    found = []
    if len(text) >= _LEAST_CHARS:
        wanted = Selection(filter=Filter.of(types=("indicator",)), words=text, living=True)
        found = reading.newest(viewer, wanted, limit=_MOST).statements
    there = [(place.route, place.label, place.icon) for place in places.all_of(viewer)]
    return show(
        request,
        viewer,
        "indicators/found.html",
        here="",
        rows=rows.of(viewer, found),
        places=[one for one in there if text.lower() in one[1].lower()][:_MOST],
        text=text,
    )
