"""The sides of values as a viewer sees them, where each stands in the viewer's own log, and what is told of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from uuid import UUID

from exchange.sql import ask
from indicators.living import LIVES
from indicators.log import walking
from indicators.matching import finding
from indicators.matching.finding import End, Match, Side, Standing
from indicators.matching.stretches import IS_ASIDE, SEEN, SOURCE
from partners.sources import Source, hides, sources
from partners.viewer import Viewer

#: Objects of one side that are read, and sides of one value.
_ENDS, _SIDES = 6, 50


def sides_of(viewer: Viewer, value_ids: Collection[UUID]) -> dict[UUID, list[Standing]]:
    """The sides of each value. One query, and none for none."""
    sides: defaultdict[UUID, list[Standing]] = defaultdict(list)
    if value_ids:
        asked = walking.of(viewer) | {"values": sorted(value_ids), "ends": _ENDS}
        for row in ask(_SIDES_OF, asked):
            sides[row[0]].append(Standing._make(row))
    return {value_id: sides[value_id] for value_id in value_ids}


#: Of a value where it is found and, if a row of the log says it, when; and its sides.
Asked = tuple[int, datetime | None, list[Standing]]


def shown(viewer: Viewer, asked: Mapping[UUID, Asked]) -> list[Match]:
    """What the viewer is told of values, in this order; what ended meanwhile is left out.

    Queries: objects, and where one does not name its publisher their sources; none for none.
    """
    if not asked:
        return []
    meeting = {value_id: finding.meeting(sides)[:_SIDES] for value_id, (_, _, sides) in asked.items()}
    ends = _ends(viewer, {key for sides in meeting.values() for side in sides for key in side.holdings})
    matches = []
    for value_id, (seq, at, _) in asked.items():
        last = max((side.last_at for side in meeting[value_id] if side.last_at is not None), default=None)
        sides = _by_source(end for side in meeting[value_id] for key in side.holdings if (end := ends.get(key)))
        if len(sides) > 1 and (found_at := at or last) is not None:
            matches.append(Match(*meeting[value_id][0][:5], seq=seq, found_at=found_at, sides=sides))
    return matches


def _by_source(ends: Iterable[End]) -> tuple[Side, ...]:
    grouped: dict[UUID, list[End]] = {}
    for end in ends:
        grouped.setdefault(end.source.id, []).append(end)
    sides = [Side(of_source[0].source, tuple(of_source)) for of_source in grouped.values()]
    return tuple(sorted(sides, key=lambda side: (side.source.name, side.source.id)))


def _ends(viewer: Viewer, holding_ids: Collection[int]) -> dict[int, End]:
    """The newest versions of holdings, by their keys, each with the source that the viewer is told."""
    rows = ask(_ENDS_OF, [list(holding_ids)])
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


# A row for each side of a value. Walks who carries the value, and the rows of the log that told of each.
_SIDES_OF = f"""
WITH {walking.OPEN}, carrying AS MATERIALIZED (
    SELECT k.token_value_id AS value, h.id AS holding, h.newest_id AS newest, {SOURCE} AS source, {IS_ASIDE} AS aside
    FROM unnest(%(values)s::uuid[]) asked(id)
    JOIN indicators_carries k ON k.token_value_id = asked.id
    JOIN indicators_holding h ON h.id = k.holding_id AND {LIVES}
    JOIN partners_audience a ON a.id = h.audience_id AND {SEEN}
    GROUP BY k.token_value_id, h.id, a.id
)
SELECT v.id, v.subkind, v.scheme, coalesce(e.name, ''), v.value,
       n.source, n.aside, min(place.seq), max(place.seq), max(place.at),
       (array_agg(n.holding ORDER BY place.seq DESC, n.holding DESC))[1:%(ends)s]
FROM carrying n CROSS JOIN LATERAL (
    SELECT coalesce(max(c.seq), 0) AS seq, max(c.date_added) AS at
    FROM indicators_change c JOIN mine ON mine.channel = c.channel AND c.seq > mine.since
    WHERE c.version_id = n.newest AND c.op = 'upsert'
) place
JOIN indicators_tokenvalue v ON v.id = n.value LEFT JOIN indicators_epoch e ON e.id = v.epoch_id
GROUP BY v.id, e.id, n.source, n.aside
"""
_ENDS_OF = """
SELECT h.id, o.id, h.stix_id, o.title, o.kind, h.publisher_id, h.audience_id, a.attribution, p.name, p.slug
FROM indicators_holding h
JOIN indicators_stixobject o ON o.id = h.newest_id
JOIN partners_audience a ON a.id = h.audience_id
JOIN partners_partner p ON p.id = h.publisher_id
WHERE h.id = ANY(%s)
"""
