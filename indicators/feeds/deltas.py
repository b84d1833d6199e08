"""A page of a feed's delta: the rows of a set after a cursor, removes first, and the trailer that proves them.

Set and rows are read in one statement, so they are of one moment. Each row is read under the rule besides: what the
viewer does not see at this moment is not told, and then the page states no hash, for its removal is under way.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson

from exchange import clock, paging
from exchange.errors import Gone, Malformed
from exchange.lists import pages
from exchange.sql import ask
from indicators import living
from indicators.feeds import proving
from indicators.feeds.filters import EVERYTHING, Filter
from indicators.models import FeedSet
from indicators.telling import subscribing
from indicators.values import carrying
from partners.sharing import audience_ids
from partners.tlp import Tlp
from partners.viewer import Viewer

MAX_BYTES = 8 * 1024 * 1024
#: How long a subscriber should leave the exchange alone, and after what time without a page its set is old, in seconds.
MIN_WAIT_S, STALE_AFTER_S = 1.0, 3_600
_TRAILERS = ("count", "total", "set_key", "place", "complete", "pruned")


@dataclass(frozen=True, slots=True)
class Delta:
    """A page: its lines, how many objects it tells, and whether it tells anything or more is to come."""

    body: bytes
    rows: int
    more: bool
    cursor: str


def feed_of(viewer: Viewer, feed: str) -> Filter:
    """The filter of a feed of the viewer's, or of `all`. Raises NotFound."""
    if feed == "all":
        return EVERYTHING
    return subscribing.filter_of(subscribing.own_feed(viewer, UUID(feed)))


def page(viewer: Viewer, wanted: Filter, *, feed: str, cursor: str, limit: int, woken: bool = False) -> Delta:
    """The next rows after a cursor; `woken` as of `proving.brought`. Raises Malformed (`bad-cursor`), Gone."""
    scope = f"delta;{proving.scope_of(viewer, feed=feed)}"
    position = _position(viewer, wanted, feed=feed, cursor=cursor) if cursor else None
    feed_set = proving.brought(viewer, wanted, feed=feed, woken=woken)
    after, fresh = _place(feed_set, position)
    if feed_set.filter != proving.followed(wanted):  # it was changed meanwhile
        wanted = feed_of(viewer, feed)
    said, rows = _rows(viewer, feed_set, after=after, fresh=fresh, limit=limit)
    more = len(rows) > limit or bool(rows and rows[-1].cut)
    rows = [row for row in rows[:limit] if not row.cut]
    reached = rows[-1].place if rows else after
    told = [row for row in rows if row.removed or row.seen]
    whole = len(told) == len(rows)
    more = more or not said["complete"]
    if not more:
        reached = max(reached, said["place"])
    to = (
        cursor
        if position and reached == after
        else paging.seal([feed_set.pk, reached, fresh], viewer=viewer.partner_id, scope=scope)
    )
    proved = whole and not more
    writer = pages.Writer()
    lines = [writer.row(line) for line in _lines(told, after=after, fresh=fresh)]
    trailer = writer.trailer(
        to,
        more=more,
        set_key=bytes(said["set_key"]).hex() if proved else None,
        set_count=said["count"] if proved else None,
        set_hash=bytes(said["total"]).hex() if proved else None,
        min_wait_s=MIN_WAIT_S,
        stale_after_s=STALE_AFTER_S,
        **({"standing": standings} if (standings := wanted.standings) else {}),
    )
    return Delta(b"".join([*lines, trailer]), writer.rows, more, to)


