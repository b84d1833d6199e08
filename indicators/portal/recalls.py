"""The page of recalls: prepare one by time, detector or ids, see exactly how many, carry it out, and see it go."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from exchange import clock
from exchange.errors import ExchangeError, NotFound, Refused
from exchange.translating import later
from indicators.ending import deciding, recalling, released
from indicators.models import Ending
from partners.portal.access import page, show
from partners.scopes import Scope
from partners.viewer import Viewer

_IDS = 20
#: Of so many, the newest that were carried out, the list says who holds them still.
_WITH_RECEIPTS = 10
#: So long after it was carried out the page of one renews itself, while it can come back or an instance holds it.
_RENEWED = timedelta(days=1)
_FIELDS = ("detector", "version", "since", "until", "campaign", "ids")
_LABELS = {
    "since": later("Pushed from"),
    "until": later("and before"),
    "detector": later("Detector"),
    "version": later("Its version"),
    "campaign": later("Campaign"),
}
_VERBS = {"carry-out": recalling.carry_out, "undo": recalling.undo, "finish": recalling.finish}
_DONE = {
    "carry-out": later("Recalled: everybody is told to drop them. They can come back for an hour."),
    "undo": later("They are back."),
    "finish": later("It is final."),
}


@require_http_methods(["GET", "HEAD", "POST"])
@page
def recalls(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """All of them; POST prepares one."""
    viewer.require(Scope.PUBLISH)
    typed = {name: request.POST.get(name, "").strip()[:100_000] for name in _FIELDS}
    problem = ""
    if request.method == "POST":
        try:
            return redirect("portal-recall", recalling.prepare(viewer, _wanted(typed)).pk)
        except ExchangeError as refused:
            problem = refused.detail
    return show(
        request,
        viewer,
        "indicators/recalls.html",
        here="portal-recalls",
        recalls=_with_receipts(viewer, recalling.listed(viewer)),
        problem=problem,
        typed=typed,
    )


def _with_receipts(viewer: Viewer, found: list[recalling.Listed]) -> list[tuple[recalling.Listed, Any]]:
    """Each with its receipts, which are read of the newest alone; None where there are none."""
    told = released.of_several(viewer, [one.recall for one in found if one.recall.ending][:_WITH_RECEIPTS])
    return [(one, told.get(one.recall.pk)) for one in found]


@require_safe
@page
def recall(request: HttpRequest, viewer: Viewer, recall_id: UUID) -> HttpResponse:
    """One: what it names, and how far it has gone."""
    viewer.require(Scope.PUBLISH)
    found = recalling.find(viewer, recall_id)
    told = released.of(viewer, found)
    part = "#progress" if request.headers.get("HX-Request") == "true" else ""
    return show(
        request,
        viewer,
        f"indicators/recall.html{part}",
        here="portal-recalls",
        recall=found,
        asked=[(label, _said(name, found.asked[name])) for name, label in _LABELS.items() if found.asked.get(name)],
        count=len(found.holdings),
        ids=recalling.ids_of(found, at_most=_IDS),
        more=max(0, len(found.holdings) - _IDS),
        receipts=told,
        live=_moves(found.ending, told),
        may_finish=found.ending is not None and deciding.may_confirm(viewer, found.ending),
    )


def _moves(ending: Ending | None, told: released.Receipts | None) -> bool:
    """Whether the page may say something else in a moment."""
    if ending is None or ending.state == Ending.State.UNDONE or ending.at < clock.now() - _RENEWED:
        return False
    return ending.state == Ending.State.DISARMED or (told is not None and told.holding > 0)


@require_POST
@page
def act(request: HttpRequest, viewer: Viewer, recall_id: UUID) -> HttpResponseBase:
    """Carry it out, undo it, or make it final."""
    recalling.find(viewer, recall_id)
    wanted = request.POST.get("do", "")
    if wanted not in _VERBS:
        raise Refused(gettext("There is no such action."), code="unknown-action", at="/do")
    try:
        _VERBS[wanted](viewer, recall_id)
        messages.success(request, _DONE[wanted])
    except NotFound:
        raise
    except ExchangeError as refused:
        viewer.require(Scope.PUBLISH)
        messages.error(request, refused.detail)
    return redirect("portal-recall", recall_id)


def _wanted(typed: dict[str, str]) -> recalling.Wanted:
    """Times are UTC, as the browser's field gives them: 2026-11-28T10:00. Raises Refused."""
    return recalling.Wanted(
        ids=tuple(typed["ids"].split()),
        detector=typed["detector"],
        version=typed["version"],
        since=_moment(typed["since"]),
        until=_moment(typed["until"]),
        campaign=typed["campaign"],
    )


def _said(name: str, value: str) -> datetime | str:
    return datetime.fromisoformat(value) if name in {"since", "until"} else value


def _moment(said: str) -> datetime | None:
    try:
        return datetime.fromisoformat(said).replace(tzinfo=UTC) if said else None
    except ValueError:
        raise Refused("A time, such as 2026-11-24T11:00.", code="bad-time") from None
