"""Which collections a viewer has, and what each selects: an id becomes a selection and two rights.

A partner has its own, one of everything, one for each of its groups and one for each feed it saved. A collection
narrows what the visibility rule already allows; it never widens it. Another partner's collection, or that of a group
which the viewer is not in, is answered like one that does not exist.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any
from uuid import UUID

from django.db.models import JSONField, UUIDField, Value
from django.utils.text import slugify

from exchange.errors import Forbidden, NotFound
from indicators.feeds import filters, hinting
from indicators.models import Feed
from indicators.publishing.reach import Reach
from indicators.reading import referred
from indicators.reading.selecting import Selection
from indicators.taxii import media
from partners.models import Group
from partners.scopes import Scope
from partners.viewer import Viewer

#: The same for every partner, and different for each: all that the one who asks may see. A random UUID, as §2 wants.
EVERYTHING = UUID("8f7d31e0-4c0a-4f65-9b0e-2f3c6f1f9a54")


#: Of that, what lives and is not disputed.
IN_FORCE = UUID("4b0f5c0e-6a55-4a3c-9d0e-2c7a1be05f6d")


@dataclass(frozen=True, slots=True)
class Collection:
    """One collection as one viewer has it (§5.2.1). What it holds is told by at most one of the last four."""

    id: UUID
    alias: str
    title: str
    description: str
    can_read: bool
    can_write: bool = False
    own: bool = False
    in_force: bool = False
    group: UUID | None = None
    filter: Mapping[str, Any] | None = None

    def selection(self, viewer: Viewer) -> Selection:
        """What is read from it. An id and version that several publishers hold is in it once (§3.4).

        So is what the exchange itself says: it stands before the log (`standing`), and nobody's copy comes after it.
        Of a feed that moves by itself, what its set holds, which is brought up to date. Raises Conflict.
        """
        wanted = filters.EVERYTHING if self.filter is None else filters.parse(self.filter)
        besides = referred.fixed_ids()
        moves = bool(wanted.moving)
        return Selection(
            filter=wanted.among if moves else wanted,
            feed_set=hinting.caught_up(viewer, wanted, feed=self.id).pk if moves else None,
            own=self.own,
            in_force=self.in_force,
            group=self.group,
            once=not self.own,
            besides=besides,
        )

    @property
    def reach(self) -> Reach:
        """Whom it shows what is added to it: its group, or as the marking of each object says."""
        return Reach() if self.group is None else Reach(named=True, groups=(self.group,))

    def require_read(self) -> None:
        """Raise Forbidden (403) unless its objects may be read."""
        if not self.can_read:
            raise Forbidden("This key may not read this collection.", code="missing-scope")

    def require_write(self) -> None:
        """Raise Forbidden (403) unless objects may be added."""
        if not self.can_write:
            raise Forbidden("This key may not add to this collection.", code="collection-not-writable")

    def to_json(self) -> dict[str, object]:
        """The collection resource."""
        return {
            "id": str(self.id),
            "title": self.title,
            "description": self.description,
            "alias": self.alias,
            "can_read": self.can_read,
            "can_write": self.can_write,
            "media_types": [media.STIX_21, media.STIX_20],
        }


def of(viewer: Viewer) -> list[Collection]:
    """The collections that the viewer may read or write, always in the same order (§3.3): one query."""
    found = [*_fixed(viewer), *_stored(viewer)]
    return [collection for collection in found if _is_there(collection)]


def find(viewer: Viewer, id_or_alias: str) -> Collection:
    """The viewer's collection under an id or an alias: one query at most. Raises NotFound."""
    wanted = id_or_alias.lower()
    for collection in chain(_fixed(viewer), _candidates(viewer, wanted)):
        if wanted in (str(collection.id), collection.alias) and _is_there(collection):
            return collection
    raise NotFound("There is no such collection.")


def _is_there(collection: Collection) -> bool:
    return collection.can_read or collection.can_write


def _own(viewer: Viewer) -> Collection:
    return Collection(
        id=viewer.collection_id,
        alias=f"partner-{viewer.partner_slug}".lower(),
        title=f"Published by {viewer.partner_name}",
        description="What you published yourself. What you add here goes to your default audience.",
        can_read=Scope.READ in viewer.scopes,
        can_write=Scope.PUBLISH in viewer.scopes,
        own=True,
    )


def _everything(viewer: Viewer) -> Collection:
    return Collection(
        id=EVERYTHING,
        alias="everything",
        title="Everything you may see",
        description="Every object that you may see, whoever published it, your own included.",
        can_read=Scope.READ in viewer.scopes,
    )


def _in_force(viewer: Viewer) -> Collection:
    return Collection(
        id=IN_FORCE,
        alias="in-force",
        title="In force for you",
        description="The newest versions that live and that nobody whom you hear disputes, your own included.",
        can_read=Scope.READ in viewer.scopes,
        in_force=True,
    )


def _fixed(viewer: Viewer) -> tuple[Collection, ...]:
    return _own(viewer), _everything(viewer), _in_force(viewer)


def _candidates(viewer: Viewer, wanted: str) -> Iterator[Collection]:
    """Asked for only once the others were not meant: following the own collection or everything costs no query here."""
    try:
        yield from _stored(viewer, collection_id=UUID(wanted))
    except ValueError:
        if wanted.startswith(("group-", "feed-")):
            yield from _stored(viewer)


def _stored(viewer: Viewer, *, collection_id: UUID | None = None) -> list[Collection]:
    """The viewer's groups, then its feeds, each by name; of these only the one with the id, if it is given.

    A feed whose filter moves by itself is read by its set, which dates whatever comes by when it came for the viewer.
    """
    groups, feeds = Group.objects.filter(pk__in=viewer.group_ids), Feed.objects.of(viewer)
    if collection_id is not None:
        groups, feeds = groups.filter(collection_id=collection_id), feeds.filter(pk=collection_id)
    found = groups.values_list("collection_id", "name", "slug", "pk", Value(None, output_field=JSONField())).union(
        feeds.values_list("pk", "name", Value(""), Value(None, output_field=UUIDField()), "filter"), all=True
    )
    made = [
        _of_group(viewer, row[0], name=row[1], slug=row[2], group=row[3])
        if row[3]
        else _of_feed(viewer, row[0], name=row[1], wanted=row[4])
        for row in found
    ]
    return sorted(made, key=lambda collection: (collection.group is None, collection.title, collection.id))


def _of_group(viewer: Viewer, collection_id: UUID, *, name: str, slug: str, group: UUID) -> Collection:
    return Collection(
        id=collection_id,
        alias=f"group-{slug}".lower(),
        title=f"Group {name}",
        description="What is addressed to this group. What you add here goes to it, and to nobody else.",
        can_read=Scope.READ in viewer.scopes,
        can_write=Scope.PUBLISH in viewer.scopes,
        group=group,
    )


def _of_feed(viewer: Viewer, feed_id: UUID, *, name: str, wanted: Mapping[str, Any]) -> Collection:
    """Names may differ by what an alias cannot say: a part of the id keeps them apart."""
    return Collection(
        id=feed_id,
        alias="-".join(filter(None, ("feed", slugify(name), feed_id.hex[:8]))),
        title=f"Feed {name}",
        description="What the filter of this feed lets through of all that you may see.",
        can_read=Scope.READ in viewer.scopes,
        filter=wanted,
    )
