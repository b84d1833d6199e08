"""The gates, in order: each a small pure function that lets a draft through or says why not.

A gate knows the draft and the `Door`, a few plain values that publishing gives; it reads no database and no clock.
Later rules become further gates in `GATES`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import re2

from exchange.lookalikes import fold
from indicators.door import entries
from indicators.door.benign import Known
from indicators.stix import normalising, tlp, vocabulary
from indicators.stix.drafts import Draft, Quarantine, Refusal


@dataclass(frozen=True, slots=True)
class Door:
    """What the gates may know besides the draft."""

    now: datetime
    publisher_identity: str
    partner_identities: frozenset[str]
    policy: str  # "closed-facts" or "open-cti"
    known: Known
    tlp: str | None = None  # the marking that the batch gives all its objects
    names_of_others: frozenset[str] = frozenset()  # folded (`partners.naming`); asked of identities only


#: Clocks differ: a version may be dated, and an indicator begin, this much in the future.
_SKEW = timedelta(hours=1)

Verdict = Refusal | Quarantine | None
Gate = Callable[[Draft, Door], Verdict]


def examine(draft: Draft, door: Door) -> Verdict:
    """The first verdict that is not None, in the order of `GATES`."""
    for gate in GATES:
        verdict = gate(draft, door)
        if verdict is not None:
            return verdict
    return None


def creator(draft: Draft, door: Door) -> Verdict:
    """Nobody speaks in another partner's name, nor the exchange's; content of creators outside of it is welcome."""
    if (refusal := _of_the_exchange(draft)) is not None:
        return refusal
    others = door.partner_identities - {door.publisher_identity}
    if draft.created_by_ref is not None and _canonical(draft.created_by_ref) in others:
        return Refusal("foreign-creator", "/created_by_ref", "The creator is another partner of the exchange.")
    if draft.stix_type == "identity" and _canonical(draft.stix_id) in others:
        return Refusal("foreign-creator", "/id", "This is the identity of another partner of the exchange.")
    if draft.stix_type == "identity" and _is_called(draft, door.names_of_others):
        return Refusal("foreign-name", "/name", "A partner, or the exchange, has this name or one that looks alike.")
    return None


def _of_the_exchange(draft: Draft) -> Verdict:
    """Its identity and its extension definitions are its own; it says nothing through others."""
    if _canonical(draft.stix_id) in vocabulary.OWN_IDS:
        return Refusal("exchange-own", "/id", "The exchange alone publishes under this id.")
    if draft.created_by_ref is not None and _canonical(draft.created_by_ref) == vocabulary.EXCHANGE_IDENTITY_ID:
        return Refusal("exchange-own", "/created_by_ref", "The exchange publishes under its own name itself.")
    return None


def _is_called(draft: Draft, names: frozenset[str]) -> bool:
    name = draft.data.get("name")
    return isinstance(name, str) and bool(names) and fold(name) in names


def _canonical(stix_id: str) -> str:
    """A UUID may be written in capitals and is the same (RFC 9562 §4)."""
    return stix_id.lower()


def dated(draft: Draft, door: Door) -> Verdict:
    """A version is not dated ahead of the exchange's clock: no later one could take its place."""
    for field, moment in (("/modified", draft.modified), ("/created", draft.created)):
        if moment is not None and moment > door.now + _SKEW and field[1:] in draft.data:
            return Refusal("dated-ahead", field, "It lies more than an hour ahead of the exchange's clock.")
    return None


def says_red(draft: Draft, door: Door) -> Verdict:
    """What says `TLP:RED` in words and is not marked so waits for its publisher: no word binds but a marking."""
    labels = draft.data.get("labels")
    if labels and isinstance(labels, list) and "red" not in (draft.tlp, door.tlp):
        for place, label in enumerate(labels):
            if isinstance(label, str) and tlp.is_red(label):
                return Quarantine("says-red", f"/labels/{place}", _SAYS_RED)
    if draft.stix_type == "marking-definition" and tlp.strictest([draft.stix_id]) != "red":
        at = tlp.says_red_at(draft.data)
        return None if at is None else Quarantine("says-red", at, _SAYS_RED)
    return None


_SAYS_RED = "It says TLP:RED in words that bind nobody. Mark it with the marking-definition of TLP:RED."


def kinds(draft: Draft, door: Door) -> Verdict:
    """Under closed facts an indicator is one of the three kinds."""
    closed = door.policy == "closed-facts" and draft.stix_type == "indicator"
    if closed and vocabulary.extension_of(draft.data) is None:
        return Refusal("not-our-kinds", "/extensions", "Under closed-facts an indicator is one of the three kinds.")
    return None


def words(draft: Draft, door: Door) -> Verdict:
    """The vocabulary's schema, for objects that carry our extension."""
    return vocabulary.check(draft.data)


def harmless(draft: Draft, door: Door) -> Verdict:
    """An indicator of ours names nothing that nobody may block, and no network that is too broad."""
    return entries.refusal(draft, door.known)


_DAY = timedelta(days=1)
#: Maximum time to live by what an indicator carries (vocabulary, "maximum TTL"); a shorter one by subkind.
_MAX_TTL = {"token": 90 * _DAY, "value": 90 * _DAY, "signature": 90 * _DAY, "rule": 180 * _DAY}
_MAX_TTL_OF_SUBKIND = {"net": 7 * _DAY, "bin_range": 30 * _DAY, "billing_rule": 90 * _DAY, "nova_rule": 180 * _DAY}


