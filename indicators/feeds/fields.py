"""The fields that a filter may ask for, and what each may be compared with. Pure.

A word that is no field, and a value that a field does not have, is an error: left out, it would widen the filter, and
under a `not` it would let everything through. What this error says names what there is, never what was written.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from exchange.errors import Refused
from exchange.stix import words
from exchange.stix.schemas import DETECTOR
from indicators.feeds.tree import Op, Term, Value, term
from indicators.stix import facets
from partners.tlp import Tlp

MAX_VALUES = 50
MAX_CHARS = 250
#: The longest time that `age` and `until` are compared with.
_MAX_HOURS = 24 * 366 * 10
_HOURS = {"h": 1, "d": 24, "w": 168}
_DURATION = re.compile(r"([1-9][0-9]{0,5})([hdw])", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,4}", re.ASCII)
_KIND_WORDS = tuple(sorted(words.SUBKINDS))
#: As `opinions.standing.Standing`, from the best.
STANDINGS = ("supported", "unreviewed", "disputed", "refuted")
_TLPS = tuple(tlp.word for tlp in Tlp)


@dataclass(frozen=True, slots=True)
class Field:
    """A field: which values it has, how it is compared, and what it asks for in words."""

    name: str
    says: str
    read: Callable[[str], Value]
    write: Callable[[Value], str] = str
    compares: bool = False  # with >=, <=, > and <
    equals: bool = True  # with one of several values
    closed: tuple[str, ...] = ()  # the values, where they are a closed set
    moves: bool = (
        False  # what it says changes by itself, without a change in the log: by the clock, or by what others publish
    )


def _one_of(name: str, allowed: tuple[str, ...], *, code: str = "bad-filter") -> Callable[[str], str]:
    def read(text: str) -> str:
        if text.lower() not in allowed:
            raise Refused(f"One or more of: {', '.join(allowed)}.", code=code, at=f"/filter/{name}")
        return text.lower()

    return read


def _matching(name: str, pattern: str, says: str) -> Callable[[str], str]:
    compiled = re.compile(pattern)

    def read(text: str) -> str:
        if not compiled.fullmatch(text):
            raise Refused(says, code="bad-filter", at=f"/filter/{name}")
        return text

    return read


def _number(name: str, least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not _NUMBER.fullmatch(text) or not least <= int(text) <= most:
            raise Refused(f"A whole number from {least} to {most}.", code="bad-filter", at=f"/filter/{name}")
        return int(text)

    return read


def _duration(name: str) -> Callable[[str], int]:
    def read(text: str) -> int:
        found = _DURATION.fullmatch(text)
        hours = int(found[1]) * _HOURS[found[2]] if found else 0
        if not 1 <= hours <= _MAX_HOURS:
            raise Refused("A time in hours, days or weeks: 12h, 7d, 2w.", code="bad-filter", at=f"/filter/{name}")
        return hours

    return read


def _written_duration(hours: Value) -> str:
    return f"{int(hours) // 24}d" if int(hours) % 24 == 0 else f"{int(hours)}h"


def _free(name: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        plain = facets.tidy(text) if "\0" not in text else ""
        if not plain or len(plain) > MAX_CHARS:
            raise Refused(f"1 to {MAX_CHARS} characters, none of them NUL.", code="bad-filter", at=f"/filter/{name}")
        return plain

    return read


def _words(
    name: str, says: str, allowed: tuple[str, ...], *, compares: bool = False, code: str = "bad-filter"
) -> Field:
    return Field(name, says, _one_of(name, allowed, code=code), compares=compares, closed=allowed)


_CAMPAIGN = re.compile(r"(?:campaign--)?([0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12})", re.IGNORECASE)


def _campaign(text: str) -> str:
    found = _CAMPAIGN.fullmatch(text)
    if found is None:
        raise Refused("The id of a campaign: campaign--<UUID>.", code="bad-filter", at="/filter/campaign")
    return f"campaign--{found[1].lower()}"


_SUBKIND_WORDS = tuple(sorted(words.KIND_OF))
_SLUG = r"[A-Za-z0-9_-]{1,60}"

#: By name, in the order in which they are told.
FIELDS: dict[str, Field] = {
    field.name: field
    for field in (
        _words("kind", "the kind of an indicator", _KIND_WORDS, code="unknown-kind"),
        _words("subkind", "its subkind", _SUBKIND_WORDS, code="unknown-subkind"),
        Field("type", "the STIX type", _matching("type", r"[a-z0-9][a-z0-9_-]{1,248}[a-z0-9]", "A type of STIX.")),
        Field("publisher", "who says it, by slug or id", _matching("publisher", _SLUG, "A partner's slug or id.")),
        Field("group", "a group of yours that it is addressed to", _matching("group", _SLUG, "A group's slug.")),
        _words("standing", "how it stands, by the opinions that you see", STANDINGS),
        Field(
            "publishers",
            "how many named partners say one of its values, as you see it; at least 1",
            _number("publishers", 1, 1_000),
            compares=True,
            moves=True,
        ),
        Field(
            "confidence",
            "its confidence, from 0 to 100; unknown is below every number",
            _number("confidence", 0, 100),
            compares=True,
        ),
        _words("severity", "its severity", words.SEVERITIES, compares=True),
        _words("tlp", "its marking, from the most open to the strictest", _TLPS, compares=True),
        Field(
            "technique",
            "a technique of MITRE ATLAS",
            _matching("technique", r"AML\.T[0-9]{4}(\.[0-9]{3})?", "Such as AML.T0024.002."),
        ),
        _words("elicitation", "what the prompts are after", tuple(sorted(words.ELICITATIONS))),
        _words("benign_hits", "how many ordinary prompts it matches, as the exchange measured", words.BENIGN_HITS),
        _words("control", "who controls the account", words.CONTROLS),
        _words("shared", "what shares the network (`shared_infra`)", words.SHARED_INFRA),
        Field(
            "detector",
            "a detector of yours, by its id; of your own objects alone",
            _matching("detector", DETECTOR, "d- and 8 lower-case hexadecimal digits."),
        ),
        Field("label", "a label", _free("label")),
        Field(
            "words",
            "words of its title or their beginnings, an id or its beginning, or a whole value in any spelling",
            _free("words"),
        ),
        Field(
            "age",
            "how long ago this version was made",
            _duration("age"),
            _written_duration,
            compares=True,
            equals=False,
            moves=True,
        ),
        Field(
            "until",
            "how long it is still valid",
            _duration("until"),
            _written_duration,
            compares=True,
            equals=False,
            moves=True,
        ),
        _words("from", "whose it is, as you see it", ("mine", "others")),
        Field(
            "matched",
            "whether another source says one of its values, too, as you see it",
            _one_of("matched", ("true", "false")),
            closed=("true", "false"),
            moves=True,
        ),
        Field(
            "campaign",
            "what a campaign that you see is said to consist of, by the id of the campaign",
            _campaign,
            moves=True,
        ),
        _words("entries", "whether it carries a value to match on", ("true", "false")),
    )
}


def field_of(name: str) -> Field:
    """The field of this name. Raises Refused listing those that there are."""
    if name not in FIELDS:
        raise Refused(f"A filter has these fields: {', '.join(FIELDS)}.", code="unknown-filter", at="/filter")
    return FIELDS[name]


def read_term(name: str, texts: list[str], op: Op = "is") -> Term:
    """A term from its words. Raises Refused naming the field."""
    field = field_of(name)
    at = f"/filter/{name}"
    if op != "is" and not field.compares:
        raise Refused("This field is not compared with >=, <=, > or <.", code="bad-filter", at=at)
    if op == "is" and not field.equals:
        raise Refused("Compare this field with >=, <=, > or <: as in <7d.", code="bad-filter", at=at)
    if op != "is" and len(texts) != 1:
        raise Refused("One value is compared with.", code="bad-filter", at=at)
    if not 1 <= len(texts) <= MAX_VALUES or any(len(text) > MAX_CHARS for text in texts):
        raise Refused(f"1 to {MAX_VALUES} values of at most {MAX_CHARS} characters.", code="bad-filter", at=at)
    return term(name, [field.read(text) for text in texts], op)
