"""The letters that stand for labs in lists: one letter, and two where two labs have the same one. Pure.

The letters depend on the directory of partners alone, which every partner may read, so that a lab has the same letter
on every page. Beyond two letters a lab is told by its name on hover.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from exchange.translating import later
from partners.models import Partner
from partners.viewer import Viewer

As = Literal["us", "named", "veiled"]


@dataclass(frozen=True, slots=True)
class Lab:
    """One lab as a row shows it: ours filled, named ones outlined, whoever hides behind a pseudonym dashed."""

    letter: str
    name: str
    shown: As


#: Whoever says something without a name.
VEILED = Lab("?", later("without a name"), "veiled")


def letters(names: Mapping[UUID, str]) -> dict[UUID, str]:
    """A letter for each of these partners; their first two letters where a letter is taken by several."""
    first = {key: _letters(name)[:1] for key, name in names.items()}
    count = Counter(first.values())
    return {key: letter if count[letter] == 1 else _letters(names[key])[:2] for key, letter in first.items()}


def labs(viewer: Viewer, partners: Iterable[Partner]) -> dict[UUID, Lab]:
    """The labs by the id of their partner, as the viewer is shown them."""
    names = {partner.pk: partner.name for partner in partners}
    drawn = letters(names)
    return {key: Lab(drawn[key], name, "us" if key == viewer.partner_id else "named") for key, name in names.items()}


def _letters(name: str) -> str:
    plain = [letter for letter in name if letter.isalnum()] or ["?"]
    return plain[0].upper() + "".join(plain[1:2]).lower()
