"""Our extensions and objects as classes of `stix2`: once this is imported, `stix2.parse` knows them.

    from exchange.stix import classes, words
    indicator = stix2.parse(text)                          # without allow_custom
    indicator.extensions[words.EXTENSION_ID].subkind       # a property of classes.IndicatorExtension

The classes name the properties; what each may hold is said by the schemas (`exchange.stix.schemas`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from stix2.properties import Property
from stix2.v21 import CustomExtension, CustomObservable

from exchange.stix import closed, schemas, words
from exchange.stix.patterns import TOKEN_TYPE, VALUE_TYPE


class _AsItIs(Property):  # type: ignore[misc]
    """A value as it stands, for the schemas judge it."""

    def clean(self, value: Any, *_: Any, **__: Any) -> tuple[Any, bool]:
        """The value, and that nothing in it is custom."""
        return value, False


def _properties(schema: schemas.Schema, *, without: Iterable[str] = ()) -> list[tuple[str, Property]]:
    required = set(schema["required"])
    apart = {"extension_type", *without}
    return [(name, _AsItIs(required=name in required)) for name in schema["properties"] if name not in apart]


@CustomExtension(type=words.EXTENSION_ID, properties=_properties(schemas.extension()))
class IndicatorExtension:
    """What an indicator of ours says."""

    extension_type = "property-extension"


@CustomExtension(type=words.OPINION_EXTENSION_ID, properties=_properties(closed.opinion_extension()))
class OpinionExtension:
    """Why an opinion is what it is."""

    extension_type = "property-extension"


@CustomExtension(type=words.CAMPAIGN_EXTENSION_ID, properties=_properties(closed.campaign_extension()))
class CampaignExtension:
    """How well a campaign is founded, and how large it is."""

    extension_type = "property-extension"


_OF_OBSERVABLES = ("type", "spec_version", "id", "object_marking_refs", "extensions")


@CustomObservable(
    TOKEN_TYPE,
    _properties(closed.schema_of(TOKEN_TYPE), without=_OF_OBSERVABLES),
    ["scheme", "key_epoch", "norm_version", "subkind", "value", "psp_scope"],
    extension_name=words.TOKEN_EXTENSION_ID,
)
class Token:
    """A token as an object that graphs can point to; its id follows from what it says."""


@CustomObservable(
    VALUE_TYPE,
    _properties(closed.schema_of(VALUE_TYPE), without=_OF_OBSERVABLES),
    ["subkind", "value"],
    extension_name=words.VALUE_EXTENSION_ID,
)
class Value:
    """A value in clear that no object of STIX observes; its id follows from what it says."""


__all__ = ["CampaignExtension", "IndicatorExtension", "OpinionExtension", "Token", "Value"]
