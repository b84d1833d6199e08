"""One id, one line of versions: whose holding of an id a reader finds in collections, versions, manifests and bundles.

Ids are held per publisher, and the formats have no word for whose statement an object is: a store that reads two of one
id follows the later, so that anybody could revoke or replace what somebody else published. So a reader is shown one
line: that of the partner that is its creator, where the reader sees that partner's own, else of the first publisher
that this reader saw. Everybody else's are reached by publisher, and through the REST API, which names them (ADR 0030).

Nobody may name another partner as the creator (`door.gates`), but everybody themselves: so a claim counts only if it
does not contradict the first that was seen, or is the older. What is chosen depends on what the reader sees and on the
order in which they saw it: not on versions, and not on who held an id before it was shown, for ids of observables can
be reckoned, and held in advance.

Whoever loses sight of their line is told the next one anew (`relining`).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from django.db import connection

from indicators.log import walking
from indicators.stix import identifiers, oasis
from indicators.stix.drafts import Draft
from partners.viewer import Viewer


def creator_of(draft: Draft) -> str | None:
    """Whom an object names as its creator, in lower case; of an observable nobody is (STIX 2.1 §3.1)."""
    if draft.created_by_ref is None or draft.stix_type in oasis.SCOS:
        return None
    return draft.created_by_ref.lower()


#: Where a reader first saw anything of the holding `t`, also if by a channel that is closed by now; of what counts in a
#: collection, `{scope}` says by which. Needs the parameters `walking.of`.
FIRST = """
(SELECT min(c.seq) FROM indicators_stixobject v CROSS JOIN LATERAL (
                SELECT * FROM indicators_change told WHERE told.version_id = v.id OFFSET 0) c
 JOIN partners_sight s ON s.channel_id = c.channel AND c.seq > s.since AND c.seq <= coalesce(s.until, c.seq)
 WHERE v.holding_id = t.id AND (c.op = 'upsert' OR c.reason = 'revoked') AND s.partner_id = %(viewer)s AND {scope}
   AND (%(groups)s::uuid[] IS NULL OR s.group_id IS NULL OR s.group_id = ANY(%(groups)s)))
"""
#: Of a holding `t`: the reader sees something of it, by the channels `mine`.
SEEN = f"t.newest_id IS NOT NULL AND {walking.SEES.format(audience='t.audience_id')}"
# A row for each holding `t` of an id that the reader sees by the channels `mine`: where they first saw it, and whether
# it counts as its creator's. Walks the unique index by id, then the versions of each holding and their changes; ids
# with several are few. The same choice as `best`.
_RANKED = f"""
SELECT s.id, s.stix_id, s.first, s.claims AND (
           s.id <= first_value(s.id) OVER early
           OR coalesce(first_value(s.creator) OVER early, s.creator) = s.creator) AS created
FROM (
    SELECT t.id, t.stix_id, t.creator, u.attribution = 0 AND coalesce(p.identity_id = t.creator, false) AS claims,
           {{first}} AS first
    FROM (SELECT * FROM indicators_holding held WHERE held.stix_id = {{stix_id}} OFFSET 0) t
    JOIN partners_audience u ON u.id = t.audience_id
    JOIN partners_partner p ON p.id = t.publisher_id
    WHERE {SEEN} {{among}}
) s
WINDOW early AS (PARTITION BY s.stix_id ORDER BY s.first, s.id)
"""
_ORDER = "r.created DESC, CASE WHEN r.created THEN r.id END, r.first, r.id"

# Where nobody else holds the id, as with nearly every one, a look at the few that several hold says so (`SharedId`):
# one at all ids, which are random, would cost as much as the rest of the row. Whether the reader sees theirs, another.
# OFFSET 0 keeps PostgreSQL from going by audience, which it takes for narrow where it has no statistics, and from
# reading all that several hold at once.
_IS_LINE = f"""
AND (NOT EXISTS (
    SELECT FROM (SELECT FROM indicators_sharedid held WHERE held.stix_id = h.stix_id OFFSET 0) several
) OR NOT EXISTS (
    SELECT FROM (SELECT * FROM indicators_holding held WHERE held.stix_id = h.stix_id OFFSET 0) t
    WHERE t.id <> h.id AND {SEEN} {{among}}
) OR h.id = (SELECT r.id FROM ({{ranked}}) r ORDER BY {_ORDER} LIMIT 1))
"""

_IN_GROUP = "AND EXISTS (SELECT FROM partners_audience g WHERE g.id = t.audience_id AND %(group)s = ANY(g.groups))"


def is_chosen(among: str = "", *, group: bool = False) -> str:
    """The condition, with its leading AND, that the holding `h` is the reader's line of its id.

    `among` narrows what is chosen from, as a condition on the holding `t`; with `group` that is what is addressed to
    the group that is read. The text needs `mine` and the parameters `walking.of`.
    """
    first = FIRST.format(scope=walking.OF_GROUP if group else "TRUE")
    among = f"{among} {_IN_GROUP}" if group else among
    return _IS_LINE.format(among=among, ranked=_RANKED.format(stix_id="h.stix_id", among=among, first=first))


def chosen(viewer: Viewer, stix_ids: Collection[str]) -> dict[str, int]:
    """The holdings that are the viewer's lines of these ids, by key; an id of which it sees nothing is left out."""
    ids = identifiers.canonical(stix_ids)
    if not ids:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_CHOSEN, {"ids": ids, **walking.of(viewer)})
        return dict(cursor.fetchall())


_CHOSEN = f"""
WITH {walking.OPEN}
SELECT DISTINCT ON (r.stix_id) r.stix_id, r.id
FROM ({_RANKED.format(stix_id="ANY(%(ids)s)", among="", first=FIRST.format(scope="TRUE"))}) r
ORDER BY r.stix_id, {_ORDER}
"""


class Seen(NamedTuple):
    """One holding of an id, as one reader sees it or saw it until now."""

    id: int
    creator: str | None
    claims: bool
    first: int | None
    visible: bool


def best(seen: Collection[Seen]) -> Seen | None:
    """The same choice, of what is there: whose line it is; None of none."""
    if not seen:
        return None
    early = min(seen, key=_age)
    creators = [one for one in seen if one.claims and (one.id <= early.id or early.creator in {None, one.creator})]
    return min(creators, key=lambda one: one.id) if creators else early


def _age(one: Seen) -> tuple[bool, int, int]:
    return one.first is None, one.first or 0, one.id
