"""What an object points to: every id in it, with its place. One reading for all who follow references.

Gathering and the pages of one id read what was stored of it at publication (`Reference`), intake reads the draft's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from indicators.stix import conformance, identifiers
from indicators.stix.drafts import Ref

#: Which properties name other objects (STIX 2.1 §2.9, §3.1): at any depth, in extensions and custom properties, too.
_SUFFIXES = ("_ref", "_refs")
_NAMES = "_ref"
#: A pointer is told this far at most: what is nested in long names would else take more room than the object.
_MAX_PATH_CHARS = 400

#: Where relationships and sightings say what they link.
ENDS = ("/sighting_of_ref", "/source_ref", "/target_ref")


def refs(data: Mapping[str, Any], raw: bytes | None = None) -> tuple[Ref, ...]:
    """Every reference of an object, each once; with its bytes it is known soon that there is none inside of it.

    That is each id in a property whose name ends in `_ref` or `_refs`, markings of the object and of single properties
    among them, and each extension definition that `extensions` names. What is no id points to nothing. A pointer that
    is longer than 400 characters ends before the name that makes it so.
    """
    found: list[Ref] = []
    outer = {name: value for name, value in data.items() if _NAMES in name}
    # Each name that may be one is an outer one: none inside is, and none is written otherwise.
    is_flat = raw is not None and b"\\" not in raw and raw.count(_NAMES.encode()) == len(outer)
    _gather(outer if is_flat else data, "", found)
    extensions = data.get("extensions")
    if isinstance(extensions, dict):
        at = "/extensions"
        found += (Ref(f"{at}/{name}", name.lower()) for name in extensions if identifiers.ID.fullmatch(name))
    return tuple(dict.fromkeys(found)) if found else ()


def told(path: str) -> str:
    """A pointer as answers name it: it ends before a name that may itself be a value not to be shown."""
    return conformance.pointer([part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]])


def _gather(value: Mapping[str, Any], at: str, found: list[Ref]) -> None:
    for name, inner in value.items():
        if isinstance(inner, str):
            if name.endswith(_SUFFIXES) and identifiers.ID.fullmatch(inner):
                found.append(Ref(_pointer(at, name), inner.lower()))
        elif isinstance(inner, dict):
            _gather(inner, _pointer(at, name), found)
        elif isinstance(inner, list):
            _gather_listed(inner, _pointer(at, name), found, named=name.endswith(_SUFFIXES))


def _gather_listed(value: list[Any], at: str, found: list[Ref], *, named: bool = False) -> None:
    for place, inner in enumerate(value):
        if isinstance(inner, str):
            if named and identifiers.ID.fullmatch(inner):
                found.append(Ref(_pointer(at, str(place)), inner.lower()))
        elif isinstance(inner, dict):
            _gather(inner, _pointer(at, str(place)), found)
        elif isinstance(inner, list):
            _gather_listed(inner, _pointer(at, str(place)), found)


def _pointer(at: str, name: str) -> str:
    told = f"{at}/{name.replace('~', '~0').replace('/', '~1')}" if "~" in name or "/" in name else f"{at}/{name}"
    return told if len(told) <= _MAX_PATH_CHARS else at
