"""The gates, in order: each a small pure function that lets a draft through or says why not.

A gate knows the draft and the `Door`, a few plain values that publishing gives; it reads no database and no clock.
Later rules become further gates in `GATES`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any

from exchange.lookalikes import fold
from exchange.stix import excerpts
from exchange.stix.words import EXCERPT_EXTENSION_ID, SCHEMA_VERSION
from exchange.texts import rules
from exchange.tokens import epochs
from indicators.door import closed, entries, scanning
from indicators.door.benign import Known
from indicators.stix import tlp, vocabulary
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
    names_of_others: frozenset[str] = frozenset()  # folded (`partners.groups.naming`); asked of identities only
    publisher_name: str = ""
    groups: frozenset[str] = frozenset()  # the short names of the publisher's groups
    broad: Mapping[str, frozenset[str]] = entries.NO_TOKENS  # by epoch, tokens that ordinary prompts give
    ended: frozenset[str] = frozenset()  # of replaced group keys; asked of phrases and templates only
    detectors: frozenset[str] = frozenset()  # of the publisher's; asked of indicators that name one only


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


def for_machines(draft: Draft, door: Door) -> Verdict:
    """An excerpt of a prompt is for people: it is no object that machines are given."""
    extensions = draft.data.get("extensions")
    if draft.stix_type == excerpts.TYPE:
        return Refusal("for-people", "/type", _FOR_PEOPLE)
    if isinstance(extensions, dict) and EXCERPT_EXTENSION_ID in extensions:
        return Refusal("for-people", f"/extensions/{EXCERPT_EXTENSION_ID}", _FOR_PEOPLE)
    return None


_FOR_PEOPLE = "People alone read an excerpt: send it to POST /api/v1/excerpts."


def creator(draft: Draft, door: Door) -> Verdict:
    """Nobody speaks in another partner's name, nor the exchange's; content of creators outside of it is welcome."""
    if (refusal := _of_the_exchange(draft, door)) is not None:
        return refusal
    others = door.partner_identities - {door.publisher_identity}
    if draft.created_by_ref is not None and _canonical(draft.created_by_ref) in others:
        return Refusal("foreign-creator", "/created_by_ref", "The creator is another partner of the exchange.")
    if draft.stix_type == "identity" and _canonical(draft.stix_id) in others:
        return Refusal("foreign-creator", "/id", "This is the identity of another partner of the exchange.")
    if draft.stix_type == "identity" and _is_called(draft, door.names_of_others):
        return Refusal("foreign-name", "/name", "A partner, or the exchange, has this name or one that looks alike.")
    return None


def _of_the_exchange(draft: Draft, door: Door) -> Verdict:
    """Its identity and its extension definitions are its own; it says nothing through others."""
    if _canonical(door.publisher_identity) == vocabulary.EXCHANGE_IDENTITY_ID:
        return None
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
    if closed and draft.extension is None:
        return Refusal("not-our-kinds", "/extensions", "Under closed-facts an indicator is one of the three kinds.")
    return None


def words(draft: Draft, door: Door) -> Verdict:
    """The vocabulary's schema, for objects that carry our extension."""
    return vocabulary.check(draft.data)


def listed(draft: Draft, door: Door) -> Verdict:
    """Under closed facts nothing is said but what is listed."""
    if door.policy != "closed-facts":
        return None
    return closed.check(
        draft,
        now=door.now,
        known=door.known,
        publisher_identity=door.publisher_identity,
        publisher_name=door.publisher_name,
        groups=door.groups,
    )


def registered(draft: Draft, door: Door) -> Verdict:
    """A detector that an indicator names is one of its publisher's; version 1 may call it by any other name."""
    if draft.detector is None or draft.revoked or draft.detector in door.detectors:
        return None
    at = f"/extensions/{vocabulary.EXTENSION_ID}/detector/name"
    return Refusal("unregistered-detector", at, "Register the detector first, or name one that is not retired.")


