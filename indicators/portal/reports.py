"""Report packages: preparing and releasing them, and what others released to us."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_safe

from exchange import clock
from exchange.errors import Conflict, ExchangeError, NotFound, Refused
from exchange.templatetags import house
from exchange.translating import later
from indicators.feeds.filters import Filter
from indicators.models import ReportPackage
from indicators.reading import gathering, newest
from indicators.reading.selecting import Selection
from indicators.reports import packaging, reporting, scheduling
from partners import terms
from partners.groups import directory
from partners.log import reads
from partners.models import Partner, RecipientTerms
from partners.portal.access import page, show
from partners.scopes import Scope
from partners.tlp import Tlp
from partners.viewer import Viewer

_CHOICES = 100


@require_http_methods(["GET", "HEAD", "POST"])
@page
def reports(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """Packages received and, for those who may, prepared; POST prepares one."""
    if request.method != "POST":
        return _list(request, viewer)
    if not may_prepare(viewer):
        raise NotFound
    try:
        package = reporting.prepare(
            viewer,
            recipient=request.POST.get("recipient", ""),
            root=request.POST.get("root", "").strip(),
            forms=request.POST.getlist("forms")[:10],
        )
    except NotFound:
        return _list(request, viewer, problem=gettext("You see no such campaign, report or grouping."))
    except (Refused, Conflict) as refused:
        return _list(request, viewer, problem=refused.detail)
    return redirect("report", package.pk)


@require_http_methods(["GET", "HEAD", "POST"])
@page
def report(request: HttpRequest, viewer: Viewer, report_id: UUID) -> HttpResponseBase:
    """One package of the own partner with what it holds; POST releases or discards it."""
    if not may_prepare(viewer):
        raise NotFound
    package = reporting.own_one(viewer, report_id)
    if request.method != "POST":
        return _show(request, viewer, package)
    wanted = request.POST.get("do", "")
    if wanted not in _VERBS:
        raise Refused(gettext("There is no such action."), code="unknown-action", at="/do")
    try:
        _VERBS[wanted](viewer, report_id)
    except NotFound:
        raise
    except ExchangeError as refused:
        messages.error(request, refused.detail)
    else:
        messages.success(request, _SAID[wanted])
    return redirect("report", report_id)


@require_safe
@page
def package(request: HttpRequest, viewer: Viewer, report_id: UUID) -> HttpResponseBase:
    """The files, for the recipient."""
    try:
        content = reporting.open_for(viewer, report_id)
    except Conflict as early:
        messages.error(request, early.detail)
        return redirect("reports")
    reads.tally(viewer, surface="portal:report", objects=1, feed=str(report_id))
    headers = {"Content-Disposition": f'attachment; filename="report-{report_id}.zip"'}
    return HttpResponse(content, content_type="application/zip", headers=headers)


def _list(request: HttpRequest, viewer: Viewer, *, problem: str = "") -> HttpResponse:
    prepares = may_prepare(viewer)
    return show(
        request,
        viewer,
        "indicators/reports.html",
        here="reports",
        prepares=prepares,
        own=[_row(one, whole=whole) for one, whole in reporting.own(viewer)] if prepares else [],
        received=[(one, Tlp(one.tlp).word, packaging.is_ready(one)) for one in reporting.received(viewer)],
        recipients=recipients(viewer) if prepares else [],
        forms=RecipientTerms.Form.choices,
        schedules=[one for one in scheduling.listed(viewer) if one.gave_up_at is None] if prepares else [],
        roots=roots(viewer) if prepares else [],
        problem=problem,
        typed=request.POST if problem else {},
    )


def _show(request: HttpRequest, viewer: Viewer, package: ReportPackage) -> HttpResponse:
    held = reporting.contents(viewer, package)
    waits = package.state == ReportPackage.State.PREPARED
    return show(
        request,
        viewer,
        "indicators/report.html",
        here="reports",
        package=package,
        tlp=Tlp(package.tlp).word,
        cover=packaging.cover_document(package, held) if held is not None else None,
        is_draft=package.state == ReportPackage.State.DRAFTED,
        may_check=package.state == ReportPackage.State.DRAFTED and held is not None,
        given_as=[RecipientTerms.Form(form).label for form in package.forms or terms.FORMS],
        may_release=waits and held is not None and Scope.AUDIT in viewer.scopes and package.prepared_by != viewer.actor,
        needs_another=waits and held is not None and package.prepared_by == viewer.actor,
        may_discard=package.state != ReportPackage.State.DISCARDED
        and (package.state != ReportPackage.State.RELEASED or Scope.AUDIT in viewer.scopes),
        tone=_TONES[package.state],
    )


def _row(package: ReportPackage, *, whole: bool) -> dict[str, Any]:
    stale = package.state != ReportPackage.State.DISCARDED and not whole
    return {
        "package": package,
        "tlp": Tlp(package.tlp).word,
        "whole": whole,
        "stale": stale,
        "tone": _TONES[package.state],
    }


def recipients(viewer: Viewer) -> list[tuple[Partner, list[RecipientTerms]]]:
    """Who can be given a package, each with the terms that are in force."""
    today, recorded = clock.now().date(), terms.by_partner()
    return [
        (one, [each for each in recorded.get(one.pk, []) if terms.why_outside(each, on=today) is None])
        for one in directory.partners()
        if one.pk != viewer.partner_id
    ]


def roots(viewer: Viewer) -> list[tuple[str, str]]:
    """The newest roots that the viewer may see, for the picker."""
    found = newest(viewer, Selection(filter=Filter.of(types=gathering.ROOTS)), limit=_CHOICES)
    return [
        (
            said.stix_id,
            gettext("{title} ({stix_type} of {publisher_name})").format(
                title=house.titled(said.title), stix_type=said.stix_type, publisher_name=said.publisher_name
            ),
        )
        for said in found.statements
    ]


def may_prepare(viewer: Viewer) -> bool:
    """Whether the viewer prepares packages, and sees those of their partner."""
    return bool(viewer.scopes & {Scope.AUDIT, Scope.PUBLISH})


_TONES = {"discarded": "", "drafted": "warn", "prepared": "warn", "released": "good"}
_SAID = {
    "check": later("You have prepared this package. Another person releases it."),
    "release": later("The package is released."),
    "discard": later("The package is discarded."),
}
_VERBS: dict[str, Callable[[Viewer, UUID], object]] = {
    "check": reporting.check,
    "release": reporting.release,
    "discard": reporting.discard,
}
