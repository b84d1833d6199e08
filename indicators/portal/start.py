"""Home: what asks for an act, by deadline; four figures that lead somewhere; and what came in within a day."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext
from django.views.decorators.http import require_safe

from exchange import clock
from exchange.translating import later
from indicators.ending import deciding
from indicators.feeds import spelling
from indicators.feeds.filters import Filter
from indicators.portal import beginning, inbox, items
from indicators.portal.items import Item
from indicators.publishing import quarantine
from indicators.reading import listing, overview
from indicators.reading.listing import Tally
from partners.groups import directory
from partners.portal import letters
from partners.portal.access import page, show
from partners.scopes import Scope, of_kind
from partners.viewer import Viewer

_WAITING = 5
#: Of arrivals of fewer publishers nothing is summed: each could be told from the sum.
_LEAST_PUBLISHERS = 3
_FIGURES = (
    (later("In force for us"), "", later("of all that you may see")),
    (later("Of ours disputed"), "from:mine standing:disputed,refuted", later("or refuted")),
    (later("Ours, ends soon"), "from:mine until:<7d", later("within a week")),
    (later("By two labs"), "publishers:>=2", later("or more, by name")),
)


_SHORT = {
    "account-pattern": later("accounts"),
    "payment-fingerprint": later("payments"),
    "prompt-signature": later("prompts"),
}


@require_safe
@page
def start(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The inbox. Figures and the day's arrivals come after it: they cost more, and nothing waits for them."""
    state = overview.place(viewer)  # read first: what comes in meanwhile is then news the next time
    found = inbox.of(viewer, letters.labs(viewer, directory.known()))
    group = request.GET.get("show", "")
    group = group if group in items.GROUPS else ""
    shown = [item for item in found if not group or item.group == group]
    publishes = Scope.PUBLISH in viewer.scopes
    steps = beginning.steps(viewer) if not overview.sees_anything(viewer) else []
    if viewer.is_operator and all(step.done for step in steps):
        steps = []  # to see no object is what an operator's admin is used to
    return show(
        request,
        viewer,
        "indicators/start.html",
        here="start",
        state=state,
        sections=_sections(shown),
        tabs=[
            ("", gettext("All"), items.tally(found)),
            *(
                (key, label, items.tally([one for one in found if one.group == key]))
                for key, label in items.GROUPS.items()
            ),
        ],
        group=group,
        steps=steps,
        may_publish=publishes,
        next_step=next((step for step in steps if not step.done), None),
        moment=clock.now(),
        waiting=quarantine.page(viewer, limit=_WAITING) if publishes else [],
        disarmed=deciding.waiting(viewer) if publishes else [],
    )


def _sections(asks: Sequence[Item]) -> list[tuple[str, list[Item], Tally]]:
    """The lines by their section, and how many they are; a section of none is left out."""
    found = [(label, [one for one in asks if one.section == key]) for key, label in items.SECTIONS.items()]
    return [(label, there, items.tally(there)) for label, there in found if there]


@require_safe
@page
def recent(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Whether there is anything new; no content while there is not: nothing moves under the reader's pointer."""
    if request.GET.get("state") == overview.place(viewer):
        return HttpResponse(status=204)
    return show(request, viewer, "indicators/fresh.html", here="start")


@require_safe
@page
def pulse(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The figures, and arrivals by the hour: a part of Home, or a page of its own for who has no script."""
    mine = Scope.PUBLISH in of_kind(viewer.kind)  # who only reads has nothing of its own
    asked = [one for one in _FIGURES if mine or "from:mine" not in one[1]]
    filters = [Filter(spelling.read_text(text)) for _, text, _ in asked]
    counts = listing.tallied(viewer, filters)
    told: dict[str, Any] = {}
    day = overview.arrivals(viewer)
    if day.publishers >= _LEAST_PUBLISHERS:
        counted = day.hours
        sums = {kind: sum(hour.get(kind, 0) for hour in counted.values()) for kind in overview.KINDS}
        told = {
            "bars": overview.bars(counted),
            "hours": [
                (place * 100 / overview.HOURS, f"{hour:%H}") for place, hour in enumerate(counted) if place % 8 == 0
            ],
            "peak": max(sum(kinds.values()) for kinds in counted.values()),
            "sums": [(kind, name, sums[kind]) for kind, name in _SHORT.items()],
        }
    return show(
        request,
        viewer,
        "indicators/pulse.html" if request.headers.get("HX-Request") == "true" else "indicators/figures.html",
        here="start",
        figures=[(name, text, says, count) for (name, text, says), count in zip(asked, counts, strict=True)],
        least=_LEAST_PUBLISHERS,
        **told,
    )
