"""The list of indicators: what the viewer may see, filtered, searched, sorted; and what partners have in common."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect, StreamingHttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_htmx.http import reswap, retarget

from exchange import paging
from exchange.errors import ExchangeError, Malformed, Refused
from exchange.parameters import Parameters
from indicators import matching, reading
from indicators.feeds import filters
from indicators.log import changes
from indicators.portal import asking, cells, chips, looks, rows
from indicators.portal.asking import Asked
from indicators.reading import exporting, listing
from indicators.reading.selecting import Selection
from indicators.telling import subscribing
from partners.portal.access import page, show
from partners.scopes import Scope
from partners.viewer import Viewer

_PAGE = 50
_VALUES = 50
_MATCHES = "portal-matches"
#: So many new ones are counted, at most.
_NEWS = 100


@require_http_methods(["GET", "HEAD", "POST"])
@page
def indicators(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """The list. Its address holds the whole question but for values that are searched: these come in the form.

    What the form says otherwise than the address is answered at the address that says it, where there is one.
    """
    asked = asking.read(request, viewer)
    if request.POST.get("do") == "count" and not asked.problem:
        return _count(request, viewer, asked)
    address = asked.address()
    htmx = request.headers.get("HX-Request") == "true"
    if htmx and asked.problem:  # the list stays as it is
        response = _page(request, viewer, asked, part="#asking")
        return retarget(reswap(response, "outerHTML"), "#ask")
    if request.method == "POST" and address and not htmx:
        return HttpResponseRedirect(address)
    response = _page(request, viewer, asked, part="#listed" if htmx else "")
    if htmx:
        response["HX-Push-Url"] = address or "false"
    return response


def _page(request: HttpRequest, viewer: Viewer, asked: Asked, *, part: str) -> HttpResponse:
    state = changes.own_end(viewer)  # read first: what comes in meanwhile is new the next time
    found, following, counted = _found(viewer, asked)
    cut = counted is not None and counted.cut
    whole = not (following or cut or asked.cursor)
    if whole or asked.problem:
        counted = listing.counted_of(found)
    elif counted is None:
        counted = listing.counted(viewer, asked.selection, at_first=True)
    nothing = not found and not asked.problem and not asked.cursor
    narrowest, none_narrows = _narrowest(viewer, asked) if nothing else (None, False)
    look = looks.read(request)
    may_judge, may_revoke = Scope.REACT in viewer.scopes, Scope.PUBLISH in viewer.scopes
    return show(
        request,
        viewer,
        f"indicators/list.html{part}",
        here="indicators",
        asked=asked,
        lines=cells.lines(rows.of(viewer, found), look.columns, chosen=may_judge or may_revoke),
        chips=chips.chips(asked.shown.tree),
        counted=counted,
        kinds=_kinds(asked, counted),
        cut=cut,
        following=following,
        forms=[("save", reverse("indicators-save")), ("look", reverse("indicators-look"))],
        stays=part == "#asking",
        narrowest=narrowest,
        none_narrows=none_narrows,
        views=asking.views(viewer, asked),
        within=asking.within(asked),
        fields=asking.fields(viewer) if not part else None,
        look=look,
        columns=looks.COLUMNS,
        add_fields=sorted(chips.LABELS.items(), key=lambda one: one[1]),
        sorts=_sorts(asked),
        export=_export(asked),
        may_save=Scope.SUBSCRIBE in viewer.scopes,
        may_judge=may_judge,
        may_revoke=may_revoke,
        state=paging.seal([state], viewer=viewer.partner_id, scope="portal-new"),
    )


def _count(request: HttpRequest, viewer: Viewer, asked: Asked) -> HttpResponse:
    """How many fit: what is asked once a list is there that was counted at first alone."""
    counted = listing.counted(viewer, asked.selection)
    return show(
        request,
        viewer,
        "indicators/counted.html",
        here="indicators",
        counted=counted,
        kinds=_kinds(asked, counted),
    )


def _kinds(asked: Asked, counted: listing.Counted) -> list[tuple[str, int, str]]:
    """Each kind, how many of it fit, and where it alone is listed."""
    return [(kind, counted.by_kind.get(kind, 0), _kind_address(asked, kind)) for kind in asking.KINDS]


def _found(viewer: Viewer, asked: Asked) -> tuple[list[reading.Statement], str, listing.Counted | None]:
    """The statements of the page, the cursor of the next one, and how many there are where sorting them tells."""
    if asked.problem:
        return [], "", None
    before = _place(asked, viewer)
    if asked.sort in listing.ORDERS:
        by, down = asked.sort, asked.down
        sorted_ = listing.ordered(viewer, asked.selection, by=by, down=down, offset=before or 0, limit=_PAGE)  # type: ignore[arg-type]
        place = (before or 0) + _PAGE
        following = paging.seal([place], viewer=viewer.partner_id, scope=asked.scope) if sorted_.more else ""
        return sorted_.statements, following, sorted_.counted
    found = reading.newest(viewer, asked.selection, before=before, limit=_PAGE)
    following = paging.seal([found.reached], viewer=viewer.partner_id, scope=asked.scope) if found.more else ""
    return found.statements, following, None


def _place(asked: Asked, viewer: Viewer) -> int | None:
    """The place to go on from. A cursor of another question, as an old bookmark has, begins at the top."""
    if not asked.cursor:
        return None
    try:
        return int(paging.unseal(asked.cursor, viewer=viewer.partner_id, scope=asked.scope)[0])
    except Malformed:
        return None


def _narrowest(viewer: Viewer, asked: Asked) -> tuple[tuple[chips.Chip, int, bool] | None, bool]:
    """Of a filter that lets nothing through the part without which most would be there, and how many. One query.

    Of few of the newest alone. The second value tells whether it is known that there is nothing without any of them.
    """
    parts = chips.chips(asked.shown.tree)
    if not 1 <= len(parts) <= _MOST_PARTS:
        return None, False
    shown = [filters.Filter(chips.without(asked.shown.tree, part.place)) for part in parts]
    there = listing.counted_each(viewer, [replace(asked, shown=one).selection for one in shown])
    part, most = max(zip(parts, there, strict=True), key=lambda one: one[1].count)
    if most.count:
        return (part, most.count, most.cut), False
    return None, not any(one.cut for one in there)


_MOST_PARTS = 6


def _kind_address(asked: Asked, kind: str) -> str:
    """Where only this kind is listed, or every kind again."""
    only = filters.Filter.of(kinds=(kind,)).tree
    return replace(asked, shown=filters.Filter(chips.toggled(asked.shown.tree, only)), cursor="").address()


def _sorts(asked: Asked) -> dict[str, dict[str, str]]:
    """By column what sorts by it, the other way round where it does already; the log's order is the newest first."""
    found = {
        "added": {"sort": "-added", "label": str(looks.COLUMNS["added"]), "aria": "" if asked.sort else "descending"}
    }
    for name in listing.ORDERS:
        now = name == asked.sort
        down = not asked.down if now else name not in {"subkind", "left"}
        found[name] = {
            "sort": f"{'-' if down else ''}{name}",
            "label": str(looks.COLUMNS.get(name, gettext("Subkind"))),
            "aria": ("descending" if asked.down else "ascending") if now else "",
        }
    return found


