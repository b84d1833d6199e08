"""Follow, as server-sent events: hints that something changed, as it happens. Content is fetched from `/changes`.

An open stream holds neither a thread nor a database connection while nothing happens (ADR 0026). Whose it is is asked
again at every wake-up, and every few seconds of one of the streams of a key, so that a key which is revoked meanwhile
is told nothing more. The streams of a process are woken together, and what the first of one key at the same place
finds, the others tell, too.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import orjson
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from django.http import HttpResponse, StreamingHttpResponse
from drf_spectacular.utils import OpenApiParameter, OpenApiTypes, extend_schema
from psycopg_pool import PoolTimeout

from exchange import incarnation, paging
from exchange.errors import ExchangeError, Gone, TooMany
from exchange.memory import Memory
from exchange.origins import origin_of
from exchange.parameters import Parameters
from exchange.web.shares import Share
from indicators.api import rendering
from indicators.api.changes import place_in, selects_otherwise, wanted_of
from indicators.api.documents.changes import EventDocument
from indicators.feeds import deltas, filters, hinting, proving
from indicators.feeds.filters import EVERYTHING, Filter
from indicators.log import changes, waking
from indicators.telling import concerning, subscribing
from partners.api.base import Face, Request, again, viewer_of
from partners.viewer import Viewer

_MEDIA_TYPE = "text/event-stream"
#: A stream ends then, and its reader comes back.
LONGEST_S = 300.0
#: A comment this often, to the nearest time when it is asked again who follows, so that proxies see life.
_HEARTBEAT_S = 15.0
#: A feed whose filter moves by itself is looked at so often where nothing wakes its stream.
_MOVES_S = 10.0
#: Between two events, where one does not tell all.
_PAUSE_S = 0.05
_RETRY_MS = 1_000
_MAX_CHANGES = 100
_MAX_BYTES = 1_048_576  # of bodies that are read and not told


#: How long, while nothing new is heard, streams of one key believe what one of them was told.
_TOGETHER_S = 0.3


@dataclass(frozen=True, slots=True)
class _Found:
    """What a look at the log found: an event, if there is something to tell, and where it ended."""

    event: bytes | None
    reached: int
    more: bool


#: Who keys stood for, and what their streams found, with when and after which wake-up that was asked.
_ASKED: Memory[Hashable, tuple[float, int, Viewer]] = Memory(most=512)
_FOUND: Memory[Hashable, tuple[float, int, _Found]] = Memory(most=512)
#: Of which keys a stream was last sent to ask, and when. The others leave it so long to it.
_SENT: Memory[Hashable, float] = Memory(most=512)
_LEFT_TO_IT_S = 1.0

#: Open streams of this process, by partner.
STREAMS = Share(settings.STREAMS_PER_PROCESS)


class EventsView(Face):
    """A stream of hints."""

    known = (*rendering.FILTER_NAMES, "cursor", "feed", "only")

    @extend_schema(
        operation_id="events",
        parameters=[
            OpenApiParameter("cursor", description="Begin after this place, of `/changes` or of an event."),
            OpenApiParameter("feed", OpenApiTypes.UUID, description="A feed of yours; without it, everything."),
            OpenApiParameter("only", enum=["yours"], description="Of these, what concerns your partner alone."),
            *rendering.FILTER_PARAMETERS,
            OpenApiParameter("Last-Event-ID", location="header", description="Where a stream broke off."),
        ],
        responses={(200, _MEDIA_TYPE): EventDocument},
    )
    def get(self, request: Request) -> HttpResponse | StreamingHttpResponse:
        """Hints as they happen, from now on or from a cursor; each event's id is the cursor after it."""
        viewer = viewer_of(request)
        wanted = _wanted(viewer, self.asked)
        given = request.headers.get("Last-Event-ID", "").strip() or self.asked.text("cursor")
        after, fresh = _begins(viewer, self.asked, wanted, given=given)
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
    lives = incarnation.current()
    asked = Parameters(request, known=EventsView.known)
    yield b"retry: %d\n" % _RETRY_MS + _event("open", b"{}", cursor=_cursor(viewer, asked, wanted, after, fresh))
    said = looked = time.monotonic()
    deadline, heard, look, woken = said + LONGEST_S, 0, True, False
    try:
        while time.monotonic() < deadline:
            if look:
                heard = waking.LISTENER.told
                found = _looked(request, wanted, after=after, fresh=fresh, heard=heard, woken=woken)
                incarnation.require(lives)  # another stream of this process may have seen the new one first
                after, look = found.reached, found.more
                looked = looked if woken else time.monotonic()
                if found.event is not None:
                    yield found.event
                    said = time.monotonic()
            if look:
                yield waking.Pause(_PAUSE_S)
            else:
                until = min(deadline, said + _HEARTBEAT_S, looked + _MOVES_S if wanted.moving else deadline)
                more = partial(_unasked_s, _credential(request), heard=heard, until=until)
                yield (wait := waking.Wait(heard, deadline=deadline, together=True, more=more))
                woken = not (wanted.moving and time.monotonic() - looked > _MOVES_S)
                look = wait.is_woken() or not woken
                if not look:
                    _asked(request, heard=heard)
            if time.monotonic() - said >= _HEARTBEAT_S:
                yield b": still here\n\n"
                said = time.monotonic()
        yield _event("end", b'{"code":"time-is-up"}', cursor=_cursor(viewer, asked, wanted, after, fresh))
    except ExchangeError as error:
        yield _event("end", orjson.dumps({"code": error.code}))
    except (DatabaseError, PoolTimeout):
        yield _event("end", b'{"code":"unavailable"}')


