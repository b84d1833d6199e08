"""What an indicator of ours may say: the property extension, its schema, and the values it matches on.

Everything else about a STIX object is the publisher's own; this extension is a closed vocabulary, so that only
permitted facts can be said in it.
"""

from __future__ import annotations

import ipaddress
import uuid
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson

from indicators.stix import patterns
from indicators.stix.drafts import Refusal, TokenValue

EXTENSION_ID = "extension-definition--433655db-7720-5ad0-91a4-c4555836d02f"
TOKEN_EXTENSION_ID = "extension-definition--159394a8-e215-5ed7-b86f-c6ca99451cbe"  # noqa: S105 - a public id
EXCHANGE_IDENTITY_ID = "identity--1a639da4-fb52-5f78-a845-aafd8cf4ebee"
TOKEN_TYPE = "x-exchange-token"  # noqa: S105 - a STIX type

#: Namespace of deterministic ids of STIX cyber-observable objects (STIX 2.1 §2.9).
_SCO_NAMESPACE = uuid.UUID("00abedb4-aa42-466c-9c01-fed23315a9b7")
_SCHEMAS = Path(__file__).parent / "schemas"
_HIDDEN = "\u2026"


def extension_of(data: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Our extension in an object, or None; what is not an object is left to the schema to refuse."""
    extensions = data.get("extensions")
    found = extensions.get(EXTENSION_ID) if isinstance(extensions, dict) else None
    return found if isinstance(found, dict) else None


def schema_text(extension_id: str) -> bytes | None:
    """The published JSON Schema of one of our extensions, as served; None for any other id."""
    if extension_id not in (EXTENSION_ID, TOKEN_EXTENSION_ID):
        return None
    return (_SCHEMAS / f"{extension_id}.json").read_bytes()


def check(data: Mapping[str, Any]) -> Refusal | None:
    """Judge an object's extension by the schema and by what a schema cannot say. The value is never repeated."""
    extensions = data.get("extensions")
    if not isinstance(extensions, dict) or EXTENSION_ID not in extensions:
        return None
    extension = extensions[EXTENSION_ID]
    if data.get("type") != "indicator":
        return Refusal("vocabulary", f"/extensions/{EXTENSION_ID}", "This extension belongs to indicators only.")
    if not _validator().is_valid(extension):
        return _first_fault(extension)
    return _beyond_schema(extension)


def tokens_of(extension: Mapping[str, Any]) -> tuple[TokenValue, ...]:
    """What an indicator of ours matches on: its token, or its value where that may travel in clear."""
    subkind, token, value = extension.get("subkind"), extension.get("token"), extension.get("value")
    if not isinstance(subkind, str):
        return ()
    if isinstance(token, dict):
        parts = [token.get(name) for name in ("scheme", "key_epoch", "value")]
        if all(isinstance(part, str) and len(part) <= 200 for part in parts):
            return (TokenValue(subkind, *map(str, parts)),)
        return ()
    if isinstance(value, str) and len(value) <= 255:
        return (TokenValue(subkind, "clear", "", value),)
    return ()


def token_id(*, scheme: str, key_epoch: str, norm_version: str, subkind: str, value: str) -> str:
    """The deterministic id of a token object: UUIDv5 over its contributing properties in RFC 8785 form."""
    named = {"key_epoch": key_epoch, "norm_version": norm_version, "scheme": scheme, "subkind": subkind, "value": value}
    # Keys are ASCII and values strings, for which sorted compact JSON is RFC 8785's canonical form.
    name = orjson.dumps(named, option=orjson.OPT_SORT_KEYS).decode()
    return f"{TOKEN_TYPE}--{uuid.uuid5(_SCO_NAMESPACE, name)}"


@cache
def _validator() -> Any:
    schema = orjson.loads((_SCHEMAS / f"{EXTENSION_ID}.json").read_bytes())
    return jsonschema_rs.validator_for(schema, mask=_HIDDEN)


def _first_fault(extension: Any) -> Refusal:
    error = next(iter(_validator().iter_errors(extension)))
    path = [str(part) for part in error.instance_path]
    keyword = str(error.schema_path[-1]) if error.schema_path else ""
    message = str(error.message).replace(_HIDDEN, "The value")
    if keyword == "additionalProperties":
        message = "The vocabulary has no such property here."
    if keyword in ("properties", "False schema", "falseSchema") or "False schema" in message:
        message = "This property does not belong to this kind and subkind."
    if path[:1] == ["token"] and path[-1:] == ["scheme"]:
        return Refusal(
            "unkeyed-hash", _pointer(path), "A token comes from a keyed function; an unkeyed hash is refused."
        )
    return Refusal("vocabulary", _pointer(path), message)


def _beyond_schema(extension: Mapping[str, Any]) -> Refusal | None:
    """Values that a regular expression cannot judge."""
    signature = extension.get("signature", {})
    if "regex" in signature and not patterns.is_linear_regex(signature["regex"]):
        return Refusal("bad-regex", _pointer(["signature", "regex"]), "Not an RE2 expression, or too large for one.")
    if extension["subkind"] == "net" and not _is_network(extension["value"]):
        return Refusal("vocabulary", _pointer(["value"]), "A network in canonical CIDR form, or an AS number.")
    return None


def _is_network(value: str) -> bool:
    if value.startswith("as"):
        return True
    try:
        return str(ipaddress.ip_network(value, strict=True)) == value
    except ValueError:
        return False


def _pointer(path: list[str]) -> str:
    return "".join(f"/{part}" for part in ("extensions", EXTENSION_ID, *path))
