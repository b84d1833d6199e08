"""View as: who would see what is shared in some way, who sees one's own object, and what a partner sees of them."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext
from django.views.decorators.http import require_safe

from exchange import clock, paging
from exchange.errors import ExchangeError, Malformed, NotFound
from exchange.parameters import Parameters
from indicators import reading
from indicators.portal import showing
from indicators.publishing import previewing
from indicators.publishing.reach import Reach
from indicators.reading.selecting import Selection
from indicators.stix import objects
from partners import viewing
from partners.attribution import Attribution
from partners.groups import directory
from partners.portal.access import page, show
from partners.scopes import Scope
from partners.tlp import Tlp
from partners.viewer import Viewer

_KNOWN = ("everyone", "groups", "partners", "tlp", "attribution", "as", "cursor", "object", "ask")
_ROWS = 50


@require_safe
@page
def sharing(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Three questions, each asked by the address: nothing is changed by asking."""
    listed = request.GET.copy()
    for name in ("groups", "partners"):  # a form says each by itself
        if name in listed:
            listed[name] = ",".join(listed.getlist(name))
    request.GET = listed  # type: ignore[assignment]
    asked = Parameters(request, known=_KNOWN)
    chosen = {name: asked.words(name) for name in ("groups", "partners")}
    return show(
        request,
        viewer,
        "indicators/sharing.html",
        here="sharing",
        groups=directory.groups(viewer),
        partners=[partner for partner in directory.partners() if partner.pk != viewer.partner_id],
        tlps=[marking.word for marking in Tlp],
        attributions=[one.word for one in Attribution],
        chosen=chosen,
        typed=request.GET,
        may_publish=Scope.PUBLISH in viewer.scopes,
        **(_preview(viewer, asked) if asked.text("ask") else {}),
        **(_shown_to(viewer, asked) if asked.text("as") else {}),
        **(_readers(viewer, asked.text("object")) if asked.text("object") else {}),
    )


def _preview(viewer: Viewer, asked: Parameters) -> dict[str, Any]:
    try:
        everyone, groups, partners = bool(asked.text("everyone")), asked.words("groups"), asked.words("partners")
        reach = Reach.in_words(
            viewer,
            named=bool(everyone or groups or partners),
            everyone=everyone,
            groups=groups,
            partners=partners,
            tlp=asked.text("tlp"),
            attribution=asked.text("attribution"),
        )
        return {"would_see": previewing.who_would_see(viewer, reach), "previewed": True}
    except ExchangeError as refused:
        return {"problem": refused.detail}


def _readers(viewer: Viewer, stix_id: str) -> dict[str, Any]:
    """Who sees an object of one's own; NotFound for anybody else's."""
    if not objects.ID.fullmatch(stix_id):
        raise NotFound
    said = reading.own_object(viewer, stix_id)
    return {"own": said, "own_tlp": Tlp(said.tlp).word, "readers": viewing.readers(said.audience_id)}


def _shown_to(viewer: Viewer, asked: Parameters) -> dict[str, Any]:
    """What a partner sees of one's own publications, newest first."""
    slug = asked.text("as")
    other, audiences = viewing.shown_to(viewer, slug)
    scope = f"sharing:{slug}"
    before = _place(asked.text("cursor"), viewer=viewer, scope=scope)
    wanted = Selection(own=True, audiences=tuple(sorted(audiences)))
    found = reading.newest(viewer, wanted, before=before, limit=_ROWS)
    cursor = paging.seal([found.reached], viewer=viewer.partner_id, scope=scope) if found.more else ""
    sources = viewing.sources_for(other, {said.audience_id for said in found.statements})
    rows = zip(showing.rows(found.statements), found.statements, strict=True)
    return {
        "other": other,
        "seen": [(row, sources[said.audience_id]) for row, said in rows],
        "next": cursor,
        "moment": clock.now(),
    }


def _place(cursor: str, *, viewer: Viewer, scope: str) -> int | None:
    if not cursor:
        return None
    match paging.unseal(cursor, viewer=viewer.partner_id, scope=scope):
        case [int(place)]:
            return place
    raise Malformed(gettext("This cursor was made for another list."), code="bad-cursor", at="/cursor")
