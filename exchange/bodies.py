"""Read a request's body within bounds, whatever it says about itself: length, encoding, compression."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from django.http import HttpRequest
from django.http.request import RawPostDataException, UnreadablePostError

from exchange.errors import Malformed, TooLarge, UnsupportedMedia

#: What a batch may weigh, as sent and once more when unpacked.
MAX_BATCH_BYTES = 33_554_432
_CHUNK = 65_536


def read(request: HttpRequest, *, max_bytes: int = MAX_BATCH_BYTES) -> bytes:
    """The body, unpacked. Raises TooLarge, UnsupportedMedia (content encoding) or Malformed (broken gzip)."""
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", ""):
        raise UnsupportedMedia("Content-Encoding is gzip or nothing.", code="unsupported-encoding")
    declared = request.META.get("CONTENT_LENGTH") or "0"
    if declared.isdigit() and int(declared) > max_bytes:
        raise _too_large(max_bytes)
    chunks = _received(request, max_bytes=max_bytes)
    return b"".join(_unpacked(chunks, max_bytes=max_bytes) if encoding == "gzip" else chunks)


def media_type(request: HttpRequest) -> str:
    """The media type without parameters, in lower case; "" where none was sent."""
    return request.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def _received(request: HttpRequest, *, max_bytes: int) -> Iterator[bytes]:
    read = 0
    try:
        while chunk := request.read(_CHUNK):
            read += len(chunk)
            if read > max_bytes:
                raise _too_large(max_bytes)
            yield chunk
    except (UnreadablePostError, RawPostDataException) as error:
        raise Malformed("The body ended early.", code="incomplete-body") from error


def _unpacked(chunks: Iterator[bytes], *, max_bytes: int) -> Iterator[bytes]:
    """Gunzip piece by piece, so that a bomb is stopped at the bound and not after it."""
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    total = 0
    try:
        for chunk in chunks:
            pending = chunk
            while pending and not unpacker.eof:
                piece = unpacker.decompress(pending, _CHUNK)
                pending = unpacker.unconsumed_tail
                total += len(piece)
                if total > max_bytes:
                    raise _too_large(max_bytes)
                yield piece
            if unpacker.eof and (unpacker.unused_data or pending):
                raise Malformed("Something follows the gzip stream.", code="bad-gzip")
        yield unpacker.flush()
    except zlib.error as error:
        raise Malformed("The body is not gzip.", code="bad-gzip") from error
    if not unpacker.eof:
        raise Malformed("The gzip stream ended early.", code="bad-gzip")


def _too_large(max_bytes: int) -> TooLarge:
    return TooLarge(f"A body has at most {max_bytes} bytes, as sent and unpacked.", code="body-too-large")
