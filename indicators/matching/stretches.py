"""Along the viewer's own log: its rows that are marked as matched, and how far so many rows of it reach.

Channels are looked at near the first row that is wanted, in stretches that grow: else each would be read as far as all
of them together are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from exchange.sql import ask
from indicators.living import LIVES
from indicators.log import walking
from indicators.matching.finding import Walked
from indicators.stix.drafts import MATCH_ONLY
from indicators.values import carrying, overlapping
from partners.viewer import Viewer

#: What the values `v` are compared as that may overlap others: they are looked at whether or not they are shared.
MAY_OVERLAP = "v.subkind IN ('net', 'bin_range')"
#: Before and after every place.
TOP = 2**63 - 1
#: How many places of the log the first look covers for each row that is wanted, and how much more the next ones do.
_WIDE, _WIDER = 8, 8


@dataclass(frozen=True, slots=True)
class Bounds:
    """A stretch of the log, both ends outside, and from which end it is walked."""

    after: int = 0
    before: int = TOP
    newest_first: bool = False

    @property
    def words(self) -> dict[str, str]:
        """How that is said in SQL: the order, the reverse of it, and which end is the first."""
        if self.newest_first:
            return {"order": "DESC", "reverse": "ASC", "end": "max"}
        return {"order": "ASC", "reverse": "DESC", "end": "min"}

    def beyond(self, place: int) -> Bounds:
        """What is left of it once that place was reached."""
        if self.newest_first:
            return Bounds(self.after, min(self.before, place), newest_first=True)
        return Bounds(max(self.after, place), self.before)

    def past(self, first: int, width: int) -> Bounds | None:
        """What is left of it after a look of this width from its first row on; None where that covers all of it."""
        left = self.beyond(first - width + 1 if self.newest_first else first + width - 1)
        return left if left.after + 1 < left.before else None


@dataclass(frozen=True, slots=True)
class Stretch:
    """Marked rows, with the values of those that are still told; what is left to walk, or None at the end."""

    rows: list[Walked]
    left: Bounds | None
    oldest: datetime | None


def marked(viewer: Viewer, bounds: Bounds, *, most: int) -> Stretch:
    """Up to so many marked rows, in the order of the log. Queries: one, as a rule."""
    rows: list[tuple[Any, ...]] = []
    width, left = _WIDE * most, bounds
    while True:
        asked = walking.of(viewer) | {"after": left.after, "before": left.before, "most": most, "width": width}
        found = ask(_MARKED.format(**bounds.words), asked, settings=walking.IN_ORDER)
        first, there = found[0][0], [row[1:] for row in found if row[1] is not None]
        rows += there
        places = {row[0] for row in there}
        most -= len(places)
        if most <= 0:
            left = bounds.beyond(rows[-1][0])
            break
        rest = None if first is None else left.past(first, width)
        if rest is None:
            break
        left, width = rest, width * _WIDER
    walked = [Walked._make(row) for row in rows if row[3] is not None]
    return Stretch(walked, left if most <= 0 else None, oldest=rows[-1][1] if rows else None)


def carried(viewer: Viewer, told: Sequence[tuple[int, datetime | None, int]]) -> list[Walked]:
    """The values that are shared of versions which are told at places of the log: place, date, version. One query."""
    asked = walking.of(viewer) | {
        "seqs": [seq for seq, _, _ in told],
        "dates": [date for _, date, _ in told],
        "versions": [version for _, _, version in told],
    }
    return [Walked._make(row) for row in ask(_CARRIED, asked, settings=walking.IN_ORDER)]


@dataclass(frozen=True, slots=True)
class Reach:
    """The places of the first and the last of so many rows, and whether there are more; 0 where there is none."""

    first: int = 0
    last: int = 0
    more: bool = False


def reach(viewer: Viewer, bounds: Bounds, *, rows: int) -> Reach:
    """How far so many rows of the viewer's log reach, marked or not. Queries: one, as a rule."""
    left: Bounds | None = bounds
    begins, width, last, wanted = 0, 2 * rows, 0, rows + 1
    while left is not None:
        asked = walking.of(viewer) | {"after": left.after, "before": left.before, "most": wanted, "width": width}
        first, count, at, before_it = ask(_OWN.format(**bounds.words), asked, settings=walking.IN_ORDER)[0]
        if first is None:
            break
        begins = begins or first
        if count == wanted:
            return Reach(begins, before_it or last, more=True)
        last, wanted = at or last, wanted - count
        left, width = left.past(first, width), width * _WIDER
    return Reach(begins, last)