def lifetime(draft: Draft, door: Door) -> Verdict:
    """An indicator of ours ends, within the maximum of its subkind, and has not ended yet."""
    extension = vocabulary.extension_of(draft.data)
    if extension is None or draft.revoked:
        return None
    if draft.valid_until is None or draft.valid_from is None:
        return Refusal("no-end", "/valid_until", "An indicator of the three kinds says until when it is valid.")
    if draft.valid_until <= draft.valid_from:
        return Refusal("bad-validity", "/valid_until", "The end of validity lies after its beginning (STIX 2.1 §4.7).")
    if draft.valid_until <= door.now:
        return Refusal("expired", "/valid_until", "The end of validity has passed.")
    longest = _longest(extension)
    if draft.valid_until - max(draft.valid_from, door.now) > longest + _SKEW or draft.valid_from > door.now + longest:
        return Refusal("too-long-lived", "/valid_until", f"At most {longest.days} days for this subkind.")
    return None


def _longest(extension: Mapping[str, Any]) -> timedelta:
    subkind = extension.get("subkind")
    if isinstance(subkind, str) and subkind in _MAX_TTL_OF_SUBKIND:
        return _MAX_TTL_OF_SUBKIND[subkind]
    return min((ttl for carrier, ttl in _MAX_TTL.items() if carrier in extension), default=90 * _DAY)


def conforms(draft: Draft, door: Door) -> Verdict:
    """Under closed facts an object keeps to STIX 2.1; under open CTI what it breaks marks it (`conformance`)."""
    return draft.marks[0] if draft.marks and door.policy == "closed-facts" else None


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
#: A run of 13 to 19 digits, in groups at most, that is not part of a word, path, number, assignment or longer run.
_DIGITS = re.compile(r"[2-6](?<![\w./:=&?%#@+~-].)(?<!\d[ ,].)(?:[ -]?\d){12,18}(?![\w/:=&?%#@~-]|[.,]\d|[ ]\d)")
_SECRET = re.compile(
    r"(?<![A-Za-z0-9_-])(?:exk_[a-z2-7]{8}_[A-Za-z0-9]{32,}|whsec_[A-Za-z0-9+/]{32,}|sk-(?:ant-|proj-)?[A-Za-z0-9_-]{32,}"
    r"|(?:AKIA|ASIA)[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{50,}|xox[abprs]-[0-9A-Za-z-]{20,}"
    r"|AIza[0-9A-Za-z_-]{35}|[rs]k_live_[0-9A-Za-z]{20,}|eyJ[A-Za-z0-9_-]{15,}\.eyJ[A-Za-z0-9_-]{15,}\.[A-Za-z0-9_-]{20,})"
    r"(?![A-Za-z0-9_-])|-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----"
)


#: One look at an object's bytes, in linear time and quickly: whether it is worth looking closely. An escaped ASCII
#: character may hide a digit or letter.
_DIGITS_OR_ESCAPED = rb"[0-9](?:[ -]?[0-9]){12}|\\u00[2-7]"
_SECRET_OR_ESCAPED = (
    rb"exk_|whsec_|sk-|AKIA|ASIA|gh[pousr]_|github_pat_|xox[abprs]-|AIza|[rs]k_live_|eyJ|PRIVATE KEY|\\u00[2-7]"
)
_MAYBE_DIGITS = re2.compile(_DIGITS_OR_ESCAPED)
_MAYBE_SECRET = re2.compile(_SECRET_OR_ESCAPED)
_MAYBE_EITHER = re2.compile(_DIGITS_OR_ESCAPED + b"|" + _SECRET_OR_ESCAPED)


def free_texts(draft: Draft, door: Door) -> Verdict:
    """The scans of free text, if one look at the bytes says that there may be something to find."""
    return card_numbers(draft, door) or secrets(draft, door) if _MAYBE_EITHER.search(draft.raw) else None


def card_numbers(draft: Draft, door: Door) -> Verdict:
    """Free text that seems to hold a card number waits for its publisher to mend it."""
    if _MAYBE_DIGITS.search(draft.raw):
        for pointer, text in _texts(draft.data, ""):
            if any(_is_card_number(found[0]) for found in _DIGITS.finditer(text)):
                return Quarantine("card-number", pointer, "The text seems to hold a payment card number.")
    return None


def secrets(draft: Draft, door: Door) -> Verdict:
    """Free text that seems to hold a credential waits, too."""
    if _MAYBE_SECRET.search(draft.raw):
        for pointer, text in _texts(draft.data, ""):
            if _SECRET.search(text):
                return Quarantine("secret", pointer, "The text seems to hold a key, token or private key.")
    return None


def _texts(value: Any, pointer: str) -> Iterator[tuple[str, str]]:
    """All free texts at any depth (the parser bounds it), each with its JSON pointer."""
    if isinstance(value, str):
        yield pointer, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name not in _NOT_FREE and not name.endswith(("_ref", "_refs")):
                yield from _texts(inner, f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _texts(inner, f"{pointer}/{place}")


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


GATES: tuple[Gate, ...] = (creator, says_red, dated, kinds, words, harmless, lifetime, conforms, free_texts)