def _asked(request: Request, *, heard: int) -> None:
    """Ask again who asks, unless another stream of the same key did lately. Raises Unauthenticated."""
    _shared(_ASKED, _credential(request), heard=heard, within_s=waking.RECHECK_S, ask=lambda: again(request))


def _unasked_s(credential: Hashable, *, heard: int, until: float) -> float:
    """For how many seconds, at most until then, a stream may go on unasked: of its key another was asked, or is now."""
    now = time.monotonic()
    asked_at, after, _ = _ASKED.get(credential) or (0.0, heard, None)
    asked_until = asked_at + waking.RECHECK_S if after == heard else 0.0
    if (left_s := min(until, asked_until) - now) > 0 or until <= now:
        return left_s
    if (left_s := min(until, (_SENT.get(credential) or 0.0) + _LEFT_TO_IT_S) - now) > 0:
        return left_s
    _SENT.put(credential, now)
    return 0.0


def _looked(request: Request, wanted: Filter, *, after: int, fresh: int, heard: int, woken: bool) -> _Found:
    """What is new, or what another stream of the same key and filter just found from the same place on.

    Whoever looks asks first who asks. Raises Unauthenticated.
    """
    asked = Parameters(request, known=EventsView.known)
    feed, only_yours = str(asked.uuid("feed") or "all"), _only_yours(asked)

    def look() -> _Found:
        viewer = again(request)
        if feed != "all" and _wanted(viewer, asked).scope != wanted.scope:
            raise selects_otherwise()
        span = _news(viewer, asked, wanted, after=after, fresh=fresh, woken=woken)
        hints = concerning.hints(viewer, span.changes, only_yours=only_yours)
        if not hints:
            return _Found(None, span.reached, span.more)
        place = _cursor(viewer, asked, wanted, span.reached, fresh)
        told = orjson.dumps(_told(span, hints, feed=feed))
        return _Found(_event("change", told, cursor=place), span.reached, span.more)

    same = (_credential(request), wanted.scope, feed, only_yours, after, fresh, woken)
    return _shared(_FOUND, same, heard=heard, within_s=_TOGETHER_S, ask=look)


def _only_yours(asked: Parameters) -> bool:
    """Whether only what concerns the reader's partner is asked for. Raises Refused for another word."""
    return bool(asked.narrowing(("only",))) and asked.choice("only", "", of=("yours",)) == "yours"


