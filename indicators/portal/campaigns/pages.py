"""The list of campaigns, and one: verdict, picture and its twin as a table, reasons, timeline, what labs say."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_safe

from exchange import clock, paging
from exchange.parameters import Parameters
from exchange.templatetags import house
from indicators.campaigns import statements, viewing
from indicators.campaigns.statements import REASONS
from indicators.campaigns.tables import Campaign
from indicators.portal.campaigns import drawing, lanes, marks, wording
from partners.groups import directory
from partners.portal.access import page, show
from partners.scopes import Scope
from partners.viewer import Viewer

_A_PAGE = 50


@require_safe
@page
def campaigns(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """The campaigns of the viewer's groups, the newest first."""
    asked = Parameters(request, known=("ended", "cursor"))
    ended, cursor = asked.flag("ended"), asked.text("cursor")
    scope = f"portal-campaigns;{ended}"
    place = paging.unseal(cursor, viewer=viewer.partner_id, scope=scope) if cursor else None
    after = (str(place[0]), str(place[1])) if place else None
    found = viewing.page(viewer, after=after, limit=_A_PAGE + 1, ended=ended)
    following = ""
    if len(found) > _A_PAGE:
        last = found[_A_PAGE - 1]
        sealed = paging.seal([last.created_at.isoformat(), str(last.pk)], viewer=viewer.partner_id, scope=scope)
        following = f"?{'ended=true&' if ended else ''}cursor={sealed}"
    return show(
        request,
        viewer,
        "indicators/campaigns.html",
        here="portal-campaigns",
        rows=[_shown(document) for document in viewing.documents(viewer, found[:_A_PAGE])],
        ended=ended,
        following=following,
        first=not cursor,
    )


def _shown(document: dict[str, Any]) -> dict[str, Any]:
    """A campaign with what templates cannot make of it."""
    return document | {
        "size": marks.size_of(document["accounts"]),
        "first": datetime.fromisoformat(document["first_seen"]),
        "last": datetime.fromisoformat(document["last_seen"]),
        "kind_words": [house.kind_words(kind) for kind in document["kinds"]],
    }


@require_safe
@page
def campaign(request: HttpRequest, viewer: Viewer, campaign_id: UUID) -> HttpResponseBase:
    """One campaign. The same 404 for what is absent and what is invisible."""
    asked = Parameters(request, known=("open", "at", "days"))
    one = statements.visible(viewer, campaign_id)
    opened = asked.words("open")
    span = asked.choice("days", "", of=("", *lanes.SPANS, lanes.ALL))
    (document,) = viewing.documents(viewer, [one])
    drawn = drawing.drawn(viewer, campaign_id, opened=opened)
    names, now = viewing.names(viewer, one.group_id), clock.now()
    history = wording.events(viewing.history(viewer, campaign_id), names)
    said = _statements(viewer, one, names)
    corroborated = sum(reason["corroborated"] for reason in drawn.reasons)
    return show(
        request,
        viewer,
        "indicators/campaign.html",
        here="portal-campaigns",
        address=reverse("portal-campaign", args=[one.pk]),
        one=_shown(document),
        verdict=wording.verdict(document, now=now),
        grew=next((event for event in history if event["kind"] == "grew" and (now - event["at"]).days < 1), None),
        drawn=drawn,
        chosen=_chosen(drawn.rows, asked.text("at")),
        opened=opened,
        corroborated=corroborated,
        not_corroborated=len(drawn.reasons) - corroborated,
        lanes=lanes.lay_out(
            drawn.graph["timeline"],
            drawn.marks.labs,
            history,
            span=span or lanes.span_of(drawn.marks.labs, now),
            now=now,
        ),
        spans=[("1", gettext("24 h")), ("7", gettext("7 d")), ("42", gettext("6 w")), (lanes.ALL, gettext("All"))],
        history=history,
        **viewing.elsewhere(viewer, one),
        linked=[(pk, names[pk]) for pk in map(_id_of, document["linked"]) if pk in names],
        statements=said,
        mine=next((each for each in said if each["own"]), None),
        did=drawing.did(viewer, document["indicators"]),
        may_judge=Scope.REACT in viewer.scopes,
        may_report=bool(viewer.scopes & {Scope.AUDIT, Scope.PUBLISH}),
        recipients=[each for each in directory.partners() if each.pk != viewer.partner_id],
        others=[(pk, name) for pk, name in names.items() if pk != one.pk],
        reasons_to_dismiss=REASONS["dismiss"],
    )


def _statements(viewer: Viewer, one: Campaign, names: dict[UUID, str]) -> list[dict[str, Any]]:
    return [
        each
        | {
            "words": wording.said(each["says"]),
            "own": each["partner"]["slug"] == viewer.partner_slug,
            "moment": datetime.fromisoformat(each["at"]),
            "other_name": names.get(each["other"], ""),
        }
        for each in statements.of(viewer, one)
    ]


def _chosen(rows: Sequence[dict[str, Any]], at: str) -> str:
    """The code of the token that is described: the one asked for, or the first."""
    codes = [row["token"].code for row in rows]
    return at if at in codes else next(iter(codes), "")


def _id_of(stix_id: str) -> UUID:
    return UUID(stix_id.removeprefix("campaign--"))


@require_safe
@page
def svg(request: HttpRequest, viewer: Viewer, campaign_id: UUID) -> HttpResponse:
    """The picture as a file that stands alone."""
    opened = Parameters(request, known=("open",)).words("open")
    one = statements.visible(viewer, campaign_id)
    drawn = drawing.drawn(viewer, campaign_id, opened=opened)
    text = render_to_string("indicators/campaign_file.svg", {"drawn": drawn.wide, "name": one.told["name"]})
    return HttpResponse(text, content_type="image/svg+xml", headers=_as_file(one, "svg"))


@require_safe
@page
def document(request: HttpRequest, viewer: Viewer, campaign_id: UUID) -> HttpResponse:
    """The picture as nodes and edges, as `GET /api/v1/campaigns/{id}/graph`."""
    Parameters(request, known=())
    one = statements.visible(viewer, campaign_id)
    text = orjson.dumps(viewing.graph(viewer, campaign_id), option=orjson.OPT_INDENT_2)
    return HttpResponse(text, content_type="application/json", headers=_as_file(one, "json"))


def _as_file(one: Campaign, ending: str) -> dict[str, str]:
    name = one.told["name"].replace(" ", "-")
    return {"Content-Disposition": f'attachment; filename="{name}.{ending}"'}
