"""Where an object goes whose push names no audience: what its partner's admin has set.

Joining or making a group never changes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class DefaultAudience:
    """Groups and partners by name; `open_to_everyone`: what is CLEAR or GREEN goes to every partner instead.

    With neither groups nor partners, what does not go to everyone is seen by its publisher alone.
    """

    open_to_everyone: bool = False
    groups: tuple[UUID, ...] = ()
    partners: tuple[UUID, ...] = ()

    @classmethod
    def of(cls, kept: Mapping[str, Any] | None) -> DefaultAudience | None:
        """As it is kept with the partner; None where nothing is set."""
        if kept is None:
            return None
        return cls(
            kept["open_to_everyone"],
            tuple(sorted(UUID(group) for group in kept["groups"])),
            tuple(sorted(UUID(partner) for partner in kept["partners"])),
        )

    def to_json(self) -> dict[str, Any]:
        """To be kept."""
        return {
            "open_to_everyone": self.open_to_everyone,
            "groups": [str(group) for group in self.groups],
            "partners": [str(partner) for partner in self.partners],
        }

    def within(self, other: DefaultAudience | None) -> bool:
        """Whether it names nobody whom `other` does not name; nobody is named where nothing is set."""
        if other is None:
            return False
        named = set(self.groups) <= set(other.groups) and set(self.partners) <= set(other.partners)
        return named and self.open_to_everyone <= other.open_to_everyone

    def without(self, group: UUID) -> DefaultAudience | None:
        """Once a group was left; None where it was all that was named: a push is then refused, not seen by nobody."""
        if group not in self.groups:
            return self
        left = tuple(one for one in self.groups if one != group)
        return DefaultAudience(self.open_to_everyone, left, self.partners) if left or self.partners else None
