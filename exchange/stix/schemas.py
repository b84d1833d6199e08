"""The JSON Schemas of our extensions in version 2, made of the closed words, for door, client, forms and docs.

Every property is listed, and every string is one of a list, has a form, or is an id or an hour. The only texts are a
regex and a NOVA rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from exchange.stix import words
from exchange.tokens import epochs

Schema = dict[str, Any]

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
HEX_64 = r"^[0-9a-f]{64}$"
DETECTOR = r"^d-[0-9a-f]{8}$"
SEMANTIC_VERSION = r"^(0|[1-9][0-9]{0,3})\.(0|[1-9][0-9]{0,3})\.(0|[1-9][0-9]{0,3})$"
HOUR = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:00:00(\.0{1,6})?Z$"
#: As far as MITRE ATLAS may number its techniques: today up to AML.T0120 and .011.
TECHNIQUE = r"^AML\.T0[0-2][0-9]{2}(\.0[0-3][0-9])?$"
_HOST = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$"
#: An epoch is a quarter; that of a group's key names the group and counts: `ring-2026q4-1`.
_QUARTER = "[0-9]{4}q[1-4]"
_EPOCH = rf"^{_QUARTER}$"
_GROUP_EPOCH = rf"^({epochs.GROUP}-{_QUARTER}-[1-9][0-9]{{0,5}}|{_QUARTER})$"
_LANGUAGE = rf"^({'|'.join(words.LANGUAGES)})(-({'|'.join(words.SCRIPTS)}))?(-({'|'.join(words.REGIONS)}))?$"

BUCKET: Schema = {"enum": list(words.BUCKETS)}
_SCHEMES = (words.OBLIVIOUS, words.GROUP_KEY)


def _text(form: str, **more: Any) -> Schema:
    return {"type": "string", "pattern": form} | more


def of_token(schemes: tuple[str, ...] = _SCHEMES) -> Schema:
    """The schema of one token in version 2."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["scheme", "key_epoch", "norm_version", "value"],
        "properties": {
            "scheme": {"enum": list(schemes)},
            "key_epoch": _text(_GROUP_EPOCH),
            "norm_version": {"const": words.NORM_VERSION},
            "value": _text(HEX_64, description="32 bytes as lower-case hexadecimal digits, the only spelling."),
        },
        "if": {"properties": {"scheme": {"const": words.OBLIVIOUS}}, "required": ["scheme"]},
        "then": {"properties": {"key_epoch": _text(_EPOCH)}},
    }


def _tokens(schemes: tuple[str, ...]) -> Schema:
    return {"type": "array", "minItems": 1, "maxItems": 4, "uniqueItems": True, "items": of_token(schemes)}


def _rule(features: tuple[str, ...]) -> Schema:
    condition = {
        "type": "object",
        "additionalProperties": False,
        "required": ["feature", "op", "value"],
        "properties": {
            "feature": {"enum": list(features)},
            "op": {"enum": list(words.OPERATORS)},
            "value": {"enum": [*words.GRID, True, False]},
        },
    }
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["all"],
        "properties": {
            "all": {"type": "array", "minItems": 1, "maxItems": 12, "uniqueItems": True, "items": condition}
        },
    }


def _signature(name: str) -> Schema:
    said = {
        "regex": (1_024, "RE2 syntax: linear time."),
        "nova": (8_192, "A NOVA rule; an `llm:` section travels as text and is never run by the exchange."),
    }
    at_most, description = said[name]
    text = {"type": "string", "minLength": 1, "maxLength": at_most, "description": description}
    return {"type": "object", "additionalProperties": False, "required": [name], "properties": {name: text}}


#: Values in clear: their form; what a form cannot say, the door does.
VALUES: dict[str, Schema] = {
    "email_domain": _text(_HOST, maxLength=253),
    "gateway_host": _text(_HOST, maxLength=253),
    "net": _text(
        r"^(([0-9]{1,3}\.){3}[0-9]{1,3}/(3[0-2]|[12]?[0-9])|[0-9a-f:]+/(12[0-8]|1[01][0-9]|[1-9]?[0-9])"
        r"|as[1-9][0-9]{0,9})$",
        maxLength=64,
    ),
    "client_fp": _text(
        r"^[tqd]([0-9]{2}|[sd][0-9])[di][0-9]{4}[0-9a-z]{2}_[0-9a-f]{12}_[0-9a-f]{12}$", description="JA4."
    ),
    "bin_range": _text(r"^[0-9]{6,8}(-[0-9]{6,8})?$"),
    "crypto_addr": _text(r"^[A-Za-z0-9]{20,128}$"),
}

