"""How far a publisher may share: the most open marking and the widest audience. Pure; asked by `sharing`."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import models

from partners.tlp import Tlp


class Width(models.IntegerChoices):
    """How far an audience reaches, as an ordered set: the larger the value, the fewer it reaches."""

    EVERYONE = 0, "Everyone"
    GROUPS = 1, "Groups"
    PARTNERS = 2, "Named partners"

    @property
    def word(self) -> str:
        """The width as the API writes it: `everyone`, `groups`, `partners`."""
        return self.name.lower()

    @classmethod
    def from_word(cls, word: str) -> Width:
        """Read `word`. Raises ValueError for anything else."""
        for width in cls:
            if width.word == word:
                return width
        raise ValueError("not a width of an audience")


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The most open marking and the widest audience; as it stands, without any bound."""

    tlp: Tlp = Tlp.CLEAR
    width: Width = Width.EVERYONE

    @classmethod
    def of(cls, tlp: int | None, width: int | None) -> Ceiling:
        """From two columns, of which either may be empty."""
        return cls(Tlp(tlp or Tlp.CLEAR), Width(width or Width.EVERYONE))

    def allows(self, tlp: Tlp, width: Width) -> bool:
        """Whether an audience stays within it."""
        return tlp >= self.tlp and width >= self.width

    def loosens(self, other: Ceiling) -> bool:
        """Whether it lets pass what `other` does not."""
        return self.tlp < other.tlp or self.width < other.width


UNBOUND = Ceiling()


def strictest(*ceilings: Ceiling) -> Ceiling:
    """The one ceiling that several make together."""
    return Ceiling(max(each.tlp for each in ceilings), max(each.width for each in ceilings))
