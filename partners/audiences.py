"""Audiences before they are stored, and what a publisher's batch is held against. Plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from partners.attribution import Attribution
from partners.ceilings import Width
from partners.models import Group
from partners.tlp import Tlp


@dataclass(frozen=True, slots=True)
class AudienceSpec:
    """An audience before it is stored: sorted by `sharing.may_share`."""

    tlp: Tlp
    everyone: bool = False
    groups: tuple[UUID, ...] = ()
    partners: tuple[UUID, ...] = ()
    attribution: Attribution = Attribution.NAMED

    def within(self, wider: AudienceSpec) -> bool:
        """Whether, of one publisher, whoever sees this one sees `wider`, too, whatever becomes of groups."""
        named = set(self.groups) <= set(wider.groups) and set(self.partners) <= set(wider.partners)
        return self.tlp >= wider.tlp and (wider.everyone or (named and not self.everyone))

    @property
    def width(self) -> Width:
        """How far it reaches. An audience of nobody counts as `partners`, the narrowest width."""
        if self.everyone:
            return Width.EVERYONE
        return Width.GROUPS if self.groups else Width.PARTNERS


@dataclass(frozen=True, slots=True)
class Standing:
    """The groups as they were, with the stamp of what they depend on, and the audiences, of which there may be more."""

    stamp: str
    groups: Mapping[UUID, Group]
    audiences: Mapping[AudienceSpec, int]