_BENIGN: Schema = {
    "anyOf": [
        {"const": "not_measured"},
        {
            "type": "object",
            "additionalProperties": False,
            "required": ["bucket", "sample_size"],
            "properties": {"bucket": _text(r"^(0|<?10\^-[0-9])$"), "sample_size": BUCKET},
        },
    ]
}
_DETECTOR: Schema = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name"],
    "properties": {
        "name": _text(DETECTOR, description="One that you have registered: what you call it stays with you."),
        "version": _text(SEMANTIC_VERSION),
        "sha256": _text(HEX_64),
    },
}
#: What every indicator of ours may say.
_ENVELOPE: dict[str, Schema] = {
    "extension_type": {"const": "property-extension"},
    "kind": {"enum": list(words.SUBKINDS)},
    "subkind": {"enum": list(words.KIND_OF)},
    "schema_version": {"const": words.SCHEMA_VERSION},
    "severity": {"enum": list(words.SEVERITIES)},
    "control": {"enum": list(words.CONTROLS)},
    "shared_infra": {"enum": list(words.SHARED_INFRA)},
    "first_seen": _text(HOUR, description="RFC 3339, UTC, hour grain."),
    "last_seen": _text(HOUR, description="RFC 3339, UTC, hour grain."),
    "volume_bucket": BUCKET,
    "review": {"enum": list(words.REVIEWS)},
    "detector": _DETECTOR,
    "publisher_action": {"enum": list(words.ACTIONS)},
    "techniques": {"type": "array", "minItems": 1, "maxItems": 20, "uniqueItems": True, "items": _text(TECHNIQUE)},
    "attribution": {"enum": list(words.ATTRIBUTIONS)},
    "benign_hit_rate": _BENIGN,
}
_REQUIRED = ("extension_type", "kind", "subkind", "schema_version", "review", "publisher_action", "attribution")
#: What one kind says besides; all of it is required.
_OF_KIND: dict[str, dict[str, Schema]] = {
    "account-pattern": {"entry_program": {"enum": list(words.ENTRY_PROGRAMS)}},
    "payment-fingerprint": {"instrument": {"enum": list(words.INSTRUMENTS)}, "accounts_per_instrument": BUCKET},
    "prompt-signature": {
        "elicitation": {"enum": list(words.ELICITATIONS)},
        "languages": {"type": "array", "minItems": 1, "maxItems": 20, "uniqueItems": True, "items": _text(_LANGUAGE)},
    },
}
SCOPE = {"psp_scope": _text(r"^[0-9a-f]{32}$")}


@cache
def of_subkind(subkind: str) -> Schema:
    """The schema of the extension in version 2 for one subkind. Raises KeyError for a word that is none."""
    kind, carried = words.KIND_OF[subkind], words.CARRIED_BY[subkind]
    own = {carried: _carrier(subkind)} | _OF_KIND[kind] | (SCOPE if subkind == "psp_fp" else {})
    required = [*_REQUIRED, *own, *(("shared_infra",) if subkind == "net" else ())]
    narrowed = {"kind": {"const": kind}, "subkind": {"const": subkind}}
    return {
        "type": "object",
        "additionalProperties": False,
        "required": required,
        "properties": _ENVELOPE | narrowed | own,
    }


def _carrier(subkind: str) -> Schema:
    if subkind in words.TOKENISED:
        return _tokens((words.GROUP_KEY,) if subkind in words.OF_GROUP_KEY else _SCHEMES)
    if subkind in words.FEATURES:
        return _rule(words.FEATURES[subkind])
    if subkind in words.SIGNATURES:
        return _signature(words.SIGNATURES[subkind])
    return VALUES[subkind]


@cache
def extension() -> Schema:
    """The schema of the extension in version 2 as it is published: one document for all subkinds."""
    every: dict[str, Schema] = {name: rules for kind in _OF_KIND.values() for name, rules in kind.items()} | SCOPE
    carriers: dict[str, Schema] = {
        "tokens": _tokens(_SCHEMES),
        "value": {"type": "string", "maxLength": 255},
        "rule": {"type": "object"},
        "signature": {"type": "object"},
    }
    return {
        "$schema": _DRAFT,
        "$id": f"urn:exchange:schema:{words.EXTENSION_ID}",
        "title": "Indicator of a campaign against an AI lab",
        "description": "Property extension of a STIX 2.1 indicator, version 2: one of three kinds, what it matches on,"
        " and how it was judged. It says what its publisher saw and did.",
        "type": "object",
        "additionalProperties": False,
        "required": list(_REQUIRED),
        "properties": _ENVELOPE | carriers | every,
        "allOf": [_if_subkind(subkind) for subkind in words.KIND_OF],
    }


def _if_subkind(subkind: str) -> Schema:
    is_this = {"properties": {"subkind": {"const": subkind}}, "required": ["subkind"]}
    return {"if": is_this, "then": of_subkind(subkind)}


def as_version_2(extension: Mapping[str, Any]) -> dict[str, Any]:
    """What an extension of version 1 says, in the words of version 2: it may still break the rules of that."""
    said = {name: value for name, value in extension.items() if name != "token"}
    token = extension.get("token")
    if isinstance(token, dict):
        said["tokens"] = [token | {"norm_version": words.NORM_VERSION}]
    return said | {"schema_version": words.SCHEMA_VERSION}


@cache
def token() -> Schema:
    """The schema of `x-exchange-token`: a token as an object that graphs can point to."""
    own: dict[str, Schema] = {
        "type": {"const": "x-exchange-token"},
        "spec_version": {"const": "2.1"},
        "id": _text(r"^x-exchange-token--[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"),
        "kind": {"enum": list(words.SUBKINDS)},
        "subkind": {"enum": list(words.TOKENISED)},
        "scheme": {"enum": list(_SCHEMES)},
        "key_epoch": _text(rf"^[A-Za-z0-9._-]{{1,{epochs.LONGEST_EPOCH}}}$"),
        "norm_version": {"type": ["string", "integer"], "pattern": r"^[A-Za-z0-9._-]{1,20}$", "minimum": 0},
        "value": _text(
            r"^([0-9a-f]{64}|[0-9a-f]{128}|[A-Za-z0-9_-]{43}|[A-Za-z0-9_-]{86})$",
            description="32 bytes as lower-case hexadecimal digits; of version 1, also 64 bytes, or base64url.",
        ),
    } | SCOPE
    return {
        "$schema": _DRAFT,
        "$id": f"urn:exchange:schema:{words.TOKEN_EXTENSION_ID}",
        "title": "Token",
        "description": "A cyber-observable object (new-sco) that carries one keyed value. Its id is a UUIDv5 over its"
        " contributing properties (STIX 2.1, section 2.9): scheme, key_epoch, norm_version, subkind, value, and"
        " psp_scope where it has one.",
        "type": "object",
        "required": [name for name in own if name != "psp_scope"],
        "properties": own,
    }
