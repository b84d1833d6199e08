"""Indicators of ours among objects as they are read: which an exporter can say, and what it cannot of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from exchange.formats import flat
from exchange.formats.losses import Loss
from exchange.stix import schemas, words

Tell = Callable[[Loss], None]


@dataclass(frozen=True, slots=True)
class Ours:
    """An indicator of ours, in the words of version 2."""

    id: str
    document: Mapping[str, Any]
    extension: Mapping[str, Any]

    @property
    def subkind(self) -> str:
        """What it is of."""
        return str(self.extension["subkind"])

    @property
    def uuid(self) -> str:
        """Of its id."""
        return self.id.partition("--")[2]


def of_ours(document: Mapping[str, Any], tell: Tell) -> Ours | None:
    """The indicator, if the object is one of ours that is in force; else None, and the loss is told."""
    stix_id = str(document.get("id", ""))
    extensions = document.get("extensions")
    extension = extensions.get(words.EXTENSION_ID) if isinstance(extensions, dict) else None
    if document.get("type") != "indicator":
        tell(Loss(stix_id, "no-counterpart"))
        return None
    if not isinstance(extension, dict):
        tell(Loss(stix_id, "foreign-pattern"))
        return None
    if document.get("revoked") is True:
        tell(Loss(stix_id, "revoked"))
        return None
    if extension.get("schema_version") != words.SCHEMA_VERSION:
        tell(Loss(stix_id, "version-1"))
        extension = schemas.as_version_2(extension)
    if extension.get("subkind") not in words.KIND_OF:
        tell(Loss(stix_id, "no-counterpart"))
        return None
    return Ours(stix_id, document, extension)


def tell_common(one: Ours, tell: Tell) -> None:
    """Tell of an indicator what no format of ours carries: creator, further markings, other references."""
    if one.document.get("created_by_ref"):
        tell(Loss(f"{one.id}/created_by_ref", "creator-dropped"))
    for place, ref in enumerate(one.document.get("object_marking_refs") or ()):
        if ref not in flat.TLP_OF:
            tell(Loss(f"{one.id}/object_marking_refs/{place}", "marking-dropped"))
    for place, reference in enumerate(one.document.get("external_references") or ()):
        if not isinstance(reference, dict) or reference.get("source_name") != words.ATLAS:
            tell(Loss(f"{one.id}/external_references/{place}", "reference-dropped"))
