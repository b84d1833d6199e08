"""The page of schedules of report packages: who publishes or audits makes, pauses and ends them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_POST

from exchange.errors import ExchangeError, NotFound, Refused
from indicators.models import Feed, ReportSchedule
from indicators.portal import reports
from indicators.reports import scheduling
from indicators.telling import digesting
from partners.models import RecipientTerms
from partners.portal.access import do, page, show
from partners.scopes import Scope
from partners.viewer import Viewer

_TYPED = ("name", "recipient", "root", "feed", "every", "day", "hour", "time_zone")


@require_http_methods(["GET", "HEAD", "POST"])
@page
def listing(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """All of them; POST makes one."""
    if not reports.may_prepare(viewer):
        raise NotFound
    if request.method != "POST":
        return _listing(request, viewer)
    typed = {name: request.POST.get(name, "").strip()[:300] for name in _TYPED}
    forms = request.POST.getlist("forms")[:10]
    try:
        scheduling.make(viewer, _wish(typed, forms))
    except NotFound:
        return _listing(
            request, viewer, problem=gettext("You see no such campaign, report, grouping or feed."), typed=typed
        )
    except ExchangeError as refused:
        return _listing(request, viewer, problem=refused.detail, typed=typed)
    return redirect("portal-report-schedules")


@require_POST
@page
def act(request: HttpRequest, viewer: Viewer, schedule_id: UUID) -> HttpResponse:
    """Pause, resume or end one."""
    if not reports.may_prepare(viewer):
        raise NotFound
    scheduling.own(viewer, schedule_id)

    def change(words: str, state: str) -> str:
        scheduling.change(viewer, schedule_id, {"state": state})
        return words

    def end() -> str:
        scheduling.end(viewer, schedule_id)
        return gettext("It has ended. Drafts that are there stay.")

    acts = {
        "pause": lambda: change(gettext("It is paused."), "paused"),
        "resume": lambda: change(gettext("It goes on, and ends with you."), "active"),
        "end": end,
    }
    return do(request, viewer, acts, needs=Scope.READ, back="portal-report-schedules")


def _wish(typed: Mapping[str, str], forms: list[str]) -> scheduling.Wish:
    """Raises Refused naming the field."""
    if typed["every"] not in ReportSchedule.Every.values:
        raise Refused(gettext("week or month."), code="bad-interval", at="/every")
    try:
        feed_id = UUID(typed["feed"]) if typed["feed"] else None
    except ValueError:
        raise NotFound from None
    return scheduling.Wish(
        name=typed["name"],
        recipient=typed["recipient"],
        every=ReportSchedule.Every(typed["every"]),
        day=_number(typed["day"], at="/day"),
        hour=_number(typed["hour"], at="/hour"),
        time_zone=typed["time_zone"] or "UTC",
        root=typed["root"],
        feed_id=feed_id,
        forms=tuple(forms),
    )


def _number(written: str, *, at: str) -> int:
    if not written.isascii() or not written.isdecimal() or len(written) > 2:
        raise Refused(gettext("A whole number."), code="bad-number", at=at)
    return int(written)


def _listing(
    request: HttpRequest, viewer: Viewer, *, problem: str = "", typed: Mapping[str, Any] | None = None
) -> HttpResponse:
    return show(
        request,
        viewer,
        "indicators/report_schedules.html",
        here="reports",
        schedules=scheduling.listed(viewer),
        recipients=reports.recipients(viewer),
        roots=reports.roots(viewer),
        feeds=list(Feed.objects.of(viewer).order_by("name")),
        forms=RecipientTerms.Form.choices,
        zones=digesting.zones(),
        problem=problem,
        typed=typed or {"every": "week", "day": "1", "hour": "8", "time_zone": "UTC"},
    )
