"""Follow, as server-sent events: hints that something changed, as it happens. Content is fetched from `/changes`.

An open stream holds neither a thread nor a database connection while nothing happens (ADR 0026). Whose it is is asked
again at every wake-up and about once a second, so that a key which is revoked meanwhile is told nothing more.
"""

from __future__ import annotations

import time
from collections.abc import Generator

import orjson
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from django.http import HttpResponse, StreamingHttpResponse
from drf_spectacular.utils import OpenApiParameter, OpenApiTypes, extend_schema
from psycopg_pool import PoolTimeout

from exchange import incarnation, paging
from exchange.errors import ExchangeError, TooMany
from exchange.web.shares import Share
from indicators import changes, waking
from indicators.api.changes import position, wanted_of
from indicators.api.documents import EventDocument
from indicators.feeds.filters import Filter
from partners.api.base import Face, Request, again, viewer_of
from partners.sharing import Viewer

_MEDIA_TYPE = "text/event-stream"
#: A stream ends then, and its reader comes back.
LONGEST_S = 300.0
#: A comment this often, so that proxies see life, and a reader that left is noticed.
_HEARTBEAT_S = 5.0
#: However many changes come, a stream looks no oftener.
_PAUSE_S = 0.05
_RETRY_MS = 1_000
_MAX_CHANGES = 100
_MAX_BYTES = 1_048_576  # of bodies that are read and not told


#: Open streams of this process, by partner.
STREAMS = Share(settings.STREAMS_PER_PROCESS)


class EventsView(Face):
    """A stream of hints."""

    known = ("cursor", "feed", "kind", "type")

    @extend_schema(
        operation_id="events",
        parameters=[
            OpenApiParameter("cursor", description="Begin after this place, of `/changes` or of an event."),
            OpenApiParameter("feed", OpenApiTypes.UUID, description="A feed of yours; without it, everything."),
            OpenApiParameter("kind", description="Kinds of indicators, separated by commas."),
            OpenApiParameter("type"),
            OpenApiParameter("Last-Event-ID", location="header", description="Where a stream broke off."),
        ],
        responses={(200, _MEDIA_TYPE): EventDocument},
    )
    def get(self, request: Request) -> HttpResponse | StreamingHttpResponse:
        """Hints as they happen, from now on or from a cursor; each event's id is the cursor after it."""
        viewer = viewer_of(request)
        wanted = wanted_of(viewer, self.asked)
        scope = f"changes;{wanted.scope}"
        given = request.headers.get("Last-Event-ID", "").strip() or self.asked.text("cursor")
        after, fresh = position(given, viewer=viewer, scope=scope) if given else (changes.head(), 0)
        headers = {"X-Accel-Buffering": "no"}
        if request.method == "HEAD":
            return HttpResponse(content_type=_MEDIA_TYPE, headers=headers)
        if not STREAMS.take(viewer.partner_id):
            raise TooMany("Too many streams are open. Follow by /changes.", code="too-many-streams", retry_after_s=5)
        stream = _Stream(request, wanted, viewer=viewer, after=after, fresh=fresh)
        response = StreamingHttpResponse(stream, content_type=_MEDIA_TYPE, headers=headers)
        response.steps = stream  # type: ignore[attr-defined]
        return response


class _Stream:
    """The bytes of one stream, and its place among those who wait, given back once, however the stream ends."""

    def __init__(self, request: Request, wanted: Filter, *, viewer: Viewer, after: int, fresh: int) -> None:
        self._whose = viewer.partner_id
        self._open = True
        self._events = _events(request, wanted, viewer=viewer, after=after, fresh=fresh)

    def __iter__(self) -> _Stream:
        return self

    def __next__(self) -> bytes:
        """The next bytes, waited for in this thread."""
        while (step := self.step()) is not None:
            if isinstance(step, bytes):
                return step
            step.block()
        raise StopIteration

    def step(self) -> bytes | waking.Wait | waking.Pause | None:
        """The next bytes, or for what to wait before the next step; None at the end. Never waits."""
        try:
            return next(self._events, None)
        except BaseException:
            self.close()
            raise
        finally:
            _let_go()

    def close(self) -> None:
        """Called by the server when the reader is gone."""
        if self._open:
            self._open = False
            self._events.close()
            _let_go()
            STREAMS.give(self._whose)


def _events(
    request: Request, wanted: Filter, *, viewer: Viewer, after: int, fresh: int
) -> Generator[bytes | waking.Wait | waking.Pause, None, None]:
    """Until the time is up or the key no longer holds; then, too, the reader is told, and comes back to be refused."""
    scope = f"changes;{wanted.scope}"

    def cursor() -> str:
        return paging.seal([after, fresh], viewer=viewer.partner_id, scope=scope)

    lives = incarnation.current()
    yield b"retry: %d\n" % _RETRY_MS + _event("open", {}, cursor=cursor())
    said = time.monotonic()
    deadline, heard, look = said + LONGEST_S, 0, True
    try:
        while time.monotonic() < deadline:
            if look:
                heard = waking.LISTENER.heard
                span = changes.since(
                    viewer, wanted, after=after, limit=_MAX_CHANGES, fresh_until=fresh, max_bytes=_MAX_BYTES
                )
                incarnation.require(lives)  # another stream of this process may have seen the new one first
                after, look = span.reached, span.more
                if span.changes:
                    yield _event("change", _told(span), cursor=cursor())
                    said = time.monotonic()
                yield waking.Pause(_PAUSE_S)
            if not look:
                yield waking.Wait(heard, deadline=deadline)
                look = waking.LISTENER.heard > heard
            viewer = again(request)
            if time.monotonic() - said >= _HEARTBEAT_S:
                yield b": still here\n\n"
                said = time.monotonic()
        yield _event("end", {"code": "time-is-up"}, cursor=cursor())
    except ExchangeError as error:
        yield _event("end", {"code": error.code})
    except (DatabaseError, PoolTimeout):
        yield _event("end", {"code": "unavailable"})


def _let_go() -> None:
    """Give the connection back before waiting, or before writing to a reader who may be slow."""
    if not connection.in_atomic_block:
        connection.close()


def _told(span: changes.Span) -> dict[str, object]:
    """The same as a webhook says: what happened to which ids."""
    told = [
        {"op": change.op, "reason": change.reason, "id": change.stix_id, "type": change.stix_type, "kind": change.kind}
        for change in span.changes
    ]
    return {"changes": told, "more": span.more}


def _event(name: str, data: dict[str, object], *, cursor: str = "") -> bytes:
    """One event (WHATWG HTML §9.2.6); JSON has no line break of its own."""
    place = f"id: {cursor}\n".encode() if cursor else b""
    return b"event: %s\n%sdata: %s\n\n" % (name.encode(), place, orjson.dumps(data))
