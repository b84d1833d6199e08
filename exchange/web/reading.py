"""One request as it comes over a connection, and what WSGI makes of it (PEP 3333)."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Hashable
from http import HTTPStatus
from io import BytesIO
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

import httptools

#: Requests that a client may send ahead of their answers.
MOST_AHEAD = 16
#: Headers of one request; proxies and browsers send some thirty.
MOST_HEADERS = 256
#: Bytes of one request that are neither its head nor its body: the sizes of chunks with what is said about them, and
#: trailers. A chunk of one byte takes five, and some pad the size.
_FRAMING_BYTES, _FRAMING_RATIO = 65_536, 12
_ONCE = frozenset({"HTTP_HOST", "HTTP_AUTHORIZATION", "CONTENT_TYPE"})
_VERSIONS = frozenset({"1.0", "1.1"})
_OF_BODIES = frozenset({b"content-length", b"transfer-encoding"})
_CONSTANT: dict[str, Any] = {
    "SCRIPT_NAME": "",
    "wsgi.version": (1, 0),
    "wsgi.url_scheme": "http",
    "wsgi.errors": sys.stderr,
    "wsgi.multithread": True,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
    "wsgi.input_terminated": True,
}


class Bad(Exception):
    """What is no HTTP, or HTTP that two servers could read differently; `status` says which."""

    def __init__(self, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(status)
        self.status = status


class Request:
    """A request, whole or on its way; `peer` is known once it was let in."""

    __slots__ = (
        "accounted", "asked", "body", "complete", "environ", "framing", "head_complete", "headers", "keep_alive",
        "method", "peer", "size", "started", "target", "version", "waits",
    )  # fmt: skip

    def __init__(self) -> None:
        self.target, self.method, self.version = b"", "", "1.1"
        self.headers: list[tuple[bytes, bytes]] = []
        self.body: BytesIO | None = None
        self.head_complete = self.complete = self.asked = self.waits = False
        self.keep_alive = True
        self.environ: dict[str, Any] = {}
        self.peer: Hashable = None
        self.size = self.accounted = self.framing = 0
        self.started = 0.0

    def announced(self) -> int | None:
        """Bytes that the body will have, where that was said."""
        said = self.environ.get("CONTENT_LENGTH", "")
        return int(said) if said.isdigit() else None

    def wants_100(self) -> bool:
        """Whether the sender waits to be told that its body is wanted (RFC 9110 §10.1.1)."""
        return self.version == "1.1" and self.environ.get("HTTP_EXPECT", "").lower() == "100-continue"

    def make_environ(self, address: tuple[str, int], server: tuple[str, int]) -> None:
        """The head as WSGI has it. Raises Bad."""
        if self.version not in _VERSIONS or b"#" in self.target:
            raise Bad
        path, _, query = self.target.partition(b"?")
        if not path.startswith(b"/"):
            path = _path_of(path, self.method)
        environ = _CONSTANT | {
            "REQUEST_METHOD": self.method,
            "PATH_INFO": (unquote_to_bytes(path) if b"%" in path else path).decode("latin-1"),
            "QUERY_STRING": query.decode("latin-1"),
            "SERVER_PROTOCOL": f"HTTP/{self.version}",
            "SERVER_NAME": server[0],
            "SERVER_PORT": str(server[1]),
            "REMOTE_ADDR": address[0],
            "REMOTE_PORT": str(address[1]),
        }
        for raw_name, raw_value in self.headers:
            if b"_" in raw_name:
                continue  # WSGI would give it the name of one with a hyphen, which a proxy vouches for
            name, value = raw_name.decode("latin-1").upper().replace("-", "_"), raw_value.decode("latin-1")
            if name not in {"CONTENT_TYPE", "CONTENT_LENGTH"}:
                name = f"HTTP_{name}"
            if name in environ:
                if name in _ONCE:
                    raise Bad
                value = f"{environ[name]}{'; ' if name == 'HTTP_COOKIE' else ','}{value}"
            environ[name] = value
        if self.version == "1.1" and not environ.get("HTTP_HOST"):
            raise Bad
        coding = environ.get("HTTP_TRANSFER_ENCODING")
        if coding is not None and (coding.strip().lower() != "chunked" or self.version != "1.1"):
            raise Bad  # no other is undone here, and in HTTP/1.0 there is none (RFC 9112 §6.1)
        self.headers = []
        self.environ = environ

    def with_body(self) -> dict[str, Any]:
        """What the application gets: the body is there and has a length, however it came.

        Whoever reads all of it at once gets the very bytes that were gathered: `getvalue` and a `BytesIO` of bytes
        share them. Each copy of a large body costs its memory's first use, while the interpreter's lock is held.
        """
        environ = self.environ
        body, self.body = self.body, None
        if environ.pop("HTTP_TRANSFER_ENCODING", "") or body:
            environ["CONTENT_LENGTH"] = str(self.size)
        environ["wsgi.input"] = BytesIO(body.getvalue() if body else b"")
        return environ


def _path_of(target: bytes, method: str) -> bytes:
    """The path of a target in absolute form (RFC 9112 §3.2.2), and `*` as it is where it may be (§3.2.4)."""
    if target == b"*" and method == "OPTIONS":
        return target
    try:
        url = urlsplit(target)
    except ValueError:
        raise Bad from None
    if url.scheme.lower() not in {b"http", b"https"}:
        raise Bad
    return url.path or b"/"


def _cause(error: httptools.HttpParserError) -> Bad:
    """What one of our own calls said, where it was one; else that it is no HTTP."""
    return error.__context__ if isinstance(error.__context__, Bad) else Bad()


class Reader:
    """Requests out of bytes, by llhttp, strictly: a length and chunks together, or two lengths, are refused."""

    def __init__(self) -> None:
        self._parser: Any = httptools.HttpRequestParser(self)
        self.requests: deque[Request] = deque()

    def feed(self, data: bytes) -> None:
        """Raises Bad."""
        last = self.requests[-1] if self.requests else None
        size = last.size if last else 0
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse_upgrade()
        except httptools.HttpParserError as error:
            raise _cause(error) from error
        if len(self.requests) > MOST_AHEAD:
            raise Bad
        if last is not None and last.head_complete and not last.complete:
            last.framing += len(data) - (last.size - size)
            if last.framing > _FRAMING_BYTES + _FRAMING_RATIO * last.size:
                raise Bad

    def _refuse_upgrade(self) -> None:
        """We speak HTTP/1.1 only, which an offer of another protocol allows (RFC 9110 §7.8); nothing follows then."""
        last = self.requests[-1]
        if last.method == "CONNECT" or any(name.lower() in _OF_BODIES for name, _ in last.headers):
            raise Bad
        last.keep_alive = False
        last.complete = True

    def forget(self) -> None:
        """The parser holds this reader and this reader the parser: let both go at once."""
        self._parser = None

    def on_message_begin(self) -> None:
        """A request begins."""
        self.requests.append(Request())

    def on_url(self, url: bytes) -> None:
        """A part of its target."""
        self.requests[-1].target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One of its headers; what follows a body (trailers) is dropped, because nobody vouches for it."""
        request = self.requests[-1]
        if request.head_complete:
            return
        if len(request.headers) >= MOST_HEADERS:
            raise Bad(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        request.headers.append((name, value or b""))

    def on_headers_complete(self) -> None:
        """Its head is whole."""
        request = self.requests[-1]
        request.method = self._parser.get_method().decode("latin-1")
        request.version = self._parser.get_http_version()
        request.keep_alive = request.version == "1.1" and self._parser.should_keep_alive()
        request.head_complete = True

    def on_body(self, body: bytes) -> None:
        """A part of its body."""
        request = self.requests[-1]
        if request.body is None:
            request.body = BytesIO()
        request.body.write(body)
        request.size += len(body)

    def on_message_complete(self) -> None:
        """It is whole."""
        self.requests[-1].complete = True
