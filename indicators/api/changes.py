"""Follow: the delta feed, and flat blocklists."""

from __future__ import annotations

import time

from django.http import FileResponse, HttpRequest, HttpResponse
from django.utils.http import parse_etags
from drf_spectacular.utils import OpenApiParameter, OpenApiTypes, extend_schema

from exchange import paging, waiting
from exchange.errors import Gone, Malformed
from exchange.parameters import Parameters
from indicators.api import rendering
from indicators.api.deltas import feed_word
from indicators.api.documents.changes import ChangesPage
from indicators.feeds import blocklists, deltas, filters
from indicators.feeds.filters import EVERYTHING, Filter
from indicators.log import changes, waking
from indicators.telling import subscribing
from partners.api.base import Face, Request, viewer_of, written
from partners.log import reads
from partners.viewer import Viewer

_LIMIT = 5_000
_MAX_WAIT_S = 25


class ChangesView(Face):
    """The delta feed."""

    known = (*rendering.FILTER_NAMES, "cursor", "limit", "feed", "wait")

    @extend_schema(
        operation_id="changes",
        parameters=[
            OpenApiParameter("cursor", description="From the last answer; without it, from the beginning."),
            OpenApiParameter("limit", {"type": "integer", "minimum": 1, "maximum": _LIMIT, "default": 1_000}),
            OpenApiParameter("feed", OpenApiTypes.UUID, description="A feed of yours; without it, everything."),
            *rendering.FILTER_PARAMETERS,
            OpenApiParameter("min_confidence", {"type": "integer", "minimum": 0, "maximum": 100}),
            OpenApiParameter(
                "wait",
                {"type": "integer", "minimum": 0, "maximum": _MAX_WAIT_S, "default": 0},
                description="Seconds to wait for something new.",
            ),
        ],
        responses=ChangesPage,
    )
    def get(self, request: Request) -> HttpResponse:
        """What is to be applied after `cursor`, in order. Apply, keep the new cursor, come back."""
        viewer = viewer_of(request)
        asked = self.asked
        wanted = wanted_of(viewer, asked)
        scope = f"changes;{wanted.scope}"
        after, fresh = place_in(viewer, asked, scope=scope, cursor=asked.text("cursor"))
        limit = asked.number("limit", 1_000, least=1, most=_LIMIT)
        wait_s = asked.number("wait", 0, least=0, most=_MAX_WAIT_S)
        span = _next(request, wanted, after=after, limit=limit, fresh=fresh, wait_s=wait_s)
        # Where nothing is new, the cursor that came goes back byte for byte, and so does the ETag.
        given = asked.text("cursor")
        stays = given and span.reached == after
        cursor = given if stays else paging.seal([span.reached, fresh], viewer=viewer.partner_id, scope=scope)
        if span.changes:
            places = (span.changes[0].seq, span.changes[-1].seq)
            feed = str(asked.uuid("feed") or "")
            reads.tally(viewer, surface="rest:changes", objects=len(span.changes), feed=feed, places=places)
        return written(rendering.changes(span.changes, cursor=cursor, more=span.more))


class BlocklistView(Face):
    """A flat list."""

    known = (*rendering.FILTER_NAMES, "format")

    @extend_schema(
        operation_id="blocklist",
        parameters=[
            OpenApiParameter("format", enum=list(blocklists.MEDIA_TYPES)),
            *rendering.FILTER_PARAMETERS,
            OpenApiParameter("min_confidence", {"type": "integer", "minimum": 0, "maximum": 100}),
        ],
        responses={(200, media.partition(";")[0]): OpenApiTypes.STR for media in blocklists.MEDIA_TYPES.values()},
    )
    def get(self, request: Request, feed: str) -> HttpResponse | FileResponse:
        """Every live value of a feed (or of `all`), sorted, each once. An ETag makes a repeated pull cheap."""
        viewer, feed = viewer_of(request), feed_word(feed)
        asked = self.asked
        form = asked.choice("format", "text", of=blocklists.MEDIA_TYPES)
        wanted = deltas.feed_of(viewer, feed).within(filters.from_address(viewer, asked))
        return sent_list(request, viewer, wanted, feed=feed, form=form)


