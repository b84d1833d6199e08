"""The page of appeals: those on one's own indicators, to be answered, and those that one's own support filed."""

from __future__ import annotations

from uuid import UUID

import orjson
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext, ngettext
from django.views.decorators.http import require_POST, require_safe

from exchange import bodies
from exchange.errors import ExchangeError, Malformed, NotFound, Refused
from exchange.stix import words
from indicators import reading
from indicators.opinions import appealing
from indicators.opinions.wishing import AppealToken
from indicators.portal import rows
from indicators.reading.selecting import Selection
from partners.portal.access import page, show
from partners.scopes import Scope
from partners.viewer import Viewer

_MOST_BYTES = 65_536


@require_safe
@page
def appeals(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """What waits for an answer, the next due first; what was filed, with what became of it."""
    publishes, judges = Scope.PUBLISH in viewer.scopes, Scope.REACT in viewer.scopes
    received = appealing.received(viewer) if publishes else []
    return show(
        request,
        viewer,
        "indicators/appeals.html",
        here="portal-appeals",
        publishes=publishes,
        tickets=_with_rows(viewer, received),
        statistics=appealing.statistics(viewer.partner_id) if publishes else {},
        filed=appealing.filed(viewer)[:20] if judges else [],
        judges=judges,
        may_tokenise=Scope.TOKENISE in viewer.scopes,
        reasons=words.REASONS_AGAINST,
    )


def _with_rows(viewer: Viewer, tickets: list[appealing.Shown]) -> list[tuple[appealing.Shown, rows.Row | None]]:
    """Each ticket with the row of its indicator, as the list shows it."""
    if not tickets:
        return []
    ids = tuple({one.stix_id for one in tickets})
    read = reading.page(viewer, Selection(stix_ids=ids, own=True), limit=len(ids))
    shown = {row.stix_id: row for row in rows.of(viewer, read.statements)}
    return [(one, shown.get(one.stix_id)) for one in tickets]


@require_POST
@page
def file(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """File an appeal by tokens that were made in the browser, as JSON; answered with where it is shown."""
    viewer.require(Scope.REACT)
    try:
        sent = orjson.loads(bodies.read(request, max_bytes=_MOST_BYTES))
    except orjson.JSONDecodeError:
        raise Malformed(gettext("Not JSON.")) from None
    if not isinstance(sent, dict) or not isinstance(sent.get("tokens"), list):
        raise Refused(gettext("From 1 to 16 tokens."), code="bad-tokens", at="/tokens")
    tokens = AppealToken.values(sent["tokens"][: appealing.MOST_TOKENS + 1])
    made = appealing.file(viewer, tokens, reason=str(sent.get("reason", "")), dissent=sent.get("dissent") is True)
    said = gettext("Filed. {seen} Each publisher gets a ticket, never your name.").format(seen=_seen(len(made.tickets)))
    messages.success(request, f"{said} {_dissented(made.dissents)}".strip())
    return HttpResponse(orjson.dumps({"address": reverse("portal-appeals")}), content_type="application/json")


def _seen(count: int) -> str:
    """Of what the filer sees; of what it does not, nothing is told."""
    if not count:
        return gettext("You see no indicator that names it, beside those that wait already.")
    return ngettext(
        "You see {count} indicator that names it.", "You see {count} indicators that name it.", count
    ).format(count=count)


def _dissented(given: appealing.Dissents | None) -> str:
    """On how many the filer's own opinion was given, where it was asked for."""
    if given is None:
        return ""
    said = ngettext("You dissent from {n} more.", "You dissent from {n} more.", given.given).format(n=given.given)
    if given.stays:
        stays = ngettext(
            "Of {n} a colleague says otherwise: that stays. Judge it on its own page.",
            "Of {n} a colleague says otherwise: that stays. Judge these on their own pages.",
            given.stays,
        )
        said = f"{said} {stays.format(n=given.stays)}"
    left = ngettext("{n} is left: file again.", "{n} are left: file again.", given.left).format(n=given.left)
    return f"{said} {left}" if given.left else said


@require_POST
@page
def decide(request: HttpRequest, viewer: Viewer, ticket_id: UUID) -> HttpResponseBase:
    """Keep an indicator, or revoke it."""
    try:
        done = appealing.decide(viewer, ticket_id, outcome=request.POST.get("do", ""))
        messages.success(
            request, gettext("It stays.") if done.state == "kept" else gettext("It is revoked, and leaves every list.")
        )
    except NotFound:
        raise
    except ExchangeError as refused:
        viewer.require(Scope.PUBLISH)
        messages.error(request, refused.detail)
    return redirect("portal-appeals")
