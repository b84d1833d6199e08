"""The page of appeals: those on one's own indicators, to be answered, and those that one's own support filed."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.views.decorators.http import require_POST, require_safe

from exchange.errors import ExchangeError, NotFound
from indicators.opinions import appealing
from partners.portal.access import page, show
from partners.scopes import Scope
from partners.viewer import Viewer


@require_safe
@page
def appeals(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """What waits for an answer, the next due first; what was filed, with what became of it."""
    publishes, judges = Scope.PUBLISH in viewer.scopes, Scope.REACT in viewer.scopes
    return show(
        request,
        viewer,
        "indicators/appeals.html",
        here="portal-appeals",
        publishes=publishes,
        tickets=appealing.received(viewer) if publishes else [],
        statistics=appealing.statistics(viewer.partner_id) if publishes else {},
        filed=appealing.filed(viewer)[:20] if judges else [],
    )


@require_POST
@page
def decide(request: HttpRequest, viewer: Viewer, ticket_id: UUID) -> HttpResponseBase:
    """Keep an indicator, or revoke it."""
    try:
        done = appealing.decide(viewer, ticket_id, outcome=request.POST.get("do", ""))
        messages.success(request, "It stays." if done.state == "kept" else "It is revoked, and leaves every list.")
    except NotFound:
        raise
    except ExchangeError as refused:
        viewer.require(Scope.PUBLISH)
        messages.error(request, refused.detail)
    return redirect("portal-appeals")
