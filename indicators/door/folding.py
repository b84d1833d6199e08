"""The texts of an object as a detector reads them: every string, name and number, folded and decoded.

How one text is folded and decoded is `exchange.texts.folding`'s.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from exchange.stix import words
from exchange.texts.folding import decoded, fold
from indicators.stix import oasis

#: Names that hold an identifier of STIX, a date or a word of its lists; whatever ends in `_ref` or `_refs` as well.
_NOT_TEXT = frozenset({"created", "id", "modified", "spec_version", "type", "valid_from", "valid_until"})
_OWN_TEXTS = ("signature",)


def texts(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each text of an object with its JSON pointer; of a name, the pointer of what holds it."""
    extensions = data.get("extensions")
    own = extensions.get(words.EXTENSION_ID) if isinstance(extensions, dict) else None
    is_ours = isinstance(own, dict) and own.get("schema_version") == words.SCHEMA_VERSION
    if is_ours and "labels" not in data:  # what says RED in one waits, sealed, before all is compared
        data = {name: value for name, value in data.items() if name not in _FOLLOWING}
    yield from _of(data, "", name="")


#: What the door compares with our extension, and refuses where it says anything else.
_FOLLOWING = frozenset({"pattern", "pattern_type", "indicator_types"})


def _of(value: Any, pointer: str, *, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield from _of_string(value, pointer, name=name)
    elif isinstance(value, dict):
        yield from _of_object(value, pointer)
    elif isinstance(value, list):
        yield from _of_list(value, pointer, name=name)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        written = str(int(value)) if value == int(value) else str(value)
        yield from _of_string(written, pointer, name=name)


def _of_object(value: Mapping[str, Any], pointer: str) -> Iterator[tuple[str, str]]:
    for name, inner in value.items():
        if name not in oasis.names():
            yield from _of_string(name, pointer, name="")
        if name in _NOT_TEXT or name.endswith(("_ref", "_refs")):
            if not _is_short(inner):
                yield from _of(inner, f"{pointer}/{_written(name)}", name=name)
            continue
        if (
            name == words.EXTENSION_ID
            and isinstance(inner, dict)
            and inner.get("schema_version") == words.SCHEMA_VERSION
        ):
            inner = {own: inner[own] for own in _OWN_TEXTS if own in inner}  # noqa: PLW2901 - all else is closed
        yield from _of(inner, f"{pointer}/{_written(name)}", name=name)


def _is_short(value: Any) -> bool:
    """Whether it may be an identifier, a date or a word, or a list of these: it says no more than 60 characters."""
    if isinstance(value, list):
        return all(isinstance(one, str) and _IDENTIFIER.fullmatch(one) for one in value)
    return isinstance(value, str) and bool(_IDENTIFIER.fullmatch(value) or _DATE.fullmatch(value) or len(value) <= 12)


_IDENTIFIER = re.compile(r"[a-z0-9-]{3,60}--[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{5,30}Z")


def _of_list(value: list[Any], pointer: str, *, name: str) -> Iterator[tuple[str, str]]:
    """Each element, and those that are short written in a row: a number may be cut into pieces."""
    pieces = [str(one) for one in value if isinstance(one, str | int) and len(str(one)) <= 8]
    if 1 < len(pieces) == len(value) <= 40:
        yield pointer, " ".join(pieces)
    for place, inner in enumerate(value):
        yield from _of(inner, f"{pointer}/{place}", name=name)


def _of_string(text: str, pointer: str, *, name: str) -> Iterator[tuple[str, str]]:
    folded = fold(text)
    yield pointer, folded
    if name and name not in oasis.names() and len(folded) <= 200:
        yield pointer, f"{name.replace('_', ' ')}: {folded}"  # `cvv` beside `123`
    for said in decoded(folded):
        yield pointer, fold(said)


def _written(name: str) -> str:
    """A name as it may stand in a pointer: one that is at fault itself has been found before its value is looked at."""
    return name.replace("~", "~0").replace("/", "~1")