class Whole:
    """All that a set holds at one moment: of the transaction that it is read in, which sees one moment only."""

    def __init__(self, viewer: Viewer, feed_set_id: int, scope: str) -> None:
        self._viewer, self._scope = viewer, scope
        self._set = FeedSet.unrestricted.get(pk=feed_set_id)
        self.place = self._set.place
        self._seen = True

    def lines(self, limit: int) -> Iterator[bytes]:
        """The rows in force, without their ends, so many read at a time."""
        after = 0
        while True:
            _, rows = _rows(self._viewer, self._set, after=after, fresh=self.place, limit=limit)
            whole = [row for row in rows[:limit] if not row.cut]
            self._seen = self._seen and all(row.seen for row in whole)
            yield from _lines([row for row in whole if row.seen], after=after, fresh=self.place)
            if len(whole) == len(rows):
                return
            after = whole[-1].place

    def trailer(self, writer: pages.Writer) -> bytes:
        """The last line; without a hash where something was on its way out."""
        return writer.trailer(
            paging.seal(
                [self._set.pk, self.place, self.place], viewer=self._viewer.partner_id, scope=f"delta;{self._scope}"
            ),
            more=False,
            set_key=bytes(self._set.set_key).hex() if self._seen else None,
            set_count=self._set.count if self._seen else None,
            set_hash=bytes(self._set.total).hex() if self._seen else None,
            min_wait_s=MIN_WAIT_S,
            stale_after_s=STALE_AFTER_S,
        )


def place_of(viewer: Viewer, wanted: Filter, *, feed: str, cursor: str) -> tuple[int, int]:
    """The set and the place in it that a cursor of this subscriber says. Raises Malformed, Gone."""
    position = _position(viewer, wanted, feed=feed, cursor=cursor)
    return int(position[0]), int(position[1])


def _position(viewer: Viewer, wanted: Filter, *, feed: str, cursor: str) -> paging.Position:
    """What a cursor says, also one of the time when it was bound to the filter of its feed. Raises Malformed, Gone."""
    try:
        scope = proving.scope_of(viewer, feed=feed)
        return paging.unseal(cursor, viewer=viewer.partner_id, scope=f"delta;{scope}")
    except Malformed:
        former = proving.former_scope_of(viewer, wanted, feed=feed)
        return paging.unseal(cursor, viewer=viewer.partner_id, scope=f"delta;{former}")