@require_POST
@page
def news(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """How many have come that fit, since the list was made; no content while none has."""
    asked = asking.read(request, viewer)
    try:
        since = int(paging.unseal(request.POST.get("state", ""), viewer=viewer.partner_id, scope="portal-new")[0])
    except Malformed:
        return HttpResponse(status=204)
    if asked.problem:
        return HttpResponse(status=204)
    found = reading.page(viewer, asked.selection, after=since, limit=_NEWS, with_bodies=False)
    if not found.statements:
        return HttpResponse(status=204)
    return show(request, viewer, "indicators/new.html", here="indicators", count=len(found.statements), more=found.more)


@require_safe
@page
def tallies(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """How many each saved view holds, for tabs asked for once the page is there. Three queries."""
    views = [view for view in asking.views(viewer, None) if not view.more]
    counts = listing.tallied(viewer, [view.filter for view in views])
    return show(request, viewer, "indicators/tallies.html", here="indicators", counts=counts)


@require_POST
@page
def save_view(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """Save the filter as a feed: the same object is a view here, a list for agents and a collection for TAXII."""
    asked = asking.read(request, viewer)
    if asked.problem:
        messages.error(request, str(asked.problem.detail))
        return redirect("indicators")
    try:
        feed = subscribing.save_feed(viewer, name=request.POST.get("name", ""), filter_json=asked.shown.to_json())
    except ExchangeError as refused:
        messages.error(request, refused.detail)
        return HttpResponseRedirect(asked.address() or reverse("indicators"))
    messages.success(
        request, gettext("“{name}” is saved: a view here, and a feed for your systems.").format(name=feed.name)
    )
    return HttpResponseRedirect(f"{reverse('indicators')}?{urlencode({'view': feed.pk})}")


@require_POST
@page
def look(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """Choose columns and density, for this browser."""
    asked = asking.read(request, viewer)
    response = HttpResponseRedirect(asked.address() or reverse("indicators"))
    looks.write(request, response)
    return response


@require_safe
@page
def bundle(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """The same question answered whole, as a STIX bundle; or every version under one id, with what it names."""
    ids = Parameters(request, known=(*asking.KNOWN, "id")).words("id")
    asked = asking.read(request, viewer, also=("id",))
    if asked.problem:
        raise Refused(asked.problem.detail, code=asked.problem.code, at="/filter")
    wanted = Selection(stix_ids=ids, versions="all") if ids else asked.selection
    return StreamingHttpResponse(
        exporting.bundle(viewer, wanted, referenced=bool(ids), surface="portal:bundle"),
        content_type=exporting.MEDIA_TYPE,
        headers={"Content-Disposition": 'attachment; filename="bundle.json"'},
    )


@require_safe
@page
def matches(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Values that objects of two or more sources carry which the viewer may see; of ours alone (`show=ours`)."""
    asked = Parameters(request, known=("cursor", "show"))
    ours = asked.choice("show", "", of=("", "ours")) == "ours"
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
        shared=[one for one in found.matches if not ours or one.has(viewer.partner_id)],
        ours=ours,
        following=f"{request.path}?{urlencode({'cursor': cursor} | ({'show': 'ours'} if ours else {}))}"
        if cursor
        else "",
        first=not asked.text("cursor"),
    )


def _before_match(cursor: str, *, viewer: Viewer) -> matching.Before | None:
    """The same among matches."""
    if not cursor:
        return None
    try:
        seq, value_id = paging.unseal(cursor, viewer=viewer.partner_id, scope=_MATCHES)
        return int(seq), UUID(str(value_id))
    except Malformed:
        return None


def _export(asked: Asked) -> str:
    """Where the same question is answered as a bundle; empty where a searched value would stand in the address."""
    address: Any = asked.address()
    return f"{reverse('indicators-bundle')}?{address.partition('?')[2]}" if address else ""
