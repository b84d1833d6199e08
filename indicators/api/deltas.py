"""Follow, provably: the delta of a feed, and what its subscribers say they applied (docs/delta.md)."""

from __future__ import annotations

import time
from functools import partial
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter, OpenApiTypes, extend_schema

from exchange import waiting
from exchange.errors import NotFound
from indicators.api import requests
from indicators.api.documents.changes import ReceiptAnswer
from indicators.feeds import deltas, receipts, together
from indicators.log import waking
from partners.api.base import Face, Request, answer, viewer_of
from partners.log import reads

_MEDIA_TYPE = "application/x-ndjson"
_LIMIT = 5_000
_MAX_WAIT_S = 25


class DeltaView(Face):
    """The delta of a feed."""

    known = ("cursor", "limit", "wait")

    @extend_schema(
        operation_id="delta",
        parameters=[
            OpenApiParameter("cursor", description="From the last page whose trailer was verified."),
            OpenApiParameter("limit", {"type": "integer", "minimum": 1, "maximum": _LIMIT, "default": 1_000}),
            OpenApiParameter(
                "wait",
                {"type": "integer", "minimum": 0, "maximum": _MAX_WAIT_S, "default": 0},
                description="Seconds to wait for something new.",
            ),
        ],
        responses={(200, _MEDIA_TYPE): OpenApiTypes.STR},
    )
    def get(self, request: Request, feed: str) -> HttpResponse:
        """A page: a row a line, removes first, and a trailer that proves it. Without the trailer, discard it."""
        viewer, asked, feed = viewer_of(request), self.asked, feed_word(feed)
        wanted = deltas.feed_of(viewer, feed)
        limit = asked.number("limit", 1_000, least=1, most=_LIMIT)
        wait_s = asked.number("wait", 0, least=0, most=_MAX_WAIT_S)
        waited: waking.Wait | None = waiting.waited(request)
        now = time.monotonic()
        deadline = waited.deadline if waited else now + wait_s
        over = now >= deadline or waiting.has_waited_enough(request)
        if waited and not over and not waited.is_woken():
            raise waiting.NotYet(waited.again())
        heard, cursor = waking.LISTENER.told, asked.text("cursor")
        woken = waited is not None and not over
        read = partial(deltas.page, viewer, wanted, feed=feed, cursor=cursor, limit=limit, woken=woken)
        if wait_s and cursor:  # a page of a moment ago will do: what came since wakes who waits
            found = together.page(viewer, wanted, feed=feed, cursor=cursor, limit=limit, heard=heard, read=read)
        else:
            found = read()
        if not found.rows and not found.more and not over and cursor:
            raise waiting.NotYet(waking.for_page(heard=heard, deadline=deadline))
        if found.rows:
            reads.tally(viewer, surface="rest:delta", objects=found.rows, feed="" if feed == "all" else feed)
        headers = {"Cache-Control": "no-store"}
        return HttpResponse(found.body, content_type=_MEDIA_TYPE, headers=headers)


class AcksView(Face):
    """What a subscriber's instances say they applied."""

    @extend_schema(operation_id="ack", request=requests.ReceiptWish, responses=ReceiptAnswer)
    def post(self, request: Request, feed: str) -> HttpResponse:
        """Say what an instance has applied; answered with whether its set hash is the exchange's."""
        viewer, feed = viewer_of(request), feed_word(feed)
        wanted = deltas.feed_of(viewer, feed)
        said = requests.ReceiptWish.read(request)
        return answer({"equal": receipts.take(viewer, wanted, feed=feed, said=said)})


def feed_word(word: str) -> str:
    """The id of a feed in its one spelling, however it was typed, or `all`. Raises NotFound."""
    if word == "all":
        return word
    try:
        return str(UUID(word))
    except ValueError:
        raise NotFound from None
