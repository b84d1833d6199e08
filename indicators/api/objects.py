"""Read: objects, single ids, and matches."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from drf_spectacular.utils import OpenApiParameter, OpenApiTypes, extend_schema

from exchange import formats, paging
from exchange.errors import Refused
from exchange.parameters import Parameters
from indicators import matching, reading
from indicators.api import rendering, requests
from indicators.api.documents.matches import MatchesPage
from indicators.api.documents.objects import LookedUp, ObjectsPage, Statements
from indicators.feeds import filters
from indicators.reading import exporting
from indicators.reading.selecting import Selection
from indicators.stix import conformance
from indicators.telling import subscribing
from partners.api.base import Face, Request, answer, viewer_of
from partners.viewer import Viewer

_JSON = "application/json"
_STIX = ("application/stix+json;version=2.1", "application/stix+json")
_VARY = {"Vary": "Accept"}
_LIMIT = 1_000
_FILTERS = (*rendering.FILTER_NAMES, "q", "mine", "mark", "unmarked")
_PAGE = ("cursor", "limit")
_PAGING = [
    OpenApiParameter("cursor", description="`next` of the last page; without it, the first page."),
    OpenApiParameter("limit", {"type": "integer", "minimum": 1, "maximum": _LIMIT, "default": 100}),
]
_PARAMETERS = [
    *rendering.FILTER_PARAMETERS,
    OpenApiParameter("min_confidence", {"type": "integer", "minimum": 0, "maximum": 100}),
    OpenApiParameter("q", description="Words of a title or an id, or how they begin; or a whole value."),
    OpenApiParameter("mine", bool, description="Only what your own partner published."),
    OpenApiParameter("mark", description="Codes of marks: only objects that break STIX 2.1 in one of these ways."),
    OpenApiParameter("unmarked", bool, description="Only objects that keep to STIX 2.1."),
    *_PAGING,
]


def selection(viewer: Viewer, asked: Parameters) -> Selection:
    """What the query selects. Raises Refused naming the parameter."""
    wanted = filters.from_address(viewer, asked)
    asked.narrowing(("q", "mark"))
    marks = asked.words("mark")
    if not set(marks) <= set(conformance.WORDS):
        raise Refused("There is no such mark.", code="unknown-mark", at="/mark")
    return Selection(
        filter=wanted, own=asked.flag("mine"), words=asked.text("q"), marks=marks, unmarked=asked.flag("unmarked")
    )


def scope_of(surface: str, wanted: Selection) -> str:
    """What a cursor of this surface and selection is bound to."""
    marked = f"marks={wanted.marks};unmarked={wanted.unmarked}"
    return f"{surface};own={wanted.own};words={wanted.words};{marked};{wanted.filter.scope}"


class ObjectsView(Face):
    """Objects, newest first."""

    known = (*_FILTERS, *_PAGE)

    @extend_schema(operation_id="objects", parameters=_PARAMETERS, responses=ObjectsPage)
    def get(self, request: Request) -> HttpResponse:
        """A page of the newest versions that the caller may see."""
        viewer = viewer_of(request)
        asked = self.asked
        wanted = selection(viewer, asked)
        scope = scope_of("objects", wanted)
        before = _before(asked, viewer=viewer, scope=scope)
        limit = asked.number("limit", 100, least=1, most=_LIMIT)
        page = reading.newest(viewer, wanted, before=before, limit=limit, max_bytes=rendering.MAX_PAGE_BYTES)
        following = paging.seal([page.reached], viewer=viewer.partner_id, scope=scope) if page.more else None
        reading.note(viewer, page.statements, surface="rest:objects")
        return answer({"objects": [rendering.statement(said) for said in page.statements], "next": following})


_EXPORTED = (*_FILTERS, "feed", "id", "versions")
_EXPORT_PARAMETERS = [
    *_PARAMETERS[: -len(_PAGING)],
    OpenApiParameter("feed", OpenApiTypes.UUID, description="A feed of yours, which the others narrow."),
    OpenApiParameter("id", description="Ids of objects, separated by commas."),
    OpenApiParameter("versions", enum=["last", "all"]),
]


def _exported(viewer: Viewer, asked: Parameters) -> Selection:
    """What a bundle or another export holds. Raises Refused naming the parameter."""
    wanted = selection(viewer, asked)
    feed_id = asked.uuid("feed")
    if feed_id is not None:
        feed = subscribing.filter_of(subscribing.own_feed(viewer, feed_id))
        wanted = replace(wanted, filter=feed.within(wanted.filter))
    asked.narrowing(("id",))
    versions: Any = asked.choice("versions", "last", of=("last", "all"))
    return replace(wanted, stix_ids=asked.words("id"), versions=versions)


class BundleView(Face):
    """A selection as a STIX bundle."""

    known = (*_EXPORTED, "referenced")

    @extend_schema(
        operation_id="bundle",
        parameters=[
            *_EXPORT_PARAMETERS,
            OpenApiParameter(
                "referenced", bool, description="With the identities, markings and extensions that it names."
            ),
        ],
        responses={(200, exporting.MEDIA_TYPE): OpenApiTypes.OBJECT},
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        """Everything that fits, oldest first, as one streamed STIX bundle: the publishers' exact bytes side by side."""
        viewer, asked = viewer_of(request), self.asked
        return StreamingHttpResponse(
            exporting.bundle(viewer, _exported(viewer, asked), referenced=asked.flag("referenced")),
            content_type=exporting.MEDIA_TYPE,
            headers={"Content-Disposition": 'attachment; filename="bundle.json"'},
        )


