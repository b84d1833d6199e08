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
    labels = (tidy(label) for label in _strings(data.get("labels")) if "\0" not in label)
    found = {facet("label", said) for said in labels if 0 < len(said) <= _MAX_CHARS}
    if extension:
        found.update(_of_extension(extension))
    return tuple(sorted(found))


def _of_extension(extension: Mapping[str, Any]) -> Iterator[str]:
    for name in _WORDS:
        if isinstance(said := extension.get(name), str):
            yield facet(name, _short(said))
    for said in _strings(extension.get("techniques")):
        yield facet("technique", _short(said))
    if (detector := detector_in(extension)) is not None:
        yield facet("detector", detector)


def _short(said: str) -> str:
    return said[:_MAX_CHARS].replace("\0", "")


def _strings(values: Any) -> list[str]:
    return [one for one in values[:_MAX_VALUES] if isinstance(one, str)] if isinstance(values, list) else []
