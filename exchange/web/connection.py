"""One connection: its socket, the requests that came over it, and what is still to be sent. Nothing here waits."""

from __future__ import annotations

import select
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from email.utils import formatdate
from enum import Enum, auto
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from exchange.web.files import Region
from exchange.web.reading import Reader, Request

RECEIVED_BYTES = 65_536
_BODILESS = frozenset({204, 304})
_RESET = struct.pack("ii", 1, 0)  # close with RST, and keep nothing of what was not sent


class State(Enum):
    """What a connection is about; only one thread at a time deals with it."""

    READING = auto()
    HELD = auto()  # more of a body is there, but its sender holds much already
    QUEUED = auto()
    RUNNING = auto()
    SENDING = auto()
    WAITING = auto()  # for something to happen, or for time to pass
    LEAVING = auto()  # answered; what still comes is thrown away for a moment, so that the answer is read
    CLOSED = auto()


class Connection:
    """A client. `until` is when something must have happened (monotonic)."""

    __slots__ = (
        "_armed", "_arming", "_out", "address", "after_sending", "chunked", "events", "left", "lock", "moved",
        "number", "owed", "reader", "results", "sock", "source", "state", "until", "wait", "woken",
    )  # fmt: skip

    def __init__(self, sock: socket.socket, address: tuple[str, int], *, until: float) -> None:
        self.sock, self.address, self.number = sock, address, sock.fileno()
        self.lock = threading.Lock()
        self.reader = Reader()
        self.state, self.until = State.READING, until
        self.moved = 0  # bytes since `until` was set
        self.events = 0  # what it waits for, as the last step said
        self._arming = threading.Lock()
        self._armed: int | None = None  # for what the kernel is asked; None before the first time
        self._out: deque[memoryview | Region] = deque()
        self.chunked = False
        self.left: int | None = None  # bytes of the body that were announced and are not made yet
        self.results: Any = None  # what the application returned, to be closed
        self.source: Iterator[bytes] | None = None  # the rest of an answer that is made in pieces
        self.after_sending: Callable[[], int] | None = None
        self.woken: Callable[[], None] | None = None
        self.wait: Any = None
        self.owed = 0  # bytes that are accounted for as not read

    @property
    def request(self) -> Request | None:
        """The one that is dealt with."""
        return self.reader.requests[0] if self.reader.requests else None

    def is_let_in(self) -> bool:
        """Whether the request that is dealt with counts as somebody's."""
        return self.request is not None and self.request.peer is not None

    def receive(self) -> bytes | None:
        """What came; None where nothing did, and b"" at the end."""
        try:
            data = self.sock.recv(RECEIVED_BYTES)
        except BlockingIOError:
            return None
        self.moved += len(data)
        return data

    def put(self, data: bytes | Region) -> None:
        """Have it sent."""
        if data:
            self._out.append(data if isinstance(data, Region) else memoryview(data))

    def flush(self) -> bool:
        """Send what the network takes; whether that was all. Raises OSError once the client is gone."""
        while self._out:
            view = self._out[0]
            try:
                sent = view.send(self.sock) if isinstance(view, Region) else self.sock.send(view)
            except BlockingIOError:
                return False
            self.moved += sent
            if isinstance(view, memoryview):
                view = self._out[0] = view[sent:]
            if not view:
                self._out.popleft()
        return True

    def arm(self, epoll: select.epoll) -> None:
        """Have the kernel say, once, when one of its `events` happens, or happened already. Raises OSError.

        Nothing is asked where the kernel was asked for the same and has not answered yet.

        Whoever has dealt with it calls this after they let go of `lock`, and always asks for the newest `events`. It
        is not closed meanwhile: the kernel would give its number to another, who would be asked for instead.
        """
        with self._arming:
            if self.state is State.CLOSED or self.events in {0, self._armed}:
                return
            before, self._armed = self._armed, self.events  # the kernel may answer before it returns
            try:
                (epoll.register if before is None else epoll.modify)(self.number, self.events)
            except OSError:
                self._armed = before
                raise

    def disarm(self) -> None:
        """The kernel said that something happened, and says so no more until it is armed again.

        To be called before `lock` is asked for: who holds it meanwhile finds, once they let go, that it is to be armed.
        """
        if self._armed is not None:  # else it was said of the one that had the number before
            self._armed = 0

    def stop_waiting(self) -> None:
        """Nobody is to wake it any more."""
        woken, self.woken = self.woken, None
        wait, self.wait = self.wait, None
        if woken is not None:
            wait.forget(woken)

    def has_left(self) -> bool:
        """Whether the client has closed its end, also where something that it sent before is still unread."""
        ends = select.poll()
        ends.register(self.number, select.POLLRDHUP)
        return bool(ends.poll(0))

    def is_cut(self) -> bool:
        """Whether an answer has begun of which not all is with the network."""
        return bool(self._out) or self.source is not None

    def unread(self) -> int:
        """Bytes in memory that wait to be sent."""
        return sum(len(one) for one in self._out if isinstance(one, memoryview))

    def close(self, *, cut: bool = False) -> None:
        """At once. `cut`: what the client has is not all, and nothing else may tell it (RFC 9112 §8)."""
        if cut:
            with suppress(OSError):
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._out.clear()
        self.reader.forget()
        with self._arming, suppress(OSError):
            self.state = State.CLOSED
            self.sock.close()


def head(status: int, headers: list[tuple[str, str]], *, keep: bool) -> bytes:
    """The head of an answer. Raises ValueError for a header that would not stay one."""
    lines = [_status_line(status), f"date: {_date(int(time.time()))}"]
    for name, value in headers:
        line = f"{name}: {value}"
        if "\r" in line or "\n" in line:
            raise ValueError("a line break in a header")
        lines.append(line)
    if not keep:
        lines.append("connection: close")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def length(headers: list[tuple[str, str]]) -> int | None:
    """Bytes that the body is said to have. Raises ValueError."""
    return next((int(value) for name, value in headers if name.lower() == "content-length"), None)


def framing(request: Request, status: int, headers: list[tuple[str, str]]) -> tuple[bool, bool]:
    """Whether the answer has a body, and whether that has to be chunked, for want of a length (RFC 9112 §6)."""
    has_body = request.method != "HEAD" and status not in _BODILESS
    return has_body, has_body and length(headers) is None and request.version == "1.1"


def chunk(data: bytes) -> bytes:
    """A chunk of a chunked body; an empty one is its end."""
    return b"%x\r\n%b\r\n" % (len(data), data)


@lru_cache(maxsize=2)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)


@lru_cache(maxsize=64)
def _status_line(status: int) -> str:
    try:
        return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"HTTP/1.1 {status} "
