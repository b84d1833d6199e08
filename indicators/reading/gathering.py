"""What a package for one recipient holds, by the rule of both: listed, or from a root along references and links."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import batched
from typing import Any
from uuid import UUID

from django.db.models import F

from exchange import clock
from exchange.errors import NotFound, Refused
from indicators.models import StixObject
from indicators.reading import lines, referring
from partners.groups import bases
from partners.keys.auth import viewer_of_partner
from partners.models import Channel, Group, Partner
from partners.sharing import audience_ids, channels_of
from partners.tlp import Tlp
from partners.viewer import Viewer

ROOTS = ("campaign", "grouping", "report")
#: How far references and relationships are followed, and how many objects a package may hold.
MAX_STEPS = 4
MAX_OBJECTS = 500

_MAX_LINKS = 20_000


@dataclass(frozen=True, slots=True)
class Gathered:
    """What was found for one recipient; of a list, up to which place in the log it was looked at."""

    held: list[StixObject]
    groups: list[Group]
    ways: list[str]
    left_out: int
    cut: bool
    reached: int | None = None


def gather(viewer: Viewer, recipient: Partner, root: str, *, strictest: Tlp = Tlp.RED) -> Gathered:
    """From a root along references and relationships, at most MAX_STEPS far and MAX_OBJECTS many.

    Held is the newest version that preparer and recipient both may see and whose way to the recipient carries: a group
    counts while its basis is in force. Of several publishers' it is the recipient's line (`lines`), if that is among
    them. What the recipient sees and the preparer does not is as if it were not there. What is marked more strictly
    than `strictest` is left out, too.
    """
    root = root.lower()
    way = _Way.to(recipient, strictest)
    found: dict[str, StixObject] = {}
    refused: set[str] = set()
    edge, cut = {root}, False
    for _ in range(MAX_STEPS + 1):
        new = _visible(viewer, edge)
        if root in edge and root not in new:
            raise NotFound
        kept = {}
        for stix_id, one in way.fitting(new).items():
            if one is None:
                refused.add(stix_id)
            else:
                kept[stix_id] = one
        if root in refused:
            raise Refused("The recipient may not see this object itself.", code="root-out-of-sight", at="/root")
        room = MAX_OBJECTS - len(found)
        cut = cut or len(kept) > room
        found |= dict(list(kept.items())[:room])
        if cut:
            break
        edge = _connected(viewer, kept) - set(found) - refused
        if not edge or len(found) >= MAX_OBJECTS:
            break
    cut = cut or bool(_visible(viewer, edge))
    return way.gathered(viewer, found.values(), left_out=len(refused), cut=cut)


def gather_listed(
    viewer: Viewer, recipient: Partner, listed: Iterable[tuple[int, int]], *, strictest: Tlp = Tlp.RED
) -> Gathered:
    """The same of listed versions, without following anything: the first MAX_OBJECTS objects of them that fit.

    `listed` are places in the log and keys of versions, by place; no other version stands in for one. It is read as far
    as is needed: what comes after `reached` was not looked at, and `cut` says that there is more that fits.
    """
    way = _Way.to(recipient, strictest)
    kept: dict[str, StixObject] = {}
    refused: set[str] = set()
    reached = None
    for some in batched(listed, MAX_OBJECTS):
        seen = _visible_versions(viewer, [key for _, key in some])
        ids = {one.pk: stix_id for stix_id, held in seen.items() for one in held}
        fits = way.fitting(seen)
        for place, key in some:
            one = fits[ids[key]] if key in ids else None
            if one is not None and one.stix_id not in kept:
                if len(kept) == MAX_OBJECTS:
                    return _of_list(way, viewer, kept, refused, reached=reached, cut=True)
                kept[one.stix_id] = one
            elif one is None and key in ids:
                refused.add(ids[key])
            reached = place
    return _of_list(way, viewer, kept, refused, reached=reached, cut=False)


def _of_list(
    way: _Way, viewer: Viewer, kept: Mapping[str, StixObject], refused: set[str], *, reached: int | None, cut: bool
) -> Gathered:
    found = way.gathered(viewer, kept.values(), left_out=len(refused - kept.keys()), cut=cut)
    return replace(found, reached=reached)


@dataclass(frozen=True, slots=True)
class _Way:
    """What leads to a recipient now: who reads, its lawful groups, its open channels, the audiences it sees."""

    reader: Viewer
    lawful: dict[UUID, Group]
    opened: Mapping[int, Channel]
    reachable: frozenset[int]
    strictest: Tlp

    @classmethod
    def to(cls, recipient: Partner, strictest: Tlp) -> _Way:
        """Raises Refused where the recipient is not active."""
        reader = viewer_of_partner(recipient.pk)
        if reader is None:
            raise Refused("Choose an active partner other than your own.", code="unknown-partner", at="/recipient")
        return cls(reader, lawful_groups(reader), channels_of(reader), frozenset(audience_ids(reader)), strictest)

    def fitting(self, seen: Mapping[str, list[StixObject]]) -> dict[str, StixObject | None]:
        """Of each id the version that the recipient may be given, its own line if that fits; None where none may be."""
        of_reader = lines.chosen(self.reader, seen)
        found: dict[str, StixObject | None] = {}
        for stix_id, held in seen.items():
            fits = [one for one in held if self._fits(one)]
            line = (one for one in fits if one.holding_id == of_reader.get(stix_id))
            found[stix_id] = next(line, fits[0] if fits else None)
        return found

    def _fits(self, one: StixObject) -> bool:
        reached = one.audience_id in self.reachable and bool(_ways(one, self.opened, self.lawful))
        return reached and one.audience.tlp <= self.strictest

    def gathered(self, viewer: Viewer, kept: Iterable[StixObject], *, left_out: int, cut: bool) -> Gathered:
        held = _with_bodies(viewer, list(kept))
        concerned = {
            group for one in held for group in one.audience.groups if group in self.lawful and group in viewer.group_ids
        }
        return Gathered(
            held,
            [self.lawful[group] for group in sorted(concerned, key=lambda pk: self.lawful[pk].name)],
            sorted({way for one in held for way in _ways(one, self.opened, self.lawful)}),
            left_out=left_out,
            cut=cut,
        )


def _visible(viewer: Viewer, ids: Iterable[str]) -> dict[str, list[StixObject]]:
    """The newest versions that the viewer may see, by id, its own first, then the earliest; revoked ones are gone.

    Without their bytes.
    """
    return _by_id(viewer, holding__stix_id__in=list(ids))


def _visible_versions(viewer: Viewer, keys: Iterable[int]) -> dict[str, list[StixObject]]:
    """The same of versions with these keys, as far as they are the newest ones."""
    return _by_id(viewer, pk__in=list(keys))


def _by_id(viewer: Viewer, **which: Any) -> dict[str, list[StixObject]]:
    found = (
        StixObject.objects.visible_to(viewer)
        .filter(**which, holding__newest=F("pk"), revoked=False)
        .select_related("holding__audience", "holding__publisher")
        .defer("body")
        .order_by("holding__stix_id", "pk")
    )
    by_id: dict[str, list[StixObject]] = {}
    for held in found:
        by_id.setdefault(held.stix_id, []).append(held)
    return {
        stix_id: sorted(held, key=lambda one: (one.publisher_id != viewer.partner_id, one.pk))
        for stix_id, held in by_id.items()
    }


def _connected(viewer: Viewer, kept: Mapping[str, StixObject]) -> set[str]:
    """The ids that these objects name, markings and extensions aside, and the links that name one of them."""
    named = referring.targets(viewer, [held.pk for held in kept.values()])
    forward = {ref for ref in named if not ref.startswith(referring.COMMON_TYPES)}
    return forward.union(referring.links(viewer, list(kept), at_most=_MAX_LINKS))


def _with_bodies(viewer: Viewer, held: list[StixObject]) -> list[StixObject]:
    """The same, each with its bytes: of the many that were looked at, few are held. One query."""
    found = StixObject.objects.visible_to(viewer).filter(pk__in=[one.pk for one in held])
    bodies = dict(found.values_list("pk", "body"))
    for one in held:
        one.body = bodies[one.pk]
    return held


def lawful_groups(reader: Viewer) -> dict[UUID, Group]:
    """The recipient's groups whose basis carries today."""
    today = clock.now().date()
    groups = Group.objects.filter(pk__in=reader.group_ids)
    return {group.pk: group for group in groups if bases.in_force(group, on=today)}


def _ways(held: StixObject, opened: Mapping[int, Channel], lawful: Mapping[UUID, Group]) -> set[str]:
    """By which of the recipient's open channels it sees an object; one of a group counts while its basis carries."""
    reaches = [opened[channel] for channel in held.audience.channels if channel in opened]
    return {_WAYS[Channel.Reach(one.reach)] for one in reaches if one.group_id is None or one.group_id in lawful}


#: What a package says of a channel.
_WAYS = {
    Channel.Reach.EVERYONE: "everyone",
    Channel.Reach.GROUP: "group",
    Channel.Reach.NAMED: "named",
    Channel.Reach.OWN: "named",
}


def carried(reader: Viewer, held: Iterable[StixObject]) -> set[int]:
    """The keys of those objects that still have a way to the recipient that carries. Two queries."""
    lawful, opened = lawful_groups(reader), channels_of(reader)
    return {one.pk for one in held if _ways(one, opened, lawful)}
