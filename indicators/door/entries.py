"""Which values of an object give an entry of a list, and what keeps the others out (`suppressed_by`).

An object of our kinds whose value is benign or too broad is refused; a classical one is taken as it is, and its value
is found and matched, but stands in no list.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from msgspec.structs import replace

from exchange.lists.lines import compared
from exchange.stix import words
from indicators.door import benign, corpus
from indicators.door.benign import Known
from indicators.stix import budget, patterns, vocabulary
from indicators.stix.drafts import MATCH_ONLY, Draft, Refusal, TokenValue
from indicators.stix.facets import BENIGN_HITS, facet

#: An AS number is thousands of networks: it is matched, and listed nowhere.
AS_NUMBER = "as-number"
#: The publisher itself says that it is benign (STIX 2.1 §10.9, `indicator_types`).
BENIGN_TYPE = "benign-type"
#: What the answer to a push tells, because the publisher may not expect it.
TOLD = (benign.BENIGN, BENIGN_TYPE, benign.TOO_BROAD)

_WORDS = {
    benign.BENIGN: (
        "The value is benign: a special-purpose range, a freemail provider, a public suffix, a public resolver, a"
        " cloud's range, a network, host or wallet of everybody, or what a member has made known as its own."
    ),
    benign.TOO_BROAD: "The network is too broad: IPv4 from /16, IPv6 from /32.",
}
_LONGEST_PREFIX = 64
#: By epoch, values of tokens; a door that knows no key.
NO_TOKENS: Mapping[str, frozenset[str]] = MappingProxyType({})


def judged(draft: Draft, known: Known) -> Draft:
    """The same, each value with what keeps it out of lists, and with what was measured of its text.

    A draft with nothing to keep out or to measure is given back itself.
    """
    if (hits := benign_hits(draft)) is not None:
        said = tuple(sorted({*draft.facets, facet(BENIGN_HITS, hits)}))
        draft = draft if said == draft.facets else replace(draft, facets=said)
    if not draft.tokens:
        return draft
    types = draft.data.get("indicator_types")
    says_benign = isinstance(types, list) and "benign" in types
    tokens = tuple(
        one if not (why := BENIGN_TYPE if says_benign else why_not(one, known)) else replace(one, suppressed_by=why)
        for one in draft.tokens
    )
    return draft if tokens == draft.tokens else replace(draft, tokens=tokens)


def benign_hits(draft: Draft) -> str | None:
    """How many of the bundled ordinary prompts its text matches (`words.BENIGN_HITS`); None where nothing is measured.

    Of a phrase it is known that no more hold it than may: the door refuses the others by their tokens.
    """
    if draft.revoked or draft.subkind not in MEASURED:
        return None
    if draft.subkind == "phrase":
        return "few"
    signature: Any = (draft.extension or {}).get("signature")
    name = words.SIGNATURES[draft.subkind]
    if not isinstance(signature, dict) or not isinstance(text := signature.get(name), str):
        return None
    try:
        return corpus.measured(**{name: text})
    except budget.Spent:
        return None


#: Subkinds of which it is measured how many ordinary prompts they match.
MEASURED = frozenset({*words.SIGNATURES, "phrase"})


def told(draft: Draft) -> tuple[str, ...]:
    """What keeps values of a draft out of lists, as its publisher is told."""
    return tuple(sorted({one.suppressed_by for one in draft.tokens if one.suppressed_by in TOLD}))


def why_not(token: TokenValue, known: Known) -> str:
    """What keeps a value out of lists; "" for one that may be listed."""
    if token.scheme != "clear" or token.suppressed_by == MATCH_ONLY:
        return token.suppressed_by
    verdict = benign.judge(token.domain, token.value, known)
    return verdict or (AS_NUMBER if compared(token.domain) == "net" and token.value.startswith("as") else "")


def refusal(draft: Draft, known: Known, *, broad: Mapping[str, frozenset[str]] = NO_TOKENS) -> Refusal | None:
    """Why an object of our kinds may not enter: its value is benign, or too broad or narrow a network."""
    extension: Any = draft.extension
    if extension is None or draft.revoked:
        return None
    if isinstance(signature := extension.get("signature"), dict):
        return _broad_text(signature)
    if draft.subkind == "phrase":
        return _broad_phrase(draft, broad)
    at = f"/extensions/{vocabulary.EXTENSION_ID}/value"
    for token in draft.tokens:
        if token.scheme != "clear":
            continue
        if verdict := benign.judge(token.domain, token.value, known):
            named = benign.listed_in(token.domain, token.value, known) if verdict == benign.BENIGN else ""
            return Refusal(verdict, at, f"{_WORDS[verdict]} Listed as: {named}." if named else _WORDS[verdict])
        if ":" in token.value and token.domain == "net" and int(token.value.partition("/")[2]) > _LONGEST_PREFIX:
            return Refusal("vocabulary", at, "An IPv6 network has /32 to /64; one address is its /64.")
    return None


def _broad_phrase(draft: Draft, broad: Mapping[str, frozenset[str]]) -> Refusal | None:
    """Why a phrase may not enter: as for a text. What the group's key makes of such phrases is known beforehand."""
    for place, token in enumerate(draft.tokens):
        if token.value in broad.get(token.key_epoch, ()):
            at = f"/extensions/{vocabulary.EXTENSION_ID}/tokens/{place}/value"
            return Refusal(benign.TOO_BROAD, at, _BROAD_TEXT)
    return None


def _broad_text(signature: dict[str, Any]) -> Refusal | None:
    """Why a regex or NOVA rule may not enter: it matches prompts that have nothing to do with a campaign."""
    for name in ("regex", "nova"):
        if isinstance(text := signature.get(name), str):
            at = f"/extensions/{vocabulary.EXTENSION_ID}/signature/{name}"
            try:
                broad = corpus.is_broad(**{name: text})
            except budget.Spent:
                return patterns.too_costly(at)
            return Refusal(benign.TOO_BROAD, at, _BROAD_TEXT) if broad else None
    return None


_BROAD_TEXT = f"It matches more than {corpus.MOST_HITS} of the ordinary prompts that are bundled with the exchange."
