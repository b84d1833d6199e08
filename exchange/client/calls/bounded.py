"""An answer is read within bounds, whatever a server sends: in bytes as they come and unpacked, and in time.

httpx bounds the time until the next byte alone: a server that sends one a minute, or heads of answers without an end,
would keep its caller for ever. And it unpacks whatever codings an answer names, each of them a thousandfold.
"""

from __future__ import annotations

import socket
import threading
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any
from weakref import WeakSet

import httpx

#: Bytes of an answer that is a document: a page of an exchange has 8 MiB of objects, and what is told of them.
DOCUMENT_BYTES = 128 * 1024 * 1024
#: Of a list or a file that is kept in memory whole: a million entries have less than half a gibibyte.
FILE_BYTES = 2 * 1024 * 1024 * 1024
#: Of what a refusal says.
REFUSAL_BYTES = 1024 * 1024
#: After so many seconds an answer must have brought so many bytes for each second beyond them.
GRACE_S, LEAST_BYTES_PER_S = 120.0, 1_024
#: How long the head of an answer may take, once it is waited for.
HEAD_S = 120.0
#: What is asked for; an answer of another coding is not read.
CODING = {"Accept-Encoding": "gzip"}
_GZIP = 16 + zlib.MAX_WBITS
_AT_ONCE = 256 * 1024
_CODINGS = {"": False, "identity": False, "gzip": True, "x-gzip": True}


class TooMuch(httpx.DecodingError):
    """The answer is longer, or slower, than any of an exchange: to ask again would not help."""


def pieces(answer: httpx.Response, *, max_bytes: int | None) -> Iterator[bytes]:
    """The body, unpacked, at most `max_bytes`. Raises TooMuch, and httpx's own errors where it breaks off."""
    size = 0
    read = answer.is_stream_consumed  # by a transport that hands over what it has in memory
    for piece in [answer.content] if read else _unpacked(answer, _raw(answer, max_bytes)):
        size += len(piece)
        if max_bytes is not None and size > max_bytes:
            raise TooMuch(f"the answer has more than {max_bytes} bytes", request=answer.request)
        yield piece


def whole(answer: httpx.Response, *, max_bytes: int) -> httpx.Response:
    """The same answer with its body read."""
    most = min(max_bytes, REFUSAL_BYTES) if answer.is_error or answer.is_redirect else max_bytes
    body = b"".join(pieces(answer, max_bytes=most))
    headers = [(name, value) for name, value in answer.headers.multi_items() if name.lower() not in _OF_THE_WAY]
    return httpx.Response(answer.status_code, headers=headers, content=body, request=answer.request)


_OF_THE_WAY = frozenset({"content-encoding", "content-length", "transfer-encoding"})


def _raw(answer: httpx.Response, max_bytes: int | None) -> Iterator[bytes]:
    """The bytes as they came; they, too, are bounded: what unpacks to nothing counts."""
    began, size = time.monotonic(), 0
    for piece in answer.iter_raw():
        size += len(piece)
        if max_bytes is not None and size > max_bytes:
            raise TooMuch(f"the answer has more than {max_bytes} bytes", request=answer.request)
        if size < (time.monotonic() - began - GRACE_S) * LEAST_BYTES_PER_S:
            raise TooMuch("the answer comes too slowly to have an end", request=answer.request)
        yield piece


def _unpacked(answer: httpx.Response, raw: Iterator[bytes]) -> Iterator[bytes]:
    coding = answer.headers.get("Content-Encoding", "").strip().lower()
    if coding not in _CODINGS:
        raise TooMuch("the answer is of a coding that was not asked for", request=answer.request)
    if not _CODINGS[coding]:
        yield from raw
        return
    unpacking, came = zlib.decompressobj(_GZIP), False
    for packed in raw:
        came = True
        rest = packed
        while rest and not unpacking.eof:
            try:
                yield unpacking.decompress(rest, _AT_ONCE)
            except zlib.error as error:
                raise httpx.DecodingError(str(error), request=answer.request) from error
            rest = unpacking.unconsumed_tail
    if came and not unpacking.eof:
        raise httpx.DecodingError("the answer is cut off", request=answer.request)


class Heads:
    """Breaks off what sends no end of a head: bytes of it, or answers that announce another one.

    Handed to httpx as `trace`, which tells of each connection that is made, and when the head of an answer is waited
    for and has come. One thread of the process looks after all of them; which connection of its client hangs is not
    told, so that all of them are ended, and others of its callers ask again.
    """

    def __init__(self) -> None:
        self._streams: WeakSet[Any] = WeakSet()

    def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        """What httpx tells."""
        what, _, how = event.rpartition(".")
        if how == "complete" and what.endswith((".connect_tcp", ".start_tls")):
            self._streams.add(info["return_value"])
        elif what.endswith(".receive_response_headers"):
            if how == "started":
                _LOOKOUT.wait(self)
            else:
                _LOOKOUT.came()

    def end(self) -> None:
        """Break all connections off."""
        for stream in list(self._streams):
            with suppress(OSError, AttributeError):
                stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)


class _Lookout:
    """Which thread waits for a head, and until when."""

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._waits: dict[int, tuple[float, Heads]] = {}
        self._thread: threading.Thread | None = None

    def wait(self, heads: Heads) -> None:
        """The calling thread begins to wait."""
        with self._lock:
            self._waits[threading.get_ident()] = (time.monotonic() + HEAD_S, heads)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._look, name="heads of answers", daemon=True)
                self._thread.start()

    def came(self) -> None:
        """Its wait is over."""
        with self._lock:
            self._waits.pop(threading.get_ident(), None)

    def _look(self) -> None:
        """End what is late. Ends itself after a time without any wait; the next one begins it anew."""
        with self._lock:
            while self._waits:
                now = time.monotonic()
                for thread, (until, heads) in list(self._waits.items()):
                    if until <= now:
                        del self._waits[thread]
                        heads.end()
                self._lock.wait(_LOOK_S)
            self._thread = None


_LOOK_S = 5.0
_LOOKOUT = _Lookout()
