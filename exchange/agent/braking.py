"""The brake: how much may be missing after a fill from the beginning, and what is kept because more was.

`Store.switch` asks it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of one publisher's entries may be missing after a fill from the beginning: a share, or `few`."""

    share: float
    few: int = 20
    floor: int = 0  # the least confidence that stands in the list

    def exceeded(self, lost: int, before: int) -> bool:
        """Whether this is more than is plausible."""
        return lost > self.few and lost > before * self.share


@dataclass(frozen=True, slots=True)
class Braked:
    """How many entries of a publisher, by the name that the reader is told, are kept although they are missing."""

    publisher: str
    name: str
    entries: int