def _place(feed_set: FeedSet, position: paging.Position | None) -> tuple[int, int]:
    """Where the reader stands, and up to where it is a beginner that holds nothing to remove."""
    if position is None:
        return 0, feed_set.place
    pk, after, fresh = (int(each) for each in position)
    if pk != feed_set.pk or max(after, fresh) < feed_set.pruned or after > feed_set.place:
        raise Gone("This cursor leads nowhere any more. Start over without a cursor.", code="start-over")
    return after, fresh


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of a set, with what is told of it."""

    place: int
    came: int | None
    removed: str
    source: UUID
    source_name: str
    named: bool
    date_added: Any
    stix_id: str
    stix_type: str
    kind: str | None
    tlp: int
    sha256: bytes
    confidence: int | None
    valid_from: Any
    valid_until: Any
    entries: list[list[str]] | None
    body: str | None
    seen: bool
    cut: bool


def _rows(
    viewer: Viewer, feed_set: FeedSet, *, after: int, fresh: int, limit: int
) -> tuple[dict[str, Any], list[_Row]]:
    parameters: dict[str, Any] = {
        "feed_set": feed_set.pk,
        "after": after,
        "fresh": fresh,
        "limit": limit + 1,
        "max_bytes": MAX_BYTES,
        "audiences": audience_ids(viewer),
        "viewer": viewer.partner_id,
    }
    found = ask(_PAGE, parameters)
    if not found:
        raise Gone("This feed was begun anew. Start over without a cursor.", code="start-over")
    count = len(_TRAILERS)
    said = dict(zip(_TRAILERS, found[0][:count], strict=True))
    return said, [_Row(*row[count:]) for row in found if row[count] is not None]


# A row for each row of the set after the cursor, by place (index over set and place), and one where there is none;
# first what the set says of itself. Of what passes %(max_bytes)s, the place alone is read. Holding and version are
# found by their keys (LATERAL, LIMIT 1): it is planned for all values of %(limit)s, and PostgreSQL, which takes a page
# for a tenth of the set, would read all objects instead.
_PAGE = f"""
SELECT s.count, s.total, s.set_key, s.place, s.complete, s.pruned, told.*
FROM indicators_feedset s LEFT JOIN LATERAL (
    SELECT f.place, f.came, f.removed, f.source, f.source_name, f.named, f.date_added, h.stix_id, h.stix_type, o.kind,
           a.tlp, o.sha256, o.confidence, o.valid_from, o.valid_until,
           CASE WHEN f.removed = '' AND NOT f.cut THEN
                (SELECT array_agg(
                            ARRAY[coalesce(o.kind, h.stix_type), k.subkind, v.scheme, coalesce(e.name, ''), v.value]
                            ORDER BY k.place)
                 FROM indicators_carries k JOIN indicators_tokenvalue v ON v.id = k.token_value_id
                 LEFT JOIN indicators_epoch e ON e.id = v.epoch_id
                 WHERE k.holding_id = h.id AND {carrying.IS_LISTED}) END,
           CASE WHEN f.removed = '' AND NOT f.cut THEN o.body END,
           {living.LIVES} AND h.newest_id = o.id AND h.audience_id = ANY(%(audiences)s),
           f.cut
    FROM (
        SELECT f.*,
               coalesce(sum(CASE WHEN f.removed = '' THEN b.size ELSE 0 END)
                        OVER (ORDER BY f.place ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)
               >= %(max_bytes)s AS cut
        FROM (
            SELECT * FROM indicators_inforce f
            WHERE f.feed_set_id = s.id AND f.place > %(after)s AND (f.removed = '' OR f.place > %(fresh)s)
            ORDER BY f.place LIMIT %(limit)s
        ) f CROSS JOIN LATERAL (
            SELECT octet_length(o.body) AS size FROM indicators_stixobject o WHERE o.id = f.version_id LIMIT 1) b
    ) f
    CROSS JOIN LATERAL (SELECT h.* FROM indicators_holding h WHERE h.id = f.holding_id LIMIT 1) h
    CROSS JOIN LATERAL (SELECT a.tlp FROM partners_audience a WHERE a.id = h.audience_id LIMIT 1) a
    CROSS JOIN LATERAL (SELECT o.* FROM indicators_stixobject o WHERE o.id = f.version_id LIMIT 1) o
) told ON true
WHERE s.id = %(feed_set)s
ORDER BY told.place
"""


def _lines(rows: list[_Row], *, after: int, fresh: int) -> Iterator[bytes]:
    """Removes first; `object` last in its line. What came after the reader's place is new to it, or new again."""
    for row in rows:
        if row.removed:
            yield orjson.dumps(_said(row, "remove", row.removed) | {"entries": []}, option=orjson.OPT_UTC_Z)
    for row in rows:
        if not row.removed:
            new = row.place <= fresh or (row.came or 0) > after
            said = _said(row, "upsert", "published" if new else "revised")
            said |= {
                "confidence": row.confidence,
                "sha256": bytes(row.sha256).hex(),
                "valid_from": row.valid_from,
                "valid_until": row.valid_until,
                "entries": [
                    dict(zip(("kind", "subkind", "scheme", "key_epoch", "value"), one, strict=True))
                    for one in row.entries or ()
                ],
            }
            yield orjson.dumps({**said, "object": orjson.Fragment(row.body or "null")}, option=orjson.OPT_UTC_Z)


def _said(row: _Row, op: str, reason: str) -> dict[str, Any]:
    return {
        "op": op,
        "reason": reason,
        "publisher": {"id": row.source, "name": row.source_name, "named": row.named},
        "id": row.stix_id,
        "type": row.stix_type,
        "kind": row.kind,
        "tlp": Tlp(row.tlp).word,
        "confidence": None,
        "date_added": clock.rfc3339(row.date_added),
    }
