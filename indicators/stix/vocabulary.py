"""What an indicator of ours may say: the property extension, its schema, and the values it matches on.

Everything else about a STIX object is the publisher's own; this extension is a closed vocabulary, so that only
permitted facts can be said in it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson

from exchange.lists.lines import is_plain
from exchange.tokens import normalising
from indicators.stix import identifiers, patterns, wording
from indicators.stix.drafts import Refusal, TokenValue

EXTENSION_ID = "extension-definition--433655db-7720-5ad0-91a4-c4555836d02f"
TOKEN_EXTENSION_ID = "extension-definition--159394a8-e215-5ed7-b86f-c6ca99451cbe"  # noqa: S105 - a public id
EXCHANGE_IDENTITY_ID = "identity--1a639da4-fb52-5f78-a845-aafd8cf4ebee"
TOKEN_TYPE = "x-exchange-token"  # noqa: S105 - a STIX type

#: What the exchange alone publishes under.
OWN_IDS = frozenset({EXCHANGE_IDENTITY_ID, EXTENSION_ID, TOKEN_EXTENSION_ID})

#: Every kind with its subkinds, as the schema has them.
SUBKINDS = {
    "account-pattern": (
        *("email", "email_domain", "phone", "device", "net", "client_fp", "gateway_host", "signup_template"),
        "cluster_rule",
    ),
    "payment-fingerprint": ("par", "pan_token", "iban_token", "psp_fp", "crypto_addr", "bin_range", "billing_rule"),
    "prompt-signature": ("skeleton", "minhash", "regex", "nova_rule", "feature_rule"),
}
#: The functions that tokens come from; all take a key.
SCHEMES = frozenset({"oprf-ristretto255-sha512", "hmac-sha256"})
_SCHEMAS = Path(__file__).parent / "schemas"


def extension_of(data: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Our extension in an object, or None; what is not an object is left to the schema to refuse."""
    extensions = data.get("extensions")
    found = extensions.get(EXTENSION_ID) if isinstance(extensions, dict) else None
    return found if isinstance(found, dict) else None


def attribution_of(data: Mapping[str, Any]) -> str | None:
    """How an object of ours wants its source to be shown: `named`, `pseudonym`, `exchange`; None if it says nothing."""
    extension = extension_of(data)
    said = extension.get("attribution") if extension else None
    return said if said in ("named", "pseudonym", "exchange") else None


def schema_text(extension_id: str) -> bytes | None:
    """The published JSON Schema of one of our extensions, as served; None for any other id."""
    if extension_id not in (EXTENSION_ID, TOKEN_EXTENSION_ID):
        return None
    return (_SCHEMAS / f"{extension_id}.json").read_bytes()


def extension_definitions(*, schemas_url: str) -> tuple[dict[str, Any], ...]:
    """The two extension-definition objects (STIX 2.1 §7.3); `schemas_url` is where the exchange serves the schemas."""
    described = (
        (EXTENSION_ID, "Indicator of a campaign against an AI lab", "property-extension"),
        (TOKEN_EXTENSION_ID, "Token", "new-sco"),
    )
    return tuple(
        {
            "type": "extension-definition",
            "spec_version": "2.1",
            "id": extension_id,
            "created_by_ref": EXCHANGE_IDENTITY_ID,
            "created": "2026-11-01T00:00:00.000Z",
            "modified": "2026-11-01T00:00:00.000Z",
            "name": name,
            "schema": f"{schemas_url.rstrip('/')}/{extension_id}.json",
            "version": "1.0.0",
            "extension_types": [extension_type],
        }
        for extension_id, name, extension_type in described
    )


