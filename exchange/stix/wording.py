"""What is wrong with an object of ours, in words by which its publisher can mend it: never with the value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jsonschema_rs import ValidationErrorKind

#: What the library writes in the place of a value.
MASK = "\u2026"

_HOUR = "A full hour in UTC, such as 2026-11-24T11:00:00Z."
_HOST = "A host name in lower case and punycode, without port, path or dot at the end, such as relay.example."
_BYTES = "32 or 64 bytes, as lower-case hexadecimal digits or as base64url without padding."

#: The form that a property has, where the schema gives it as a regular expression.
FORMS = {
    "id": "The type, '--' and a UUID.",
    "key_epoch": "A quarter, such as 2026q4; under a group's key with its name and a number, such as ring-2026q4-1.",
    "name": "d- and 8 lower-case hexadecimal digits, such as d-1f2e3d4c.",
    "norm_version": "1 to 20 letters, digits, '.', '_' and '-', such as 1.",
    "psp_scope": "32 lower-case hexadecimal digits.",
    "token/key_epoch": "1 to 40 letters, digits, '.', '_' and '-', such as 2026q4.",
    "token/value": _BYTES,
    "tokens/value": "32 bytes, as 64 lower-case hexadecimal digits.",
    "version": "A semantic version of three numbers, such as 3.2.0.",
    "first_seen": _HOUR,
    "last_seen": _HOUR,
    "sha256": "64 lower-case hexadecimal digits.",
    "techniques": "The id of a technique of MITRE ATLAS, such as AML.T0021.",
    "bucket": "0, or a power of ten with or without '<', such as 10^-4 or <10^-4.",
    "languages": "A language tag, such as en or zh-Hans.",
    "email_domain": _HOST,
    "gateway_host": _HOST,
    "net": "A network with its prefix, such as 198.51.100.7/32 or 2001:db8:1:2::/64, or an AS number, such as as64496.",
    "client_fp": "A JA4 fingerprint, such as t13d1516h2_8daaf6152771_b186095e22b6.",
    "bin_range": "6 to 8 digits, or two such numbers, the lower first, such as 411111-411119.",
    "crypto_addr": "A public address of 20 to 128 letters and digits, without bitcoin: or the like.",
}


def said(error: Any, *, path: Sequence[str], value_of: str) -> str:
    """What the library found, in words; `value_of` names the form of a property `value` that is no token's."""
    kind = error.kind
    if isinstance(kind, ValidationErrorKind.Enum):
        return f"One of: {', '.join(str(option) for option in kind.options)}."
    if isinstance(kind, ValidationErrorKind.Pattern) and (form := FORMS.get(_form(path, value_of))):
        return form
    return str(error.message).replace(MASK, "The value")


def _form(path: Sequence[str], value_of: str) -> str:
    names = [part for part in path if not part.isdigit()]
    within = "/".join(names[:: len(names) - 1]) if len(names) > 1 else ""
    if within in FORMS:
        return within
    return value_of if names[-1:] == ["value"] else (names[-1] if names else "")
