"""What came to a feed's set or left it after a place, as hints: for a filter that moves by itself (`Filter.moving`).

Such a filter asks for the time, or for what others say, so the log does not tell what it lets through. Its set
(`proving`) has a place for each object that came, changed or went, by whatever cause: whoever is told of the feed is
told by these places, and pulls by a cursor of the delta.
"""

from __future__ import annotations

from uuid import UUID

from exchange import paging
from exchange.sql import ask
from indicators import living
from indicators.feeds import proving
from indicators.feeds.filters import Filter
from indicators.log import walking
from indicators.log.changes import Span, Told
from indicators.models import FeedSet
from partners.sharing import audience_ids
from partners.viewer import Viewer

#: Stretches of its log that a set follows at a time.
_STRETCHES = 10


def news(viewer: Viewer, feed_set: int, *, after: int, limit: int) -> Span:
    """What a set says after one of its places, removals told as such; `seq` and `reached` are places of the set.

    Of what came, only what the viewer sees at this moment: what is passed over has a later place once that is settled.
    One query.
    """
    asked = {
        "feed_set": feed_set,
        "after": after,
        "limit": limit + 1,
        "audiences": audience_ids(viewer),
    }
    rows = ask(_NEWS, asked, settings=walking.IN_ORDER)
    shown = [Told(*row) for row in rows[:limit]]
    return Span(shown, reached=shown[-1].seq if shown else after, more=len(rows) > limit)


def cursor(viewer: Viewer, *, feed: str, feed_set: int, place: int) -> str:
    """The place as a cursor of the delta, for who holds what was told up to it."""
    scope = f"delta;{proving.scope_of(viewer, feed=feed)}"
    return paging.seal([feed_set, place, place], viewer=viewer.partner_id, scope=scope)


def caught_up(viewer: Viewer, wanted: Filter, *, feed: UUID, woken: bool = False) -> FeedSet:
    """The set of a feed, brought further through its log than by one request; `woken` as there. Raises Conflict."""
    for _ in range(_STRETCHES):
        feed_set = proving.brought(viewer, wanted, feed=str(feed), woken=woken)
        if feed_set.complete:
            break
    return feed_set


def counted(feed_set: int, *, after: int) -> dict[str, int]:
    """How many objects came or changed (`new`) and went (`gone`) after a place, by the last word on each."""
    new, gone = ask(_COUNTED, {"feed_set": feed_set, "after": after})[0]
    return {"new": new, "gone": gone}


# A row for each object of the set after the place that may be told, by place (index over set and place): the columns of
# `Told`.
_NEWS = f"""
SELECT f.place, f.date_added, CASE WHEN f.removed = '' THEN 'upsert' ELSE 'remove' END,
       CASE WHEN f.removed <> '' THEN f.removed WHEN f.came > %(after)s THEN 'published' ELSE 'revised' END,
       h.stix_id, h.stix_type, o.kind, f.source, f.source_name, a.tlp, o.confidence, o.valid_from, o.valid_until,
       NULL::uuid, a.attribution, f.version_id, FALSE, '[]', NULL::text
FROM indicators_inforce f
JOIN indicators_holding h ON h.id = f.holding_id
JOIN partners_audience a ON a.id = h.audience_id
JOIN indicators_stixobject o ON o.id = f.version_id
WHERE f.feed_set_id = %(feed_set)s AND f.place > %(after)s
  AND (f.removed <> '' OR ({living.LIVES} AND h.newest_id = o.id AND h.audience_id = ANY(%(audiences)s)))
ORDER BY f.place LIMIT %(limit)s
"""
# One row.
_COUNTED = """
SELECT count(*) FILTER (WHERE f.removed = ''), count(*) FILTER (WHERE f.removed <> '')
FROM indicators_inforce f WHERE f.feed_set_id = %(feed_set)s AND f.place > %(after)s
"""
