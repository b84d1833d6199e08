"""A web server in threads of the test, with an application of the test's, and a client that says byte by byte what it sends."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from exchange.web.hooks import Hooks
from exchange.web.limits import Limits
from exchange.web.server import Server
from tests.waiting import DEADLINE_S

QUICK = {
    "slots": 4,
    "spare": 2,
    "connections": 64,
    "moved_s": 1.0,
    "head_s": 1.0,
    "idle_s": 2.0,
    "leaving_s": 0.5,
    "parting_s": 0.2,
}


class ByHeader(Hooks):
    """Whose share it is, is what X-Peer says."""

    at_once = frozenset({"/livez"})
    aside = frozenset({"/readyz"})

    def known(self, environ):
        return environ.get("HTTP_X_PEER") or self.network(environ)


@contextmanager
def serving(application: Callable[..., Any], *, hooks: Hooks | None = None, **limits: Any) -> Iterator[Server]:
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    server = Server(application, hooks or ByHeader(), listener, Limits(**(QUICK | limits)))
    server.port = listener.getsockname()[1]
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(timeout=DEADLINE_S)


class Client:
    """One connection."""

    def __init__(self, server: Server, *, receive_bytes: int = 0) -> None:
        self.socket = socket.socket()
        if receive_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(DEADLINE_S)
        self.socket.connect(("127.0.0.1", server.port))
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *raised):
        self.file.close()
        self.socket.close()

    def send(self, text: str | bytes) -> Client:
        self.socket.sendall(text.replace("\n", "\r\n").encode() if isinstance(text, str) else text)
        return self

    def get(self, path: str, *, peer: str = "", more: str = "") -> tuple[int, dict[str, str], bytes]:
        return self.send(
            f"GET {path} HTTP/1.1\nHost: a\n{f'X-Peer: {peer}' + chr(10) if peer else ''}{more}\n"
        ).answer()

    def answer(self, *, bodiless: bool = False) -> tuple[int, dict[str, str], bytes]:
        line = self.file.readline()
        if not line:
            raise ConnectionError("closed")
        headers = {}
        while (said := self.file.readline().strip()) != b"":
            name, _, value = said.decode().partition(": ")
            headers[name.lower()] = value
        status = int(line.split()[1])
        if status == 100 or bodiless:
            return status, headers, b""
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(self.file.readline(), 16):
                body += self.file.read(size)
                self.file.readline()
            self.file.readline()
            return status, headers, body
        if "content-length" in headers:
            return status, headers, self.file.read(int(headers["content-length"]))
        return status, headers, self.file.read()

    def is_closed(self) -> bool:
        """Whether the server closes, within the time-out."""
        try:
            return self.file.read(1) == b""
        except ConnectionError:
            return True