_SOURCE = """
CASE WHEN {a}.publisher_id = {viewer} OR {a}.attribution = 0 THEN hashtextextended({a}.publisher_id::text, 0)
     WHEN {a}.attribution = 1 THEN hashtextextended(concat_ws(':', {a}.publisher_id, {a}.groups[1]), 0)
     ELSE 0 END
"""
#: Whom what is said to the audience `a` comes from, as the viewer is told it, as a number: what two say as the exchange
#: alone is one source, and what the viewer says is one.
SOURCE = _SOURCE.format(a="a", viewer="%(viewer)s")
#: Whether the viewer sees what is said to the audience `a`: the rule, asked of the channels `mine`.
SEEN = "a.channels && (SELECT array_agg(mine.channel) FROM mine)"
#: The holding of a key, as a part of FROM, found by its key and nothing else: where PostgreSQL knows little of the
#: table, it would rather read all that live.
HOLDING = "LATERAL (SELECT * FROM indicators_holding h WHERE h.id = {key} LIMIT 1)"
IS_ASIDE = f"bool_and(k.suppressed_by = '{MATCH_ONLY}')"

_NEAR = """
c.seq > greatest(%(after)s, k.since, first.seq - %(width)s::bigint)
AND c.seq < least(%(before)s, first.seq + %(width)s::bigint)
"""
_FIRST = """
first AS MATERIALIZED (
    SELECT {{end}}(f.seq) AS seq FROM mine k CROSS JOIN LATERAL (
        SELECT c.seq FROM indicators_change c
        WHERE c.channel = k.channel AND {which} c.seq > greatest(%(after)s, k.since) AND c.seq < %(before)s
        ORDER BY c.seq {{order}} LIMIT 1
    ) f
)"""
# A row for each marked row of the viewer's log and value of its holding, in the order of the log; for one that is not
# to be told any more, a row without a value. Each has the place of the first of them. Walks `change_that_is_linked`.
_MARKED = f"""
WITH {walking.OPEN}, {_FIRST.format(which="c.linked AND")}, walked AS MATERIALIZED (
    SELECT DISTINCT ON (r.seq) r.* FROM first CROSS JOIN mine k CROSS JOIN LATERAL (
        SELECT c.seq, c.date_added, c.holding_id, c.version_id FROM indicators_change c
        WHERE c.channel = k.channel AND c.linked AND {_NEAR} ORDER BY c.seq {{order}} LIMIT %(most)s
    ) r
    WHERE first.seq IS NOT NULL ORDER BY r.seq {{order}} LIMIT %(most)s
)
SELECT first.seq, w.seq, w.date_added, w.holding_id, found.*
FROM first LEFT JOIN walked w ON true LEFT JOIN LATERAL (
    SELECT k.token_value_id, {SOURCE}, {IS_ASIDE}, bool_or({MAY_OVERLAP})
    FROM {HOLDING.format(key="w.holding_id")} h
    JOIN partners_audience a ON a.id = h.audience_id
    JOIN indicators_carries k ON k.holding_id = h.id
    JOIN indicators_tokenvalue v ON v.id = k.token_value_id AND (v.shared OR {MAY_OVERLAP})
    WHERE h.newest_id = w.version_id AND {LIVES} AND {SEEN}
    GROUP BY k.token_value_id, a.id
) found ON true
ORDER BY w.seq {{order}}
"""
# A row for each shared value of versions that are the newest of living holdings, with the places that are given.
_CARRIED = f"""
WITH {walking.OPEN}
SELECT w.seq, w.date_added, h.id, k.token_value_id, {SOURCE}, {IS_ASIDE}, bool_or({MAY_OVERLAP})
FROM unnest(%(seqs)s::bigint[], %(dates)s::timestamptz[], %(versions)s::bigint[]) AS w(seq, date_added, version_id)
JOIN indicators_stixobject o ON o.id = w.version_id
CROSS JOIN {HOLDING.format(key="o.holding_id")} h
JOIN partners_audience a ON a.id = h.audience_id AND {SEEN}
JOIN indicators_carries k ON k.holding_id = h.id
JOIN indicators_tokenvalue v ON v.id = k.token_value_id AND (v.shared OR {MAY_OVERLAP})
WHERE h.newest_id = o.id AND {LIVES}
GROUP BY w.seq, w.date_added, h.id, k.token_value_id, a.id
ORDER BY w.seq
"""
# One row: the first place of the viewer's own log, how many rows near it there are, up to so many, the last of these,
# and the one before that.
_OWN = f"""
WITH {walking.OPEN}, {_FIRST.format(which="")}
SELECT first.seq, near.count, near.places[1], near.places[2]
FROM first LEFT JOIN LATERAL (
    SELECT count(*) AS count, (array_agg(n.seq ORDER BY n.seq {{reverse}}))[1:2] AS places FROM (
        SELECT DISTINCT r.seq FROM mine k CROSS JOIN LATERAL (
            SELECT c.seq FROM indicators_change c
            WHERE c.channel = k.channel AND {_NEAR} ORDER BY c.seq {{order}} LIMIT %(most)s
        ) r
        ORDER BY r.seq {{order}} LIMIT %(most)s
    ) n
) near ON first.seq IS NOT NULL
"""
_SOURCE_OF_MINE = _SOURCE.format(a="ma", viewer="{viewer}")
_SOURCE_OF_THEIRS = _SOURCE.format(a="ta", viewer="{viewer}")
#: Of a holding that the viewer sees whether it is matched with another that they see (by the channels `both`).
IS_MATCHED = f"""
{{holding}}.state = 'live' AND (EXISTS (
    SELECT FROM indicators_carries mk
    JOIN indicators_tokenvalue mv ON mv.id = mk.token_value_id AND mv.shared
    JOIN partners_audience ma ON ma.id = {{holding}}.audience_id
    CROSS JOIN {carrying.AUDIENCES.format(value="mv.id")} told
    JOIN partners_audience ta ON ta.id = told.audience_id AND ta.channels && %(both)s::bigint[]
     AND {_SOURCE_OF_MINE} <> {_SOURCE_OF_THEIRS}
    CROSS JOIN LATERAL (
        SELECT FROM indicators_carries tk WHERE tk.token_value_id = mv.id AND tk.audience_id = ta.id
        AND NOT (tk.suppressed_by = '{MATCH_ONLY}' AND mk.suppressed_by = '{MATCH_ONLY}') LIMIT 1) tk
    WHERE mk.holding_id = {{holding}}.id)
OR EXISTS (
    SELECT FROM indicators_span x
    CROSS JOIN {overlapping.CARRIED.format(holding="x.holding_id", place="x.place")} mk
    JOIN partners_audience ma ON ma.id = x.audience_id
    CROSS JOIN {overlapping.SAID_TO} said
    JOIN partners_audience ta ON ta.id = said.audience_id AND ta.channels && %(both)s::bigint[]
     AND {_SOURCE_OF_MINE} <> {_SOURCE_OF_THEIRS}
    CROSS JOIN {overlapping.OVERLAPS.format(span="x", audience="ta.id", most=overlapping.MOST)} found
    CROSS JOIN {overlapping.CARRIED.format(holding="found.holding_id", place="found.place")} tk
    WHERE x.holding_id = {{holding}}.id
      AND NOT (tk.suppressed_by = '{MATCH_ONLY}' AND mk.suppressed_by = '{MATCH_ONLY}')))
"""
