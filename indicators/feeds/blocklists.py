"""Flat lists: every live value of a feed, each once, sorted; as text, CSV or JSON Lines.

The list is written to a spooled file before it is sent, so a slow reader holds no database connection, and
memory stays bounded whatever the list's length. `exchange.lists` writes the lines, here as in the agent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import Any

from django.db import connection, transaction
from structlog.stdlib import get_logger

from exchange.lists import formats
from exchange.lists.devices import DEVICES
from exchange.lists.lines import Said
from indicators import living
from indicators.feeds.filters import Filter
from indicators.opinions import standing
from indicators.values import carrying
from partners import sources
from partners.sharing import audience_ids
from partners.viewer import Viewer

MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "jsonl": "application/x-ndjson",
    "text": "text/plain; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
    **{name: "application/json" if name == "envoy" else "text/plain; charset=utf-8" for name in DEVICES},
}
log = get_logger()
_IN_MEMORY = 1_048_576
_ROWS = 2_000


@dataclass(frozen=True, slots=True)
class Spooled:
    """A finished list, at its beginning, the tag of its content, and how many entries it has."""

    file: Any
    etag: str
    entries: int


def spool(viewer: Viewer, wanted: Filter, *, form: str) -> Spooled:
    """Write the list that `viewer` may see."""
    file = SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - the response closes it
    digest = hashlib.sha256()
    tally = formats.Tally()
    for piece in formats.write(said(viewer, wanted), form=form, tally=tally):
        digest.update(piece)
        file.write(piece)
    file.seek(0)
    if tally.refused:
        log.warning("list.refused", values=tally.refused)
    return Spooled(file, f'"{digest.hexdigest()[:32]}"', tally.entries)


def said(viewer: Viewer, wanted: Filter) -> Iterator[Said]:
    """What is said of each live value that `viewer` may see, by value in the order of code points."""
    conditions, parameters = wanted.sql(viewer)
    audiences = audience_ids(viewer)
    veiled = sources.veiled(viewer, audiences)
    parameters |= {
        "audiences": audiences,
        "viewer": viewer.partner_id,
        "veiled": list(veiled),
        "as": [source.name for source in veiled.values()],
    }
    with transaction.atomic(), connection.chunked_cursor() as cursor:
        sql = _LIST.format(
            conditions=conditions,
            disarmed=standing.is_disarmed(by_standing=not wanted.says_standing),
            in_force=living.IN_FORCE,
            lives=living.LIVES,
            listed=carrying.IS_LISTED,
        )
        cursor.execute(sql, parameters)
        while rows := cursor.fetchmany(_ROWS):
            yield from map(Said._make, rows)


# A row per value, kind and subkind, by value: its columns are those of `Said`.
_LIST = """
SELECT * FROM (
SELECT v.value, k.subkind, v.scheme, coalesce(e.name, ''), coalesce(o.kind, h.stix_type) AS kind,
       array_agg(DISTINCT coalesce(s.name, p.name)),
       coalesce(array_agg(DISTINCT p.slug) FILTER (WHERE a.attribution = 0), '{{}}'), max(o.confidence),
       CASE WHEN bool_or(o.valid_until IS NULL) THEN NULL ELSE max(o.valid_until) END,
       array_agg(DISTINCT h.stix_id)
FROM indicators_holding h
JOIN indicators_stixobject o ON o.id = h.newest_id
JOIN indicators_carries k ON k.holding_id = h.id AND {listed}
JOIN indicators_tokenvalue v ON v.id = k.token_value_id
LEFT JOIN indicators_epoch e ON e.id = v.epoch_id
JOIN partners_partner p ON p.id = h.publisher_id
JOIN partners_audience a ON a.id = h.audience_id
LEFT JOIN unnest(%(veiled)s::bigint[], %(as)s::text[]) s (audience_id, name) ON s.audience_id = h.audience_id
WHERE h.audience_id = ANY(%(audiences)s) AND {lives} AND {in_force} AND NOT {disarmed} {conditions}
GROUP BY 1, 2, 3, 4, 5
) entries
ORDER BY value COLLATE "C"
"""
