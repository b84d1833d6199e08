"""A client that costs next to nothing, so that servers are measured and not it: HTTP/1.1 on one kept connection."""

from __future__ import annotations

import select
import socket
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import orjson


class Answer:
    """A status, headers in lower case, and the body's bytes."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return orjson.loads(self.body)


class Wire:
    """One connection; `key` goes along as Bearer."""

    def __init__(self, base_url: str, *, key: str = "", headers: Mapping[str, str] | None = None) -> None:
        url = urlsplit(base_url)
        self._address = (url.hostname or "127.0.0.1", url.port or 80)
        lines = [f"Host: {url.hostname}:{url.port}"]
        if key:
            lines.append(f"Authorization: Bearer {key}")
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        self._head = "\r\n".join(lines)
        self._poll = select.poll()
        self._connect()

    def _connect(self) -> None:
        self._socket = socket.create_connection(self._address, timeout=300)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb", buffering=262_144)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def request(self, method: str, path: str, body: bytes = b"", *, media: str = "application/json") -> bytes:
        """What goes over the wire, made beforehand where only the sending is to be measured."""
        content = f"Content-Type: {media}\r\nContent-Length: {len(body)}\r\n" if body or method == "POST" else ""
        return f"{method} {path} HTTP/1.1\r\n{self._head}\r\n{content}\r\n".encode() + body

    def send(self, request: bytes) -> None:
        """On the kept connection, or on a new one where the server has left it."""
        if self._is_left():
            self.close()
            self._connect()
        self._socket.sendall(request)

    def _is_left(self) -> bool:
        """A server that leaves says so: there is something to read though nothing was asked."""
        self._poll.register(self._socket, select.POLLIN)
        left = bool(self._poll.poll(0))
        self._poll.unregister(self._socket)
        return left

    def receive(self) -> Answer:
        line = self._file.readline()
        if not line:
            raise ConnectionError("the server closed the connection")
        status = int(line.split(None, 2)[1])
        headers = {}
        while (line := self._file.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        if headers.get("transfer-encoding") == "chunked":
            chunks = []
            while size := int(self._file.readline().split(b";")[0], 16):
                chunks.append(self._file.read(size))
                self._file.readline()
            self._file.readline()
            return Answer(status, headers, b"".join(chunks))
        length = 0 if status in (204, 304) else int(headers.get("content-length", 0))
        return Answer(status, headers, self._file.read(length) if length else b"")

    def ask(self, method: str, path: str, body: bytes = b"", *, media: str = "application/json") -> Answer:
        """One exchange. Raises RuntimeError for an answer that is not 2xx or 304."""
        return self.finish(self.request(method, path, body, media=media))

    def finish(self, request: bytes) -> Answer:
        self.send(request)
        answer = self.receive()
        if answer.status != 304 and not 200 <= answer.status < 300:
            raise RuntimeError(f"{answer.status}: {answer.body[:300]!r}")
        return answer


def volley(wires: Sequence[Wire], requests: Sequence[bytes]) -> None:
    """All requests over several connections at once; each is sent as soon as a connection has its answer."""
    waiting = iter(requests)
    poll, asked = select.poll(), {}
    for wire, request in zip(wires, waiting, strict=False):
        wire.send(request)
        asked[wire.fileno()] = wire
        poll.register(wire.fileno(), select.POLLIN)
    while asked:
        for number, _ in poll.poll():
            wire = asked[number]
            answer = wire.receive()
            if answer.status != 200:
                raise RuntimeError(f"{answer.status}: {answer.body[:300]!r}")
            if (request := next(waiting, None)) is not None:
                wire.send(request)
            else:
                poll.unregister(number)
                del asked[number]
