"""Flat lists: every live value of a feed, each once, sorted; as text, CSV or JSON Lines.

The list is written to a spooled file before it is sent, so a slow reader holds no database connection, and
memory stays bounded whatever the list's length. Values are data for machines: CSV quotes them as RFC 4180 says
and alters none, for an enforcement system must get back exactly the value that was published.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import Any

import orjson
from django.db import connection, transaction

from exchange import clock
from indicators.feeds.filters import Filter
from partners import sources
from partners.sharing import Viewer, audience_ids

MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "jsonl": "application/x-ndjson",
    "txt": "text/plain; charset=utf-8",
}
_IN_MEMORY = 1_048_576
_ROWS = 2_000
_HEADER = ("kind", "subkind", "scheme", "key_epoch", "value", "publishers", "confidence", "valid_until", "ids")


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
    write = _WRITERS[form]

    def put(chunk: bytes) -> None:
        digest.update(chunk)
        file.write(chunk)

    if form == "csv":
        put(_csv_line(_HEADER))
    entries = 0
    for row in _rows(viewer, wanted):
        put(write(row))
        entries += 1
    file.seek(0)
    return Spooled(file, f'"{digest.hexdigest()[:32]}"', entries)


def _rows(viewer: Viewer, wanted: Filter) -> Any:
    conditions, parameters = wanted.sql("o")
    audiences = audience_ids(viewer)
    veiled = sources.veiled(viewer, audiences)
    parameters |= {
        "audiences": audiences,
        "veiled": list(veiled),
        "as": [source.name for source in veiled.values()],
    }
    with transaction.atomic(), connection.chunked_cursor() as cursor:
        cursor.execute(_LIST.format(conditions=conditions), parameters)
        while rows := cursor.fetchmany(_ROWS):
            yield from rows


_LIST = """
SELECT * FROM (
SELECT coalesce(o.kind, o.stix_type) AS kind, t.domain AS subkind, t.scheme, t.key_epoch, t.value,
       array_agg(DISTINCT coalesce(s.name, p.name) ORDER BY coalesce(s.name, p.name)), max(o.confidence),
       CASE WHEN bool_or(o.valid_until IS NULL) THEN NULL ELSE max(o.valid_until) END,
       array_agg(DISTINCT o.stix_id ORDER BY o.stix_id)
FROM indicators_stixobject o
JOIN indicators_token t ON t.object_id = o.id
JOIN partners_partner p ON p.id = o.publisher_id
LEFT JOIN unnest(%(veiled)s::bigint[], %(as)s::text[]) s (audience_id, name) ON s.audience_id = o.audience_id
WHERE o.audience_id = ANY(%(audiences)s) AND o.latest AND NOT o.revoked
  AND (o.valid_until IS NULL OR o.valid_until > now()) {conditions}
GROUP BY 1, 2, 3, 4, 5
) entries
ORDER BY kind COLLATE "C", subkind COLLATE "C", scheme COLLATE "C", key_epoch COLLATE "C", value COLLATE "C"
"""


def _txt(row: tuple[Any, ...]) -> bytes:
    return f"{row[4]}\n".encode()


def _csv(row: tuple[Any, ...]) -> bytes:
    kind, subkind, scheme, epoch, value, publishers, confidence, until, ids = row
    shown = ("" if confidence is None else confidence, "" if until is None else clock.rfc3339(until))
    return _csv_line((kind, subkind, scheme, epoch, value, "|".join(publishers), *shown, "|".join(ids)))


def _csv_line(values: tuple[Any, ...]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(values)
    return line.getvalue().encode()


def _jsonl(row: tuple[Any, ...]) -> bytes:
    return orjson.dumps(dict(zip(_HEADER, row, strict=True)), option=orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE)


_WRITERS: dict[str, Callable[[tuple[Any, ...]], bytes]] = {"csv": _csv, "jsonl": _jsonl, "txt": _txt}
