"""One HTTP/1.1 exchange on a connection of `outbound`, in steps: every wait ends at the deadline, whatever came before.

What comes back is read by llhttp (httptools), which the web server reads requests with, too; a reader in Python costs
ten times its time of the processor. A connection may be kept for the next request to the same host.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import re
import select
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httptools

from exchange.stepping import READ, WRITE, Steps

#: Bytes of an answer that are read at a time; of all of it that is no body; and of these, more for each chunk of one.
_PIECE = 65_536
_MOST_OF_HEADERS = 65_536
_MOST_OF_FRAME = 32
#: How long a connection may lie idle until it is used again, and be used at all since its host was looked up.
_IDLE_S = 4.0
_OLD_S = 60.0
#: Connections that lie idle: to one host, and all.
_MOST_OF_HOST = 256
_MOST_IDLE = 512


Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Broken(Exception):
    """The connection failed, or what came was not HTTP. `unheard`: it failed before anything was answered."""

    def __init__(self, *, unheard: bool = False) -> None:
        super().__init__()
        self.unheard = unheard


@dataclass(slots=True)
class Wire:
    """A connection, the address that it leads to, and the moment at which it was opened, of `time.monotonic`."""

    socket: socket.socket
    address: Address
    opened_at: float = field(default_factory=time.monotonic)
    idle_since: float = 0.0

    def close(self) -> None:
        """Close it."""
        self.socket.close()


@dataclass(slots=True)
class Answer:
    """What came back; names of headers in lower case. `keeps`: the connection may be used again."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    keeps: bool = False


def opened(address: Address, port: int, *, deadline: float) -> Steps[Wire]:
    """A connection to this very address. Raises Broken."""
    plain = socket.socket(socket.AF_INET6 if address.version == 6 else socket.AF_INET, socket.SOCK_STREAM)
    try:
        plain.setblocking(False)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        failure = plain.connect_ex((str(address), port))
        if failure in _BEGUN:
            yield plain.fileno(), WRITE, deadline
            failure = plain.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failure:
            raise OSError(failure, "no connection")
    except OSError as error:
        plain.close()
        raise Broken from error
    except BaseException:
        plain.close()
        raise
    return Wire(plain, address)


#: Of a connection that is being made.
_BEGUN = (errno.EINPROGRESS, errno.EWOULDBLOCK)


def secured(wire: Wire, context: ssl.SSLContext, *, host: str, deadline: float) -> Steps[Wire]:
    """The same connection under TLS; the certificate must be for `host`. Raises Broken, and closes it then."""
    tls: socket.socket = wire.socket
    try:
        tls = wrapped = context.wrap_socket(wire.socket, server_hostname=host, do_handshake_on_connect=False)
        while True:
            try:
                wrapped.do_handshake()
                return Wire(wrapped, wire.address)
            except ssl.SSLWantReadError:
                yield wrapped.fileno(), READ, deadline
            except ssl.SSLWantWriteError:
                yield wrapped.fileno(), WRITE, deadline
    except OSError as error:
        tls.close()
        raise Broken from error
    except BaseException:
        tls.close()
        raise


def ask(
    wire: Wire, method: str, target: bytes, *, headers: Mapping[str, str], body: bytes, deadline: float, max_bytes: int
) -> Steps[Answer]:
    """Send a request and read its answer, of whose body `max_bytes` at most. Raises Broken."""
    reader, request = _Reader(max_bytes), _request(method, target, headers) + body
    try:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it may have answered before it had read all
            yield from _sent(wire.socket, request, deadline)
        if not isinstance(wire.socket, ssl.SSLSocket):  # which may hold a piece already
            yield wire.socket.fileno(), READ, deadline
        while not reader.done:
            try:
                piece = wire.socket.recv(_PIECE)
            except (BlockingIOError, ssl.SSLWantReadError):
                yield wire.socket.fileno(), READ, deadline
                continue
            except ssl.SSLWantWriteError:
                yield wire.socket.fileno(), WRITE, deadline
                continue
            if piece:
                reader.feed(piece)
            else:
                reader.end()
    except OSError as error:
        raise Broken(unheard=not reader.heard) from error
    return reader.answer


def _sent(to: socket.socket, request: bytes, deadline: float) -> Steps[None]:
    left = memoryview(request)
    while left:
        try:
            left = left[to.send(left) :]
        except (BlockingIOError, ssl.SSLWantWriteError):
            yield to.fileno(), WRITE, deadline
        except ssl.SSLWantReadError:
            yield to.fileno(), READ, deadline


