"""What an indicator of ours may say: the property extension, its schemas, and the values it matches on.

Everything else about a STIX object is the publisher's own; this extension is a closed vocabulary, so that only
permitted facts can be said in it. Version 2 is `exchange.stix`'s, shared with the client; version 1 is still read.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from exchange.lists.lines import is_plain
from exchange.stix import closed, envelope, faults, schemas, wording, words
from exchange.stix.patterns import TOKEN_TYPE, VALUE_TYPE, digest_of, extension_pointer, tokens_in
from exchange.stix.words import EXCHANGE_IDENTITY_ID, EXTENSION_ID, SUBKINDS, TOKEN_EXTENSION_ID
from exchange.tokens import normalising
from indicators.stix import identifiers, patterns
from indicators.stix.drafts import PATTERN_HASH, Refusal, TokenValue

__all__ = ["EXCHANGE_IDENTITY_ID", "EXTENSION_ID", "SUBKINDS", "TOKEN_EXTENSION_ID", "TOKEN_TYPE"]

#: What the exchange alone publishes under.
OWN_IDS = frozenset({EXCHANGE_IDENTITY_ID, *words.EXTENSIONS})

#: The functions that tokens come from; all take a key.
SCHEMES = frozenset({words.OBLIVIOUS, words.GROUP_KEY})
#: How version 1 of the extension is called in addresses; version 2 has the extension's own.
VERSION_1 = f"{EXTENSION_ID}-1"
_VERSIONS_1 = frozenset({"1", "1.0"})
_VERSIONS = (words.SCHEMA_VERSION, *sorted(_VERSIONS_1))
_SCHEMAS = Path(__file__).parent / "schemas"


def detector_of(data: Mapping[str, Any]) -> str | None:
    """The id of the detector that an object names; None where it names none, or by another name (version 1)."""
    extension = extension_of(data)
    return None if extension is None else detector_in(extension)


def detector_in(extension: Mapping[str, Any]) -> str | None:
    """The same of an extension."""
    detector = extension.get("detector")
    name = detector.get("name") if isinstance(detector, dict) else None
    return name if isinstance(name, str) and _DETECTOR.fullmatch(name) else None


_DETECTOR = re.compile(schemas.DETECTOR)


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


@cache
def schema_text(name: str) -> bytes | None:
    """A published JSON Schema, as served: of our extensions and of closed facts; None for any other name."""
    made = closed.published()
    if name in made:
        return orjson.dumps(made[name], option=orjson.OPT_INDENT_2)
    return _version_1() if name == VERSION_1 else None


def _version_1() -> bytes:
    return (_SCHEMAS / f"{VERSION_1}.json").read_bytes()


def extension_definitions(*, schemas_url: str) -> tuple[dict[str, Any], ...]:
    """Our extension-definition objects (STIX 2.1 §7.3); `schemas_url` is where the exchange serves the schemas."""
    return tuple(
        {
            "type": "extension-definition",
            "spec_version": "2.1",
            "id": extension_id,
            "created_by_ref": EXCHANGE_IDENTITY_ID,
            "created": "2026-11-01T00:00:00.000Z",
            "modified": "2026-11-28T00:00:00.000Z",
            "name": name,
            "schema": f"{schemas_url.rstrip('/')}/{extension_id}.json",
            "version": "2.0.0",
            "extension_types": [extension_type],
        }
        for extension_id, (name, extension_type) in words.EXTENSIONS.items()
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
        return Refusal(*faults.of_other_type())
    if isinstance(extension, dict) and (refusal := _unkeyed_in(extension)) is not None:
        return refusal
    if isinstance(extension, dict) and extension.get("schema_version", "2") not in _VERSIONS:
        return Refusal("vocabulary", extension_pointer(["schema_version"]), "One of: 2; 1 is still read.")
    old = is_version_1(extension)
    fault = _fault_of_version_1(extension) if old else faults.of_extension(extension)
    if fault is None and (refusal := _beyond_schema(extension)) is not None:
        return refusal
    if fault is None and not old:
        fault = envelope.check(data, extension)
    return None if fault is None else Refusal(*fault)


def _fault_of_version_1(extension: Mapping[str, Any]) -> faults.Fault | None:
    validator = _validator(VERSION_1)
    return None if validator.is_valid(extension) else faults.first_fault(extension, validator)


def is_version_1(extension: Any) -> bool:
    """Whether an extension says that it is of version 1."""
    said = extension.get("schema_version") if isinstance(extension, dict) else None
    return isinstance(said, str) and said in _VERSIONS_1


def _unkeyed_in(extension: Mapping[str, Any]) -> Refusal | None:
    only, several = extension.get("token"), extension.get("tokens")
    if isinstance(only, dict) and not _is_keyed(only):
        return _unkeyed(extension_pointer(["token", "scheme"]))
    for place, token in enumerate(several if isinstance(several, list) else ()):
        if isinstance(token, dict) and not _is_keyed(token):
            return _unkeyed(extension_pointer(["tokens", str(place), "scheme"]))
    return None


def tokens_of(extension: Mapping[str, Any]) -> tuple[TokenValue, ...]:
    """What an indicator of ours matches on: its tokens, its value where that may travel in clear, or a hash.

    A token is compared as lower-case hexadecimal digits, however it was written; a value in its normal form; a rule,
    a regex and a NOVA text by the SHA-256 of the pattern.
    """
    subkind, value = extension.get("subkind"), extension.get("value")
    if not isinstance(subkind, str):
        return ()
    found = [one for token in tokens_in(extension) if (one := _token_value(subkind, token, extension)) is not None]
    if found:
        return tuple(dict.fromkeys(found)) if len(found) > 1 else (found[0],)
    if isinstance(value, str) and len(value) <= 255:
        compared = patterns.written(value, _NORMAL.get(subkind, str))
        return () if compared is None else (TokenValue(subkind, "clear", "", compared),)
    digest = digest_of(extension)
    return () if digest is None else (TokenValue(subkind, "sha256", "", digest, PATTERN_HASH),)


def _token_value(subkind: str, token: Mapping[str, Any], extension: Mapping[str, Any]) -> TokenValue | None:
    scheme, key_epoch, written = token.get("scheme"), token.get("key_epoch"), token.get("value")
    if not (isinstance(scheme, str) and isinstance(key_epoch, str) and isinstance(written, str)):
        return None
    scope = extension.get("psp_scope") if subkind == "psp_fp" else ""
    if not isinstance(scope, str) or max(len(scheme), len(key_epoch), len(written), len(scope)) > _MOST_CHARS:
        return None
    value = written if _HEX.fullmatch(written) else _as_hex(written)
    return TokenValue(subkind, scheme, key_epoch, value, "", scope) if is_plain(value) else None


_MOST_CHARS = 200
_HEX = re.compile("[0-9a-f]{64}")


def token_id(
    *, scheme: str, key_epoch: str, norm_version: str, subkind: str, value: str, psp_scope: str | None = None
) -> str:
    """The deterministic id of a token object, from the properties that make it what it is."""
    named = {"key_epoch": key_epoch, "norm_version": norm_version, "scheme": scheme, "subkind": subkind, "value": value}
    return identifiers.deterministic(TOKEN_TYPE, named if psp_scope is None else {**named, "psp_scope": psp_scope})


def value_id(*, subkind: str, value: str) -> str:
    """The deterministic id of the object of a value in clear."""
    return identifiers.deterministic(VALUE_TYPE, {"subkind": subkind, "value": value})


def value_object(*, subkind: str, value: str) -> dict[str, Any]:
    """A value in clear that no object of STIX observes, as an object for graphs."""
    return {
        "type": VALUE_TYPE,
        "spec_version": "2.1",
        "id": value_id(subkind=subkind, value=value),
        "kind": words.KIND_OF[subkind],
        "subkind": subkind,
        "value": value,
        "extensions": {words.VALUE_EXTENSION_ID: {"extension_type": "new-sco"}},
    }


def token_object(*, kind: str, subkind: str, token: Mapping[str, str]) -> dict[str, Any]:
    """A token as a cyber-observable object, for graphs; `token` is one of an indicator's, with `psp_scope` if any."""
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
def _validator(name: str) -> Any:
    """Of a published schema by its name; compiled once."""
    return faults.compiled(orjson.loads(schema_text(name) or b"{}"))


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


