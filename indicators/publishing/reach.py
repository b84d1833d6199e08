"""The audience that a batch names, as it was asked for: what may become of it, `addressing` says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from partners.attribution import Attribution
from partners.tlp import Tlp


@dataclass(frozen=True, slots=True)
class Reach:
    """The audience that a batch names for all its objects; `named` is false where it leaves that to the default.

    Named without anybody in it, it is an audience of nobody but the publisher.
    """

    named: bool = False
    tlp: Tlp | None = None
    everyone: bool = False
    groups: tuple[UUID, ...] = ()
    partners: tuple[UUID, ...] = ()
    attribution: Attribution | None = None  # as the objects themselves say, where the batch does not
    default: bool = False  # it is the default audience as it was then, where `everyone` is for CLEAR and GREEN

    def to_json(self) -> dict[str, Any]:
        """To be kept with a batch that waits."""
        return {
            "named": self.named,
            "tlp": self.tlp,
            "everyone": self.everyone,
            "groups": [str(group) for group in self.groups],
            "partners": [str(partner) for partner in self.partners],
            "attribution": self.attribution,
            "default": self.default,
        }

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Reach:
        """As it was kept."""
        return cls(
            named=kept["named"],
            tlp=None if kept["tlp"] is None else Tlp(kept["tlp"]),
            everyone=kept["everyone"],
            groups=tuple(UUID(group) for group in kept["groups"]),
            partners=tuple(UUID(partner) for partner in kept["partners"]),
            attribution=None if kept["attribution"] is None else Attribution(kept["attribution"]),
            default=kept.get("default", False),
        )
