"""The sides of values as a viewer sees them, where each stands in the viewer's own log, and what is told of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from itertools import zip_longest
from uuid import UUID

from exchange.sql import ask
from indicators.living import LIVES
from indicators.log import walking
from indicators.matching import finding
from indicators.matching.finding import End, Match, Side, Standing, Walked
from indicators.matching.stretches import HOLDING, IS_ASIDE, SEEN, SOURCE
from indicators.values import carrying, overlapping
from partners.sources import Source, hides, sources
from partners.viewer import Viewer

#: Objects of one source that stand in a match at most, the newest, and sides of one value that are read.
MOST_ENDS, _SIDES = 6, 50
#: Where at most so many that the viewer sees carry a value, all are looked at.
_FEW = 32


def sides_of(viewer: Viewer, rows: Iterable[Walked]) -> dict[UUID, list[Standing]]:
    """The sides of each value of these rows. One query, a second where values may overlap others; none for none."""
    overlap = {row.value_id: row.may_overlap for row in rows}
    sides: defaultdict[UUID, list[Standing]] = defaultdict(list)
    asked = walking.of(viewer) | {"ends": MOST_ENDS, "few": _FEW}
    if overlap:
        for row in ask(_SIDES_OF, asked | {"values": sorted(overlap)}, settings=walking.IN_ORDER):
            sides[row[0]].append(Standing(*row))
    if some := sorted(value_id for value_id, may in overlap.items() if may):
        for row in ask(_OVERLAPPING, asked | {"values": some}, settings=walking.IN_ORDER):
            sides[row[0]].append(Standing(*row))
    return {value_id: sides[value_id] for value_id in overlap}


def own_source(viewer: Viewer) -> int:
    """The number that stands for the viewer's own partner among the sources of sides. One query."""
    ((number,),) = ask("SELECT hashtextextended(%(me)s::uuid::text, 0)", {"me": viewer.partner_id})
    return int(number)


#: Of a value where it is found and, if a row of the log says it, when; and its sides.
Asked = tuple[int, datetime | None, list[Standing]]


def shown(viewer: Viewer, asked: Mapping[UUID, Asked]) -> list[Match]:
    """What the viewer is told of values, in this order; what ended meanwhile is left out.

    Queries: objects, and where one does not name its publisher their sources; none for none.
    """
    return shown_each(viewer, {0: asked}).get(0, [])


def shown_each[Place](viewer: Viewer, asked: Mapping[Place, Mapping[UUID, Asked]]) -> dict[Place, list[Match]]:
    """The same of values at each of several places; places without a match are left out. As many queries as of one."""
    sides_of_all = {value_id: sides for there in asked.values() for value_id, (_, _, sides) in there.items()}
    met = {value_id: finding.meeting(sides)[:_SIDES] for value_id, sides in sides_of_all.items()}
    ends = _ends(viewer, {key for sides in met.values() for side in sides for key in side.holdings})
    told = {value_id: _by_source(_ends_of(sides, ends)) for value_id, sides in met.items()}
    dates = {value_id: [side.last_at for side in sides if side.last_at is not None] for value_id, sides in met.items()}
    found = {
        place: [
            Match(*met[value_id][0][:5], seq=seq, found_at=found_at, sides=told[value_id])
            for value_id, (seq, at, _) in there.items()
            if len(told[value_id]) > 1 and (found_at := at or max(dates[value_id], default=None)) is not None
        ]
        for place, there in asked.items()
    }
    return {place: matches for place, matches in found.items() if matches}


def _ends_of(sides: Iterable[Standing], ends: Mapping[int, End]) -> Iterator[End]:
    """The objects of sides, each once: what carries the value itself comes first."""
    named: set[int] = set()
    for side in sorted(sides, key=lambda side: bool(side.overlapping)):
        for key, value in zip_longest(side.holdings, side.overlapping, fillvalue=""):
            if isinstance(key, int) and key in ends and key not in named:
                named.add(key)
                yield replace(ends[key], overlapping=value) if value else ends[key]


def _by_source(ends: Iterable[End]) -> tuple[Side, ...]:
    grouped: dict[UUID, list[End]] = {}
    for end in ends:
        grouped.setdefault(end.source.id, []).append(end)
    sides = [Side(of_source[0].source, tuple(of_source)) for of_source in grouped.values()]
    return tuple(sorted(sides, key=lambda side: (side.source.name, side.source.id)))


def _ends(viewer: Viewer, holding_ids: Collection[int]) -> dict[int, End]:
    """The newest versions of holdings, by their keys, each with the source that the viewer is told."""
    rows = ask(_ENDS_OF, {"holdings": list(holding_ids)}, settings=walking.IN_ORDER) if holding_ids else []
    veiled = {
        (publisher, audience)
        for *_, publisher, audience, attribution, _, _ in rows
        if hides(viewer, publisher_id=publisher, attribution=attribution)
    }
    known: Mapping[tuple[UUID, int], Source] = sources(viewer, veiled) if veiled else {}
    return {
        key: End(version, stix_id, title, kind, known.get((publisher, audience)) or Source(publisher, name, slug))
        for key, version, stix_id, title, kind, publisher, audience, _, name, slug in rows
    }


