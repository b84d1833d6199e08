"""The verdict on an indicator: what it is, who says it, how sure, until when, what was done. Pure; it never advises."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext, ngettext

from exchange.translating import later
from indicators.stix.naming import NAMES

_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_CONTROL = {
    "reseller_pool": later("A reseller pool's"),
    "actor_controlled": later("The campaign's own"),
    "compromised_victim": later("A victim's"),
    "unknown": later("Somebody's"),
}
_DID = {
    "suspended": later("suspended its accounts"),
    "challenged": later("challenged them"),
    "limited": later("limited them"),
    "observed": later("observed them"),
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
    confirm: int  # partners whose opinion counts
    dissent: int
    confidence: int | None
    until: datetime | None
    state: str
    did: tuple[str, ...]  # of each lab
    own: bool
    mine: int | None  # what the viewer's partner says: 1 confirms, -1 dissents, 0 neither; None: nothing


def number(count: int) -> str:
    """A small number as a word."""
    return _NUMBERS[count] if count < len(_NUMBERS) else f"{count:,}"


def sentence(known: Known, *, now: datetime) -> list[Piece]:
    """The verdict."""
    noun, _ = NAMES.get(known.subkind, (known.kind_name.lower() or "object", ""))
    whose = _CONTROL.get(known.control, gettext("A"))
    return [
        Piece(gettext("{whose} {noun}, published by ").format(whose=whose, noun=noun)),
        *_who(known),
        Piece(". "),
        Piece(known.standing.capitalize(), bold=True),
        *_heard(known),
        Piece(
            gettext(", confidence unknown")
            if known.confidence is None
            else gettext(", confidence {confidence}").format(confidence=known.confidence)
        ),
        *_until(known, now),
        Piece(". "),
        *_done(known.did),
        *_yours(known),
    ]


def _who(known: Known) -> list[Piece]:
    labs = max(known.labs, 0 if known.unnamed else 1)
    found = (
        [Piece(ngettext("{n} lab", "{n} labs independently", labs).format(n=number(labs)), bold=True)] if labs else []
    )
    if known.unnamed:
        found += [Piece(gettext(" and ") if labs else ""), Piece(gettext("somebody who gives no name"), bold=not labs)]
    return found


def _heard(known: Known) -> list[Piece]:
    """Who dissents; a standing without a dissent says enough."""
    if not known.dissent:
        return []
    against = ngettext("{n} dissents", "{n} dissent", known.dissent).format(n=number(known.dissent))
    agree = ngettext("{n} confirms", "{n} confirm", known.confirm).format(n=number(known.confirm))
    if not known.confirm:
        agree = gettext("none confirms")
    return [Piece(gettext(" ({against}, {agree})").format(against=against, agree=agree))]


def _until(known: Known, now: datetime) -> list[Piece]:
    if known.state != "live":
        return [Piece(", "), Piece(known.state, bold=True)]
    if known.until is None:
        return [Piece(gettext(", in force without an end"))]
    hours = (known.until - now).total_seconds() / 3_600
    left = (
        gettext("{n} more days").format(n=int(hours // 24))
        if hours >= 48
        else gettext("{n} more hours").format(n=max(1, int(hours)))
    )
    return [Piece(gettext(", in force for ")), Piece(left, bold=True)]


def _done(did: Sequence[str]) -> list[Piece]:
    counted = [(word, count) for word, count in Counter(did).most_common() if word in _DID]
    if not counted:
        return []
    parts = [
        ngettext("{n} lab {did}", "{n} labs {did}", count).format(n=number(count), did=_DID[word])
        for word, count in counted
    ]
    joined = ", ".join(parts)
    return [Piece(f"{joined[0].upper()}{joined[1:]}. ")]


def _yours(known: Known) -> list[Piece]:
    if known.own:
        return [Piece(gettext("It is yours."), bold=True)]
    if known.mine is None:
        return [Piece(gettext("You have not judged it."), bold=True)]
    if known.mine < 0:
        return [Piece(gettext("You dissent, so it is out of your lists."), bold=True)]
    return [Piece(gettext("You confirm it.") if known.mine else gettext("You have judged it."), bold=True)]
