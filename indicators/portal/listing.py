"""Lists: what the viewer may see, filtered, searched, newest first; and what partners have in common."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

from exchange import paging
from exchange.errors import Malformed, Refused
from exchange.parameters import Parameters
from indicators import matching, reading
from indicators.feeds import filters
from indicators.feeds.filters import Filter, subkinds
from indicators.portal import showing
from indicators.reading import exporting
from indicators.reading.overview import KINDS
from indicators.reading.selecting import Selection
from indicators.stix import conformance
from partners.groups import directory
from partners.portal.access import page, show
from partners.tlp import Tlp
from partners.viewer import Viewer

_PAGE = 50
_OURS = tuple(kind for kind in KINDS if kind != "other")
_VALUES = 50
_MATCHES = "portal-matches"
_KNOWN = (
    "show",
    "q",
    "subkind",
    "publisher",
    "tlp",
    "confidence",
    "own",
    "matched",
    "marks",
    "cursor",
    "type",
    "filter",
)


@require_safe
@page
def indicators(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The list; its address holds the whole question, so it can be kept and sent to a colleague."""
    asked = Parameters(request, known=_KNOWN)
    partners = directory.partners()
    slugs = {partner.slug: str(partner.pk) for partner in partners}
    wanted, shown = _selection(asked, slugs)
    line, problem = _line(viewer, asked)
    wanted = replace(wanted, filter=wanted.filter.within(line))
    scope = (
        f"portal;{shown};{wanted.words};{wanted.own};{wanted.tlps};{wanted.matched};{wanted.marks};{wanted.unmarked}"
        f";{wanted.filter.scope}"
    )
    before = _before(asked.text("cursor"), viewer=viewer, scope=scope)
    found = (
        reading.newest(viewer, wanted, before=before, limit=_PAGE) if not problem else reading.Page([], 0, more=False)
    )
    following = paging.seal([found.reached], viewer=viewer.partner_id, scope=scope) if found.more else ""
    part = "#rows" if request.headers.get("HX-Target") == "rows" else ""
    return show(
        request,
        viewer,
        f"indicators/list.html{part}",
        here="indicators",
        rows=showing.rows(found.statements),
        asked={name: asked.text(name) for name in _KNOWN},
        shown=shown,
        problem=problem,
        tabs=_tabs(reading.counts_by_kind(viewer)) if not part else [],
        partners=partners,
        tlps=[tlp.word for tlp in Tlp],
        subkinds=[(KINDS[kind], names) for kind, names in showing.SUBKINDS.items()],
        marks=conformance.WORDS.items(),
        first=not asked.text("cursor"),
        export=_export(request),
        following=_address(request, cursor=following) if following else "",
        filtered=any(asked.text(name) for name in _KNOWN if name not in ("show", "cursor")),
    )


@require_safe
@page
def bundle(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """The same question answered whole, as a STIX bundle; or every version under one id, with what it names."""
    asked = Parameters(request, known=(*_KNOWN, "id"))
    wanted, _ = _selection(asked, {partner.slug: str(partner.pk) for partner in directory.partners()})
    wanted = replace(wanted, filter=wanted.filter.within(filters.accepted(viewer, asked.text("filter"))))
    ids = asked.words("id")
    if ids:
        wanted = Selection(stix_ids=ids, versions="all")
    return StreamingHttpResponse(
        exporting.bundle(viewer, wanted, referenced=bool(ids), surface="portal:bundle"),
        content_type=exporting.MEDIA_TYPE,
        headers={"Content-Disposition": 'attachment; filename="bundle.json"'},
    )


@require_safe
@page
def matches(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Values that objects of two or more sources carry which the viewer may see."""
    asked = Parameters(request, known=("cursor",))
    found = matching.newest(viewer, before=_before_match(asked.text("cursor"), viewer=viewer), limit=_VALUES)
    cursor = ""
    if found.before:
        place: list[int | str] = [found.before[0], str(found.before[1])]
        cursor = paging.seal(place, viewer=viewer.partner_id, scope=_MATCHES)
    return show(
        request,
        viewer,
        "indicators/matches.html",
        here="matches",
        shared=found.matches,
        following=_address(request, cursor=cursor) if cursor else "",
        first=not asked.text("cursor"),
    )


def _line(viewer: Viewer, asked: Parameters) -> tuple[Filter, str]:
    """The filter that was typed, and what is wrong with it: then nothing is listed, for it is not everything."""
    try:
        return filters.accepted(viewer, asked.text("filter")), ""
    except Refused as refused:
        return filters.EVERYTHING, refused.detail


def _selection(asked: Parameters, partners: dict[str, str]) -> tuple[Selection, str]:
    """What the address asks for, and the tab that it stands on. Raises Refused naming the parameter."""
    shown = asked.choice("show", "indicators", of=("indicators", "objects", *_OURS))
    publishers = asked.words("publisher")
    if not set(publishers) <= set(partners):
        raise Refused("There is no partner of this name.", code="unknown-partner", at="/publisher")
    marked = asked.choice("tlp", "", of=("", *(tlp.word for tlp in Tlp)))
    mark = asked.choice("marks", "", of=("", "any", "none", *conformance.WORDS))
    types = asked.words("type") or (() if shown == "objects" else ("indicator",))
    wanted = Filter.of(
        kinds=(shown,) if shown in _OURS else (),
        subkinds=subkinds(asked.words("subkind"), at="/subkind"),
        types=types,
        publishers=tuple(sorted(partners[slug] for slug in publishers)),
        min_confidence=asked.number("confidence", 0, least=0, most=100),
    )
    return Selection(
        filter=wanted,
        own=asked.flag("own") if asked.text("own") else False,
        words=asked.text("q"),
        tlps=tuple(tlp for tlp in Tlp if tlp.word == marked),
        matched=asked.flag("matched") if asked.text("matched") else False,
        marks=tuple(conformance.WORDS) if mark == "any" else (mark,) if mark in conformance.WORDS else (),
        unmarked=mark == "none",
    ), shown


def _before(cursor: str, *, viewer: Viewer, scope: str) -> int | None:
    """The place to go on from. A cursor of another question, as an old bookmark has, begins at the top."""
    if not cursor:
        return None
    try:
        return int(paging.unseal(cursor, viewer=viewer.partner_id, scope=scope)[0])
    except Malformed:
        return None


def _before_match(cursor: str, *, viewer: Viewer) -> matching.Before | None:
    """The same among matches."""
    if not cursor:
        return None
    try:
        seq, value_id = paging.unseal(cursor, viewer=viewer.partner_id, scope=_MATCHES)
        return int(seq), UUID(str(value_id))
    except Malformed:
        return None


def _export(request: HttpRequest) -> str:
    """Where the same question is answered as a bundle."""
    asked = {name: value for name, value in request.GET.items() if name in _KNOWN and name != "cursor" and value}
    return f"{reverse('indicators-bundle')}?{urlencode(asked)}"


def _address(request: HttpRequest, *, cursor: str) -> str:
    asked = {name: value for name, value in request.GET.items() if name != "cursor" and value}
    return f"{request.path}?{urlencode({**asked, 'cursor': cursor})}"


def _tabs(counts: dict[str, int]) -> list[tuple[str, str, int]]:
    """The tabs: name in the address, label, and how many newest versions the viewer may see."""
    ours = sum(counts.get(kind, 0) for kind in _OURS)
    return [
        ("indicators", "All indicators", ours + counts.get("indicator", 0)),
        *((kind, KINDS[kind], counts.get(kind, 0)) for kind in _OURS),
        ("objects", "All STIX objects", sum(counts.values())),
    ]
