"""What a filter lets through, before it is saved: how much, how much of it is new, covered, and disputed."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection

from indicators import living
from indicators.feeds import filters
from indicators.feeds.filters import Filter
from indicators.models import Feed
from indicators.opinions import standing
from partners.sharing import audience_ids
from partners.viewer import Viewer

#: So many objects are looked at, at most; and so many of the other feeds.
MOST = 10_000
MOST_FEEDS = 20


@dataclass(frozen=True, slots=True)
class Preview:
    """Counts of objects that live, each at most `MOST`: there may be more where `cut`."""

    holds: int
    changed_7d: int  # whose version was made within seven days
    covered: int  # that one of the partner's other feeds holds
    disputed: int  # that are disputed or refuted now
    ended_disputed: int  # besides them: that were revoked or expired since, of what was dissented from in 90 days
    cut: bool

    @property
    def later_disputed(self) -> float:
        """The share that was disputed sooner or later, of what lives and of what ended so."""
        return (self.disputed + self.ended_disputed) / max(self.holds + self.ended_disputed, 1)


def preview(viewer: Viewer, wanted: Filter, *, but: str = "") -> Preview:
    """Count what a filter lets through of what the viewer sees; `but` is the id of a feed that does not cover it.

    Five queries, and more where filters name standings or publishers.
    """
    feeds = [feed for feed in Feed.objects.of(viewer).order_by("created_at", "pk")[:MOST_FEEDS] if str(feed.pk) != but]
    others = [filters.parse(feed.filter).sql(viewer, prefix=f"other{place}_") for place, feed in enumerate(feeds)]
    condition, parameters = wanted.sql(viewer)
    for _, more in others:
        parameters |= more
    covered = " OR ".join(f"(TRUE {sql})" for sql, _ in others) or "FALSE"
    sql = _PREVIEW.format(condition=condition, covered=covered, lives=living.LIVES, standing=standing.is_disarmed())
    parameters |= {"audiences": audience_ids(viewer), "viewer": viewer.partner_id, "most": MOST + 1}
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        looked_at = cursor.fetchone()
        cursor.execute(_ENDED.format(condition=condition, standing=standing.is_disarmed()), parameters)
        (ended,) = cursor.fetchone()
    holds, changed, within, disputed, ended = (min(count, MOST) for count in (*looked_at, ended))
    return Preview(holds, changed, within, disputed, ended, cut=looked_at[0] > MOST)


def overlaps(viewer: Viewer, wanted: Filter, *, but: str = "") -> list[tuple[Feed, int]]:
    """Of the partner's other feeds those that hold some of it, too, and how many: the most first. Two queries."""
    feeds = [feed for feed in Feed.objects.of(viewer).order_by("created_at", "pk")[:MOST_FEEDS] if str(feed.pk) != but]
    if not feeds:
        return []
    condition, parameters = wanted.sql(viewer)
    counts = []
    for place, feed in enumerate(feeds):
        each, more = filters.parse(feed.filter).sql(viewer, prefix=f"each{place}_")
        parameters |= more
        counts.append(f"count(*) FILTER (WHERE TRUE {each})")
    sql = _OVERLAPS.format(condition=condition, counts=", ".join(counts), lives=living.LIVES)
    parameters |= {"audiences": audience_ids(viewer), "viewer": viewer.partner_id, "most": MOST}
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        row = cursor.fetchone()
    held = [(feed, count) for feed, count in zip(feeds, row, strict=True) if count]
    return sorted(held, key=lambda one: (-one[1], one[0].name))


@dataclass(frozen=True, slots=True)
class Turn:
    """What another filter in the place of one lets stay, lets go and lets in; at least so many where `cut`."""

    stays: int
    goes: int
    comes: int
    cut: bool


def turn(viewer: Viewer, before: Filter, after: Filter) -> Turn:
    """Count what changes with a filter, among living objects that the viewer sees, at most `MOST` under each.

    One query.
    """
    one, parameters = before.sql(viewer, prefix="before_")
    other, more = after.sql(viewer, prefix="after_")
    parameters |= more
    sql = _TURN.format(one=one, other=other, lives=living.LIVES)
    parameters |= {"audiences": audience_ids(viewer), "viewer": viewer.partner_id, "most": MOST}
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        held, goes, holds, comes = cursor.fetchone()
    return Turn(held - goes, goes, comes, cut=MOST in (held, holds))


# One row: how many living holdings of the viewer's one filter lets through, how many of them the other does not, and
# the same the other way round; of each at most %(most)s.
_TURN = """
SELECT * FROM (
    SELECT count(*), count(*) FILTER (WHERE NOT among) FROM (
        SELECT (TRUE {other}) AS among
        FROM indicators_holding h JOIN indicators_stixobject o ON o.id = h.newest_id
        WHERE h.audience_id = ANY(%(audiences)s) AND {lives} {one} LIMIT %(most)s
    ) held
) before, (
    SELECT count(*), count(*) FILTER (WHERE NOT among) FROM (
        SELECT (TRUE {one}) AS among
        FROM indicators_holding h JOIN indicators_stixobject o ON o.id = h.newest_id
        WHERE h.audience_id = ANY(%(audiences)s) AND {lives} {other} LIMIT %(most)s
    ) held
) after
"""
# One row: of as many of the viewer's living holdings as are looked at, how many each of the other feeds holds.
_OVERLAPS = """
SELECT {counts}
FROM (
    SELECT h.* FROM indicators_holding h JOIN indicators_stixobject o ON o.id = h.newest_id
    WHERE h.audience_id = ANY(%(audiences)s) AND {lives} {condition}
    LIMIT %(most)s
) h JOIN indicators_stixobject o ON o.id = h.newest_id
"""
# One row of counts, over as many of the viewer's living holdings as are looked at, by audience.
_PREVIEW = """
SELECT count(*), count(*) FILTER (WHERE held.new), count(*) FILTER (WHERE held.covered),
       count(*) FILTER (WHERE held.disputed)
FROM (
    SELECT coalesce(o.modified > statement_timestamp() - interval '7 days', FALSE) AS new, {covered} AS covered,
           {standing} AS disputed
    FROM indicators_holding h JOIN indicators_stixobject o ON o.id = h.newest_id
    WHERE h.audience_id = ANY(%(audiences)s) AND {lives} {condition}
    LIMIT %(most)s
) held
"""
# One row: how many of the viewer's holdings ended disputed. It begins with the dissents, which are few.
_ENDED = """
SELECT count(*) FROM (
    SELECT h.id FROM indicators_holding h JOIN indicators_stixobject o ON o.id = h.newest_id
    WHERE h.id IN (SELECT d.holding_id FROM indicators_opinion d
                   WHERE d.says < 0 AND d.at > statement_timestamp() - interval '90 days')
      AND h.audience_id = ANY(%(audiences)s) AND h.state IN ('revoked', 'expired') AND {standing} {condition}
    LIMIT %(most)s
) ended
"""
