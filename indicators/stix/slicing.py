"""Which bytes of a request are which object: the first step of reading a batch.

The fast way lets msgspec slice at the speed of C, but it gives up on the whole document for a lone surrogate, bad
UTF-8, deep nesting or a syntax error inside a single object. Then a scanner that knows only strings and brackets
slices instead, so that what is wrong inside an object stays inside it. Either way the envelope itself, which is
what remains when the objects are cut out, must be faultless.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import jiter
import msgspec

from exchange.errors import Malformed, TooLarge


@dataclass(frozen=True, slots=True)
class Sliced:
    """The exact bytes of each object.

    `bare`: the body is itself the one object, without an envelope. `empty`: it is a bundle or an envelope of nothing.
    """

    objects: list[bytes]
    bare: bool = False
    empty: bool = False


#: More commas than this between the brackets of `objects`, and msgspec would hold too many slices in memory before
#: they can be counted; the scanner counts as it goes.
_MAX_COMMAS = 1_000_000
#: Steps of the scanner, about a microsecond each. A full batch of 20,000 ordinary objects takes a tenth.
_MAX_STEPS = 1_000_000

_BLANK = b" \t\r\n"
_LINE = re.compile(rb"[^\n]+")
_STRING = rb'"(?:[^"\\]++|\\.)*+"'
#: Outside an object: a whole string, one bracket, or a run of anything else.
_OUTER = re.compile(rb"(?P<string>" + _STRING + rb')|[\[\]{}]|[^"\[\]{}]++', re.DOTALL)
#: Inside: strings and the like are passed over, then brackets that open, then brackets that close.
_PASSED = rb'[^"\[\]{}]*+(?:' + _STRING + rb'[^"\[\]{}]*+)*+'
_INNER = re.compile(_PASSED + rb"([\[{]*+)" + _PASSED + rb"([\]}]*+)", re.DOTALL)


def of_lines(body: bytes, *, at_most: int) -> Sliced:
    """NDJSON: an object a line, blank lines skipped. Raises TooLarge."""
    found: list[bytes] = []
    for line in _LINE.finditer(body):
        if stripped := line[0].strip(_BLANK):
            found.append(stripped)
            _count(found, at_most=at_most)
    return Sliced(found)


def of_document(body: bytes, *, at_most: int) -> Sliced:
    """A STIX bundle, a TAXII envelope, or one object. Raises Malformed and TooLarge."""
    try:
        envelope = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except msgspec.ValidationError as error:
        raise _not_stix() from error
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return _scan(body, at_most=at_most)
    if not _is_envelope(envelope.get("type"), has_objects="objects" in envelope, is_empty=not envelope):
        return Sliced([body.strip(_BLANK)], bare=True)
    if "objects" not in envelope:
        return _without_objects(body, envelope)
    listed = bytes(envelope["objects"])
    if listed.count(b",") > _MAX_COMMAS:
        return _scan(body, at_most=at_most)
    try:
        found = msgspec.json.decode(listed, type=list[msgspec.Raw])
    except msgspec.ValidationError as error:
        raise _not_stix(at="/objects") from error
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return _scan(body, at_most=at_most)
    _count(found, at_most=at_most)
    # What remains is judged by a parser that refuses duplicate keys. Should the same bytes stand earlier in the
    # body, they are cut there instead: the remaining keys are the same.
    start = body.find(listed)
    _judge(body[:start] + b"[]" + body[start + len(listed) :] if start >= 0 else body)
    return Sliced([bytes(raw) for raw in found], empty=not found)


def _without_objects(body: bytes, envelope: dict[str, msgspec.Raw]) -> Sliced:
    """A bundle or envelope with no `objects`; if it holds them under another name, they are not lost in silence."""
    _judge(body)
    if any(bytes(value).lstrip(_BLANK)[:1] in (b"[", b"{") for value in envelope.values()):
        raise _not_stix(at="/objects")
    return Sliced([], empty="type" in envelope)


def _scan(body: bytes, *, at_most: int) -> Sliced:
    """Slice without judging what is inside; the envelope is judged with `{}` in the place of each object."""
    if not body.lstrip(_BLANK).startswith(b"{"):
        raise _not_json()
    found: list[bytes] = []
    outline = bytearray()
    place, depth, steps, is_listing, is_listed, key = 0, 0, 0, False, False, b""
    while place < len(body):
        token = _OUTER.match(body, place)
        if token is None:  # a string without end
            raise _not_json()
        text = token[0]
        if depth == 2 and is_listing and text in (b"{", b"["):
            end, taken = _end(body, token.end(), at_most_steps=_MAX_STEPS - steps)
            found.append(body[place:end])
            _count(found, at_most=at_most)
            outline += b"{}"
            place, steps = end, steps + taken
            continue
        if text in (b"{", b"["):
            if depth == 1 and text == b"[" and key == b'"objects"':
                is_listing = is_listed = True
            depth += 1
        elif text in (b"}", b"]"):
            depth -= 1
            is_listing = is_listing and depth > 1
            if depth == 0 and body[token.end() :].strip(_BLANK):
                raise _second(token.end() + _blanks(body[token.end() :]))
        elif depth == 1 and token["string"]:
            key = text
        outline += text
        place, steps = token.end(), steps + 1
        if depth < 0 or steps > _MAX_STEPS:
            raise _not_json()
    if depth:
        raise _not_json()
    return (
        _joined(body, found, bytes(outline), at_most=at_most) if is_listed else Sliced([body.strip(_BLANK)], bare=True)
    )


def _end(body: bytes, place: int, *, at_most_steps: int) -> tuple[int, int]:
    """Where the bracket before `place` is closed, and the steps that it took to see."""
    depth, steps = 1, 0
    while steps < at_most_steps:
        found = _INNER.match(body, place)
        if found is None or found.end() == place:
            break
        depth += len(found[1])
        if len(found[2]) >= depth:
            return found.start(2) + depth, steps + 1
        depth -= len(found[2])
        place, steps = found.end(), steps + 1
    raise _not_json()


def _joined(body: bytes, containers: list[bytes], outline: bytes, *, at_most: int) -> Sliced:
    """Every element in its place: what was cut out, and what stood between (a number, say: no object)."""
    envelope = _judge(outline)
    if not _is_envelope(_quoted(envelope.get("type")), has_objects=True, is_empty=False):
        return Sliced([body.strip(_BLANK)], bare=True)
    elements = envelope["objects"]
    _count(elements, at_most=at_most)
    cut = iter(containers)
    return Sliced([next(cut) if element == {} else b"null" for element in elements], empty=not elements)


def _is_envelope(stix_type: object, *, has_objects: bool, is_empty: bool) -> bool:
    """An object with a type of its own is no envelope, even if it has a property named `objects` (observed-data)."""
    if stix_type is None:
        return has_objects or is_empty
    return bytes(stix_type) == b'"bundle"' if isinstance(stix_type, bytes | msgspec.Raw) else False


def _quoted(word: object) -> bytes | None:
    return None if word is None else b'"%b"' % str(word).encode(errors="replace")


def _judge(outline: bytes) -> dict[str, Any]:
    try:
        read = jiter.from_json(outline, catch_duplicate_keys=True, allow_inf_nan=False)
    except ValueError as error:
        if "duplicate key" in str(error).lower():
            raise Malformed("The envelope names a property twice.", code="duplicate-key", at="") from None
        raise _not_json() from None
    if not isinstance(read, dict):
        raise _not_stix()
    return read


def _count(found: list[Any], *, at_most: int) -> None:
    if len(found) > at_most:
        raise TooLarge(f"A batch holds at most {at_most} objects.", code="too-many-objects")


def _not_stix(*, at: str = "") -> Malformed:
    return Malformed("The body must be a STIX bundle, a TAXII envelope or a STIX object.", code="not-stix", at=at)


def _blanks(text: bytes) -> int:
    return len(text) - len(text.lstrip(_BLANK))


def _second(place: int) -> Malformed:
    return Malformed(
        f"Something follows the JSON document at byte {place}. Objects line by line are application/x-ndjson.",
        code="malformed-json",
        at="",
    )


def _not_json() -> Malformed:
    return Malformed("The body is not JSON.", code="malformed-json", at="")
