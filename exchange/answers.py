"""What an answer to a machine costs on its way: 304 where the caller holds it already, and packed where it is large.

Answers of the REST and TAXII faces only: pages for people carry form tokens, whose secrecy compression could give away
(BREACH). A tag stands for the whole answer, so nothing that makes it differ can be forgotten; it is weak, because the
same answer may be packed or not.
"""

from __future__ import annotations

import hashlib
import re
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import zstandard
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers
from django.utils.http import parse_etags

_FACES = ("/api/", "/taxii2/")
#: Below this a packed answer saves no packet worth the work.
_LEAST_BYTES = 2_048
#: Events are told one by one; a zip file is packed already.
_NEVER_PACKED = ("text/event-stream", "application/zip")
_GZIP = 16 + zlib.MAX_WBITS
_CODING = re.compile(r"\s*([a-z0-9*-]+)\s*(?:;\s*q\s*=\s*([01](?:\.[0-9]{0,3})?))?\s*", re.IGNORECASE)
_local = threading.local()


class AnswerMiddleware:
    """Tags, shortens and packs; and gives the connection of the database back before anything is sent."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer."""
        response = self._get_response(request)
        if not response.streaming and not connection.in_atomic_block:
            connection.close()  # to the pool: a caller who reads slowly holds a buffer, and nothing of the store
        if response.status_code != 200 or not request.path.startswith(_FACES):
            return response
        if response.streaming:
            _pack_streamed(response, coding_for(request.META.get("HTTP_ACCEPT_ENCODING", "")))
            return response
        if request.method in {"GET", "HEAD"} and not response.has_header("ETag"):
            _tag(response)
        if response.has_header("ETag") and _is_held(request, response["ETag"]):
            return _not_modified(response)
        if len(response.content) >= _LEAST_BYTES and not response.has_header("Content-Encoding"):
            _pack(response, coding_for(request.META.get("HTTP_ACCEPT_ENCODING", "")))
        return response


def coding_for(accepted: str) -> str:
    """The best coding that the caller takes: zstd, else gzip, else none (RFC 9110 §12.5.3)."""
    if not accepted:
        return "identity"
    weights: dict[str, float] = {}
    for part in accepted.split(","):
        if found := _CODING.fullmatch(part):
            weights[found[1].lower()] = float(found[2] or 1)
    for coding in ("zstd", "gzip"):
        if weights.get(coding, 0) > 0:
            return coding
    return "identity"


def _tag(response: HttpResponse) -> None:
    response["ETag"] = f'W/"{hashlib.sha256(response.content).hexdigest()[:32]}"'
    response.setdefault("Cache-Control", "private, no-cache")
    patch_vary_headers(response, ("Authorization",))


def _is_held(request: HttpRequest, etag: str) -> bool:
    """Whether the caller holds this very answer (RFC 9110 §13.1.2: compared weakly)."""
    if request.method not in {"GET", "HEAD"} or not request.META.get("HTTP_IF_NONE_MATCH"):
        return False
    held = {tag.removeprefix("W/") for tag in parse_etags(request.headers.get("If-None-Match", ""))}
    return "*" in held or etag.removeprefix("W/") in held


def _not_modified(response: HttpResponse) -> HttpResponse:
    """The same answer without its content; what belongs to the content goes with it."""
    short = HttpResponse(status=304)
    for name, value in response.items():
        if name not in {"Content-Length", "Content-Type"}:
            short[name] = value
    del short["Content-Type"]
    return short


def _pack_streamed(response: Any, coding: str) -> None:
    """Pack what is streamed piece by piece; events are told one by one, and stay as they are.

    The length of a file is not that of what is sent: told, it would have the caller wait for bytes that never come.
    """
    if response["Content-Type"].startswith(_NEVER_PACKED) or response.has_header("Content-Encoding"):
        return
    patch_vary_headers(response, ("Accept-Encoding",))
    if coding == "identity" or int(response.get("Content-Length", _LEAST_BYTES)) < _LEAST_BYTES:
        return
    response.streaming_content = _packed(response.streaming_content, coding)
    response["Content-Encoding"] = coding
    del response["Content-Length"]
    if response.has_header("ETag"):
        response["ETag"] = f"W/{response['ETag'].removeprefix('W/')}"


def _packed(pieces: Iterable[bytes], coding: str) -> Iterator[bytes]:
    packer: Any = (
        zstandard.ZstdCompressor(level=1).compressobj() if coding == "zstd" else zlib.compressobj(level=1, wbits=_GZIP)
    )
    for piece in pieces:
        if packed := packer.compress(piece):
            yield packed
    yield packer.flush()


def _pack(response: HttpResponse, coding: str) -> None:
    patch_vary_headers(response, ("Accept-Encoding",))
    if coding == "identity":
        return
    content = response.content
    if coding == "zstd":
        if not hasattr(_local, "zstd"):
            _local.zstd = zstandard.ZstdCompressor(level=1)
        packed = _local.zstd.compress(content)
    else:
        packer = zlib.compressobj(level=1, wbits=_GZIP)
        packed = packer.compress(content) + packer.flush()
    if len(packed) < len(content):
        response.content = packed
        response["Content-Encoding"] = coding
        response["Content-Length"] = str(len(packed))
