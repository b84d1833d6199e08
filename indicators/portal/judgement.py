"""Judgement: opinions given and received, and what a partner's own indicators were good for."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext
from django.views.decorators.http import require_safe

from exchange import paging
from exchange.errors import Malformed
from exchange.parameters import Parameters
from exchange.translating import later
from indicators import reading
from indicators.opinions import appealing, overview, weighing
from indicators.portal import rows
from indicators.reading.selecting import Selection
from partners.groups import directory
from partners.portal import actors, letters
from partners.portal.access import page, show
from partners.scopes import Scope
from partners.viewer import Viewer

_PAGE = 50
_COLUMNS = {
    "hold": later("hold"),
    "matched": later("matched"),
    "blocked": later("blocked"),
    "disagreed": later("disagreed"),
}
_WAYS: dict[overview.Way, str] = {"received": later("On ours"), "given": later("By us")}


@require_safe
@page
def opinions(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """What others say of ours, or what we say of theirs (`show=given`), the newest first."""
    asked = Parameters(request, known=("show", "cursor"))
    way: overview.Way = "given" if asked.choice("show", "received", of=_WAYS) == "given" else "received"
    scope = f"portal-judgement;{way}"
    found, more = overview.page(viewer, way, before=_before(asked.text("cursor"), viewer, scope), limit=_PAGE)
    counts = overview.counts(viewer)
    following = ""
    if more:
        cursor = paging.seal([found[-1].place], viewer=viewer.partner_id, scope=scope)
        following = f"{request.path}?{urlencode({'show': way, 'cursor': cursor})}"
    publishes = Scope.PUBLISH in viewer.scopes
    return show(
        request,
        viewer,
        "indicators/opinions.html",
        here="portal-judgement",
        way=way,
        tabs=[(key, label, counts[key]) for key, label in _WAYS.items()],
        counts=counts,
        lines=_lines(viewer, found),
        following=following,
        first=not asked.text("cursor"),
        due=appealing.received(viewer) if publishes else [],
        publishes=publishes,
        may_judge=Scope.REACT in viewer.scopes,
    )


def _before(cursor: str, viewer: Viewer, scope: str) -> int | None:
    """The place to go on from. An old one begins at the top."""
    if not cursor:
        return None
    try:
        return int(paging.unseal(cursor, viewer=viewer.partner_id, scope=scope)[0])
    except Malformed:
        return None


def _lines(viewer: Viewer, found: list[overview.Judged]) -> list[dict[str, Any]]:
    """Each opinion with the row of its object, as the list of indicators shows it."""
    if not found:
        return []
    read = reading.page(viewer, Selection(stix_ids=tuple({one.stix_id for one in found})), limit=_MOST_VERSIONS)
    wanted = {one.version for one in found}
    shown = {row.object_id: row for row in rows.of(viewer, [one for one in read.statements if one.object_id in wanted])}
    labs = letters.labs(viewer, directory.known())
    names = actors.names(viewer, {one.actor for one in found})
    return [
        {"said": one, "row": shown.get(one.version), "lab": labs.get(one.partner_id), "by": names.get(one.actor, "")}
        for one in found
    ]


_MOST_VERSIONS = 1_000


@require_safe
@page
def usefulness(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """What the partner's own indicators were good for; numbers of partners in buckets, told once an interval."""
    viewer.require(Scope.PUBLISH)
    told = weighing.of_all(viewer)
    kinds = [(gettext("all of them"), told)] + [(kind, each) for kind, each in told.get("by_kind", {}).items()]
    return show(
        request,
        viewer,
        "indicators/usefulness.html",
        here="portal-usefulness",
        told=told,
        lines=[
            (kind, [(_COLUMNS[word], each.get(word), _share(each.get(word))) for word in weighing.WORDS])
            for kind, each in kinds
        ],
        precision=None if told.get("precision") is None else round(100 * told["precision"]),
        own=told["own"],
        fewest=weighing.FEWEST,
        days=weighing.DAYS,
        interval=_words(int(weighing.interval(viewer).total_seconds())),
    )


def _words(seconds: int) -> str:
    """A span of time in its largest unit that loses nothing: `10 s`, `1 h`."""
    for unit, name in ((3_600, "h"), (60, "min")):
        if seconds >= unit and seconds % unit == 0:
            return f"{seconds // unit} {name}"
    return f"{seconds} s"


def _share(bucket: int | None) -> int:
    """How far a bucket fills a bar, in per cent: its place among the buckets."""
    return 0 if bucket is None else round(100 * (weighing.BUCKETS.index(bucket) + 1) / len(weighing.BUCKETS))
