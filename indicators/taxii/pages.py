"""One page of a collection: what the store yields for a query, and how the client comes to the next one (§3.5)."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from exchange import clock, paging
from exchange.errors import Malformed, NotFound
from indicators import reading
from indicators.feeds.filters import EVERYTHING
from indicators.reading import Statement
from indicators.taxii.collections import Collection
from indicators.taxii.filters import Query
from partners.sharing import Viewer

#: A page ends with the object that brings its bodies to this many bytes: the server may return fewer than asked.
MAX_PAGE_BYTES = 8 * 1024 * 1024

_VERSIONS = 1_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class TaxiiPage:
    """Statements in the order in which they were added, the cursor to go on with, and where the page lies in time."""

    statements: list[Statement]
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


def turn(viewer: Viewer, collection: Collection, query: Query, *, with_bodies: bool = True) -> TaxiiPage:
    """The next page. Two queries; it reads about as many rows as it returns, wherever in the collection it lies."""
    collection.require_read()
    scope = f"taxii:{collection.id}:{query.scope}"
    place = _unseal(query.next, viewer=viewer, scope=scope)
    found = reading.page(
        viewer,
        query.narrow(collection.selection),
        after=place.seq,
        limit=query.limit,
        max_bytes=MAX_PAGE_BYTES if with_bodies else None,
        with_bodies=with_bodies,
    )
    # An empty page has no date of its own. What the client already had is safe to follow; the present would not be:
    # an object may be on its way in with an earlier date.
    reached = max(place.told, query.added_after or _EPOCH)
    first = found.statements[0].date_added if found.statements else reached
    last = found.statements[-1].date_added if found.statements else reached
    position = _position(_Place(found.reached, last)) if found.more else None
    cursor = None if position is None else paging.seal(position, viewer=viewer.partner_id, scope=scope)
    return TaxiiPage(found.statements, next=cursor, first=first, last=last)


def turn_object(
    viewer: Viewer, collection: Collection, object_id: str, query: Query, *, with_bodies: bool = True
) -> TaxiiPage:
    """The same for one object. Raises NotFound where the collection holds no version of it that the viewer may see."""
    if not object_id.isprintable():
        raise NotFound
    page = turn(viewer, collection, replace(query, ids=(object_id,)), with_bodies=with_bodies)
    if not page.statements and not (query.narrows and _holds(viewer, collection, object_id)):
        raise NotFound
    return page


def versions_of(viewer: Viewer, object_id: str, wanted: reading.Selection) -> list[Statement]:
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


def _unseal(cursor: str | None, *, viewer: Viewer, scope: str) -> _Place:
    if cursor is None:
        return _Place()
    match paging.unseal(cursor, viewer=viewer.partner_id, scope=scope):
        case [int(seq), int(microseconds)]:
            return _Place(seq, _EPOCH + timedelta(microseconds=microseconds))
    raise Malformed("This cursor was made for another list.", code="bad-cursor", at="/next")
