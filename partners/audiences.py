"""Audiences before they are stored, and what a publisher's batch is held against. Plain values."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
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


@dataclass(frozen=True, slots=True)
class Shown:
    """How one holding of an object is shown, as far as one of its readers may know who else reads it.

    `groups` are those that this reader is in, `partners` the members of these, and `publisher` None where it is not
    told. Of the reader's own holding it is all.
    """

    tlp: Tlp
    everyone: bool = False
    groups: frozenset[UUID] = frozenset()
    partners: frozenset[UUID] = frozenset()
    publisher: UUID | None = None


def bounded(
    said: AudienceSpec, objects: Sequence[Sequence[Shown]], *, publishers: Collection[UUID] = ()
) -> AudienceSpec:
    """The part of an audience that sees each of the objects, of which each is given by its holdings.

    Where no group of the audience is left, those of `publishers` that publish each of the objects stay by name. The
    marking is as strict as that of the holdings by which the others see them.
    """
    level = _level(objects, lambda one: one.everyone) if said.everyone else None
    if level is not None:
        return replace(said, tlp=max(said.tlp, level))
    wanted = {group for several in objects for one in several for group in one.groups}
    wanted = wanted if said.everyone else set(said.groups)
    groups = {group: level for group in wanted if (level := _of_group(objects, group)) is not None}
    by_name = {*said.partners, *(() if groups or not (said.everyone or said.groups) else publishers)}
    partners = {one: level for one in by_name if (level := _of_partner(objects, one)) is not None}
    if groups:  # nothing that is RED goes to a group
        partners = {one: level for one, level in partners.items() if level < Tlp.RED}
    return replace(
        said,
        tlp=max(said.tlp, *groups.values(), *partners.values(), Tlp.CLEAR),
        everyone=False,
        groups=tuple(sorted(groups)),
        partners=tuple(sorted(partners)),
    )


def _of_group(objects: Sequence[Sequence[Shown]], group: UUID) -> Tlp | None:
    return _level(objects, lambda one: one.everyone or group in one.groups)


def _of_partner(objects: Sequence[Sequence[Shown]], partner: UUID) -> Tlp | None:
    return _level(objects, lambda one: one.everyone or partner in one.partners or partner == one.publisher)


def _level(objects: Sequence[Sequence[Shown]], carries: Callable[[Shown], bool]) -> Tlp | None:
    """The least clearance that sees each object by holdings that are carried so; None where one of them has none."""
    levels = [min((one.tlp for one in several if carries(one)), default=None) for several in objects]
    known = [level for level in levels if level is not None]
    return max(known) if known and len(known) == len(levels) else None
