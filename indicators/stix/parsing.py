"""From the bytes of a request to drafts, with each object's exact bytes.

The fast path lets msgspec slice the objects out of the envelope and jiter read each (it refuses duplicate keys and
deep nesting). msgspec gives up on the whole envelope for a lone surrogate, bad UTF-8 or nesting in a single object;
then a small scanner slices instead, so that the bad object alone is refused and the rest is kept.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import jiter
import msgspec

from exchange.errors import Malformed, TooLarge
from indicators.stix import objects
from indicators.stix.drafts import Draft, Refusal, Unreadable


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one batch: number of objects, bytes of one object, and bytes that the slow path will scan."""

    objects: int = 20_000
    object_bytes: int = 1_048_576
    scanned_bytes: int = 8_388_608


LIMITS = Limits()


class _Envelope(msgspec.Struct):
    objects: list[msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET


def read_batch(body: bytes, *, ndjson: bool = False, limits: Limits = LIMITS) -> list[Draft | Unreadable]:
    """Read a STIX bundle, a TAXII envelope, a single object, or NDJSON (one object a line).

    Raises Malformed (`malformed-json`, `not-stix`, `empty-batch`) where no objects can be told apart, TooLarge for
    too many. Whatever is wrong with one object makes that object Unreadable, and no other.
    """
    if body.startswith(b"\xef\xbb\xbf"):
        raise Malformed("JSON starts without a byte order mark (RFC 8259 §8.1).", code="malformed-json")
    slices = _lines(body) if ndjson else _slices(body, limits=limits)
    if not slices:
        raise Malformed("The batch holds no object.", code="empty-batch", at="/objects")
    if len(slices) > limits.objects:
        raise TooLarge(f"A batch holds at most {limits.objects} objects.", code="too-many-objects")
    return [_read(index, raw, limits=limits) for index, raw in enumerate(slices)]


def _lines(body: bytes) -> list[bytes]:
    return [line for line in (line.strip(b" \t\r") for line in body.split(b"\n")) if line]


def _slices(body: bytes, *, limits: Limits) -> list[bytes]:
    """The exact bytes of each object of a bundle or envelope, or of the one object that the body is."""
    try:
        found = msgspec.json.decode(body, type=_Envelope).objects
    except msgspec.ValidationError as error:
        raise Malformed(
            "The body must be a STIX bundle, a TAXII envelope or a STIX object.", code="not-stix", at="/objects"
        ) from error
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return _scan(body, limits=limits)
    if body.count(b'"objects"') > 1:
        _refuse_doubled_envelope(body)
    if isinstance(found, msgspec.UnsetType):
        return [] if _is_empty_envelope(body) else [body.strip()]
    return [bytes(raw) for raw in found]


def _is_empty_envelope(body: bytes) -> bool:
    """A TAXII envelope without objects is `{}`; a bundle may lack them too."""
    read = msgspec.json.decode(body)
    return bool(read == {} or read.get("type") == "bundle")


def _refuse_doubled_envelope(body: bytes) -> None:
    keys = re.findall(rb'"objects"\s*:', _outline(body))
    if len(keys) > 1:
        raise Malformed("The envelope names 'objects' twice.", code="duplicate-key", at="/objects")


def _outline(body: bytes) -> bytes:
    """The outermost level of a JSON object: everything nested deeper is left out."""
    kept = bytearray()
    depth = 0
    for token in _TOKEN.finditer(body):
        text = token[0]
        if text in b"}]":
            depth -= 1
        if depth <= 1 and (text[:1] not in b"{[" or depth == 0):
            kept += text
        if text in b"{[":
            depth += 1
    return bytes(kept)


#: A whole string (closed or not), one bracket, or a run of anything else.
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*(?:"|\Z)|[\[\]{}]|[^"\[\]{}]+', re.DOTALL)
_MAX_SCAN_DEPTH = 10_000


def _scan(body: bytes, *, limits: Limits) -> list[bytes]:
    """Slice without judging: strings and brackets only, so that what is wrong inside an object stays inside it."""
    if len(body) > limits.scanned_bytes:
        raise Malformed("The body is not JSON.", code="malformed-json", at="")
    if not body.lstrip().startswith(b"{"):
        raise Malformed("The body must be a JSON object.", code="malformed-json", at="")
    slices: list[bytes] = []
    depth, start, inside, key = 0, 0, False, b""
    for token in _TOKEN.finditer(body):
        text = token[0]
        if text in (b"{", b"["):
            if depth == 1 and text == b"[" and key == b'"objects"':
                inside = True
            elif depth == 2 and inside:
                start = token.start()
            depth += 1
        elif text in (b"}", b"]"):
            depth -= 1
            if depth == 2 and inside:
                slices.append(body[start : token.end()])
            elif depth == 1:
                inside = False
        elif depth == 1 and text.startswith(b'"'):
            key = text
        elif depth == 2 and inside and (text.startswith(b'"') or text.strip(b" \t\r\n,")):
            slices.append(text.strip(b" \t\r\n,"))
        if depth > _MAX_SCAN_DEPTH:
            raise Malformed("The body is nested too deeply.", code="too-deep", at="")
    if depth != 0:
        raise Malformed("The body is not JSON: a bracket or a quotation mark is missing.", code="malformed-json", at="")
    return slices or [body.strip()]


def _read(index: int, raw: bytes, *, limits: Limits) -> Draft | Unreadable:
    if len(raw) > limits.object_bytes:
        return _unreadable(index, "object-too-large", f"An object has at most {limits.object_bytes} bytes.")
    try:
        data = jiter.from_json(raw, catch_duplicate_keys=True, allow_inf_nan=False)
    except ValueError as error:
        return _unreadable(index, *_what_is_wrong(raw, str(error)))
    if not isinstance(data, dict):
        return _unreadable(index, "not-an-object", "An element of a batch is a JSON object.")
    if (b"\\u0000" in raw and _holds(data, _is_nul)) or (_HUGE.search(raw) and _holds(data, _is_infinite)):
        nul = b"\\u0000" in raw and _holds(data, _is_nul)
        code, message = (
            ("nul-character", "A string must not hold the character NUL.")
            if nul
            else ("number-out-of-range", "A number is outside the range of a double.")
        )
        return Unreadable(index, _id_in(data), Refusal(code, "", message))
    drafted = objects.draft(index, raw, data)
    return Unreadable(index, _id_in(data), drafted) if isinstance(drafted, Refusal) else drafted


def _what_is_wrong(raw: bytes, said: str) -> tuple[str, str]:
    """A stable code for what the parser said; its own words may quote the document and are not repeated."""
    if "duplicate key" in said:
        return "duplicate-key", "A property is named twice in one object."
    if "recursion limit" in said:
        return "too-deep", "The object is nested too deeply."
    if _has_lone_surrogate(raw):
        return "lone-surrogate", "A string holds half of a surrogate pair, which UTF-8 cannot carry."
    if "unicode code point" in said or not _is_utf8(raw):
        return "not-utf8", "The object is not valid UTF-8."
    return "malformed-json", "The object is not valid JSON."


_ESCAPED_UNIT = re.compile(
    rb"\\\\|\\u(?:([dD][89abAB][0-9a-fA-F]{2})(\\u[dD][c-fC-F][0-9a-fA-F]{2})?|([dD][c-fC-F][0-9a-fA-F]{2}))"
)
_HUGE = re.compile(rb"\d[eE]\+?\d{3}|\d{309}")


def _has_lone_surrogate(raw: bytes) -> bool:
    return any((unit[1] and not unit[2]) or unit[3] for unit in _ESCAPED_UNIT.finditer(raw))


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_nul(value: Any) -> bool:
    return isinstance(value, str) and "\0" in value


def _is_infinite(value: Any) -> bool:
    return isinstance(value, float) and math.isinf(value)


def _holds(value: Any, wanted: Any) -> bool:
    """Whether any key or value, at any depth, is as `wanted` says. Depth is bounded by the parser."""
    if isinstance(value, dict):
        return any(wanted(key) or _holds(inner, wanted) for key, inner in value.items())
    if isinstance(value, list):
        return any(_holds(inner, wanted) for inner in value)
    return bool(wanted(value))


def _id_in(data: dict[str, Any]) -> str | None:
    """The id to name an unreadable object by: only if it is one, so that nothing else is echoed."""
    found = data.get("id")
    return found if isinstance(found, str) and objects.ID.fullmatch(found) else None


def _unreadable(index: int, code: str, message: str) -> Unreadable:
    return Unreadable(index, None, Refusal(code, "", message))
