"""The page of hosts and ranges that partners make known as their own; an admin changes those of their partner."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods, require_POST

from exchange.errors import ExchangeError
from indicators.benign import service_hosts, suppressing
from partners.portal.access import page, show
from partners.scopes import Scope
from partners.viewer import Viewer


@require_http_methods(["GET", "HEAD", "POST"])
@page
def hosts(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """All of them, one's own first; POST adds, one a line."""
    if request.method != "POST":
        return _hosts(request, viewer)
    typed = request.POST.get("values", "")[:60_000]
    try:
        added = service_hosts.add(viewer, typed.split())
    except ExchangeError as refused:
        return _hosts(request, viewer, problem=refused.detail, typed=typed)
    suppressing.hint()
    messages.success(request, f"{len(added)} made known. Lists let go of them within seconds.")
    return redirect("hosts")


@require_POST
@page
def end(request: HttpRequest, viewer: Viewer, host_id: UUID) -> HttpResponseBase:
    """One of one's own no more."""
    service_hosts.end(viewer, host_id)
    suppressing.hint()
    messages.success(request, "It is not yours any more; what others publish of it is listed again.")
    return redirect("hosts")


def _hosts(request: HttpRequest, viewer: Viewer, *, problem: str = "", typed: str = "") -> HttpResponse:
    listed = list(service_hosts.listed())
    return show(
        request,
        viewer,
        "indicators/hosts.html",
        here="hosts",
        own=[host for host in listed if host.partner_id == viewer.partner_id],
        others=[host for host in listed if host.partner_id != viewer.partner_id],
        may_change=Scope.ADMIN in viewer.scopes,
        problem=problem,
        typed=typed,
    )
