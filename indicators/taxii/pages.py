"""One page of a collection: what the store yields for a query, and how the client comes to the next one (§3.5)."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from exchange import clock, paging
from exchange.errors import Malformed, NotFound
from indicators import reading
from indicators.feeds.filters import EVERYTHING
from indicators.reading import Statement
from indicators.selecting import Selection
from indicators.taxii import collections
from indicators.taxii.collections import Collection
from indicators.taxii.filters import Query
from partners.sharing import Viewer

#: A page ends with the object that brings its bodies to this many bytes: the server may return fewer than asked.
MAX_PAGE_BYTES = 8 * 1024 * 1024

_VERSIONS = 1_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class TaxiiPage[Item]:
    """Items in the order in which they were added, the cursor to go on with, and where the page lies in time.

    An item is the bytes of an object, or a statement without them. `places` are the first and last in the log.
    """

    items: list[Item]
    places: tuple[int, int] | None
    next: str | None
    first: datetime
    last: datetime

    @property
    def headers(self) -> dict[str, str]:
        """The two headers of every 200 (§3.2)."""
        return {
            "X-TAXII-Date-Added-First": clock.rfc3339(self.first),
            "X-TAXII-Date-Added-Last": clock.rfc3339(self.last),
        }


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a reader stands: its place in the log, and the moment up to which it has been told all."""

    seq: int = 0
    told: datetime = _EPOCH


def turn(viewer: Viewer, collection: Collection, query: Query) -> TaxiiPage[str]:
    """The next page of objects, as their bytes.

    One query, or two; it reads about as many rows as it returns, wherever in the collection it lies.
    """
    asked = _Asked(viewer, collection, query)
    found = reading.bodies(viewer, asked.selection, after=asked.place.seq, limit=query.limit, max_bytes=MAX_PAGE_BYTES)
    return asked.page(found.bodies, found.places, found.dates, more=found.more)


def turn_manifest(viewer: Viewer, collection: Collection, query: Query) -> TaxiiPage[Statement]:
    """The next page of what is said of objects, without their bytes."""
    asked = _Asked(viewer, collection, query)
    found = reading.page(viewer, asked.selection, after=asked.place.seq, limit=query.limit, with_bodies=False)
    said = found.statements
    places = (said[0].seq, said[-1].seq) if said else None
    dates = (said[0].date_added, said[-1].date_added) if said else None
    return asked.page(said, places, dates, more=found.more)


class _Asked:
    """What is asked for, and where the reader stands. Raises Forbidden where the collection may not be read."""

    def __init__(self, viewer: Viewer, collection: Collection, query: Query) -> None:
        collection.require_read()
        self._viewer, self._query = viewer, query
        self._scope = _scope(collection, query)
        self.selection = query.narrow(collection.selection)
        self.place = self._begins(collection)

    def _begins(self, collection: Collection) -> _Place:
        """Where `next` says; a cursor of another collection of the viewer's is as if there were none.

        OpenCTI's connector takes the cursor of one collection along to the next, and after a 400 reads none of them.
        """
        try:
            return _unseal(self._query.next, viewer=self._viewer, scope=self._scope)
        except Malformed:
            if any(self._is_of(other) for other in collections.of(self._viewer) if other.id != collection.id):
                return _Place()
            raise

    def _is_of(self, collection: Collection) -> bool:
        try:
            _unseal(self._query.next, viewer=self._viewer, scope=_scope(collection, self._query))
        except Malformed:
            return False
        return True

    def page[Item](
        self,
        items: list[Item],
        places: tuple[int, int] | None,
        dates: tuple[datetime, datetime] | None,
        *,
        more: bool,
    ) -> TaxiiPage[Item]:
        """The page of what was found."""
        # An empty page has no date of its own. What the client already had is safe to follow; the present would not
        # be: an object may be on its way in with an earlier date.
        reached = max(self.place.told, self._query.added_after or _EPOCH)
        first, last = dates or (reached, reached)
        following = None
        if more and places:
            position = _position(_Place(places[1], last))
            following = paging.seal(position, viewer=self._viewer.partner_id, scope=self._scope)
        return TaxiiPage(items, places, following, first, last)


def turn_object(viewer: Viewer, collection: Collection, object_id: str, query: Query) -> TaxiiPage[str]:
    """The same for one object. Raises NotFound where the collection holds no version of it that the viewer may see."""
    if not object_id.isprintable():
        raise NotFound
    page = turn(viewer, collection, replace(query, ids=(object_id,)))
    return _there(page, viewer, collection, object_id, query)


def turn_versions(viewer: Viewer, collection: Collection, object_id: str, query: Query) -> TaxiiPage[Statement]:
    """The versions of one object, without their bytes. Raises NotFound as `turn_object` does."""
    if not object_id.isprintable():
        raise NotFound
    page = turn_manifest(viewer, collection, replace(query, ids=(object_id,)))
    return _there(page, viewer, collection, object_id, query)


def _there[Item](
    page: TaxiiPage[Item], viewer: Viewer, collection: Collection, object_id: str, query: Query
) -> TaxiiPage[Item]:
    if not page.items and not (query.narrows and _holds(viewer, collection, object_id)):
        raise NotFound
    return page


def versions_of(viewer: Viewer, object_id: str, wanted: Selection) -> list[Statement]:
    """All versions of one object that are wanted, without their bodies."""
    if not object_id.isprintable():
        return []
    found: list[Statement] = []
    after, more = 0, True
    while more:
        page = reading.page(viewer, wanted, after=after, limit=_VERSIONS, with_bodies=False)
        found += page.statements
        after, more = page.reached, page.more
    return found


def _holds(viewer: Viewer, collection: Collection, object_id: str) -> bool:
    """Whether the collection holds any version of an object."""
    wanted = collection.selection
    if wanted.group is None and wanted.filter == EVERYTHING:
        return reading.holds(viewer, object_id, own=wanted.own)
    any_version = replace(wanted, stix_ids=(object_id,), versions="all", once=False)
    return bool(reading.page(viewer, any_version, limit=1, with_bodies=False).statements)


def version_of(statement: Statement) -> str:
    """`modified`, else `created`, as written; what has neither has the date on which it was added (§3.4.1)."""
    return statement.version or clock.rfc3339(statement.date_added)


def _position(place: _Place) -> paging.Position:
    return [place.seq, (place.told - _EPOCH) // timedelta(microseconds=1)]


def _scope(collection: Collection, query: Query) -> str:
    return f"taxii:{collection.id}:{query.scope}"


def _unseal(cursor: str | None, *, viewer: Viewer, scope: str) -> _Place:
    if cursor is None:
        return _Place()
    match paging.unseal(cursor, viewer=viewer.partner_id, scope=scope):
        case [int(seq), int(microseconds)]:
            return _Place(seq, _EPOCH + timedelta(microseconds=microseconds))
    raise Malformed("This cursor was made for another list.", code="bad-cursor", at="/next")
