"""`closed-facts`: what may be said, as one JSON Schema per admitted type (vocabulary, "Two policies of a group").

Every property is listed. Every string is one of a list, has a form, or is an id or a date; closed objects name others
by id alone. The exceptions are the two texts of a signature, which wait for a second person, and an identity's name,
which the door compares with the registered one. What a schema cannot say, `indicators.door.closed` does.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from exchange.stix import excerpts, schemas, words
from exchange.stix.schemas import HOUR, Schema

_UUID = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
_TIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?Z$"
#: The STIX relationships that may be said, and what each may point to.
RELATIONSHIPS = ("indicates", "related-to", "derived-from", "duplicate-of", "attributed-to")
OPINIONS = ("strongly-disagree", "disagree", "neutral", "agree", "strongly-agree")
_MOST_REFS = 300


def _ids(*types: str) -> Schema:
    return {"type": "string", "pattern": f"^({'|'.join(types)})--{_UUID}$"}


def _refs(*types: str, most: int = _MOST_REFS) -> Schema:
    return {"type": "array", "minItems": 1, "maxItems": most, "uniqueItems": True, "items": _ids(*types)}


_MOMENT: Schema = {"type": "string", "pattern": _TIME}
_HOUR: Schema = {"type": "string", "pattern": HOUR}
#: What closed objects may refer to: other closed objects.
_REFERRED = (
    *("indicator", "campaign", "grouping", "sighting", "opinion", "relationship", "identity"),
    *("x-exchange-token", "x-exchange-value"),
)
_PROPERTY_EXTENSION: Schema = {"const": "property-extension"}


_TLP2_EXTENSION = "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d"
_TLP2 = {
    "clear": "94868c89-83c2-464b-929b-a1a8aa3c8487",
    "green": "bab4a63c-aed9-4cf5-a766-dfca5abac2bb",
    "amber": "55d920b0-5e8b-4f79-9ee9-91f868d9b421",
    "amber+strict": "939a9414-2ddd-4d32-a0cd-375ea402b003",
    "red": "e828b379-4e03-4974-9ac4-e53a884c97c1",
}
_TLP1 = {
    "white": "613f2e26-407d-48c7-9eca-b8e91df99dc9",
    "green": "34098fce-860f-48ae-8e50-ebd3cc5e41da",
    "amber": "f88d31f6-486f-44da-b317-01333bde0b82",
    "red": "5e57c739-391a-4eb3-b6be-7d15ca92d5ed",
}
#: A closed object is marked by the standard's TLP: the id of another marking could say anything.
_MARKINGS: Schema = {
    "type": "array",
    "minItems": 1,
    "maxItems": 10,
    "uniqueItems": True,
    "items": {"enum": [f"marking-definition--{one}" for one in (*_TLP2.values(), *_TLP1.values())]},
}


def _common(stix_type: str, *, is_marking: bool = False) -> dict[str, Schema]:
    said: dict[str, Schema] = {
        "type": {"const": stix_type},
        "spec_version": {"const": "2.1"},
        "id": _ids(stix_type),
        "created": _MOMENT,
    }
    if is_marking:
        return said
    return said | {
        "modified": _MOMENT,
        "created_by_ref": _ids("identity"),
        "revoked": {"type": "boolean"},
        "confidence": {"type": "integer", "minimum": 0, "maximum": 100},
        "object_marking_refs": _MARKINGS,
    }


_ALWAYS = ("type", "spec_version", "id", "created", "modified")


def _object(stix_type: str, own: dict[str, Schema], *required: str) -> Schema:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [*_ALWAYS, *required],
        "properties": _common(stix_type) | own,
    }


def _extended(extension_id: str, extension: Schema) -> Schema:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [extension_id],
        "properties": {extension_id: extension},
    }


_REFERENCE: Schema = {
    "type": "object",
    "additionalProperties": False,
    "required": ["source_name", "external_id"],
    "properties": {
        "source_name": {"const": words.ATLAS},
        "external_id": {"type": "string", "pattern": schemas.TECHNIQUE},
        "url": {"type": "string", "pattern": schemas.TECHNIQUE.replace("^", r"^https://atlas\.mitre\.org/techniques/")},
    },
}
LABELS = (*words.SUBKINDS, *words.KIND_OF, *words.CONTROLS, *words.SEVERITIES)
_LABELS: Schema = {"type": "array", "minItems": 1, "maxItems": 4, "uniqueItems": True, "items": {"enum": list(LABELS)}}
_TYPES: Schema = {"type": "array", "minItems": 1, "uniqueItems": True, "items": {"enum": list(words.INDICATOR_TYPES)}}


def _indicator() -> Schema:
    own: dict[str, Schema] = {
        "name": {"enum": [f"{kind}: {subkind}" for subkind, kind in words.KIND_OF.items()]},
        "pattern": {"type": "string", "maxLength": 8_192, "description": "What follows from the extension."},
        "pattern_type": {"enum": ["stix", "pcre", "nova", "x-exchange-rule"]},
        "pattern_version": {"const": "2.1"},
        "valid_from": _MOMENT,
        "valid_until": _MOMENT,
        "labels": _LABELS,
        "indicator_types": _TYPES,
        "external_references": {
            "type": "array",
            "minItems": 1,
            "maxItems": 20,
            "uniqueItems": True,
            "items": _REFERENCE,
        },
        "extensions": _extended(words.EXTENSION_ID, {"$ref": f"urn:exchange:schema:{words.EXTENSION_ID}"}),
    }
    return _object("indicator", own, "pattern", "pattern_type", "valid_from", "valid_until", "extensions")


def _sighting() -> Schema:
    own: dict[str, Schema] = {
        "count": {"enum": [10**power for power in range(8)]},
        "first_seen": _HOUR,
        "last_seen": _HOUR,
        "sighting_of_ref": _ids("indicator", "campaign"),
        "where_sighted_refs": _refs("identity", most=10),
    }
    return _object("sighting", own, "sighting_of_ref")


def opinion_extension() -> Schema:
    """The schema of the extension of opinions: why."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["extension_type", "reason"],
        "properties": {
            "extension_type": _PROPERTY_EXTENSION,
            "reason": {"enum": [*words.REASONS, *words.REASONS_OF_CAMPAIGNS]},
        },
    }


