"""What is to be in force by a filter, what a set holds, and in what they differ, as the store says."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import OperationalError, transaction
from psycopg.errors import QueryCanceled

from exchange.sql import ask
from indicators import living
from indicators.feeds.filters import Filter
from indicators.log import walking
from indicators.models import FeedSet
from indicators.opinions import standing
from partners import sources
from partners.sharing import audience_ids
from partners.viewer import Viewer


class Found(NamedTuple):
    """One object that is to be in force."""

    holding: int
    version: int
    source: UUID
    source_name: str
    named: bool
    stix_id: str
    sha256: str
    until: datetime | None
    tlp: int | None  # null of what is held since before this was kept
    came: int | None = None  # the place in the set at which it came, of what is held


class TookTooLong(Exception):
    """A comparison was broken off by the store: the set is as it was."""


#: A comparison of a whole set takes no longer, so that nobody waits longer for the set's lock.
_IN_TIME = {"statement_timeout": "20s"}


def _seen(viewer: Viewer, wanted: Filter, *, of: str) -> tuple[str, dict[str, Any]]:
    """What the viewer sees live, is not disarmed for it, and the filter lets through: a query, and its parameters.

    `of` says of which holdings `h`, with their newest versions `o`.
    """
    conditions, parameters = wanted.sql(viewer)
    disarmed = standing.is_disarmed(by_standing=not wanted.says_standing)
    sql = _SEEN.format(conditions=conditions, disarmed=disarmed, lives=living.LIVES, of=of)
    return sql, {**parameters, "audiences": audience_ids(viewer), "viewer": viewer.partner_id}


def found(viewer: Viewer, wanted: Filter, *, ids: Sequence[str]) -> list[Found]:
    """What is to be in force of these ids, as `_seen` says."""
    sql, parameters = _seen(viewer, wanted, of=_OF_THESE)
    veiled = sources.veiled(viewer, parameters["audiences"])
    said: list[Found] = []
    for holding, version, audience, publisher, name, stix_id, sha256, until, tlp in ask(
        sql, parameters | {"ids": list(ids)}
    ):
        source = veiled.get(audience)
        of = sources.Source(publisher, name, "") if source is None else source
        shown = Found(holding, version, of.id, of.name, source is None, stix_id, bytes(sha256).hex(), until, tlp)
        said.append(shown)
    return said


def held(feed_set: FeedSet, *, ids: Sequence[str]) -> list[Found]:
    """What the set holds of these ids."""
    return [
        Found(holding, version, source, name, named, stix_id, bytes(sha256).hex(), until, tlp, came)
        for holding, version, source, name, named, stix_id, sha256, until, tlp, came in ask(
            _HELD, {"feed_set": feed_set.pk, "ids": list(ids)}, settings=walking.IN_ORDER
        )
    ]


def moved(viewer: Viewer, feed_set: FeedSet, wanted: Filter) -> list[str]:
    """The ids of what is to be in force and is not held so, and of what is held and is not to be; sorted.

    All of both is compared, by the store: for a filter that asks for what moves without a change in the log. In a
    transaction, which goes on where that takes too long. Raises TookTooLong.
    """
    seen, parameters = _seen(viewer, wanted, of=_OF_ALL)
    asked = {**parameters, "feed_set": feed_set.pk}
    try:
        with transaction.atomic():
            return [stix_id for (stix_id,) in ask(_MOVED.format(seen=seen), asked, settings=_IN_TIME)]
    except OperationalError as error:
        if isinstance(error.__cause__, QueryCanceled):
            raise TookTooLong from error
        raise


#: Holdings of some ids, found by the unique index over ids and publishers. A text of its own: what is prepared is
#: planned for all values, and one text for these or all (`ids IS NULL OR …`) would read all at each page of a delta.
#: OFFSET 0 and LIMIT 1, for with the rest of the rule PostgreSQL would look for all that the viewer sees besides.
_OF_THESE = """
(SELECT * FROM indicators_holding h WHERE h.stix_id = ANY(%(ids)s) OFFSET 0) h
CROSS JOIN LATERAL (SELECT * FROM indicators_stixobject o WHERE o.id = h.newest_id LIMIT 1) o
"""
_OF_ALL = "indicators_holding h JOIN indicators_stixobject o ON o.id = h.newest_id"
# A row for each living holding.
_SEEN = """
SELECT h.id, o.id AS version, h.audience_id, h.publisher_id, p.name, h.stix_id, o.sha256, o.valid_until, a.tlp
FROM {of}
JOIN partners_audience a ON a.id = h.audience_id
JOIN partners_partner p ON p.id = h.publisher_id
WHERE h.audience_id = ANY(%(audiences)s) AND {lives} AND NOT {disarmed} {conditions}
"""
# From the ids to the set, row by row: whoever begins with the set, as PostgreSQL would while it has not counted how
# large it is, reads all of it at each page of a delta. And in order, for a plan that was made while sets were empty
# would read all of them for each id until they are counted.
_HELD = """
SELECT f.holding_id, f.version_id, f.source, f.source_name, f.named, h.stix_id, o.sha256, o.valid_until, f.tlp, f.came
FROM (SELECT h.id, h.stix_id FROM indicators_holding h WHERE h.stix_id = ANY(%(ids)s) OFFSET 0) h
CROSS JOIN LATERAL (
    SELECT f.* FROM indicators_inforce f
    WHERE f.feed_set_id = %(feed_set)s AND f.holding_id = h.id AND f.removed = '' LIMIT 1) f
JOIN indicators_stixobject o ON o.id = f.version_id
"""
# The ids of what is seen and not held in this version, and of what is held and not seen.
_MOVED = """
WITH seen AS ({seen}), held AS (
    SELECT f.holding_id, f.version_id FROM indicators_inforce f
    WHERE f.feed_set_id = %(feed_set)s AND f.removed = ''
)
SELECT DISTINCT h.stix_id
FROM (SELECT s.id, s.version FROM seen s) s (holding_id, version_id)
FULL JOIN held USING (holding_id)
JOIN indicators_holding h ON h.id = holding_id
WHERE s.version_id IS DISTINCT FROM held.version_id
ORDER BY h.stix_id
"""
