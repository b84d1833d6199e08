"""Read a request's body within bounds, gzip undone: for pushes, which are larger than Django reads by default.

Both what is sent and what it unpacks to are bounded, and nothing is unpacked beyond the bound: a few kilobytes
of gzip can hold gigabytes.
"""

import io
import time
import zlib
from typing import IO, Any

from django.http import HttpRequest, UnreadablePostError

from exchange.errors import ExchangeError, Malformed, TooLarge, UnsupportedMedia

#: Bytes of one batch, as sent and as unpacked.
MAX_BATCH_BYTES = 32 * 1024 * 1024

_HELD = "_exchange_sent"
_GZIP = 16 + zlib.MAX_WBITS
#: What a body may unpack to at most, as a multiple of what was sent; deflate itself reaches 1,032. JSON of objects that
#: repeat each other reaches 50. Below so many bytes any ratio will do.
_MAX_GZIP_RATIO = 100
_ANY_RATIO_BYTES = 1024 * 1024
#: A block-wise gzip (bgzip) of 32 MiB has 515.
_MAX_GZIP_MEMBERS = 1_000
#: Whoever sends more is answered after so long: the thread is of their own share, and no honest client sends so.
_KEPT_BYTES_PER_S = 40_000_000
#: A member is read in windows that grow: what zlib copies of a window, once its member has ended, is as short as that.
_FIRST_WINDOW_BYTES, _WINDOW_BYTES = 512, 64 * 1024


def read(request: HttpRequest, *, max_bytes: int = MAX_BATCH_BYTES) -> bytes:
    """The body, unpacked: at most `max_bytes`.

    Raises TooLarge beyond that, Malformed where the body is cut off or is not the gzip it says it is, and
    UnsupportedMedia for any other Content-Encoding.
    """
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in {"", "identity", "gzip", "x-gzip"}:
        raise UnsupportedMedia("Of content encodings, only gzip is read here.", code="unsupported-encoding")
    sent = _sent(request, max_bytes=max_bytes)
    return _unpacked(sent, max_bytes=max_bytes) if encoding.endswith("gzip") else sent


def _announced(request: HttpRequest) -> int | None:
    announced = request.META.get("CONTENT_LENGTH") or ""
    return int(announced) if announced.isascii() and announced.isdigit() else None


def _sent(request: HttpRequest, *, max_bytes: int) -> bytes:
    """As it came. What came of reading it is kept: a request may be done anew (`partners.keys.auth.acted`)."""
    if _HELD not in request.__dict__:
        try:
            request.__dict__[_HELD] = _received(request, max_bytes=max_bytes)
        except ExchangeError as error:
            request.__dict__[_HELD] = error
    held: bytes | ExchangeError = request.__dict__[_HELD]
    if isinstance(held, ExchangeError):
        raise held
    return held


def _received(request: HttpRequest, *, max_bytes: int) -> bytes:
    length = _announced(request)
    if length is not None and length > max_bytes:
        raise _too_large(max_bytes)
    try:
        body = _stream(request, length).read(max_bytes + 1)
    except (UnreadablePostError, OSError) as error:
        raise _cut_off() from error
    if len(body) > max_bytes:
        raise _too_large(max_bytes)
    if length is not None and len(body) < length:
        raise _cut_off()
    return body


def _stream(request: HttpRequest, length: int | None) -> HttpRequest | IO[bytes]:
    """Where the body comes from. Django takes a body without a length (chunked) for empty; the server knows its end."""
    environ: dict[str, Any] = request.META
    if length is None and environ.get("wsgi.input_terminated"):
        stream: IO[bytes] = environ["wsgi.input"]
        return stream
    return request


def _unpacked(sent: bytes, *, max_bytes: int) -> bytes:
    """Undo gzip, member after member (RFC 1952 §2.2); zeros behind the last one are padding, as tapes and tar have it.

    Members and the ratio are bounded: a member of nothing has 20 bytes, and costs as much work as one of thousands.
    Each step hands zlib one window of what was sent, so that what it copies of the rest does not grow with the body.
    """
    most = min(max_bytes, max(_ANY_RATIO_BYTES, _MAX_GZIP_RATIO * len(sent)))
    unpacked, view, at, members = io.BytesIO(), memoryview(sent), 0, 0
    while at < len(sent) and not (members and _is_padding(view[at:])):
        members += 1
        if members > _MAX_GZIP_MEMBERS:
            time.sleep(len(sent) / _KEPT_BYTES_PER_S)
            raise Malformed(f"A body has at most {_MAX_GZIP_MEMBERS} gzip members.", code="too-many-gzip-members")
        member, size = zlib.decompressobj(_GZIP), _FIRST_WINDOW_BYTES
        while not member.eof:
            if at >= len(sent):
                raise _cut_off()
            window = view[at : at + size]
            size = min(2 * size, _WINDOW_BYTES)
            try:
                unpacked.write(member.decompress(window, most + 1 - unpacked.tell()))
            except zlib.error as error:
                raise Malformed("The body is not gzip.", code="bad-gzip") from error
            if unpacked.tell() > most:
                raise _too_large(max_bytes) if most == max_bytes else _too_dense()
            at += len(window) - len(member.unused_data)
    return unpacked.getvalue()


def _is_padding(rest: memoryview) -> bool:
    """Whether nothing but zeros is left. A member begins with another byte, so this looks at all of it once at most."""
    return rest[0] == 0 and not bytes(rest).strip(b"\0")


def _too_large(max_bytes: int) -> TooLarge:
    return TooLarge(f"A request has at most {max_bytes} bytes, unpacked.", code="body-too-large")


def _too_dense() -> TooLarge:
    return TooLarge(f"A gzip body unpacks to at most {_MAX_GZIP_RATIO} times its size.", code="body-too-dense")


def _cut_off() -> Malformed:
    return Malformed("The body ended before it was complete.", code="incomplete-body")


def media_type(request: HttpRequest) -> str:
    """The media type without parameters, in lower case; "" where none was sent."""
    return request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