# Where the log told the viewer of `n`, a living holding, last.
_PLACE = """
LATERAL (
    SELECT coalesce(max(c.seq), 0) AS seq, max(c.date_added) AS at
    FROM indicators_change c JOIN mine ON mine.channel = c.channel AND c.seq > mine.since
    WHERE c.version_id = n.newest AND c.op = 'upsert')
"""
# A row for each side of a value. Walks who carries the value, and the rows of the log that told of each. Where more
# than a few do that the viewer sees, of each audience that it is said to only the newest and the first holdings are
# looked at: who is hidden is not counted, or their number would show by which way is taken. What one carries is found
# by its key (OFFSET 0 keeps it so): others that carry the value may be many.
_SIDES_OF = f"""
WITH {walking.OPEN}, few AS MATERIALIZED (
    SELECT asked.id AS value, k.holding_id AS holding
    FROM unnest(%(values)s::uuid[]) asked(id) CROSS JOIN LATERAL (
        SELECT k.holding_id
        FROM {carrying.AUDIENCES.format(value="asked.id")} told
        JOIN partners_audience a ON a.id = told.audience_id AND {SEEN}
        CROSS JOIN LATERAL (
            SELECT k.holding_id FROM indicators_carries k
            WHERE k.token_value_id = asked.id AND k.audience_id = a.id LIMIT %(few)s + 1) k
        LIMIT %(few)s + 1) k
), many AS MATERIALIZED (
    SELECT value FROM few GROUP BY value HAVING count(*) > %(few)s
), said AS MATERIALIZED (
    SELECT value, holding FROM few WHERE value <> ALL(ARRAY(SELECT value FROM many))
    UNION
    SELECT many.value, one.holding
    FROM many CROSS JOIN {carrying.AUDIENCES.format(value="many.value")} told
    JOIN partners_audience a ON a.id = told.audience_id AND {SEEN}
    CROSS JOIN LATERAL (
        (SELECT k.holding_id AS holding FROM indicators_carries k
         WHERE k.token_value_id = many.value AND k.audience_id = a.id ORDER BY k.holding_id DESC LIMIT %(ends)s)
        UNION ALL
        (SELECT k.holding_id FROM indicators_carries k
         WHERE k.token_value_id = many.value AND k.audience_id = a.id ORDER BY k.holding_id LIMIT 1)) one
), carrying AS MATERIALIZED (
    SELECT k.token_value_id AS value, h.id AS holding, h.newest_id AS newest, {SOURCE} AS source, {IS_ASIDE} AS aside
    FROM said
    CROSS JOIN {HOLDING.format(key="said.holding")} h
    CROSS JOIN LATERAL (SELECT * FROM indicators_carries k WHERE k.holding_id = h.id OFFSET 0) k
    JOIN partners_audience a ON a.id = h.audience_id AND {SEEN}
    WHERE k.token_value_id = said.value AND {LIVES}
    GROUP BY k.token_value_id, h.id, h.newest_id, a.id
)
SELECT v.id, v.subkind, v.scheme, coalesce(e.name, ''), v.value,
       n.source, n.aside, min(place.seq), max(place.seq), max(place.at),
       (array_agg(n.holding ORDER BY place.seq DESC, n.holding DESC))[1:%(ends)s]
FROM carrying n CROSS JOIN {_PLACE} place
JOIN indicators_tokenvalue v ON v.id = n.value LEFT JOIN indicators_epoch e ON e.id = v.epoch_id
GROUP BY v.id, e.id, n.source, n.aside
"""
# The same of what overlaps a value: of each audience that the viewer sees some of the networks and ranges that do.
_OVERLAPPING = f"""
WITH {walking.OPEN}, ours AS MATERIALIZED (
    SELECT a.id FROM {overlapping.SAID_TO} said JOIN partners_audience a ON a.id = said.audience_id AND {SEEN}
), asked AS MATERIALIZED (
    SELECT v.id, v.subkind, v.scheme, v.value, x.net, x.ends, x.low, x.high
    FROM unnest(%(values)s::uuid[]) given(id)
    CROSS JOIN LATERAL (SELECT * FROM indicators_tokenvalue v WHERE v.id = given.id LIMIT 1) v
    CROSS JOIN LATERAL exchange_span(v.subkind, v.value) x
), carrying AS MATERIALIZED (
    SELECT x.id AS value, h.id AS holding, h.newest_id AS newest, {SOURCE} AS source, {IS_ASIDE} AS aside,
           min(tv.value) AS theirs
    FROM asked x CROSS JOIN ours
    CROSS JOIN {overlapping.OVERLAPS.format(span="x", audience="ours.id", most=overlapping.MOST)} found
    CROSS JOIN {HOLDING.format(key="found.holding_id")} h
    CROSS JOIN {overlapping.CARRIED.format(holding="h.id", place="found.place")} k
    CROSS JOIN LATERAL (SELECT * FROM indicators_tokenvalue v WHERE v.id = k.token_value_id LIMIT 1) tv
    JOIN partners_audience a ON a.id = h.audience_id AND {SEEN}
    WHERE {LIVES}
    GROUP BY x.id, h.id, h.newest_id, a.id
)
SELECT x.id, x.subkind, x.scheme, '', x.value,
       n.source, n.aside, min(place.seq), max(place.seq), max(place.at),
       (array_agg(n.holding ORDER BY place.seq DESC, n.holding DESC))[1:%(ends)s],
       (array_agg(n.theirs ORDER BY place.seq DESC, n.holding DESC))[1:%(ends)s]
FROM carrying n CROSS JOIN {_PLACE} place
JOIN asked x ON x.id = n.value
GROUP BY x.id, x.subkind, x.scheme, x.value, n.source, n.aside
"""
_ENDS_OF = f"""
SELECT h.id, o.id, h.stix_id, o.title, o.kind, h.publisher_id, h.audience_id, a.attribution, p.name, p.slug
FROM unnest(%(holdings)s::bigint[]) asked(id) CROSS JOIN {HOLDING.format(key="asked.id")} h
JOIN indicators_stixobject o ON o.id = h.newest_id
JOIN partners_audience a ON a.id = h.audience_id
JOIN partners_partner p ON p.id = h.publisher_id
"""