def _wanted(viewer: Viewer, asked: Parameters) -> Filter:
    """The filter of a stream: as of whoever follows, or that of a feed which moves by itself, as it is saved.

    Raises NotFound, Refused.
    """
    feed_id, only_yours = asked.uuid("feed"), _only_yours(asked)
    if feed_id and not only_yours and filters.from_address(viewer, asked) == EVERYTHING:
        saved = subscribing.filter_of(subscribing.own_feed(viewer, feed_id))
        if saved.moving:
            return saved
    return wanted_of(viewer, asked)


def _begins(viewer: Viewer, asked: Parameters, wanted: Filter, *, given: str) -> tuple[int, int]:
    """A place in the log, and up to where its reader is a beginner; of a feed that moves, a place in a set, and which.

    Raises Malformed, Gone.
    """
    feed = asked.uuid("feed")
    if feed and wanted.moving:
        place = deltas.place_of(viewer, wanted, feed=str(feed), cursor=given) if given else None
        begun = hinting.caught_up(viewer, wanted, feed=feed)
        if place is not None and (place[0] != begun.pk or place[1] < begun.pruned):
            raise _begun_anew()
        return begun.place if place is None else place[1], begun.pk
    if given:
        return place_in(viewer, asked, scope=f"changes;{wanted.scope}", cursor=given)
    return changes.own_end(viewer), 0


def _news(viewer: Viewer, asked: Parameters, wanted: Filter, *, after: int, fresh: int, woken: bool) -> changes.Span:
    """What there is to tell after a place, with `fresh` as `_begins` returned it. Raises Gone."""
    if not wanted.moving:
        return changes.since(viewer, wanted, after=after, limit=_MAX_CHANGES, fresh_until=fresh, max_bytes=_MAX_BYTES)
    feed_set = proving.brought(viewer, wanted, feed=str(asked.uuid("feed")), woken=woken)
    if feed_set.pk != fresh:
        raise _begun_anew()
    return hinting.news(viewer, feed_set.pk, after=after, limit=_MAX_CHANGES)


def _begun_anew() -> Gone:
    return Gone("This feed was begun anew. Start over without a cursor.", code="start-over")


def _cursor(viewer: Viewer, asked: Parameters, wanted: Filter, after: int, fresh: int) -> str:
    """Of `/changes`; of a feed that moves by itself, of its delta."""
    if wanted.moving:
        return hinting.cursor(viewer, feed=str(asked.uuid("feed")), feed_set=fresh, place=after)
    return paging.seal([after, fresh], viewer=viewer.partner_id, scope=f"changes;{wanted.scope}")


def _credential(request: Request) -> Hashable:
    return hashlib.sha256(request.headers.get("Authorization", "").encode()).digest(), origin_of(request)


def _shared[Answer](
    known: Memory[Hashable, tuple[float, int, Answer]],
    key: Hashable,
    *,
    heard: int,
    within_s: float,
    ask: Callable[[], Answer],
) -> Answer:
    """What was answered after the same wake-up so short a while ago, or what is answered now."""
    now = time.monotonic()
    if (last := known.get(key)) is not None and last[1] == heard and now - last[0] < within_s:
        return last[2]
    answer = ask()
    known.put(key, (now, heard, answer))
    return answer


def _let_go() -> None:
    """Give the connection back before waiting, or before writing to a reader who may be slow."""
    if not connection.in_atomic_block:
        connection.close()


def _told(span: changes.Span, hints: Sequence[Mapping[str, object]], *, feed: str) -> dict[str, object]:
    """The same as a webhook says: what happened to which ids. The place is the event's id."""
    return {
        "feed": feed,
        "urgent": concerning.is_urgent(hints),
        "changes": hints,
        "more": span.more,
    }


def _event(name: str, data: bytes, *, cursor: str = "") -> bytes:
    """One event (WHATWG HTML §9.2.6); JSON has no line break of its own."""
    place = f"id: {cursor}\n".encode() if cursor else b""
    return b"event: %s\n%sdata: %s\n\n" % (name.encode(), place, data)
