"""The pattern of an indicator as a function of our extension (vocabulary, "Patterns"): client and door ask the same.

Each value has a pattern of its own, so that readers that know an indicator by its pattern never take two for one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import rfc8785

from exchange.stix import words

#: What values in clear are observed as: object and property.
_OBSERVED = {
    "crypto_addr": "cryptocurrency-wallet:value",
    "email_domain": "domain-name:value",
    "gateway_host": "domain-name:value",
}
TOKEN_TYPE = "x-exchange-token"  # noqa: S105 - a STIX type
VALUE_TYPE = "x-exchange-value"
_RULE = "x-exchange-rule"
_SIGNATURE_TYPES = {"regex": "pcre", "nova": "nova"}


def pattern_of(extension: Mapping[str, Any]) -> tuple[str, str]:
    """`pattern` and `pattern_type` for a valid extension of ours. Raises ValueError for one that carries nothing."""
    subkind = extension["subkind"]
    if tokens := tokens_in(extension):
        scope = f"{TOKEN_TYPE}:psp_scope = '{extension['psp_scope']}' AND " if subkind == "psp_fp" else ""
        if len(tokens) == 1:
            return _of_token(subkind, tokens[0], scope), "stix"
        ordered = sorted(tokens, key=lambda one: (one["scheme"], one["key_epoch"], one["value"]))
        return " OR ".join(_of_token(subkind, one, scope) for one in ordered), "stix"
    if "value" in extension:
        return f"[{_of_value(subkind, extension['value'])}]", "stix"
    if "rule" in extension:
        try:
            return rfc8785.dumps(extension["rule"]).decode(), _RULE
        except rfc8785.CanonicalizationError:
            raise ValueError("a number that canonical JSON cannot hold") from None
    for name, pattern_type in _SIGNATURE_TYPES.items():
        if name in extension.get("signature", {}):
            return extension["signature"][name], pattern_type
    raise ValueError("an extension that carries nothing")


def extension_pointer(path: Sequence[str]) -> str:
    """The JSON pointer of a place inside our extension."""
    return "".join(f"/{part}" for part in ("extensions", words.EXTENSION_ID, *path))


def tokens_in(extension: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The tokens of an extension of either version: version 1 has one, as `token`."""
    tokens = extension.get("tokens")
    if isinstance(tokens, list):
        return [one for one in tokens if isinstance(one, dict)]
    only = extension.get("token")
    return [only] if isinstance(only, dict) else []


def digest_of(extension: Mapping[str, Any]) -> str | None:
    """What a rule, regex or NOVA text matches by: SHA-256 of its pattern, in hexadecimal digits; None for others."""
    if words.CARRIED_BY.get(extension["subkind"]) not in {"rule", "signature"}:
        return None
    try:
        return hashlib.sha256(pattern_of(extension)[0].encode()).hexdigest()
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None  # an extension that the schema refuses


def _of_token(subkind: str, token: Mapping[str, Any], scope: str) -> str:
    return (
        f"[{TOKEN_TYPE}:subkind = '{subkind}' AND {TOKEN_TYPE}:scheme = '{token['scheme']}'"
        f" AND {TOKEN_TYPE}:key_epoch = '{token['key_epoch']}' AND {scope}{TOKEN_TYPE}:value = '{token['value']}']"
    )


_TOKEN = (
    rf"\[{TOKEN_TYPE}:subkind = '[a-z_]++' AND {TOKEN_TYPE}:scheme = '[a-z0-9-]++'"
    rf" AND {TOKEN_TYPE}:key_epoch = '[a-z0-9-]++' AND (?:{TOKEN_TYPE}:psp_scope = '[0-9a-f]++' AND )?"
    rf"{TOKEN_TYPE}:value = '[0-9a-f]++'\]"
)
_TOKENS = re.compile(rf"{_TOKEN}(?: OR {_TOKEN})*")


_TOKEN_PARTS = re.compile(
    rf"\[{TOKEN_TYPE}:subkind = '([a-z_]++)' AND {TOKEN_TYPE}:scheme = '([a-z0-9-]++)'"
    rf" AND {TOKEN_TYPE}:key_epoch = '([a-z0-9-]++)' AND (?:{TOKEN_TYPE}:psp_scope = '([0-9a-f]++)' AND )?"
    rf"{TOKEN_TYPE}:value = '([0-9a-f]++)'\]"
)
_VALUE_PARTS = re.compile(rf"\[{VALUE_TYPE}:subkind = '([a-z_]++)' AND {VALUE_TYPE}:value = '([A-Za-z0-9_-]++)'\]")


def carried_by(pattern: str) -> dict[str, Any] | None:
    """The subkind, and what the extension carries, of a pattern of tokens or of `x-exchange-value`; else None."""
    if is_of_tokens(pattern):
        parts = [found.groups() for found in _TOKEN_PARTS.finditer(pattern)]
        subkinds, scopes = {one[0] for one in parts}, {one[3] for one in parts}
        if len(subkinds) > 1 or len(scopes) > 1:
            return None
        tokens = [
            {"scheme": scheme, "key_epoch": epoch, "norm_version": words.NORM_VERSION, "value": value}
            for _, scheme, epoch, _, value in parts
        ]
        scope = scopes.pop()
        return {"subkind": subkinds.pop(), "tokens": tokens} | ({"psp_scope": scope} if scope else {})
    found = _VALUE_PARTS.fullmatch(pattern)
    return None if found is None else {"subkind": found[1], "value": found[2]}


def is_of_tokens(pattern: str) -> bool:
    """Whether a pattern is one of tokens: it needs no grammar to be read."""
    return _TOKENS.fullmatch(pattern) is not None


def _of_value(subkind: str, value: str) -> str:
    if subkind in _OBSERVED:
        return f"{_OBSERVED[subkind]} = '{value}'"
    if subkind != "net":
        return f"{VALUE_TYPE}:subkind = '{subkind}' AND {VALUE_TYPE}:value = '{value}'"
    if value.startswith("as"):
        return f"autonomous-system:number = {value.removeprefix('as')}"
    if ":" in value:
        return f"ipv6-addr:value = '{value}'"
    return f"ipv4-addr:value = '{value.removesuffix('/32')}'"
