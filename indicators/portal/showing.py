"""How the portal words what reading returns: plain values for the templates, which escape everything."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from django.utils.translation import gettext

from exchange import clock
from exchange.tokens.defanging import defanged_text
from exchange.translating import later
from indicators.door import corpus
from indicators.feeds import filters
from indicators.feeds.filters import Filter
from indicators.portal import verdict
from indicators.reading import Statement
from indicators.reading.overview import KINDS
from indicators.stix import conformance, vocabulary
from partners.tlp import Tlp


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a list."""

    key: str  # tells the row from the others of its page, and nothing of where it lies
    stix_id: str
    title: str
    kind: str
    kind_name: str
    value: str
    publisher: str
    publisher_suspended: bool
    tlp: str
    confidence: int | None
    added: datetime
    state: str
    new: bool
    marked: bool


#: What an indicator of each kind may look at (`vocabulary`), for the filter.
SUBKINDS = vocabulary.SUBKINDS
_KIND_NAMES = {kind: name.removesuffix("s") for kind, name in KINDS.items()}
_BUCKET = re.compile(r"10\^([0-9])")
_WORDS = {
    "api": "API",
    "cot": later("chain of thought"),
    "edu": later("education program"),
    "cgnat": later("carrier-grade NAT"),
    "vpn": "VPN",
}
_QUOTED = re.compile(r"= ?'((?:[^'\\]|\\.)*)'")


def rows(found: Sequence[Statement], *, seen: str = "") -> list[Row]:
    """Lines; those added after the moment `seen` are marked as new."""
    since = _moment(seen)
    moment = clock.now()
    return [_row(said, new=since is not None and said.date_added > since, moment=moment) for said in found]


def newest_moment(lines: Sequence[Row]) -> str:
    """The moment that the next request hands in as `seen`; long ago while there is nothing."""
    return lines[0].added.isoformat() if lines else datetime.min.replace(tzinfo=UTC).isoformat()


def kind_name(kind: str | None, stix_type: str) -> str:
    """What people call it."""
    return _KIND_NAMES.get(kind or "", stix_type)


def filter_words(wanted: Filter) -> str:
    """A saved filter in one line."""
    return filters.spoken(wanted) or gettext("Everything")


def state(said: Statement, moment: datetime) -> str:
    """One word for where an object is in its life."""
    if said.revoked:
        return "revoked"
    if said.valid_until is not None and said.valid_until <= moment:
        return "expired"
    if said.valid_from is not None and said.valid_from > moment:
        return gettext("not yet valid")
    return "live"


def _row(said: Statement, *, new: bool, moment: datetime) -> Row:
    return Row(
        key=f"{said.publisher_slug}-{said.stix_id}",
        stix_id=said.stix_id,
        title=defanged_text(said.title),
        kind=said.kind or "",
        kind_name=kind_name(said.kind, said.stix_type),
        value=said.subkind or first_value(said),
        publisher=said.publisher_name,
        publisher_suspended=said.publisher_suspended,
        tlp=Tlp(said.tlp).word,
        confidence=said.confidence,
        added=said.date_added,
        state=state(said, moment),
        new=new,
        marked=bool(said.marks),
    )


def marks(said: Statement) -> list[tuple[str, str]]:
    """What STIX 2.1 says is wrong with an object, in words, each with the place."""
    told = []
    for mark in said.marks or ():
        code, _, field = mark.partition(" ")
        told.append((conformance.explained(code, field, stix_type=said.stix_type), field))
    return told


def first_value(said: Statement) -> str:
    """What a classical indicator looks for, cut from its pattern."""
    found = _QUOTED.search(said.body) if said.stix_type == "indicator" else None
    return found[1] if found else ""


def _moment(text: str) -> datetime | None:
    try:
        parsed = datetime.fromisoformat(text) if len(text) < 40 else None
    except ValueError:
        return None
    return parsed if parsed is not None and parsed.tzinfo is not None else None


def facts(extension: dict[str, Any]) -> list[tuple[str, str]]:
    """The facts of an indicator of ours in plain words, in a fixed order; unknown ones are left to the raw view."""
    return [(label, _plain(extension[name])) for name, label in _LABELS.items() if name in extension]


def code(extension: dict[str, Any]) -> list[tuple[str, str]]:
    """What an indicator of ours compares with, where that is a rule or a text rather than a value."""
    rule, signature = extension.get("rule"), extension.get("signature")
    found = []
    if isinstance(rule, dict):
        terms = (f"{term['feature']} {term['op']} {orjson.dumps(term['value']).decode()}" for term in rule["all"])
        found.append((gettext("Rule"), "\nand ".join(terms)))
    if isinstance(signature, dict):
        texts = ((name, signature[name]) for name in ("regex", "nova") if name in signature)
        found += [(_SIGNATURES[name], text) for name, text in texts]
        if "minhash" in signature:
            found.append(
                ("MinHash", gettext("{n} permutations, in the raw object below").format(n=len(signature["minhash"])))
            )
    return found


def measured(benign_hits: str | None) -> str:
    """What the exchange measured of a text, in a sentence; empty where nothing was."""
    if benign_hits is None:
        return ""
    prompts, most = f"{len(corpus.prompts()):,}", verdict.number(corpus.MOST_HITS)
    said = {"none": gettext("none"), "few": gettext("at most {most}").format(most=most)}.get(
        benign_hits, gettext("more than {most}, which is refused today").format(most=most)
    )
    return gettext("Of {prompts} ordinary prompts it matches {said}.").format(prompts=prompts, said=said)


_SIGNATURES = {"regex": later("Regular expression"), "nova": later("NOVA rule")}


_LABELS = {
    "subkind": later("Looks at"),
    "value": later("Value"),
    "severity": later("Severity"),
    "control": later("Controlled by"),
    "entry_program": later("Came in through"),
    "instrument": later("Instrument"),
    "accounts_per_instrument": later("Accounts per instrument"),
    "psp_scope": later("Payment provider's scope"),
    "elicitation": later("Tries to elicit"),
    "languages": later("Languages"),
    "shared_infra": later("Shared infrastructure"),
    "publisher_action": later("What the publisher did"),
    "review": later("Reviewed by"),
    "first_seen": later("First seen"),
    "last_seen": later("Last seen"),
    "volume_bucket": later("Volume"),
    "techniques": later("ATLAS techniques"),
    "benign_hit_rate": later("Hits on benign traffic"),
    "attribution": later("Attribution"),
    "detector": later("Detector"),
}


def plain_fact(value: Any) -> str:
    """One value of the vocabulary in plain words; empty where it is not said."""
    return _plain(value) if value is not None else ""


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_plain(item) for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(item)}" for name, item in value.items())
    if isinstance(value, str) and (order := _BUCKET.fullmatch(value)):
        return gettext("in the order of {n}").format(n=f"{10 ** int(order[1]):,}")
    if isinstance(value, str) and value in _WORDS:
        return str(_WORDS[value])
    return str(value).replace("_", " ") if isinstance(value, str) and re.fullmatch(r"[a-z_]+", value) else str(value)
