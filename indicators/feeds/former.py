"""The six fields that a filter had before it became a tree: still read, never written. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict
from uuid import UUID

from exchange.errors import Refused
from exchange.stix import words
from indicators.feeds.fields import FIELDS, MAX_CHARS, MAX_VALUES

_LISTS = ("kinds", "subkinds", "types", "publishers")
_OTHERS = ("min_confidence", "with_entries")


class Former(TypedDict):
    """What such a filter says."""

    kinds: tuple[str, ...]
    subkinds: tuple[str, ...]
    types: tuple[str, ...]
    publishers: tuple[str, ...]
    min_confidence: int
    with_entries: bool


def is_former(document: Mapping[str, Any]) -> bool:
    """Whether it is spelled so: `publishers` is a list there, and a number in today's spelling."""
    own = {*_LISTS, *_OTHERS}
    return bool(document) and set(document) <= own and isinstance(document.get("publishers", []), list)


def read(document: Mapping[str, Any]) -> Former:
    """Read it. Raises Refused naming the field."""
    lists = {name: _strings(document.get(name, []), at=f"/filter/{name}") for name in _LISTS}
    _closed(lists["kinds"], sorted(words.SUBKINDS), code="unknown-kind", at="/filter/kinds")
    _closed(lists["subkinds"], sorted(words.KIND_OF), code="unknown-subkind", at="/filter/subkinds")
    for stix_type in lists["types"]:
        FIELDS["type"].read(stix_type)
    for publisher in lists["publishers"]:
        _uuid(publisher, at="/filter/publishers")
    confidence = document.get("min_confidence", 0)
    if not isinstance(confidence, int) or isinstance(confidence, bool) or not 0 <= confidence <= 100:
        raise Refused("A number from 0 to 100.", code="bad-filter", at="/filter/min_confidence")
    with_entries = document.get("with_entries", False)
    if not isinstance(with_entries, bool):
        raise Refused("True or false.", code="bad-filter", at="/filter/with_entries")
    return Former(
        kinds=lists["kinds"],
        subkinds=lists["subkinds"],
        types=lists["types"],
        publishers=lists["publishers"],
        min_confidence=confidence,
        with_entries=with_entries,
    )


def _strings(value: Any, *, at: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise Refused("A list of strings.", code="bad-filter", at=at)
    if len(value) > MAX_VALUES or any(len(item) > MAX_CHARS or "\0" in item for item in value):
        raise Refused(
            f"At most {MAX_VALUES} values of {MAX_CHARS} characters, none of them NUL.", code="bad-filter", at=at
        )
    return tuple(sorted(set(value)))


def _closed(said: tuple[str, ...], allowed: list[str], *, code: str, at: str) -> None:
    if not set(said) <= set(allowed):
        raise Refused(f"One or more of: {', '.join(allowed)}.", code=code, at=at)


def _uuid(value: str, *, at: str) -> None:
    try:
        UUID(value)
    except ValueError:
        raise Refused("A partner's id.", code="bad-filter", at=at) from None
