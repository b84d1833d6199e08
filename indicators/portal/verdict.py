"""The verdict on an indicator: what it is, who says it, how sure, until when, what was done. Pure; it never advises."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from indicators.stix.naming import NAMES

_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_CONTROL = {
    "reseller_pool": "A reseller pool's",
    "actor_controlled": "The campaign's own",
    "compromised_victim": "A victim's",
    "unknown": "Somebody's",
}
_DID = {
    "suspended": "suspended its accounts",
    "challenged": "challenged them",
    "limited": "limited them",
    "observed": "observed them",
}


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of the sentence; facts are bold."""

    text: str
    bold: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of an indicator, as one viewer sees it."""

    control: str
    subkind: str
    kind_name: str
    labs: int  # that say it by name
    unnamed: bool  # somebody says it without a name, too
    standing: str
    confidence: int | None
    until: datetime | None
    state: str
    did: tuple[str, ...]  # of each lab
    own: bool
    judged: bool


def number(count: int) -> str:
    """A small number as a word."""
    return _NUMBERS[count] if count < len(_NUMBERS) else f"{count:,}"


def sentence(known: Known, *, now: datetime) -> list[Piece]:
    """The verdict."""
    noun, _ = NAMES.get(known.subkind, (known.kind_name.lower() or "object", ""))
    whose = _CONTROL.get(known.control, "A")
    return [
        Piece(f"{whose} {noun}, published by "),
        *_who(known),
        Piece(". "),
        Piece(known.standing.capitalize(), bold=True),
        Piece(", confidence unknown" if known.confidence is None else f", confidence {known.confidence}"),
        *_until(known, now),
        Piece(". "),
        *_done(known.did),
        *_yours(known),
    ]


def _who(known: Known) -> list[Piece]:
    labs = max(known.labs, 0 if known.unnamed else 1)
    found = (
        [Piece(f"{number(labs)} lab{'s' if labs > 1 else ''}{' independently' if labs > 1 else ''}", bold=True)]
        if labs
        else []
    )
    if known.unnamed:
        found += [Piece(" and " if labs else ""), Piece("somebody who gives no name", bold=not labs)]
    return found


def _until(known: Known, now: datetime) -> list[Piece]:
    if known.state != "live":
        return [Piece(", "), Piece(known.state, bold=True)]
    if known.until is None:
        return [Piece(", in force without an end")]
    hours = (known.until - now).total_seconds() / 3_600
    left = f"{int(hours // 24)} more days" if hours >= 48 else f"{max(1, int(hours))} more hours"
    return [Piece(", in force for "), Piece(left, bold=True)]


def _done(did: Sequence[str]) -> list[Piece]:
    counted = [(word, count) for word, count in Counter(did).most_common() if word in _DID]
    if not counted:
        return []
    parts = [f"{number(count)} lab{'s' if count > 1 else ''} {_DID[word]}" for word, count in counted]
    joined = ", ".join(parts)
    return [Piece(f"{joined[0].upper()}{joined[1:]}. ")]


def _yours(known: Known) -> list[Piece]:
    if known.own:
        return [Piece("It is yours.", bold=True)]
    return [Piece("You have judged it." if known.judged else "You have not judged it.", bold=True)]
