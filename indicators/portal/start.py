"""The start page: what is new."""

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from indicators import overview, reading
from indicators.feeds.filters import Filter
from indicators.portal import showing
from partners.portal.access import page, show
from partners.sharing import Viewer

_NEWEST = 12
_MATCHES = 6


@require_safe
@page
def start(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Totals of the last day, arrivals by the hour, the newest indicators and matches."""
    return show(request, viewer, "indicators/start.html", here="start", **_news(viewer))


@require_safe
@page
def recent(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The same without the frame, for the page to renew itself."""
    seen = request.GET.get("seen", "")
    return show(request, viewer, "indicators/start.html#news", here="start", **_news(viewer, seen=seen))


def _news(viewer: Viewer, *, seen: str = "") -> dict[str, object]:
    wanted = reading.Selection(filter=Filter(types=("indicator",)))
    newest = reading.newest(viewer, wanted, limit=_NEWEST)
    rows = showing.rows(newest.statements, seen=seen)
    counted = overview.arrivals(viewer)
    return {
        "rows": rows,
        "seen": showing.newest_moment(rows),
        "figures": overview.figures(viewer),
        "bars": overview.bars(counted),
        "hours": [
            (place * 1000 / overview.HOURS, f"{hour:%H}") for place, hour in enumerate(counted) if place % 4 == 0
        ],
        "legend": overview.KINDS,
        "matches": [showing.match(found) for found in reading.matches(viewer, limit=_MATCHES)],
    }
