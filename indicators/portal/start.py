"""The start page: what is new."""

from datetime import timedelta

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from exchange import clock
from indicators import matching, reading
from indicators.ending import deciding
from indicators.feeds.filters import Filter
from indicators.portal import showing
from indicators.publishing import quarantine
from indicators.reading import overview
from indicators.reading.selecting import Selection
from partners.portal.access import page, show
from partners.scopes import Scope
from partners.viewer import Viewer

_NEWEST = 12
_SHARED = 6
_WAITING = 5


@require_safe
@page
def start(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Totals of the last day, arrivals by the hour, the newest indicators and matches."""
    return show(request, viewer, "indicators/start.html", here="start", **_news(viewer))


@require_safe
@page
def recent(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The same without the frame, for the page to renew itself; no content while it is as the asker has it.

    What stands still keeps the reader's focus and selection.
    """
    if request.GET.get("state") == overview.place(viewer):
        return HttpResponse(status=204)
    news = _news(viewer, seen=request.GET.get("seen", ""))
    return show(request, viewer, "indicators/start.html#news", here="start", **news)


def _news(viewer: Viewer, *, seen: str = "") -> dict[str, object]:
    state = overview.place(viewer)  # read first: what comes in meanwhile is then news the next time
    wanted = Selection(filter=Filter.of(types=("indicator",)))
    newest = reading.newest(viewer, wanted, limit=_NEWEST)
    rows = showing.rows(newest.statements, seen=seen)
    counted = overview.arrivals(viewer)
    day = clock.now() - timedelta(hours=overview.HOURS)
    matches, shared = matching.recent(viewer, since=day, most=overview.MOST_COUNTED, limit=_SHARED)
    figures, publishes = overview.figures(viewer), Scope.PUBLISH in viewer.scopes
    return {
        "state": state,
        "rows": rows,
        "seen": showing.newest_moment(rows),
        "figures": figures,
        "matches": matches,
        "most_counted": overview.MOST_COUNTED,
        "bars": overview.bars(counted),
        "hours": [(place * 100 / overview.HOURS, f"{hour:%H}") for place, hour in enumerate(counted) if place % 4 == 0],
        "legend": overview.KINDS,
        "peak": max(sum(kinds.values()) for kinds in counted.values()),
        "waiting": quarantine.page(viewer, limit=_WAITING) if figures.waiting and publishes else [],
        "shared": shared,
        "disarmed": deciding.waiting(viewer) if publishes else [],
    }