def sent_list(
    request: HttpRequest, viewer: Viewer, wanted: Filter, *, feed: str, form: str
) -> HttpResponse | FileResponse:
    """The answer that holds a list, or says that its caller holds it already. Who read it is tallied."""
    spooled = blocklists.spool(viewer, wanted, form=form)
    headers = {"ETag": spooled.etag, "Cache-Control": "private, no-cache", "Vary": "Authorization, Accept-Encoding"}
    if _is_held(request, spooled.etag):
        spooled.file.close()
        return HttpResponse(status=304, headers=headers)
    reads.tally(viewer, surface="rest:blocklist", objects=spooled.entries, feed="" if feed == "all" else feed)
    return FileResponse(spooled.file, content_type=blocklists.MEDIA_TYPES[form], headers=headers)


def wanted_of(viewer: Viewer, asked: Parameters) -> Filter:
    """The filter of a request that follows: a feed of the viewer's, narrowed.

    Raises NotFound for anybody else's, Refused for one that cannot be followed.
    """
    feed_id = asked.uuid("feed")
    base = subscribing.filter_of(subscribing.own_feed(viewer, feed_id)) if feed_id else EVERYTHING
    return base.within(filters.from_address(viewer, asked)).followable()


def _is_held(request: HttpRequest, etag: str) -> bool:
    """Whether the caller holds this very list (RFC 9110 §13.1.2: compared weakly)."""
    held = parse_etags(request.headers.get("If-None-Match", ""))
    return "*" in held or etag in {tag.removeprefix("W/") for tag in held}


def place_in(viewer: Viewer, asked: Parameters, *, scope: str, cursor: str) -> tuple[int, int]:
    """As `position`. Raises Gone for what cannot be read as a cursor where the feed was changed once."""
    try:
        return position(cursor, viewer=viewer, scope=scope)
    except Malformed:
        feed_id = asked.uuid("feed")
        if feed_id and subscribing.own_feed(viewer, feed_id).changed_at:
            raise selects_otherwise() from None
        raise


def selects_otherwise() -> Gone:
    """What is raised for who follows a feed whose filter was changed."""
    return Gone("This feed selects something else by now. Start over without a cursor.", code="start-over")


def position(cursor: str, *, viewer: Viewer, scope: str) -> tuple[int, int]:
    """Where the reader stands, and up to where it is a beginner that holds nothing to remove."""
    if not cursor:
        return 0, changes.own_end(viewer)
    after, fresh = paging.unseal(cursor, viewer=viewer.partner_id, scope=scope)
    return int(after), int(fresh)


def _next(request: Request, wanted: Filter, *, after: int, limit: int, fresh: int, wait_s: int) -> changes.Span:
    """The next stretch; where it is empty, raises NotYet, so that the view is called again with what is new.

    Who waits is asked again who they are, at every wake-up and every few seconds, since the whole view is called
    again: a key that is revoked meanwhile is told nothing more, and what its groups are now decides what it sees.
    """
    waited: waking.Wait | None = waiting.waited(request)
    now = time.monotonic()
    deadline = waited.deadline if waited else now + wait_s
    over = now >= deadline or waiting.has_waited_enough(request)
    if waited and not over and not waited.is_woken():
        raise waiting.NotYet(waited.again())
    heard = waking.LISTENER.told
    start = waited.after if waited else after
    span = changes.since(
        viewer_of(request), wanted, after=start, limit=limit, fresh_until=fresh, max_bytes=rendering.MAX_PAGE_BYTES
    )
    if span.changes or over:
        return span
    raise waiting.NotYet(waking.for_page(heard=heard, deadline=deadline, after=span.reached))