class ExportView(Face):
    """A selection in another format."""

    known = (*_EXPORTED, "format", "losses")

    @extend_schema(
        operation_id="export",
        parameters=[
            OpenApiParameter("format", enum=sorted(formats.FORMS), required=True),
            OpenApiParameter("losses", bool, description="In its place what it loses or changes, a line of JSON each."),
            *_EXPORT_PARAMETERS,
        ],
        responses={
            (200, _JSON): OpenApiTypes.OBJECT,
            **{(200, media): OpenApiTypes.STR for media in ("application/x-ndjson", "text/csv", "text/plain")},
        },
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        """The indicators of ours that fit, oldest first, as a MISP collection, NOVA rules or a CSV table, streamed.

        Other objects have no place there. With `losses`, each is told by its id and a stable code, never with a value.
        """
        viewer, asked = viewer_of(request), self.asked
        form = asked.choice("format", "", of=sorted(formats.FORMS))
        wanted = _exported(viewer, asked)
        if asked.flag("losses"):
            return StreamingHttpResponse(exporting.losses(viewer, wanted, form), content_type="application/x-ndjson")
        return StreamingHttpResponse(
            exporting.converted(viewer, wanted, form),
            content_type=formats.FORMS[form][1],
            headers={"Content-Disposition": f'attachment; filename="{_FILES[form]}"'},
        )


_FILES = {"csv": "indicators.csv", "misp": "misp.json", "nova": "rules.nov"}


class ObjectView(Face):
    """One id."""

    known = ("versions",)

    @extend_schema(
        operation_id="object",
        parameters=[OpenApiParameter("versions", enum=["last", "all"])],
        responses={(200, _JSON): Statements, (200, _STIX[0]): OpenApiTypes.OBJECT},
    )
    def get(self, request: Request, stix_id: str) -> HttpResponse:
        """What each publisher says under this id; equal bytes are merged into one statement.

        Asked for `application/stix+json;version=2.1`, it answers the exact bytes of the first statement alone.
        """
        viewer = viewer_of(request)
        versions: Any = self.asked.choice("versions", "last", of=("last", "all"))
        if "\0" in stix_id:
            raise Refused("Not an identifier.", code="bad-id", at="/id")
        found = reading.said(viewer, stix_id, versions=versions)
        reading.note(viewer, found, surface="rest:object")
        if _wants_stix(request):
            return HttpResponse(found[0].body, content_type=_STIX[0], headers=_VARY)
        return answer({"statements": rendering.merged(found)}, headers=_VARY)


class LookupView(Face):
    """Many ids."""

    asks_again = True

    @extend_schema(operation_id="lookup", request=requests.Lookup, responses=LookedUp)
    def post(self, request: Request) -> HttpResponse:
        """What each publisher says under each of these ids; an id that is not answered is absent, or not to be seen."""
        ids = list(dict.fromkeys(requests.Lookup.read(request)["ids"]))
        viewer = viewer_of(request)
        found = reading.looked_up(viewer, ids, max_bytes=rendering.MAX_PAGE_BYTES)
        handed_out = [said for statements in found.values() for said in statements]
        reading.note(viewer, handed_out, surface="rest:lookup")
        return answer(
            {"objects": [rendering.found(stix_id, held) for stix_id in ids if (held := found.get(stix_id.lower()))]}
        )


class MatchesView(Face):
    """What partners have in common."""

    known = (*_PAGE, "since")

    @extend_schema(
        operation_id="matches",
        parameters=[
            *_PAGING,
            OpenApiParameter("since", description="From an earlier answer: what was found after it, oldest first."),
        ],
        responses=MatchesPage,
    )
    def get(self, request: Request) -> HttpResponse:
        """Values that objects of two or more sources carry which the caller may see; each once, newest first.

        With `since`, each time that an object comes to such a value: follow it as you follow `/changes`.
        """
        viewer, limit = viewer_of(request), self.asked.number("limit", 100, least=1, most=_LIMIT)
        if self.asked.text("since"):
            return answer(_matches_since(viewer, self.asked.text("since"), limit=limit))
        cursor = self.asked.text("cursor")
        before = _unseal_before(viewer, cursor) if cursor else None
        found = matching.newest(viewer, before=before, limit=limit)
        following = _seal(viewer, "matches", found.before[0], str(found.before[1])) if found.before else None
        since = None if cursor else _seal(viewer, "matches-since", found.end)
        matches = [rendering.match(each) for each in found.matches]
        return answer({"matches": matches, "next": following, "more": following is not None, "since": since})


def _matches_since(viewer: Viewer, cursor: str, *, limit: int) -> dict[str, Any]:
    """A page forwards; `next` is where it goes on now, `since` where once there is something new."""
    (after,) = paging.unseal(cursor, viewer=viewer.partner_id, scope="matches-since")
    found = matching.since(viewer, after=int(after), limit=limit)
    here = _seal(viewer, "matches-since", found.reached) if found.reached != int(after) else cursor
    matches = [rendering.match(each) for each in found.matches]
    return {"matches": matches, "next": None, "more": found.more, "since": here}


def _seal(viewer: Viewer, scope: str, *place: int | str) -> str:
    return paging.seal(list(place), viewer=viewer.partner_id, scope=scope)


def _unseal_before(viewer: Viewer, cursor: str) -> matching.Before:
    seq, value_id = paging.unseal(cursor, viewer=viewer.partner_id, scope="matches")
    return int(seq), UUID(str(value_id))


def _wants_stix(request: HttpRequest) -> bool:
    """Whether the bytes alone are wanted; a client that does not name them is spared the reading of what it accepts."""
    accepted = request.META.get("HTTP_ACCEPT", "")
    return "stix" in accepted.lower() and request.get_preferred_type((_JSON, *_STIX)) in _STIX


def _before(asked: Parameters, *, viewer: Viewer, scope: str) -> int | None:
    cursor = asked.text("cursor")
    return int(paging.unseal(cursor, viewer=viewer.partner_id, scope=scope)[0]) if cursor else None