def check(data: Mapping[str, Any]) -> Refusal | None:
    """Judge an object's extension by the schema and by what a schema cannot say. The value is never repeated."""
    if data.get("type") == TOKEN_TYPE:
        return _check_token_object(data)
    extensions = data.get("extensions")
    if not isinstance(extensions, dict) or EXTENSION_ID not in extensions:
        return None
    extension = extensions[EXTENSION_ID]
    if data.get("type") != "indicator":
        return Refusal("vocabulary", _pointer([]), "This extension belongs to indicators only.")
    token = extension.get("token") if isinstance(extension, dict) else None
    if isinstance(token, dict) and not _is_keyed(token):
        return _unkeyed(_pointer(["token", "scheme"]))
    if not _validator(EXTENSION_ID).is_valid(extension):
        return _first_fault(extension)
    return _beyond_schema(extension)


def tokens_of(extension: Mapping[str, Any]) -> tuple[TokenValue, ...]:
    """What an indicator of ours matches on: its token, or its value where that may travel in clear.

    A token is compared as lower-case hexadecimal digits, however it was written; a value in its normal form.
    """
    subkind, token, value = extension.get("subkind"), extension.get("token"), extension.get("value")
    if not isinstance(subkind, str):
        return ()
    if isinstance(token, dict):
        parts = [token.get(name) for name in ("scheme", "key_epoch", "value")]
        if all(isinstance(part, str) and len(part) <= 200 for part in parts):
            scheme, key_epoch, written = map(str, parts)
            value = _as_hex(written)
            return (TokenValue(subkind, scheme, key_epoch, value),) if is_plain(value) else ()
        return ()
    if isinstance(value, str) and len(value) <= 255:
        compared = patterns.written(value, _NORMAL.get(subkind, str))
        return () if compared is None else (TokenValue(subkind, "clear", "", compared),)
    return ()


def token_id(*, scheme: str, key_epoch: str, norm_version: str, subkind: str, value: str) -> str:
    """The deterministic id of a token object, from the properties that make it what it is."""
    named = {"key_epoch": key_epoch, "norm_version": norm_version, "scheme": scheme, "subkind": subkind, "value": value}
    return identifiers.deterministic(TOKEN_TYPE, named)


def token_object(*, kind: str, subkind: str, token: Mapping[str, str]) -> dict[str, Any]:
    """A token as a cyber-observable object, for graphs; `token` is the property of an indicator."""
    return {
        "type": TOKEN_TYPE,
        "spec_version": "2.1",
        "id": token_id(subkind=subkind, **token),
        "kind": kind,
        "subkind": subkind,
        **token,
        "extensions": {TOKEN_EXTENSION_ID: {"extension_type": "new-sco"}},
    }


@cache
def _validator(extension_id: str) -> Any:
    schema = orjson.loads((_SCHEMAS / f"{extension_id}.json").read_bytes())
    return jsonschema_rs.validator_for(schema, mask=wording.MASK)


def _check_token_object(data: Mapping[str, Any]) -> Refusal | None:
    if not _is_keyed(data):
        return _unkeyed("/scheme")
    if _validator(TOKEN_EXTENSION_ID).is_valid(dict(data)):
        return None
    error = next(iter(_validator(TOKEN_EXTENSION_ID).iter_errors(dict(data))))
    path = [str(part) for part in error.instance_path]
    field = "".join(f"/{part}" for part in path)
    return Refusal("vocabulary", field, wording.said(error, path=path, value_of="token/value"))


def _is_keyed(token: Mapping[str, Any]) -> bool:
    scheme = token.get("scheme")
    return isinstance(scheme, str) and scheme in SCHEMES


def _unkeyed(field: str) -> Refusal:
    return Refusal("unkeyed-hash", field, "A token comes from a keyed function; an unkeyed hash is refused.")


