"""What must not be said anywhere: payment data and secrets, found in the texts of an object. Pure, in linear time.

One look at the bytes says whether it is worth looking closely. What is found is named by its rule and its place, never
by its value; where the name of a property is at fault, the place is that of what holds it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import re2

from exchange.tokens import normalising

WORDS = {
    "card-details": "The text seems to hold the last digits, expiry or security code of a payment card.",
    "card-number": "The text seems to hold a payment card number.",
    "iban": "The text seems to hold the number of a bank account.",
    "secret": "The text seems to hold a key, token or private key.",
}


@dataclass(frozen=True, slots=True)
class Found:
    """By which rule, and where (a JSON pointer)."""

    code: str
    at: str


def found(data: Mapping[str, Any], raw: bytes) -> Found | None:
    """The first that is found, or None; `raw` are the bytes that were read as `data`."""
    rules = [(code, holds) for code, maybe, holds in _RULES if maybe.search(raw)] if _MAYBE_ANY.search(raw) else []
    if not rules:
        return None
    for pointer, text, free in _texts(data, "", free=True):
        for code, holds in rules:
            if (free or code == "secret") and holds(text):
                return Found(code, pointer)
    return None


#: Properties that hold no free text; whatever ends in `_ref` or `_refs` or is a hash or a timestamp is none either.
_NOT_FREE = frozenset(
    {
        "created",
        "external_id",
        "hashes",
        "href",
        "id",
        "modified",
        "payload_bin",
        "schema",
        "serial_number",
        "spec_version",
        "token",
        "type",
        "url",
        "valid_from",
        "valid_until",
        "x509_v3_extensions",
    }
)


def _texts(value: Any, pointer: str, *, free: bool) -> Iterator[tuple[str, str, bool]]:
    """All strings at any depth (the parser bounds it), names of properties too, and whether each is free text."""
    if isinstance(value, str):
        yield pointer, value, free
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield pointer, name, True
            within = free and name not in _NOT_FREE and not name.endswith(("_ref", "_refs"))
            yield from _texts(inner, f"{pointer}/{_written(name)}", free=within)
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _texts(inner, f"{pointer}/{place}", free=free)


def _written(name: str) -> str:
    """A name as it may stand in a pointer: one that is at fault itself has been found before its value is looked at."""
    return name.replace("~", "~0").replace("/", "~1")


#: A run of 13 to 19 digits, in groups at most, that is not part of a word, path, number, assignment or longer run.
_DIGITS = re.compile(r"[2-6](?<![\w./:=&?%#@+~-].)(?<!\d[ ,].)(?:[ -]?\d){12,18}(?![\w/:=&?%#@~-]|[.,]\d|[ ]\d)")
#: Card numbers by their first digits and their lengths (public prefixes of ISO/IEC 7812 issuers).
_CARDS = (
    (re.compile(r"4"), (13, 16, 19)),  # Visa
    (re.compile(r"5[1-5]|2(?:22[1-9]|2[3-9]|[3-6]|7[01]|720)"), (16,)),  # Mastercard
    (re.compile(r"3[47]"), (15,)),  # American Express
    (re.compile(r"3(?:0[0-5]|[689])"), (14,)),  # Diners Club
    (re.compile(r"6(?:011|4[4-9]|5)"), (16, 19)),  # Discover
    (re.compile(r"62"), (16, 17, 18, 19)),  # UnionPay
    (re.compile(r"35(?:2[89]|[3-8])"), (16,)),  # JCB
)


def _is_card_number(run: str) -> bool:
    digits = re.sub(r"[ -]", "", run)
    issued = any(prefix.match(digits) and len(digits) in lengths for prefix, lengths in _CARDS)
    return issued and _GROUPED.fullmatch(run) is not None and normalising.passes_luhn(digits)


#: As cards are written: no separator, or one separator between groups of three or more.
_GROUPED = re.compile(r"\d+|\d{3,}(?: \d{3,})+|\d{3,}(?:-\d{3,})+")


def _holds_card_number(text: str) -> bool:
    return any(_is_card_number(run[0]) for run in _DIGITS.finditer(text))


#: Country, check digits, and groups of four as they are written, or none (ISO 13616).
_IBAN = re.compile(
    r"(?<![A-Za-z0-9])[A-Z]{2}[0-9]{2}(?:[A-Z0-9]{11,30}|(?: [A-Z0-9]{4}){2,7}(?: [A-Z0-9]{1,3})?)(?![A-Za-z0-9])"
)


def _holds_iban(text: str) -> bool:
    return any(_is_iban(run[0]) for run in _IBAN.finditer(text))


def _is_iban(run: str) -> bool:
    try:
        normalising.iban(run)
    except ValueError:
        return False
    return True


_CODE = re.compile(
    r"(?<![a-z])(?:cvv2?|cvc2?|card (?:security|verification) (?:code|value|number))(?![a-z0-9])"
    r"(?: is| was| code)?[ :=#-]{0,3}[0-9]{3,4}(?![0-9])",
    re.IGNORECASE,
)
_LAST_DIGITS = re.compile(
    r"(?<![a-z])(?:card|visa|mastercard|amex)(?![a-z])[^.\n]{0,40}?"
    r"(?<![a-z])(?:ending (?:in|with)|last (?:four|4)(?: digits)?(?: are| is)?)[ :#*x.-]{0,8}[0-9]{4}(?![0-9])",
    re.IGNORECASE,
)
_EXPIRY = re.compile(
    r"(?<![a-z])(?:card|visa|mastercard|amex)(?![a-z])[^.\n]{0,60}?"
    r"(?<![a-z])exp(?:iry|ires|iration)?(?: date)?[ :]{0,3}(?:0[1-9]|1[0-2]) ?[/-] ?(?:20)?[0-9]{2}(?![0-9/-])",
    re.IGNORECASE,
)


def _holds_card_details(text: str) -> bool:
    return any(pattern.search(text) is not None for pattern in (_CODE, _LAST_DIGITS, _EXPIRY))


_SECRET = re.compile(
    r"(?<![A-Za-z0-9_-])(?:exk_[a-z2-7]{8}_[A-Za-z0-9]{32,}|whsec_[A-Za-z0-9+/]{32,}|sk-(?:ant-|proj-)?[A-Za-z0-9_-]{32,}"
    r"|(?:AKIA|ASIA)[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{50,}|glpat-[A-Za-z0-9_-]{20,}"
    r"|hf_[A-Za-z0-9]{30,}|npm_[A-Za-z0-9]{36}|xox[abeprs]-[0-9A-Za-z-]{20,}|ya29\.[A-Za-z0-9_-]{30,}"
    r"|AIza[0-9A-Za-z_-]{35}|[rs]k_live_[0-9A-Za-z]{20,}|SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}"
    r"|eyJ[A-Za-z0-9_-]{15,}\.eyJ[A-Za-z0-9_-]{15,}\.[A-Za-z0-9_-]{20,})(?![A-Za-z0-9_-])"
    r"|-----BEGIN (?:[A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----"
    r"|(?i:(?<![a-z])authorization[\"']?\s?[:=]\s?[\"']?(?:bearer|basic) [a-z0-9._~+/-]{16,})"
    r"|(?i:(?<![a-z])(?:session[_-]?(?:id|token)|sess(?:ion)?key|access[_-]token|refresh[_-]token|auth[_-]token|api[_-]?key"
    r"|aws_secret_access_key)[\"']?\s?[:=]\s?[\"']?(?=[a-z._~+/-]*[0-9])[a-z0-9._~+/-]{24,})"
)


def _holds_secret(text: str) -> bool:
    return _SECRET.search(text) is not None


#: An escaped ASCII character may hide a digit or letter.
_ESCAPED = rb"|\\u00[2-7]"
_Rule = tuple[str, Any, Callable[[str], bool]]
_SIGNS = {
    "card-number": rb"[0-9](?:[ -]?[0-9]){12}",
    "iban": rb"[A-Z]{2}[0-9]{2} ?[A-Z0-9]{4}",
    "card-details": rb"(?i:cvv|cvc|security code|verification|ending in|ending with|last four|last 4|exp)",
    "secret": (
        rb"exk_|whsec_|sk-|AKIA|ASIA|gh[pousr]_|github_pat_|glpat-|hf_|npm_|xox[abeprs]-|ya29|AIza|[rs]k_live_|SG[.]|eyJ"
        rb"|PRIVATE KEY|(?i:authorization|session|sesskey|access[_-]token|refresh[_-]token|auth[_-]token|api[_-]?key)"
        rb"|(?i:secret_access)"
    ),
}
_HOLDS: dict[str, Callable[[str], bool]] = {
    "card-number": _holds_card_number,
    "iban": _holds_iban,
    "card-details": _holds_card_details,
    "secret": _holds_secret,
}
_RULES: tuple[_Rule, ...] = tuple((code, re2.compile(_SIGNS[code] + _ESCAPED), holds) for code, holds in _HOLDS.items())
_MAYBE_ANY = re2.compile(b"|".join(_SIGNS.values()) + _ESCAPED)
