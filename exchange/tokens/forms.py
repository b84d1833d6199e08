"""What is tokenised, by subkind: its normal forms (version 2) and the bytes that go into a token.

for form in forms.of("email", "Anna.Example+news@gmail.com"):
value = hmac.digest(key, forms.input_bytes("email", form), "sha256").hex()
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from itertools import groupby

from exchange.tokens import normalising, prompts

NORM_VERSION = "2"
_DOMAIN = b"exchange-token-v2"
#: Hours of the slots of a burst of sign-ups.
_SLOT_HOURS = 6


class Scheme(StrEnum):
    """How a token is made: by the key service without seeing the value, or under a key of one group."""

    GROUP = "hmac-sha256"
    OBLIVIOUS = "oprf-ristretto255-sha512"


class Kind(StrEnum):
    """The three kinds of indicators; the key service has a key of its own for each."""

    ACCOUNT = "account-pattern"
    PAYMENT = "payment-fingerprint"
    PROMPT = "prompt-signature"


#: The subkinds that a key of the service makes tokens of, and whose key it is.
OBLIVIOUS: dict[str, Kind] = {
    "device": Kind.ACCOUNT,
    "email": Kind.ACCOUNT,
    "iban_token": Kind.PAYMENT,
    "pan_token": Kind.PAYMENT,
    "par": Kind.PAYMENT,
    "phone": Kind.ACCOUNT,
    "psp_fp": Kind.PAYMENT,
    "skeleton": Kind.PROMPT,
}
#: The subkinds of indicators that a group's key makes tokens of.
BY_GROUP: dict[str, Kind] = {"phrase": Kind.PROMPT, "signup_template": Kind.ACCOUNT}
#: What evidence carries as tokens of the group besides; never an indicator.
EVIDENCE_ONLY = frozenset({"email_domain", "email_shape", "net", "signup_burst"})
#: All that evidence may carry. A burst has no raw value of its own: `signup_burst` makes its form.
IN_EVIDENCE = frozenset(OBLIVIOUS) | frozenset(BY_GROUP) | EVIDENCE_ONLY


def scheme_of(subkind: str) -> Scheme:
    """How values of this subkind are tokenised. Raises ValueError for one that is not."""
    if subkind in OBLIVIOUS:
        return Scheme.OBLIVIOUS
    if subkind in BY_GROUP or subkind in EVIDENCE_ONLY:
        return Scheme.GROUP
    raise ValueError(f"{subkind}: not a subkind that is tokenised")


def of(subkind: str, raw: str) -> tuple[str, ...]:
    """The normal forms of a raw value, each of which becomes a token; the purest first.

    An e-mail address has an exact and a folded one, which may be equal; a prompt has any number of phrases, also none.
    Raises ValueError, without the value, for what is not of its kind, and KeyError for a subkind that is not tokenised.
    """
    return tuple(dict.fromkeys(_FORMS[subkind](raw)))


def input_bytes(subkind: str, form: str) -> bytes:
    """What goes into a token: the same text under two subkinds gives two tokens."""
    return b"\0".join((_DOMAIN, subkind.encode(), form.encode()))


def signup_burst(place: str, moment: datetime) -> str:
    """Sign-ups from one domain or network within six hours of UTC: `relay.example|2026-11-28T12Z`."""
    at = moment.astimezone(UTC)
    return f"{place}|{at:%Y-%m-%d}T{at.hour // _SLOT_HOURS * _SLOT_HOURS:02d}Z"


def email_shape(text: str) -> str:
    """How the local part of an address is built: runs of letters (a), of digits (d), of others (x), with lengths."""
    return shape_of(normalising.email_exact(text))


def shape_of(exact: str) -> str:
    """The same of an address that is in its exact normal form."""
    local, _, domain = exact.rpartition("@")
    runs = groupby(local, key=lambda one: "a" if one.isalpha() else "d" if one.isdecimal() else "x")
    return "".join(f"{letter}{len(list(run))}" for letter, run in runs) + f"@{domain}"


def _one(normalise: Callable[[str], str]) -> Callable[[str], tuple[str, ...]]:
    return lambda raw: (normalise(raw),)


def _email(raw: str) -> tuple[str, ...]:
    return normalising.email_exact(raw), normalising.email_folded(raw)


def _phrases(raw: str) -> tuple[str, ...]:
    return tuple(prompts.phrases(raw))


_FORMS: dict[str, Callable[[str], tuple[str, ...]]] = {
    "device": _one(normalising.opaque),
    "email": _email,
    "email_domain": _one(normalising.host),
    "email_shape": _one(email_shape),
    "iban_token": _one(normalising.iban),
    "net": _one(normalising.network),
    "pan_token": _one(normalising.pan),
    "par": _one(normalising.par),
    "phone": _one(normalising.phone),
    "phrase": _phrases,
    "psp_fp": _one(normalising.opaque),
    "signup_template": _one(normalising.signup_template),
    "skeleton": _one(prompts.skeleton),
}
SUBKINDS = frozenset(_FORMS)
