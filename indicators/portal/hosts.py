"""The page of hosts and ranges that partners name as their own; an admin changes those of their partner."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_POST

from exchange.errors import ExchangeError, Refused
from indicators.benign import proofs, service_hosts, suppressing
from indicators.models import ServiceHost
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
    proofs.hint()
    messages.success(request, gettext("{n} named. Your own lists let go of them within seconds.").format(n=len(added)))
    return redirect("hosts")


@require_POST
@page
def check(request: HttpRequest, viewer: Viewer, host_id: UUID) -> HttpResponseBase:
    """Have the DNS of one of one's own asked now."""
    return _done(
        request, viewer, lambda: service_hosts.ask_now(viewer, host_id), gettext("Its DNS is asked within seconds.")
    )


@require_POST
@page
def confirm(request: HttpRequest, viewer: Viewer, host_id: UUID) -> HttpResponseBase:
    """Say that what another partner names is that partner's."""
    return _done(request, viewer, lambda: service_hosts.confirm(viewer, host_id), gettext("Confirmed."))


def _done(request: HttpRequest, viewer: Viewer, act: Callable[[], object], words: str) -> HttpResponseBase:
    try:
        act()
    except Refused as refused:
        return _hosts(request, viewer, problem=refused.detail)
    suppressing.hint()
    proofs.hint()
    messages.success(request, words)
    return redirect("hosts")


@require_POST
@page
def end(request: HttpRequest, viewer: Viewer, host_id: UUID) -> HttpResponseBase:
    """One of one's own no more."""
    service_hosts.end(viewer, host_id)
    suppressing.hint()
    messages.success(request, gettext("It is not yours any more; what others publish of it is listed again."))
    return redirect("hosts")


def _row(host: ServiceHost, viewer: Viewer) -> dict[str, object]:
    """A host or range, and what is to be done with it."""
    is_range = service_hosts.is_range(host.value)
    asks_me = is_range and host.confirmed_by_id != viewer.partner_id and service_hosts.partners_confirm(host.value)
    return {
        "host": host,
        "is_range": is_range,
        "record": "" if is_range else proofs.record_of(host.value),
        "may_confirm": host.proven_at is None and (asks_me or viewer.is_operator),
        "confirmed_by_me": is_range and host.proven_at is None and host.confirmed_by_id == viewer.partner_id,
        "by_operator": is_range and not service_hosts.partners_confirm(host.value),
    }


def _hosts(request: HttpRequest, viewer: Viewer, *, problem: str = "", typed: str = "") -> HttpResponse:
    listed = list(service_hosts.listed())
    return show(
        request,
        viewer,
        "indicators/hosts.html",
        here="hosts",
        own=[_row(host, viewer) for host in listed if host.partner_id == viewer.partner_id],
        others=[_row(host, viewer) for host in listed if host.partner_id != viewer.partner_id],
        may_change=Scope.ADMIN in viewer.scopes,
        problem=problem,
        typed=typed,
    )
