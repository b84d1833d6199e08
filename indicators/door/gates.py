"""The gates, in order: each a small pure function that lets a draft through or says why not.

A gate knows the draft and the `Door`, a few plain values that publishing gives; it reads no database and no clock.
Later rules (benign lists, breadth, ceilings) become further gates in `GATES`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from indicators.stix import vocabulary
from indicators.stix.drafts import Draft, Quarantine, Refusal


@dataclass(frozen=True, slots=True)
class Door:
    """What the gates may know besides the draft."""

    now: datetime
    publisher_identity: str
    partner_identities: frozenset[str]
    policy: str  # "closed-facts" or "open-cti"


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
    """Nobody speaks in another partner's name; content of creators outside the exchange is relayed and welcome."""
    others = door.partner_identities - {door.publisher_identity}
    if draft.created_by_ref in others:
        return Refusal("foreign-creator", "/created_by_ref", "The creator is another partner of the exchange.")
    if draft.stix_id in others:
        return Refusal("foreign-creator", "/id", "This is the identity of another partner of the exchange.")
    return None


def kinds(draft: Draft, door: Door) -> Verdict:
    """Under closed facts an indicator is one of the three kinds."""
    closed = door.policy == "closed-facts" and draft.stix_type == "indicator"
    if closed and vocabulary.extension_of(draft.data) is None:
        return Refusal("not-our-kinds", "/extensions", "Under closed-facts an indicator is one of the three kinds.")
    return None


def words(draft: Draft, door: Door) -> Verdict:
    """The vocabulary's schema, for objects that carry our extension."""
    return vocabulary.check(draft.data)


_DAY = timedelta(days=1)
#: Maximum time to live by what an indicator carries (vocabulary, "maximum TTL"); a shorter one by subkind.
_MAX_TTL = {"token": 90 * _DAY, "value": 90 * _DAY, "signature": 90 * _DAY, "rule": 180 * _DAY}
_MAX_TTL_OF_SUBKIND = {"net": 7 * _DAY, "bin_range": 30 * _DAY, "nova_rule": 180 * _DAY}
#: Clocks differ: an indicator may begin this much in the future.
_SKEW = timedelta(hours=1)


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


_FREE_TEXT = ("name", "description", "abstract", "content", "explanation", "opinion", "body", "statement")
_DIGITS = re.compile(r"(?<![\w./:=-])(?:\d[ -]?){12,18}\d(?![\w./:=-])")
_SECRET = re.compile(
    r"\b(?:exk_[a-z2-7]{8}_[a-z2-7]{39}|sk-(?:ant-|proj-)?[A-Za-z0-9_-]{32,}|AKIA[0-9A-Z]{16}|ghp_[A-Za-z0-9]{36}"
    r"|xox[abp]-[0-9A-Za-z-]{20,}|AIza[0-9A-Za-z_-]{35})\b|-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----"
)


def card_numbers(draft: Draft, door: Door) -> Verdict:
    """Free text that seems to hold a card number waits for its publisher to mend it."""
    for name, text in _texts(draft.data):
        for run in _DIGITS.finditer(text):
            digits = re.sub(r"[ -]", "", run[0])
            if digits[0] in "23456" and len(set(digits)) > 3 and _luhn(digits):
                return Quarantine("card-number", f"/{name}", "The text seems to hold a payment card number.")
    return None


def secrets(draft: Draft, door: Door) -> Verdict:
    """Free text that seems to hold a credential waits, too."""
    for name, text in _texts(draft.data):
        if _SECRET.search(text):
            return Quarantine("secret", f"/{name}", "The text seems to hold a key, token or private key.")
    return None


def _texts(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name in _FREE_TEXT:
        value = data.get(name)
        if isinstance(value, str):
            yield name, value


def _luhn(digits: str) -> bool:
    """The check digit of payment cards (ISO/IEC 7812-1, annex B)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (1 + place % 2)
        total += doubled - 9 * (doubled > 9)
    return total % 10 == 0


GATES: tuple[Gate, ...] = (creator, kinds, words, lifetime, card_numbers, secrets)
