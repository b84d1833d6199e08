"""The way of a request: its head is read, it is let in or not, its body is read, it works, its answer is sent."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Hashable, Iterable
from functools import partial
from http import HTTPStatus
from typing import Any

from structlog import get_logger
from structlog.contextvars import clear_contextvars

from exchange import access_log
from exchange.web import connection as wire
from exchange.web import pieces
from exchange.web.connection import Connection, State
from exchange.web.dues import Dues
from exchange.web.files import FileWrapper, Region
from exchange.web.hooks import Hooks, Pause, Wait
from exchange.web.limits import Limits
from exchange.web.reading import Bad, Request
from exchange.web.shares import HEAVY_BYTES, Job, Stranger
from exchange.web.threads import LEFT, NOTHING, READ, WRITE, Threads

log = get_logger()

_PAUSE_S = 0.2
#: Times that one thread reads from a connection before others have their turn.
_READS = 16
_GZIP_RATIO = 8
_ENOUGH = "exchange.waited_enough"
_AMBIGUOUS = "This is no request that can be read in one way only."

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Server(Threads):
    """One process. `serve` returns once `stop` was called and what was under way is done."""

    def __init__(self, application: Application, hooks: Hooks, listener: socket.socket, limits: Limits) -> None:
        super().__init__(listener, limits)
        self._application, self._hooks = application, hooks
        self._name: tuple[str, int] = listener.getsockname()[:2]
        self._dues = Dues(limits)

    def _next(self, connection: Connection) -> int:
        """What is to be done with a connection on which something happened, or whose time is up."""
        state = connection.state
        if connection.until < time.monotonic() and state not in {State.WAITING, State.HELD, State.QUEUED}:
            return self._expired(connection)
        if state is State.READING:
            return self._read(connection)
        if state is State.SENDING:
            return self._send(connection)
        if state is State.LEAVING:
            return self._leave(connection) if connection.receive() == b"" else READ
        if state is State.WAITING:
            return self._leave(connection) if connection.has_left() else LEFT
        return NOTHING

    def _expired(self, connection: Connection) -> int:
        request = connection.request
        if connection.state is State.LEAVING or request is None:
            return self._leave(connection)
        if connection.moved >= self._limits.moved_bytes and (
            connection.state is State.SENDING or connection.is_let_in()
        ):
            self._window(connection)
            return WRITE if connection.state is State.SENDING else READ
        if connection.state is State.SENDING:
            log.info("web.not_read", bytes=connection.unread())
            return self._leave(connection)
        return self._refuse(connection, HTTPStatus.REQUEST_TIMEOUT, "The request did not arrive in time.")

    def _window(self, connection: Connection) -> None:
        """So much time for the next bytes."""
        connection.until, connection.moved = time.monotonic() + self._limits.moved_s, 0

    def _line_up(self, connection: Connection, step: Callable[[Connection], int], *, weight: int = 0) -> int:
        """Have `step` done in turn. To be followed by `_work_in_turn`."""
        self._turns.put(self._job(connection, step, weight=weight))
        return NOTHING

    def _job(self, connection: Connection, step: Callable[[Connection], int], *, weight: int = 0) -> Job:
        connection.state = State.QUEUED
        request = connection.request
        peer = request.peer if request else None
        if peer is None and request:
            peer = self._hooks.network(request.environ)
        return Job(peer, weight, partial(self._deal, connection, step))

    # Reading.

    def _read(self, connection: Connection) -> int:
        """What came, up to a MiB of it: the kernel is asked, and another thread woken, once for all of that."""
        for _ in range(_READS):
            request = connection.request
            if request is not None and request.peer is not None and not self._dues.may_read(connection, request):
                return self._hold(connection)
            data = connection.receive()
            if not data:
                return READ if data is None else self._leave(connection)
            events = self._take_in(connection, data)
            if events != READ or connection.state is not State.READING or len(data) < wire.RECEIVED_BYTES:
                return events
        return READ

    def _take_in(self, connection: Connection, data: bytes) -> int:
        request = connection.request
        try:
            connection.reader.feed(data)
            if request is None and connection.request is not None:  # empty lines alone begin none (RFC 9112 §2.2)
                connection.until, connection.moved = time.monotonic() + self._limits.head_s, len(data)
            return self._advance(connection)
        except Bad as bad:
            return self._refuse(connection, bad.status, _AMBIGUOUS)

    def _hold(self, connection: Connection) -> int:
        """Read no more of a body for now; time stands still for its sender."""
        connection.state = State.HELD
        connection.until -= time.monotonic()
        self._held[connection] = None
        return NOTHING

    def _go_on(self, connection: Connection) -> int:
        """Read on where there is room again."""
        request = connection.request
        if connection.state is not State.HELD or request is None or not self._dues.may_read(connection, request):
            return NOTHING
        self._held.pop(connection, None)
        connection.state = State.READING
        connection.until += time.monotonic()
        return READ

    def _advance(self, connection: Connection) -> int:
        """As far as what was read allows. Raises Bad."""
        request = connection.request
        if request is None:
            return READ
        if not request.head_complete:
            if connection.moved > self._limits.head_bytes:
                raise Bad(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            return READ
        if not request.environ:
            request.started = time.monotonic()
            request.make_environ(connection.address, self._name)
            if request.environ["PATH_INFO"] in self._hooks.at_once and request.method in {"GET", "HEAD"}:
                request.keep_alive = request.keep_alive and request.complete
                return self._run(connection)
        if request.peer is None:
            return self._admit(connection, request)
        return self._receive_body(connection, request)

    def _admit(self, connection: Connection, request: Request) -> int:
        """Let it in under the share of whom it is from, or not. Raises Bad."""
        peer = self._hooks.known(request.environ)
        if peer is None and not request.asked:
            request.asked = True
            return self._line_up(connection, self._ask)
        return self._let_in(connection, request, peer)

    def _ask(self, connection: Connection) -> int:
        request = connection.request
        assert request is not None
        try:
            return self._let_in(connection, request, self._hooks.ask(request.environ))
        except Bad as bad:
            return self._refuse(connection, bad.status, _AMBIGUOUS)

    def _let_in(self, connection: Connection, request: Request, peer: Hashable | None) -> int:
        whose = self._hooks.network(request.environ) if peer is None else peer
        if not self._dues.in_hand.take(whose):
            return self._refuse(
                connection,
                HTTPStatus.TOO_MANY_REQUESTS,
                "Too many requests of yours are under way.",
            )
        request.peer = whose
        connection.state = State.READING
        self._window(connection)
        most = self._hooks.most_bytes(request.environ, stranger=isinstance(whose, Stranger))
        if not request.complete and (request.announced() or 0) <= most and request.wants_100():
            connection.put(b"HTTP/1.1 100 Continue\r\n\r\n")
            connection.flush()
        return self._receive_body(connection, request)

    def _receive_body(self, connection: Connection, request: Request) -> int:
        stranger = isinstance(request.peer, Stranger)
        most = self._hooks.most_bytes(request.environ, stranger=stranger)
        if max(request.announced() or 0, request.size) > most:
            return self._too_large(connection, request, most=most)
        self._dues.note_read(request)
        if not request.complete:
            return READ
        packed = "gzip" in request.environ.get("HTTP_CONTENT_ENCODING", "")
        weight = request.size * (_GZIP_RATIO if packed else 1)
        if request.environ["PATH_INFO"] in self._hooks.aside:
            connection.state = State.QUEUED
            self._aside.put(partial(self._deal, connection, self._run))
            return NOTHING
        heavy = min(weight, self._limits.heavy_bytes) if weight >= HEAVY_BYTES else 0
        return self._line_up(connection, self._run, weight=heavy)

    def _too_large(self, connection: Connection, request: Request, *, most: int) -> int:
        if request.environ.get("HTTP_AUTHORIZATION") and isinstance(request.peer, Stranger):
            request.environ.pop("CONTENT_LENGTH", None)
            request.body, request.size, request.keep_alive = None, 0, False
            return self._line_up(connection, self._run)  # the application says what is wrong with the key
        detail = f"A request has at most {most} bytes, unpacked."
        return self._refuse(connection, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)

    # Working.

    def _run(self, connection: Connection) -> int:
        """Have the application answer."""
        request = connection.request
        assert request is not None
        if request.peer is not None and not self._dues.unread.may(request.peer):
            return self._wait(connection, Pause(_PAUSE_S), self._run)
        connection.state = State.RUNNING
        began: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
            began[:] = [(status, headers)]

        environ = request.with_body()
        environ["exchange.can_wait"] = True
        environ["wsgi.file_wrapper"] = FileWrapper
        result: Any = self._application(environ, start_response)
        if (later := getattr(result, "later", None)) is not None:
            result.close()
            return self._wait_if_may(connection, request, later)
        connection.results = result
        status, headers = int(began[0][0][:3]), began[0][1]
        if status == HTTPStatus.TOO_MANY_REQUESTS and not self._stopping.is_set():
            return self._answer_late(connection, request, headers)
        return self._begin_answer(connection, request, status, headers)

    def _answer_late(self, connection: Connection, request: Request, headers: list[tuple[str, str]]) -> int:
        """Whoever asks too often hears so a moment later, which is when they can ask again.

        To refuse costs nearly as much as to do: who repeats at once would take from others what the limit gives them.
        """
        result: Any = connection.results
        connection.results = [b"".join(result)]
        if callable(close := getattr(result, "close", None)):
            close()
        self._hooks.step_done()
        later = partial(self._begin_answer, request=request, status=HTTPStatus.TOO_MANY_REQUESTS, headers=headers)
        return self._wait(connection, Pause(self._limits.late_s), later)

    def _wait_if_may(self, connection: Connection, request: Request, wait: Wait) -> int:
        """Whoever has too many waits already is answered at once instead, and so is everybody at the end."""
        may = self._dues.may_wait(request)
        if (not may or self._stopping.is_set()) and not request.environ.get(_ENOUGH):
            request.environ[_ENOUGH] = True
            return self._line_up(connection, self._run)
        return self._wait(connection, wait, self._run)

    def _wait(self, connection: Connection, wait: Wait, step: Callable[[Connection], int]) -> int:
        """Do `step` in turn once something is heard, or the time is up; until then no thread is held."""

        def woken() -> None:
            if connection.woken is not woken:
                return
            with connection.lock:
                if connection.woken is not woken:
                    return
                connection.stop_waiting()
                job = self._job(connection, step)
            self._put_in_line(job)

        connection.state = State.WAITING
        connection.until = time.monotonic() + wait.timeout_s
        connection.woken, connection.wait = woken, wait
        if not wait.listen(woken):
            connection.stop_waiting()
            return self._line_up(connection, step)
        return LEFT

    # Answering.

    def _begin_answer(
        self, connection: Connection, request: Request, status: int, headers: list[tuple[str, str]]
    ) -> int:
        result = connection.results
        if self._stopping.is_set():
            request.keep_alive = False
        has_body, connection.chunked = wire.framing(request, status, headers)
        connection.left = wire.length(headers)
        if has_body and (source := pieces.of(result)) is not None:
            if connection.chunked:
                headers = [*headers, ("transfer-encoding", "chunked")]
            elif connection.left is None:
                request.keep_alive = False  # its end is the connection's
            connection.source = source
            connection.put(wire.head(status, headers, keep=request.keep_alive))
            return self._piece(connection)
        body = b"".join(result) if has_body else b""
        if has_body and connection.left not in {None, len(body)}:
            raise ValueError(pieces.MISCOUNTED)
        if connection.chunked:
            headers = [*headers, ("content-length", str(len(body)))]
        start = wire.head(status, headers, keep=request.keep_alive)
        if len(body) < wire.RECEIVED_BYTES:
            connection.put(start + body)
        else:
            connection.put(start)
            connection.put(body)
        connection.after_sending = partial(self._answered, connection)
        return self._send_first(connection)

    def _framed(self, connection: Connection, data: bytes) -> bytes:
        return wire.chunk(data) if connection.chunked and data else data

    def _piece(self, connection: Connection) -> int:
        """The next piece of an answer; a reader who is slow holds it, and no thread while it lies there."""
        source, request = connection.source, connection.request
        assert source is not None
        assert request is not None
        if not self._dues.unread.may(request.peer):
            return self._wait(connection, Pause(_PAUSE_S), self._piece)
        connection.state = State.RUNNING
        piece = pieces.next_of(source)
        self._hooks.step_done()
        if isinstance(piece, Region) and connection.chunked:
            piece = piece.read()
        if isinstance(piece, bytes | Region | None):
            pieces.count(connection, piece)
        if piece is None:
            connection.put(wire.chunk(b"") if connection.chunked else b"")
            connection.after_sending = partial(self._answered, connection)
        elif isinstance(piece, bytes | Region):
            connection.put(piece if isinstance(piece, Region) else self._framed(connection, piece))
            connection.after_sending = partial(self._line_up, connection, self._piece)
        else:
            return self._wait(connection, piece, self._piece)
        return self._send_first(connection)

    def _send_first(self, connection: Connection) -> int:
        connection.state = State.SENDING
        self._window(connection)
        events = self._send(connection)
        if connection.state is State.SENDING and events == WRITE and connection.request:
            self._dues.owe(connection, connection.request)
        return events

    def _send(self, connection: Connection) -> int:
        if not connection.flush():
            return WRITE
        self._dues.settle(connection)
        after, connection.after_sending = connection.after_sending, None
        return after() if after else self._leave(connection)

    def _answered(self, connection: Connection) -> int:
        """The answer is sent: go on with the next request, or part."""
        request = connection.request
        assert request is not None
        self._let_go(connection)
        if not request.keep_alive:  # else the answer did not say that it is the last, and the next may be on its way
            return self._part(connection, whole=request.complete)
        self._promised = time.monotonic()
        connection.state = State.READING
        within_s = self._limits.head_s if connection.request else self._limits.idle_s
        connection.until, connection.moved = time.monotonic() + within_s, 0
        try:
            return self._advance(connection)
        except Bad as bad:
            return self._refuse(connection, bad.status, _AMBIGUOUS)

    def _refuse(self, connection: Connection, status: HTTPStatus, detail: str) -> int:
        """Answer a request that the application is never to see, and part."""
        request = connection.request
        environ = request.environ if request else {}
        code, headers, body = self._hooks.refusal(environ, status, code=_CODES.get(status, "malformed"), detail=detail)
        path, method = str(environ.get("PATH_INFO", "")), request.method if request else ""
        clear_contextvars()
        access_log.note(method=method, path=path[:200], status=code, ms=0.0)
        whole = request.complete if request else True
        self._let_go(connection)
        connection.reader.requests.clear()
        connection.put(wire.head(code, headers, keep=False) + (b"" if method == "HEAD" else body))
        connection.after_sending = partial(self._part, connection, whole=whole)
        return self._send_first(connection)

    def _part(self, connection: Connection, *, whole: bool) -> int:
        """Close; where the client still sends, only after it had time to read what it was told."""
        if whole:
            return self._leave(connection)
        connection.state = State.LEAVING
        connection.until = time.monotonic() + self._limits.leaving_s
        connection.sock.shutdown(socket.SHUT_WR)
        return READ

    def _leave(self, connection: Connection) -> int:
        cut = connection.is_cut()
        try:
            self._let_go(connection)
        finally:
            self._held.pop(connection, None)
            if self._connections.get(connection.number) is connection:
                del self._connections[connection.number]
            connection.close(cut=cut)
        return NOTHING

    def _let_go(self, connection: Connection) -> None:
        """Give back what the request in hand held; its answer is closed, whether it was sent or not."""
        results, connection.results = connection.results, None
        connection.source = None
        connection.stop_waiting()
        self._dues.settle(connection)
        if connection.reader.requests:
            self._dues.give_back(connection, connection.reader.requests.popleft())
        if callable(close := getattr(results, "close", None)):
            close()
            self._hooks.step_done()


_CODES = {
    HTTPStatus.REQUEST_TIMEOUT: "too-slow",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "body-too-large",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "head-too-large",
    HTTPStatus.TOO_MANY_REQUESTS: "busy",
}
