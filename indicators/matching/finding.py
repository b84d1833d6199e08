"""What makes a match: pure. Asked of the sides of a value, as the viewer sees them.

A side is all that one source says of a value in one way. Where each side stands in the viewer's own log decides where a
match is found, so nothing that the viewer does not see moves it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from partners.sources import Source


class Standing(NamedTuple):
    """One side of a value: the value, and what of the side came first and last in the viewer's log.

    `aside` is what is matched with listed values only (`MATCH_ONLY`). `holdings` are some of those that carry it, the
    newest first. Where `overlapping` is not empty, these holdings do not carry the value but one that overlaps it: a
    network around or within it, another range of card numbers. It has their values, a holding each.
    """

    value_id: UUID
    domain: str
    scheme: str
    key_epoch: str
    value: str
    source: int
    aside: bool
    first: int
    last: int
    last_at: datetime | None
    holdings: Sequence[int]
    overlapping: Sequence[str] = ()


class Walked(NamedTuple):
    """A row of the viewer's log, and one of the values that its holding carries, with the side that it is on."""

    seq: int
    date_added: datetime
    holding_id: int
    value_id: UUID
    source: int
    aside: bool
    may_overlap: bool = False  # a network or a range of card numbers


@dataclass(frozen=True, slots=True)
class End:
    """One object that carries a matched value or, if `overlapping` is not empty, that other value which overlaps it."""

    object_id: int
    stix_id: str
    title: str
    kind: str | None
    source: Source
    overlapping: str = ""


@dataclass(frozen=True, slots=True)
class Side:
    """Objects of one source, the newest first; not more than a few of many."""

    source: Source
    ends: tuple[End, ...]


@dataclass(frozen=True, slots=True)
class Match:
    """A value that two or more sources carry, as one viewer sees it. `seq` is where their log has the last of them."""

    value_id: UUID
    domain: str
    scheme: str
    key_epoch: str
    value: str
    seq: int
    found_at: datetime
    sides: tuple[Side, ...]

    @property
    def ends(self) -> tuple[End, ...]:
        """The objects of all sides."""
        return tuple(end for side in self.sides for end in side.ends)

    def has(self, source: UUID) -> bool:
        """Whether this source has a side of it."""
        return any(side.source.id == source for side in self.sides)

    @property
    def overlaps(self) -> bool:
        """Whether it is one only because of values that overlap this one."""
        return len({end.source.id for end in self.ends if not end.overlapping}) < 2


def meeting(sides: Iterable[Standing]) -> list[Standing]:
    """Of the sides of one value those that meet another: of another source, and not aside like it.

    Two that overlap the value without carrying it do not meet here: if they overlap each other, they do at theirs.
    """
    known = list(sides)
    return [
        one
        for one in known
        if any(
            _meets(one.source, other, aside=one.aside) and not (one.overlapping and other.overlapping)
            for other in known
        )
    ]


def is_met(sides: Iterable[Standing], *, by: int) -> bool:
    """Whether this source has one of the sides that meet another."""
    return any(one.source == by for one in meeting(sides))


def newest(sides: Iterable[Standing]) -> Standing | None:
    """Where who reads the newest first finds the value: the last of the sides that carry it and meet another.

    What overlaps the value and came after all of these is found at its own value.
    """
    known = list(sides)
    carrying = [one for one in known if not one.overlapping]
    before = [
        one
        for one in carrying
        if any(
            _meets(one.source, other, aside=one.aside) and (not other.overlapping or other.first < one.last)
            for other in known
        )
    ]
    return max(before, key=lambda one: one.last, default=None)


def last(sides: Iterable[Standing]) -> Standing | None:
    """Of the sides that meet the one that came last, whichever of two values that overlap it carries."""
    return max(meeting(sides), key=lambda one: one.last, default=None)


def is_later(row: Walked, sides: Iterable[Standing]) -> bool:
    """Whether the row is the later one of a match: another side that meets it came before."""
    return any(_meets(row.source, other, aside=row.aside) and other.first < row.seq for other in sides)


def _meets(source: int, other: Standing, *, aside: bool) -> bool:
    return source != other.source and not (aside and other.aside)
