"""Build a draft from what the browser lets out, send lines of it to an audience, or delete it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import orjson
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from exchange import bodies
from exchange.errors import ExchangeError, Malformed, NotFound, Refused
from exchange.translating import later
from indicators.portal.publish import forms
from indicators.portal.publish.pages import Audience
from indicators.publishing import preparing
from partners.portal.access import page
from partners.scopes import Scope
from partners.tlp import Tlp
from partners.viewer import Viewer

_MOST_BYTES = 8 * 1024 * 1024
_SAID = {
    "accepted": "published",
    "unchanged": later("as before"),
    "waiting": later("waiting for a second person"),
    "quarantined": later("in quarantine"),
    "refused": "refused",
}


@require_POST
@page
def prepare(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Make a draft; the address of its page."""
    viewer.require(Scope.PUBLISH)
    try:
        sent = orjson.loads(bodies.read(request, max_bytes=_MOST_BYTES))
    except orjson.JSONDecodeError:
        raise Malformed(gettext("Not JSON.")) from None
    sent = sent if isinstance(sent, dict) else {}
    name, rows, says = sent.get("name") or "", sent.get("rows"), sent.get("says") or {}
    if not isinstance(name, str) or not isinstance(says, dict) or not isinstance(rows, list):
        raise Refused("name, rows and says.", code="bad-wish")
    if not all(isinstance(row, dict) for row in rows):
        raise Refused(gettext("A row is an object."), code="bad-line", at="/rows")
    lines = [row | {"says": forms.said(row["says"])} if isinstance(row.get("says"), dict) else row for row in rows]
    made = preparing.prepare(viewer, name=name, tlp=_tlp(viewer, sent.get("tlp")), lines=lines, says=forms.said(says))
    address = reverse("portal-draft", args=[made])
    return HttpResponse(orjson.dumps({"address": address}), content_type="application/json")


@require_POST
@page
def send(request: HttpRequest, viewer: Viewer, draft_id: UUID) -> HttpResponseBase:
    """Publish the chosen lines to the audience of the form, or delete the draft."""
    if Scope.PUBLISH not in viewer.scopes:
        raise NotFound
    preparing.one(viewer, draft_id)
    if request.POST.get("do") == "delete":
        preparing.delete(viewer, draft_id)
        messages.success(request, gettext("The draft is deleted. Nothing of it was published."))
        return redirect("portal-publish")
    audience = Audience.of(request.POST)
    numbers = {int(one) for one in request.POST.getlist("line") if one.isdigit()}
    try:
        counts = preparing.send(viewer, draft_id, numbers=numbers, reach=audience.reach(viewer))
    except NotFound:
        raise
    except ExchangeError as refused:
        messages.error(request, gettext("{detail} Nothing was published.").format(detail=refused.detail))
    else:
        said = ", ".join(f"{counts[status]:,} {words}" for status, words in _SAID.items() if status in counts)
        (messages.success if set(counts) <= {"accepted", "unchanged"} else messages.warning)(request, f"{said}.")
    back = urlencode(audience.pairs)
    return redirect(f"{reverse('portal-draft', args=[draft_id])}{'?' if back else ''}{back}")


def _tlp(viewer: Viewer, word: Any) -> Tlp:
    try:
        return Tlp.from_word(word) if isinstance(word, str) and word else viewer.default_tlp
    except ValueError:
        raise Refused(gettext("clear, green, amber or amber+strict."), code="unknown-marking", at="/tlp") from None
