"""What waits in one's own quarantine: shown to those who publish, and deleted by them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import orjson
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe

from exchange import paging
from exchange.parameters import Parameters
from indicators.portal import showing
from indicators.publishing import quarantine
from indicators.stix import vocabulary
from partners.portal.access import page, show
from partners.viewer import Viewer

_ROWS = 50
_PLACE = "portal:quarantine"


@require_safe
@page
def listing(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """A page of what waits, newest first."""
    cursor = Parameters(request, known=("cursor",)).text("cursor")
    before = None
    if cursor:
        at, entry = paging.unseal(cursor, viewer=viewer.partner_id, scope=_PLACE)
        before = datetime.fromisoformat(str(at)), UUID(str(entry))
    found = quarantine.page(viewer, before=before, limit=_ROWS + 1)
    more, found = len(found) > _ROWS, found[:_ROWS]
    position: paging.Position = [found[-1].at.isoformat(), str(found[-1].entry)] if more else []
    return show(
        request,
        viewer,
        "indicators/quarantine.html",
        here="portal-quarantine",
        waiting=found,
        following=paging.seal(position, viewer=viewer.partner_id, scope=_PLACE) if more else "",
        first=not cursor,
    )


@require_safe
@page
def one(request: HttpRequest, viewer: Viewer, entry: UUID) -> HttpResponse:
    """One object that waits, exactly as it was sent."""
    found = quarantine.find(viewer, entry)
    raw = quarantine.body(found)
    data = orjson.loads(raw)
    extension = vocabulary.extension_of(data)
    kind = extension.get("kind") if extension else None
    return show(
        request,
        viewer,
        "indicators/quarantined.html",
        here="portal-quarantine",
        found=found,
        kind=showing.kind_name(kind if isinstance(kind, str) else None, str(data.get("type"))),
        raw=raw.decode(),
    )


@require_POST
@page
def delete(request: HttpRequest, viewer: Viewer, entry: UUID) -> HttpResponseBase:
    """Delete one for good."""
    quarantine.delete(viewer, entry)
    messages.success(request, gettext("Deleted; nothing of it is kept."))
    return redirect("portal-quarantine")
