"""Which collections a viewer has, and what each selects: an id becomes a selection and two rights.

A collection narrows what the visibility rule already allows; it never widens it. Another partner's collection is
answered like one that does not exist.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import UUID

from exchange.errors import Forbidden, NotFound
from indicators.reading import Selection
from indicators.taxii import media
from partners.scopes import Scope
from partners.sharing import Viewer

#: The same for every partner, and different for each: all that the one who asks may see. A random UUID, as §2 wants.
EVERYTHING = UUID("8f7d31e0-4c0a-4f65-9b0e-2f3c6f1f9a54")


@dataclass(frozen=True, slots=True)
class Collection:
    """One collection as one viewer has it (§5.2.1)."""

    id: UUID
    alias: str
    title: str
    description: str
    can_read: bool
    can_write: bool
    selection: Selection = field(default_factory=Selection)

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
    """The collections that the viewer may read or write, always in the same order (§3.3)."""
    return [collection for collection in _all(viewer) if collection.can_read or collection.can_write]


def find(viewer: Viewer, id_or_alias: str) -> Collection:
    """The viewer's collection under an id or an alias. Raises NotFound."""
    wanted = id_or_alias.lower()
    for collection in of(viewer):
        if wanted in (str(collection.id), collection.alias.lower()):
            return collection
    raise NotFound("There is no such collection.")


def _all(viewer: Viewer) -> Iterator[Collection]:
    can_read = Scope.READ in viewer.scopes
    yield Collection(
        id=viewer.collection_id,
        alias=f"partner-{viewer.partner_slug}",
        title=f"Published by {viewer.partner_name}",
        description="What you published yourself. What you add here goes to the audience its marking says.",
        can_read=can_read,
        can_write=Scope.PUBLISH in viewer.scopes,
        selection=Selection(own=True),
    )
    yield Collection(
        id=EVERYTHING,
        alias="everything",
        title="Everything you may see",
        description="Every object that you may see, whoever published it, your own included.",
        can_read=can_read,
        can_write=False,
        selection=Selection(once=True),
    )
