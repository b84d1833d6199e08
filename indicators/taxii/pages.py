"""One page of a collection: what the store returns for a query, and how the client comes to the next one (§3.5)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from exchange import clock, paging
from exchange.errors import Gone, Malformed, NotFound
from indicators import reading
from indicators.feeds.filters import EVERYTHING
from indicators.reading import Statement, referred
from indicators.reading.referred import Referred
from indicators.reading.selecting import Selection
from indicators.taxii import collections, standing
from indicators.taxii.collections import Collection
from indicators.taxii.filters import Query
from partners.viewer import Viewer

#: A page ends with the object that brings its bodies to this many bytes: the server may return fewer than asked.
MAX_PAGE_BYTES = 8 * 1024 * 1024

_VERSIONS = 1_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Record(NamedTuple):
    """What is said of one version of one object, without its bytes."""

    stix_id: str
    date_added: datetime
    version: str
    spec_version: str


@dataclass(frozen=True, slots=True)
class TaxiiPage[Item]:
    """Items in the order in which they were added, the cursor to go on with, and where the page lies in time.

    An item is the bytes of an object, or a record without them. `published` counts those that are in the log, the
    others stand before it; `places` are the first and last in the log.
    """

    items: list[Item]
    published: int
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
    feed_set: int | None = None  # whose places they are, where a feed moves by itself


def turn(viewer: Viewer, collection: Collection, query: Query) -> TaxiiPage[str]:
    """The next page of objects, as their bytes.

    One query, or two, and one more at the beginning; it reads about as many rows as it returns, wherever in the
    collection it lies.
    """
    asked = _Asked(viewer, collection, query)
    ours = [one.body for one in asked.standing]
    left = max(1, MAX_PAGE_BYTES - sum(map(len, ours)))
    found = reading.bodies(viewer, asked.selection, after=asked.place.seq, limit=asked.room or 1, max_bytes=left)
    return asked.page(ours, found.bodies, found.places, found.dates, more=found.more)


def turn_manifest(viewer: Viewer, collection: Collection, query: Query) -> TaxiiPage[Record]:
    """The next page of what is said of objects, without their bytes."""
    asked = _Asked(viewer, collection, query)
    found = reading.page(viewer, asked.selection, after=asked.place.seq, limit=asked.room or 1, with_bodies=False)
    said = found.statements
    places = (said[0].seq, said[-1].seq) if said else None
    dates = (said[0].date_added, said[-1].date_added) if said else None
    ours = [Record(one.stix_id, one.date_added, one.version, referred.SPEC_VERSION) for one in asked.standing]
    return asked.page(ours, [_record(one) for one in said], places, dates, more=found.more)


def _record(said: Statement) -> Record:
    """`modified`, else `created`, as written; what has neither has the date on which it was added (§3.4.1)."""
    return Record(said.stix_id, said.date_added, said.version or clock.rfc3339(said.date_added), said.spec_version)


class _Asked:
    """What is asked for, and where the reader stands. Raises Forbidden where the collection may not be read."""

    def __init__(self, viewer: Viewer, collection: Collection, query: Query) -> None:
        collection.require_read()
        self._viewer, self._query = viewer, query
        self._scope = _scope(collection, query)
        self.selection = query.narrow(collection.selection(viewer))
        self.place = self._begins(collection)
        if query.next and self.place.seq and self.place.feed_set != self.selection.feed_set:
            raise Gone("This feed was begun anew. Start over without `next`.", code="start-over")
        #: The last moment of which the reader knows all.
        self._reached = max(self.place.told, query.added_after or _EPOCH)
        to_come = self._standing()
        self.standing = to_come[: query.limit]
        self._more_standing = len(to_come) > query.limit
        #: How many objects of the log the page has room for.
        self.room = query.limit - len(self.standing)

    def _standing(self) -> list[Referred]:
        """What stands before the log and the reader was not given yet: nothing for who has come to the log."""
        return standing.found(self._query, after=self._reached) if self.place.seq == 0 else []

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
        ours: Sequence[Item],
        published: list[Item],
        places: tuple[int, int] | None,
        dates: tuple[datetime, datetime] | None,
        *,
        more: bool,
    ) -> TaxiiPage[Item]:
        """The page of what stands before the log and of what was found in it; what it has no room for comes next."""
        if not self.room:
            more = self._more_standing or bool(published)
            published, places, dates = [], None, None
        # An empty page has no date of its own. What the client already had is safe to follow; the present would not
        # be: an object may be on its way in with an earlier date.
        first, last = dates or (self._reached, self._reached)
        if self.standing:
            first, last = self.standing[0].date_added, dates[1] if dates else self.standing[-1].date_added
        following = None
        if more and (places or ours):
            position = _position(_Place(places[1] if places else 0, last, self.selection.feed_set))
            following = paging.seal(position, viewer=self._viewer.partner_id, scope=self._scope)
        read = places if self.selection.feed_set is None else None  # places of a set are none of the log's
        return TaxiiPage([*ours, *published], len(published), read, following, first, last)


def turn_object(viewer: Viewer, collection: Collection, object_id: str, query: Query) -> TaxiiPage[str]:
    """The same for one object. Raises NotFound where the collection holds no version of it that the viewer may see."""
    if not object_id.isprintable():
        raise NotFound
    page = turn(viewer, collection, replace(query, ids=(object_id,)))
    return _there(page, viewer, collection, object_id, query)


def turn_versions(viewer: Viewer, collection: Collection, object_id: str, query: Query) -> TaxiiPage[Record]:
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
    if standing.holds(object_id):
        return True
    wanted = collection.selection(viewer)
    if wanted.group is None and wanted.filter == EVERYTHING and not wanted.in_force and wanted.feed_set is None:
        return reading.holds(viewer, object_id, own=wanted.own)
    any_version = replace(wanted, stix_ids=(object_id,), versions="all")
    return bool(reading.page(viewer, any_version, limit=1, with_bodies=False).statements)


def _position(place: _Place) -> paging.Position:
    told = (place.told - _EPOCH) // timedelta(microseconds=1)
    return [place.seq, told] if place.feed_set is None else [place.seq, told, place.feed_set]


def _scope(collection: Collection, query: Query) -> str:
    return f"taxii:{collection.id}:{query.scope}"


def _unseal(cursor: str | None, *, viewer: Viewer, scope: str) -> _Place:
    if cursor is None:
        return _Place()
    match paging.unseal(cursor, viewer=viewer.partner_id, scope=scope):
        case [int(seq), int(microseconds)]:
            return _Place(seq, _EPOCH + timedelta(microseconds=microseconds))
        case [int(seq), int(microseconds), int(feed_set)]:
            return _Place(seq, _EPOCH + timedelta(microseconds=microseconds), feed_set)
    raise Malformed("This cursor was made for another list.", code="bad-cursor", at="/next")
