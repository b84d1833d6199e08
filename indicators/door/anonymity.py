"""Whether the bytes of an object that is not to name its publisher give it away.

The bytes travel as they are, so what they must not say, they must not say: the publisher's identity, its name, and ids
that tell when and on which machine they were made (RFC 9562: versions 1, 2, 6 and 7).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from indicators.stix.drafts import Draft, Refusal

_UUID = re.compile(r"--[0-9a-f]{8}-[0-9a-f]{4}-([0-9a-f])[0-9a-f]{3}-", re.IGNORECASE)
_TELLS_TIME = frozenset("1267")


@dataclass(frozen=True, slots=True)
class Publisher:
    """What would name the publisher: its identity's id, its name and its short name."""

    identity_id: str
    name: str
    slug: str


def check(draft: Draft, publisher: Publisher) -> Refusal | None:
    """A refusal naming the first field that gives the publisher away, or None."""
    if draft.stix_id.lower() == publisher.identity_id.lower():
        return _refusal("/id")
    found = _UUID.search(draft.stix_id)
    if found is not None and found[1] in _TELLS_TIME:
        return Refusal("id-tells-time", "/id", "Without your name, an object takes a random UUID (v4).")
    names = _names(publisher)
    for pointer, text in _strings(draft.data, ""):
        if publisher.identity_id.lower() in text.lower() or names.search(text):
            return _refusal(pointer)
    return None


def _refusal(pointer: str) -> Refusal:
    return Refusal("names-its-publisher", pointer, "It is published without your name, but this field names you.")


def _names(publisher: Publisher) -> re.Pattern[str]:
    """The publisher's names as whole words; a name of one letter is no word that could be told from others."""
    words = [re.escape(name) for name in (publisher.name, publisher.slug) if len(name) > 1]
    return re.compile(rf"(?<![^\W_])(?:{'|'.join(words)})(?![^\W_])" if words else r"(?!)", re.IGNORECASE)


def _strings(value: Any, pointer: str) -> Iterator[Sequence[str]]:
    """Every string of an object, names of properties included, with its JSON pointer."""
    if isinstance(value, str):
        yield pointer, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            at = f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}"
            yield at, name
            yield from _strings(inner, at)
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _strings(inner, f"{pointer}/{place}")
