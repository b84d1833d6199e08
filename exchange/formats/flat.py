"""An indicator of ours as flat names and texts, and back: the columns of a table, the tags of an attribute.

Lists are joined by `;`. What is an object inside is named with a dot: `detector.name`, `benign_hit_rate.bucket`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from exchange.stix import schemas
from exchange.stix.patterns import tokens_in

#: What is not among the names: it says what the indicator is, or what it carries.
_APART = frozenset({"extension_type", "kind", "subkind", "schema_version", "tokens", "value", "rule", "signature"})
_PARTS = {"detector": ("name", "version", "sha256"), "benign_hit_rate": ("bucket", "sample_size")}
_LISTS = frozenset({"techniques", "languages"})
_OF_TOKENS = ("scheme", "key_epoch", "norm_version", "value")
_SEPARATOR = ";"

TLP_OF = {
    "marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487": "clear",
    "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb": "green",
    "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421": "amber",
    "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003": "amber+strict",
    "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1": "red",
}
TLPS = ("clear", "green", "amber", "amber+strict", "red")


def _names() -> Iterator[str]:
    for name in schemas.extension()["properties"]:
        if name not in _APART:
            yield name
            yield from (f"{name}.{part}" for part in _PARTS.get(name, ()))


#: Every name, in the order of the schema.
NAMES = tuple(name for name in _names() if name != "detector")


def said(extension: Mapping[str, Any]) -> dict[str, str]:
    """What an extension says, by name; its kind, subkind and what it carries stand apart."""
    found: dict[str, str] = {}
    for name, value in extension.items():
        if name in _APART:
            continue
        if isinstance(value, dict):
            found |= {f"{name}.{part}": str(inner) for part, inner in value.items()}
        elif isinstance(value, list):
            found[name] = _SEPARATOR.join(map(str, value))
        else:
            found[name] = str(value)
    return found


def unsaid(flat: Mapping[str, str]) -> dict[str, Any]:
    """The properties of an extension that names and texts say; empty texts say nothing."""
    found: dict[str, Any] = {}
    for name, text in flat.items():
        if not text:
            continue
        outer, _, inner = name.partition(".")
        if inner:
            held = found.setdefault(outer, {})
            if isinstance(held, dict):
                held[inner] = text
        elif name in _LISTS:
            found[name] = [one.strip() for one in text.split(_SEPARATOR) if one.strip()]
        else:
            found[name] = text
    return found


def tlp_of(document: Mapping[str, Any]) -> str:
    """The TLP 2.0 word of the strictest standard marking; empty where there is none."""
    found = [TLP_OF[ref] for ref in document.get("object_marking_refs") or () if ref in TLP_OF]
    return max(found, key=TLPS.index, default="")


def carried_texts(extension: Mapping[str, Any]) -> list[dict[str, str]]:
    """What an indicator carries as texts: of tokens each with scheme, epoch and value, else one value."""
    tokens = tokens_in(extension)
    if tokens:
        return [{name: str(one.get(name, "")) for name in _OF_TOKENS} for one in tokens]
    if "value" in extension:
        return [{"value": str(extension["value"])}]
    signature = extension.get("signature") or {}
    return [{"value": str(text)} for text in signature.values()]


def takes(subkind: str) -> frozenset[str]:
    """The properties that the extension of a subkind may have."""
    return frozenset(schemas.of_subkind(subkind)["properties"])