def _opinion() -> Schema:
    own: dict[str, Schema] = {
        "opinion": {"enum": list(OPINIONS)},
        "object_refs": _refs(*_REFERRED),
        "extensions": _extended(words.OPINION_EXTENSION_ID, opinion_extension()),
    }
    return _object("opinion", own, "opinion", "object_refs", "extensions")


def campaign_extension() -> Schema:
    """The schema of the extension of campaigns: how well founded, how large, of which kinds."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["extension_type", "grade"],
        "properties": {
            "extension_type": _PROPERTY_EXTENSION,
            "grade": {"enum": list(words.GRADES)},
            "accounts_bucket": schemas.BUCKET,
            "volume_bucket": schemas.BUCKET,
            "kinds": {"type": "array", "minItems": 1, "uniqueItems": True, "items": {"enum": list(words.SUBKINDS)}},
        },
    }


def _campaign() -> Schema:
    named = f"^({'|'.join(words.CAMPAIGN_ADJECTIVES)}) ({'|'.join(words.CAMPAIGN_NOUNS)}) [1-9][0-9]{{0,3}}$"
    own: dict[str, Schema] = {
        "name": {"type": "string", "pattern": named},
        "first_seen": _HOUR,
        "last_seen": _HOUR,
        "extensions": _extended(words.CAMPAIGN_EXTENSION_ID, campaign_extension()),
    }
    return _object("campaign", own, "name", "extensions")


def _grouping() -> Schema:
    own: dict[str, Schema] = {"context": {"const": "suspicious-activity"}, "object_refs": _refs(*_REFERRED)}
    return _object("grouping", own, "context", "object_refs")


def _relationship() -> Schema:
    own: dict[str, Schema] = {
        "relationship_type": {"enum": list(RELATIONSHIPS)},
        "source_ref": _ids(*_REFERRED),
        "target_ref": _ids(*_REFERRED),
        "start_time": _MOMENT,
        "stop_time": _MOMENT,
    }
    to_campaign = {
        "if": {"properties": {"relationship_type": {"const": "attributed-to"}}, "required": ["relationship_type"]},
        "then": {"properties": {"target_ref": _ids("campaign")}},
    }
    return _object("relationship", own, "relationship_type", "source_ref", "target_ref") | to_campaign


def _identity() -> Schema:
    own: dict[str, Schema] = {
        "name": {"type": "string", "maxLength": 100, "description": "The publisher's registered name, and no other."},
        "identity_class": {"const": "organization"},
    }
    return _object("identity", own, "name")


def _marking_definition() -> Schema:
    """The standard ones, to the letter."""
    return {"anyOf": [_marking(word, is_new=True) for word in _TLP2] + [_marking(word, is_new=False) for word in _TLP1]}


def _marking(word: str, *, is_new: bool) -> Schema:
    own: dict[str, Schema] = {
        "id": {"const": f"marking-definition--{(_TLP2 if is_new else _TLP1)[word]}"},
        "name": {"const": f"TLP:{word.upper()}"},
        "created": {
            "type": "string",
            "pattern": rf"^{'2022-10-01' if is_new else '2017-01-20'}T00:00:00(\.0{{1,6}})?Z$",
        },
    }
    if is_new:
        stated: dict[str, Any] = {"extension_type": "property-extension", "tlp_2_0": word}
        own["extensions"] = {"const": {_TLP2_EXTENSION: stated}}
    else:
        own |= {"definition_type": {"const": "tlp"}, "definition": {"const": {"tlp": word}}}
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["type", "spec_version", "id", "created", *(("extensions",) if is_new else ("definition",))],
        "properties": _common("marking-definition", is_marking=True) | own,
    }


def _deterministic(stix_type: str, extension_id: str, own: dict[str, Schema], *optional: str) -> Schema:
    """An observable of ours: no times, and an id that follows from what it says."""
    stated = {"extension_type": "new-sco"}
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["type", "spec_version", "id", *(name for name in own if name not in optional)],
        "properties": {
            "type": {"const": stix_type},
            "spec_version": {"const": "2.1"},
            "id": _ids(stix_type),
            "object_marking_refs": _MARKINGS,
            "extensions": {"const": {extension_id: stated}},
            **own,
        },
    }


def _token() -> Schema:
    one = schemas.of_token()
    own = {"kind": {"enum": list(words.SUBKINDS)}, "subkind": {"enum": list(words.TOKENISED)}} | one["properties"]
    whole = _deterministic("x-exchange-token", words.TOKEN_EXTENSION_ID, own | schemas.SCOPE, "psp_scope")
    return whole | {name: one[name] for name in ("if", "then")}


def _value() -> Schema:
    return _deterministic("x-exchange-value", words.VALUE_EXTENSION_ID, {"subkind": {"enum": list(words.VALUES)}}
                          | {"kind": {"enum": list(words.SUBKINDS)}, "value": {"type": "string"}}) | {
        "anyOf": [
            {"properties": {"subkind": {"const": subkind}, "value": schemas.VALUES[subkind]}}
            for subkind in words.VALUES
        ]
    }  # fmt: skip


_MADE = {
    "campaign": _campaign,
    "grouping": _grouping,
    "identity": _identity,
    "indicator": _indicator,
    "marking-definition": _marking_definition,
    "opinion": _opinion,
    "relationship": _relationship,
    "sighting": _sighting,
    "x-exchange-token": _token,
    "x-exchange-value": _value,
}
#: The admitted types. Extension definitions are the exchange's alone, which publishes them itself.
TYPES = tuple(_MADE)


@cache
def schema_of(stix_type: str) -> Schema:
    """The schema of an admitted type, as it is published. Raises KeyError for any other."""
    return _published(f"closed-facts-{stix_type}", f"closed-facts: {stix_type}", _MADE[stix_type]())


@cache
def published() -> dict[str, Schema]:
    """Every schema of version 2 and of closed facts, by the name under which it is published."""
    found = {f"closed-facts-{stix_type}": schema_of(stix_type) for stix_type in TYPES}
    value, opinion, campaign = words.VALUE_EXTENSION_ID, words.OPINION_EXTENSION_ID, words.CAMPAIGN_EXTENSION_ID
    return found | {
        words.EXTENSION_ID: schemas.extension(),
        words.TOKEN_EXTENSION_ID: schemas.token(),
        value: _published(value, "Value in clear", _value()),
        opinion: _published(opinion, "Reason of an opinion", opinion_extension()),
        campaign: _published(campaign, "Campaign", campaign_extension()),
        words.EXCERPT_EXTENSION_ID: _published(
            words.EXCERPT_EXTENSION_ID, "Excerpt of an attacker's prompt", excerpts.schema()
        ),
    }


def _published(name: str, title: str, schema: Schema) -> Schema:
    about = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"urn:exchange:schema:{name}"}
    return about | {"title": title} | schema
