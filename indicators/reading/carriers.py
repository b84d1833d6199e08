"""Who says a value, as a viewer sees it: the living holdings that carry it, the newest of each publisher first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from exchange.sql import ask
from indicators.living import LIVES
from indicators.opinions import standing
from partners.sharing import audience_ids
from partners.sources import Source, hides, sources
from partners.viewer import Viewer

#: Holdings of one value that are read.
MOST = 12
_AT_ONCE = 5_000


@dataclass(frozen=True, slots=True)
class Carrier:
    """A holding that carries a value."""

    stix_id: str
    title: str
    kind: str | None
    severity: str | None
    action: str | None  # what its publisher did
    valid_until: datetime | None
    standing: str
    source: Source
    own: bool


def of(viewer: Viewer, keys: Collection[UUID]) -> dict[UUID, list[Carrier]]:
    """The carriers of each value by its key (`values.carrying.key_of`); of what nobody the viewer sees says, nothing.

    At most MOST of a value. Two queries for 5,000 values, and those of `sources` where a publisher is not named.
    """
    audiences, found = audience_ids(viewer), list[tuple[Any, ...]]()
    wanted = sorted(keys)
    for start in range(0, len(wanted), _AT_ONCE):
        values = wanted[start : start + _AT_ONCE]
        found += ask(_CARRIERS, {"keys": values, "audiences": audiences, "viewer": viewer.partner_id, "most": MOST})
    rows = [_Row(*row) for row in found]
    veiled = {
        (row.publisher, row.audience)
        for row in rows
        if hides(viewer, publisher_id=row.publisher, attribution=row.attribution)
    }
    known = sources(viewer, veiled) if veiled else {}
    carriers: defaultdict[UUID, list[Carrier]] = defaultdict(list)
    for row in rows:
        source = known.get((row.publisher, row.audience)) or Source(row.publisher, row.name, row.slug)
        own = row.publisher == viewer.partner_id
        said = (row.stix_id, row.title, row.kind, row.severity, row.action, row.valid_until, row.standing)
        carriers[row.key].append(Carrier(*said, source, own))
    return dict(carriers)


@dataclass(frozen=True, slots=True)
class _Row:
    key: UUID
    stix_id: str
    title: str
    kind: str | None
    severity: str | None
    action: str | None
    valid_until: datetime | None
    standing: str
    publisher: UUID
    audience: int
    attribution: int
    name: str
    slug: str


# A row for each living holding in sight that carries one of these values, at most so many of a value, the newest
# first: by `carried_by_audience`.
_CARRIERS = f"""
SELECT asked.id, found.*
FROM unnest(%(keys)s::uuid[]) asked(id) CROSS JOIN LATERAL (
    SELECT h.stix_id, o.title, o.kind, o.severity,
        substring(o.body from '"publisher_action"\\s*:\\s*"([a-z_]{{1,20}})"'), o.valid_until, {standing.sql()},
        h.publisher_id, h.audience_id, a.attribution, p.name, p.slug
    FROM indicators_carries k JOIN indicators_holding h ON h.id = k.holding_id AND {LIVES}
    JOIN indicators_stixobject o ON o.id = h.newest_id
    JOIN partners_audience a ON a.id = h.audience_id JOIN partners_partner p ON p.id = h.publisher_id
    WHERE k.token_value_id = asked.id AND k.audience_id = ANY(%(audiences)s)
    ORDER BY h.id DESC LIMIT %(most)s
) found
"""