def keyed(draft: Draft, door: Door) -> Verdict:
    """Of the keys that an indicator's tokens were made with, one is published under now: others ask under no other.

    Tokens of ended keys may stand beside it, so that a new version of what lives from before need not drop them.
    """
    extension = draft.extension
    if extension is None or draft.revoked or extension.get("schema_version") != SCHEMA_VERSION:
        return None
    said = [one["key_epoch"] for one in extension.get("tokens", ())]
    carried = [epoch for epoch in said if epoch not in door.ended]
    present = _published_under(door.now.astimezone(UTC).date())
    if not said or any(_QUARTER.findall(epoch)[-1:] == [quarter] for epoch in carried for quarter in present):
        return None
    return Refusal("ended-epoch", f"/extensions/{vocabulary.EXTENSION_ID}/tokens/0/key_epoch", _ENDED)


_ENDED = "No token is made with a key that is published under now: tokenise anew (exchange renew)."
_QUARTER = re.compile("[0-9]{4}q[1-4]")


@lru_cache(maxsize=8)
def _published_under(day: date) -> tuple[str, ...]:
    """The quarters of a day: they change at midnight UTC alone."""
    return epochs.published_under(datetime.combine(day, time(12), UTC))


def harmless(draft: Draft, door: Door) -> Verdict:
    """An indicator of ours names nothing that nobody may block, and no network that is too broad."""
    return entries.refusal(draft, door.known, broad=door.broad)


_DAY = timedelta(days=1)
#: Maximum time to live by what an indicator carries (vocabulary, "maximum TTL"), the shortest first; by subkind.
_MAX_TTL = {"tokens": 90 * _DAY, "token": 90 * _DAY, "value": 90 * _DAY, "signature": 90 * _DAY, "rule": 180 * _DAY}
_MAX_TTL_OF_SUBKIND = {"net": 7 * _DAY, "bin_range": 30 * _DAY, "billing_rule": 90 * _DAY, "nova_rule": 180 * _DAY}


def lifetime(draft: Draft, door: Door) -> Verdict:
    """An indicator of ours ends, within the maximum of its subkind, and has not ended yet."""
    extension = draft.extension
    if extension is None or draft.revoked:
        return None
    if draft.valid_until is None or draft.valid_from is None:
        return Refusal("no-end", "/valid_until", "An indicator of the three kinds says until when it is valid.")
    if draft.valid_until <= draft.valid_from:
        return Refusal("bad-validity", "/valid_until", "The end of validity lies after its beginning (STIX 2.1 §4.7).")
    if draft.valid_until <= door.now:
        return Refusal("expired", "/valid_until", "The end of validity has passed.")
    most = longest(extension)
    if draft.valid_until - max(draft.valid_from, door.now) > most + _SKEW or draft.valid_from > door.now + most:
        return Refusal("too-long-lived", "/valid_until", f"At most {most.days} days for this subkind.")
    return None


def longest(extension: Mapping[str, Any]) -> timedelta:
    """How long an indicator with this extension may live at most."""
    subkind = extension.get("subkind")
    if isinstance(subkind, str) and subkind in _MAX_TTL_OF_SUBKIND:
        return _MAX_TTL_OF_SUBKIND[subkind]
    for carrier, ttl in _MAX_TTL.items():
        if carrier in extension:
            return ttl
    return 90 * _DAY


def conforms(draft: Draft, door: Door) -> Verdict:
    """Under closed facts an object keeps to STIX 2.1; under open CTI what it breaks marks it (`conformance`)."""
    return draft.marks[0] if draft.marks and door.policy == "closed-facts" else None


def unspeakable(draft: Draft, door: Door) -> Verdict:
    """What holds payment data or a secret is refused, and kept nowhere (`scanning`)."""
    if door.policy == "closed-facts" and _is_judged_by_the_list(draft):
        return None
    found = scanning.found(draft.data, draft.raw)
    return Refusal(found.code, found.at, rules.WORDS[found.code]) if found is not None else None


def _is_judged_by_the_list(draft: Draft) -> bool:
    """Whether no text of an object passes `listed`, or waits in quarantine before that."""
    return draft.stix_type == "indicator" and "labels" not in draft.data and not closed.holds_text(draft)


GATES: tuple[Gate, ...] = (
    *(unspeakable, for_machines, creator, says_red, dated, kinds, words, listed, registered, harmless, lifetime, keyed),
    conforms,
)