def _first_fault(extension: Any) -> Refusal:
    errors = list(islice(_validator(EXTENSION_ID).iter_errors(extension), _LOOKED_AT))
    error = next((error for error in errors if _FORBIDDEN in str(error.message)), errors[0])
    path = [str(part) for part in error.instance_path]
    keyword = str(error.schema_path[-1]) if error.schema_path else ""
    message = wording.said(error, path=path, value_of=_subkind(extension))
    if keyword == "additionalProperties":
        message = "The vocabulary has no such property here."
        path += _unknown(extension, path)
    if missed := _MISSED.match(message):
        path.append(missed[1])
        message = "This kind and subkind require it."
    if _FORBIDDEN in message:
        message = "This property does not belong to this kind and subkind."
    return Refusal("vocabulary", _pointer(path), message)


def _subkind(extension: Any) -> str:
    said = extension.get("subkind") if isinstance(extension, dict) else None
    return said if isinstance(said, str) else ""


def _unknown(extension: Any, path: list[str]) -> list[str]:
    """The first property that the schema does not know, if its name is a plain word: other names may be values."""
    node, found = orjson.loads((_SCHEMAS / f"{EXTENSION_ID}.json").read_bytes()), extension
    for part in path:
        node = node.get("properties", {}).get(part, {})
        found = found.get(part) if isinstance(found, dict) else None
    known = node.get("properties")
    if not known or not isinstance(found, dict):
        return []
    return next(([name] for name in found if name not in known and _WORD.fullmatch(name)), [])


_WORD = re.compile(r"[a-z][a-z_]{0,39}")
_LOOKED_AT = 50
#: As the library says that a property has no place beside the others: told before what is wrong inside it.
_FORBIDDEN = "False schema"
#: As the library says it; the name is one of the schema's.
_MISSED = re.compile(r'"([a-z_]+)" is a required property')


def _beyond_schema(extension: Mapping[str, Any]) -> Refusal | None:
    """Values that a regular expression cannot judge."""
    signature = extension.get("signature", {})
    if "regex" in signature and (refused := patterns.check_regex(signature["regex"], _pointer(["signature", "regex"]))):
        return refused
    rule = _MUST_BE_NORMAL.get(extension["subkind"])
    if rule is not None and not _is_normal(extension["value"], rule[0]):
        return Refusal("vocabulary", _pointer(["value"]), rule[1])
    seen = []
    for name in ("first_seen", "last_seen"):
        if name in extension:
            try:
                seen.append(datetime.fromisoformat(extension[name]))
            except ValueError:
                return Refusal("vocabulary", _pointer([name]), "There is no such day or hour.")
    if seen != sorted(seen):
        return Refusal("vocabulary", _pointer(["last_seen"]), "The last sight lies before the first.")
    return None


#: How values in clear are compared; those that are not listed here are compared as they are.
_NORMAL: dict[str, Callable[[str], str]] = {
    "bin_range": normalising.bin_range,
    "crypto_addr": normalising.crypto_addr,
    "email_domain": normalising.host,
    "gateway_host": normalising.host,
    "net": normalising.network,
}
_HOST = (normalising.host, "A host name in lower case and punycode, without port, path or a dot at the end.")
_MUST_BE_NORMAL: dict[str, tuple[Callable[[str], str], str]] = {
    "bin_range": (normalising.bin_range, "6 to 8 digits, or a range of two such numbers, the lower first."),
    "email_domain": _HOST,
    "gateway_host": _HOST,
    "net": (normalising.network, "A network in canonical CIDR form, or an AS number such as as64496."),
}


def _is_normal(value: str, normalise: Callable[[str], str]) -> bool:
    try:
        return normalise(value) == value
    except ValueError:
        return False


def _as_hex(written: str) -> str:
    """32 or 64 bytes as hexadecimal digits; what is neither that nor their base64url stays as it is."""
    if len(written) in _BASE64URL_CHARS:
        try:
            return base64.b64decode(f"{written}{'=' * (-len(written) % 4)}", altchars=b"-_", validate=True).hex()
        except ValueError:
            return written
    return written.lower()


_BASE64URL_CHARS = (43, 86)


def _pointer(path: list[str]) -> str:
    return "".join(f"/{part}" for part in ("extensions", EXTENSION_ID, *path))
