"""What filters ask of an object beside its columns, as strings `name=value`: of labels, and of our extension."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from unicodedata import normalize

from indicators.stix.vocabulary import detector_in

#: Of our extension.
_WORDS = ("control", "elicitation", "shared_infra")
#: What the exchange measured of it, and no bytes of it say (`door.entries`).
BENIGN_HITS = "benign_hits"
_MAX_CHARS = 250
_MAX_VALUES = 50


def facet(name: str, value: str) -> str:
    """How it is written that an object has a value."""
    return f"{name}={value}"


def tidy(text: str) -> str:
    """A label as it is compared: NFKC, runs of blanks as one."""
    return " ".join(normalize("NFKC", text[: 4 * _MAX_CHARS]).split())


def facets(data: Mapping[str, Any], extension: Mapping[str, Any] | None) -> tuple[str, ...]:
    """All that an object says of these, in order, each once. What is no plain word is left out."""
    return tuple(sorted(set(_found(data, extension))))


def _found(data: Mapping[str, Any], extension: Mapping[str, Any] | None) -> Iterator[str]:
    for label in _strings(data.get("labels")):
        if "\0" not in label and 0 < len(said := tidy(label)) <= _MAX_CHARS:
            yield facet("label", said)
    if extension:
        for name in _WORDS:
            for said in _strings([extension.get(name)]):
                yield facet(name, said[:_MAX_CHARS].replace("\0", ""))
        if (detector := detector_in(extension)) is not None:
            yield facet("detector", detector)
        for said in _strings(extension.get("techniques")):
            yield facet("technique", said[:_MAX_CHARS].replace("\0", ""))


def _strings(values: Any) -> list[str]:
    return [one for one in values[:_MAX_VALUES] if isinstance(one, str)] if isinstance(values, list) else []
