"""A feed's set as one file, for who begins (docs/delta.md, "Snapshot"): with a strong tag and ranges (RFC 9110)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import BinaryIO

from django.http import FileResponse, HttpResponse
from drf_spectacular.utils import OpenApiParameter, OpenApiTypes, extend_schema

from exchange.errors import NotAcceptable
from exchange.web.files import Region
from indicators.api.deltas import feed_word
from indicators.api.documents.changes import SnapshotWait
from indicators.feeds import snapshots
from partners.api.base import Face, Request, answer, viewer_of
from partners.log import reads

_MEDIA_TYPE = "application/x-ndjson"
_PIECE = 262_144
_RETRY_S = 2
_RANGE = re.compile(r"bytes=(?:([0-9]{1,15})-([0-9]{0,15})|-([0-9]{1,15}))", re.ASCII)
_CODING = re.compile(r"\s*(zstd|gzip|\*)\s*(?:;\s*q\s*=\s*([01](?:\.[0-9]{0,3})?)\s*)?", re.ASCII | re.IGNORECASE)


class SnapshotView(Face):
    """The snapshot of a feed."""

    @extend_schema(
        operation_id="snapshot",
        parameters=[
            OpenApiParameter("Accept-Encoding", location="header", description="`zstd` or `gzip` (without it)."),
            OpenApiParameter("Range", location="header", description="Of the coded bytes, as `bytes=1000-`."),
            OpenApiParameter("If-Range", location="header", description="The tag of what you have the beginning of."),
        ],
        responses={
            (200, _MEDIA_TYPE): OpenApiTypes.STR,
            (206, _MEDIA_TYPE): OpenApiTypes.STR,
            202: SnapshotWait,
        },
    )
    def get(self, request: Request, feed: str) -> HttpResponse | FileResponse:
        """All that the feed holds for you, a row a line, and the trailer; 202 while it is being made."""
        viewer, feed = viewer_of(request), feed_word(feed)
        coding = _coding(request.headers.get("Accept-Encoding", ""))
        found = snapshots.served(viewer, feed=feed, coding=coding)
        if found is None:
            return answer({"state": "making"}, status=202, headers={"Retry-After": str(_RETRY_S)})
        headers = {
            "Cache-Control": "private, no-cache",
            "Content-Encoding": coding,
            "ETag": found.etag,
            "Vary": "Accept-Encoding, Authorization",
        }
        if found.etag in request.headers.get("If-None-Match", ""):
            return HttpResponse(status=304, headers=headers)
        if request.method != "HEAD":
            reads.tally(viewer, surface="rest:snapshot", objects=found.rows, feed="" if feed == "all" else feed)
        return _sent(request, found.path, headers)


def _sent(request: Request, path: Path, headers: dict[str, str]) -> HttpResponse | FileResponse:
    size = path.stat().st_size
    headers["Accept-Ranges"] = "bytes"
    given = request.headers.get("Range", "")
    if given and request.headers.get("If-Range", headers["ETag"]) == headers["ETag"]:
        wanted = _RANGE.fullmatch(given.replace(" ", ""))
        if wanted is not None:
            first, last = _bounds(wanted, size)
            if first > last:
                return HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}"})
            headers |= {"Content-Range": f"bytes {first}-{last}/{size}", "Content-Length": str(last - first + 1)}
            return _file(_Part(path.open("rb"), first, last + 1), headers, status=206)
    return _file(_Part(path.open("rb"), 0, size), headers | {"Content-Length": str(size)}, status=200)


def _file(opened: _Part, headers: dict[str, str], *, status: int) -> FileResponse:
    response = FileResponse(opened, content_type=_MEDIA_TYPE, headers=headers, status=status)
    response.block_size = _PIECE
    return response


class _Part:
    """A part of a file, read like one; the web server sends the `region` itself."""

    def __init__(self, file: BinaryIO, first: int, end: int) -> None:
        self._file, self._left = file, end - first
        self.region = Region(file.fileno(), first, end - first)
        file.seek(first)

    def read(self, size: int = -1) -> bytes:
        """The next bytes of the part."""
        wanted = self._left if size < 0 else min(size, self._left)
        piece = self._file.read(wanted)
        self._left -= len(piece)
        return piece

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _bounds(wanted: re.Match[str], size: int) -> tuple[int, int]:
    """The first and the last byte; the first is beyond the last where there is none."""
    if wanted[3] is not None:
        return (max(0, size - int(wanted[3])), size - 1) if int(wanted[3]) else (1, 0)
    first, last = int(wanted[1]), int(wanted[2]) if wanted[2] else size - 1
    return (first, min(last, size - 1)) if first < size and first <= last else (1, 0)


def _coding(accepted: str) -> str:
    """The coding that the client likes best, zstd before gzip. Raises NotAcceptable where it takes neither."""
    if not accepted:
        return "gzip"
    weights: dict[str, float] = {}
    for one in accepted.split(","):
        if (said := _CODING.fullmatch(one)) is not None:
            weights[said[1].lower()] = float(said[2] or 1)
    rest = weights.get("*", 0.0)
    best = max(("zstd", "gzip"), key=lambda coding: weights.get(coding, rest))
    if weights.get(best, rest) <= 0:
        raise NotAcceptable("Say Accept-Encoding: zstd, or gzip.", code="not-acceptable")
    return best