def _request(method: str, target: bytes, headers: Mapping[str, str]) -> bytes:
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if "\0" in lines or not lines.count("\n") == lines.count("\r") == len(headers):
        raise ValueError(next(name for name, value in headers.items() if not _ONE_LINE.fullmatch(value)))
    return b"%b %b HTTP/1.1\r\n%b\r\n" % (method.encode(), target, lines.encode("latin-1"))


_ONE_LINE = re.compile(r"[^\r\n\0]*")


class _Reader:
    """Takes the pieces of one answer; what follows it is not read, and what follows its body (trailers) not kept.

    What is not body is bounded: a header's value that comes in pieces is put together anew with each of them.
    """

    def __init__(self, max_bytes: int) -> None:
        self.answer, self.done, self.heard = Answer(), False, 0
        self._room = _MOST_OF_HEADERS  # for what is not body
        self._most, self._body = max_bytes, bytearray()
        self._open, self._bounded = False, False  # the headers have ended; they say where the body ends
        self._parser: Any = httptools.HttpResponseParser(self)

    def feed(self, piece: bytes) -> None:
        self.heard += len(piece)
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            self._end()
        except httptools.HttpParserError as error:
            self.answer.keeps = False
            if not self.done:
                raise Broken from error
        if not self.done and self.heard - len(self._body) > self._room:
            raise Broken

    def end(self) -> None:
        """The other side has closed the connection: where nothing says how long the body is, that is its end."""
        if not self._open or self._bounded:
            raise Broken(unheard=not self.heard)
        self._end()

    def on_message_begin(self) -> None:
        if self.done:  # what nobody asked for
            self.answer.keeps = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.done and not self._open:
            word = name.decode("latin-1").lower()
            self.answer.headers[word] = value.decode("latin-1")
            self._bounded |= word in ("content-length", "transfer-encoding")

    def on_headers_complete(self) -> None:
        if not self.done:
            self._open, self.answer.status = True, self._parser.get_status_code()

    def on_chunk_header(self) -> None:
        self._room += _MOST_OF_FRAME  # there are at most as many chunks as bytes of a body, and one more

    def on_body(self, piece: bytes) -> None:
        if not self.done:
            self._body += piece[: self._most - len(self._body)]
            if len(self._body) >= self._most:
                self._end()

    def on_message_complete(self) -> None:
        if self.done:
            return
        if self.answer.status < 200:
            self._open, self._bounded, self.answer = False, False, Answer()
            return
        self._end(keeps=self._parser.should_keep_alive())

    def _end(self, *, keeps: bool = False) -> None:
        self.done, self.answer.keeps, self.answer.body = True, keeps, bytes(self._body)


class Kept:
    """Connections that lie idle, by what they lead to. A process has its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: dict[Any, list[Wire]] = {}
        self._count = 0
        self._swept_at = 0.0

    def take(self, to: Any) -> Iterator[Wire]:
        """Each connection that is still good, until one does."""
        while True:
            with self._lock:
                wires = self._idle.get(to)
                if not wires:
                    return
                wire = wires.pop()
                self._count -= 1
                if not wires:
                    del self._idle[to]
            if _is_good(wire):
                yield wire
            else:
                wire.close()

    def give(self, to: Any, wire: Wire) -> None:
        """Keep one for the next; what does not fit is closed."""
        wire.idle_since = time.monotonic()
        with self._lock:
            gone = self._swept(wire.idle_since) if wire.idle_since - self._swept_at > _IDLE_S else []
            wires = self._idle.setdefault(to, [])
            if self._count < _MOST_IDLE and len(wires) < _MOST_OF_HOST:
                wires.append(wire)
                self._count += 1
            else:
                gone.append(wire)
            if not wires:
                del self._idle[to]
        for one in gone:
            one.close()

    def _swept(self, now: float) -> list[Wire]:
        """Those that have been idle for too long: others have their room."""
        self._swept_at = now
        old = [wire for wires in self._idle.values() for wire in wires if now - wire.idle_since > _IDLE_S]
        gone = set(map(id, old))
        self._idle = {
            to: kept for to, wires in self._idle.items() if (kept := [one for one in wires if id(one) not in gone])
        }
        self._count -= len(old)
        return old


def _is_good(wire: Wire) -> bool:
    """Whether it may be used again: young, and the other side has said nothing, not even that it leaves."""
    now = time.monotonic()
    if now - wire.idle_since > _IDLE_S or now - wire.opened_at > _OLD_S:
        return False
    watched = select.poll()
    watched.register(wire.socket, select.POLLIN)
    return not watched.poll(0)