def _beyond_schema(extension: Mapping[str, Any]) -> Refusal | None:
    """Values that a regular expression cannot judge."""
    signature = extension.get("signature", {})
    if "regex" in signature and (refused := patterns.check_regex(signature["regex"], _AT_REGEX)):
        return refused
    rule = _MUST_BE_NORMAL.get(extension["subkind"])
    if extension["subkind"] == "crypto_addr" and not is_version_1(extension):
        rule = (normalising.crypto_addr, "A public address without a scheme; bech32 and EVM addresses in lower case.")
    if rule is not None and not _is_normal(extension["value"], rule[0]):
        return Refusal("vocabulary", extension_pointer(["value"]), rule[1])
    if extension["subkind"] == "bin_range" and not is_version_1(extension) and _bins(extension["value"]) > _MOST_BINS:
        return Refusal(
            "too-broad",
            extension_pointer(["value"]),
            f"A range of bank identification numbers has {_MOST_BINS}.",
        )
    seen = []
    for name in ("first_seen", "last_seen"):
        if name in extension:
            try:
                seen.append(datetime.fromisoformat(extension[name]))
            except ValueError:
                return Refusal("vocabulary", extension_pointer([name]), "There is no such day or hour.")
    if seen != sorted(seen):
        return Refusal("vocabulary", extension_pointer(["last_seen"]), "It lies before `first_seen`.")
    return None


_AT_REGEX = extension_pointer(["signature", "regex"])
_MOST_BINS = 100


def _bins(value: str) -> int:
    first, _, last = value.partition("-")
    return int(last or first) - int(first) + 1


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
