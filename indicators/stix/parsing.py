"""From the bytes of a request to drafts, with each object's exact bytes.

`slicing` tells the objects apart; here each is read by itself (jiter refuses duplicate keys), so that what is wrong
with one costs only that one.
"""

from __future__ import annotations

import codecs
import math
import re
import sys
from dataclasses import dataclass
from itertools import islice
from typing import Any

import jiter
import re2

from exchange.errors import Malformed
from indicators.stix import budget, objects, slicing
from indicators.stix.drafts import Draft, Refusal, Unreadable


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one batch: number of objects, and bytes and depth of one object.

    Some readers of JSON stop at a depth of 128: what is published must reach them, too.
    """

    objects: int = 20_000
    object_bytes: int = 1_048_576
    depth: int = 100


LIMITS = Limits()

_NO_LINE = "No line holds an object."
_NEITHER = "Neither a bundle nor an envelope: what has nothing to add says 'type': 'bundle', or 'objects': []."


def read_batch(body: bytes, *, ndjson: bool = False, limits: Limits = LIMITS) -> list[Draft | Unreadable]:
    """Read a STIX bundle, a TAXII envelope, a single object, or NDJSON (one object a line).

    A bundle without `objects` is legal (§8): nothing is in it. So is a list of none, sloppily (§2.12). A byte order
    mark is passed over (RFC 8259 §8.1).
    Raises Malformed (`malformed-json`, `not-stix`, `duplicate-key`, `empty-batch`) where no objects can be told
    apart, TooLarge for too many. Whatever is wrong with one object makes that object Unreadable, and no other.
    """
    body = body.removeprefix(codecs.BOM_UTF8)
    at_most = limits.objects
    sliced = slicing.of_lines(body, at_most=at_most) if ndjson else slicing.of_document(body, at_most=at_most)
    if not sliced.objects:
        if sliced.empty:
            return []
        raise Malformed(_NO_LINE if ndjson else _NEITHER, code="empty-batch", at="/objects")
    budget.begin()
    has_huge = _HUGE.search(body) is not None  # one look at the whole, for hardly any batch has one
    elements = [_read(index, raw, limits=limits, has_huge=has_huge) for index, raw in enumerate(sliced.objects)]
    only = elements[0]
    if sliced.bare and isinstance(only, Unreadable) and only.refusal.code == "malformed-json":
        raise Malformed("The body is not JSON.", code="malformed-json", at="")
    return elements


def _read(index: int, raw: bytes, *, limits: Limits, has_huge: bool) -> Draft | Unreadable:
    if len(raw) > limits.object_bytes:
        return _unreadable(index, raw, "object-too-large", f"An object has at most {limits.object_bytes} bytes.")
    if raw.count(b"{") + raw.count(b"[") > limits.depth and _depth(raw) > limits.depth:
        return _unreadable(index, raw, "too-deep", f"An object is nested at most {limits.depth} levels deep.")
    try:
        data = jiter.from_json(raw, catch_duplicate_keys=True, allow_inf_nan=False)
    except ValueError as error:
        return _unreadable(index, raw, *_what_is_wrong(raw, str(error)))
    if not isinstance(data, dict):
        return _unreadable(index, raw, "not-an-object", "An element of a batch is a JSON object.")
    if b"\\u0000" in raw and _holds(data, _is_nul):
        return Unreadable(index, _id_in(data), Refusal("nul-character", "", _NUL), revoked=_says_revoked(data))
    if has_huge and _HUGE.search(raw) and _holds(data, _is_out_of_range):
        refusal = Refusal("number-out-of-range", "", _OUT_OF_RANGE)
        return Unreadable(index, _id_in(data), refusal, revoked=_says_revoked(data))
    drafted = objects.draft(index, raw, data)
    if isinstance(drafted, Refusal):
        return Unreadable(index, _id_in(data), drafted, revoked=_says_revoked(data))
    return drafted


_NUL = "A string must not hold the character NUL."
_OUT_OF_RANGE = "A number is outside the range of a double."
#: Every string, so that brackets in them do not count.
_STRINGS = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_BRACKETS = re.compile(rb"[\[{]++|[\]}]++")


def _depth(raw: bytes) -> int:
    deepest = depth = 0
    for run in _BRACKETS.finditer(_STRINGS.sub(b"", raw)):
        depth += len(run[0]) if run[0][:1] in b"[{" else -len(run[0])
        deepest = max(deepest, depth)
    return deepest


def _what_is_wrong(raw: bytes, said: str) -> tuple[str, str]:
    """A stable code for what the parser said; its own words may quote the document and are not repeated."""
    if "duplicate key" in said.lower():
        return "duplicate-key", "A property is named twice in one object."
    if _has_lone_surrogate(raw):
        return "lone-surrogate", "A string holds half of a surrogate pair, which UTF-8 cannot carry."
    if b"\0" in raw:
        return "nul-character", _NUL
    if not _is_utf8(raw):
        return "not-utf8", "The object is not valid UTF-8."
    if "number out of range" in said or "int_max_str_digits" in said or _ENDLESS.search(raw):
        return "number-out-of-range", _OUT_OF_RANGE
    return "malformed-json", "The object is not valid JSON."


_ESCAPED_UNIT = re.compile(
    rb"\\\\|\\u(?:([dD][89abAB][0-9a-fA-F]{2})(\\u[dD][c-fC-F][0-9a-fA-F]{2})?|([dD][c-fC-F][0-9a-fA-F]{2}))"
)
#: Only texts with such digits can hold a number beyond a double: ten to the hundredth, or two hundred digits.
_HUGE = re2.compile(rb"[:\[, \t\r\n]-?[0-9.]*[0-9][eE]\+?[0-9]{3}|[0-9]{200}")
#: Python itself reads no whole number with more digits than about this.
_ENDLESS = re.compile(rb"[0-9]{4300}")


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


def _is_out_of_range(value: Any) -> bool:
    if isinstance(value, float):
        return math.isinf(value)
    return isinstance(value, int) and abs(value) > sys.float_info.max


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
    return found.lower() if isinstance(found, str) and objects.ID.fullmatch(found) else None


def _says_revoked(data: dict[str, Any]) -> bool:
    return objects.revoked(data) is True


#: Of an object that is no JSON, so many pieces are looked at for its id.
_MOST_PIECES = 100
_PIECE = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{}:,]|[^"\[\]{}:,]++', re.DOTALL)


def _id_written(raw: bytes) -> str | None:
    """The id near the beginning of an object that cannot be parsed: its own, not one of what is inside it.

    None where it says two, or none that is an identifier, so that nothing else is echoed.
    """
    found: set[bytes] = set()
    depth, key, last = 0, b"", b""
    for piece in islice(_PIECE.finditer(raw), _MOST_PIECES):
        text = piece[0]
        if text in b"[{":
            depth += 1
        elif text in b"]}":
            depth -= 1
        elif text == b":":
            key = last
        elif text == b",":
            key = b""
        elif text.startswith(b'"'):
            if depth == 1 and key == b'"id"':
                found.add(text[1:-1])
            last = text
    written = found.pop().decode(errors="replace") if len(found) == 1 else ""
    return written.lower() if objects.ID.fullmatch(written) else None


def _unreadable(index: int, raw: bytes, code: str, message: str) -> Unreadable:
    return Unreadable(index, _id_written(raw), Refusal(code, "", message))
