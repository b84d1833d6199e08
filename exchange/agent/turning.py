"""What begins or ends by itself, by a store's rows; moments are stamps, text that sorts as time does."""

from __future__ import annotations

import sqlite3
from datetime import datetime

_TURNED = """
SELECT value FROM entry WHERE valid_until > :since AND valid_until <= :now
UNION SELECT value FROM entry WHERE valid_from > :since AND valid_from <= :now
"""
# A regex or rule is no entry: its beginning and end are the places 3 and 4 of what `schema.facts_of` writes.
_NEXT = """
SELECT min(at) FROM (
    SELECT min(valid_until) AS at FROM entry WHERE valid_until > :now
    UNION ALL SELECT min(valid_from) FROM entry WHERE valid_from > :now
    UNION ALL SELECT min(said.value) FROM held, json_each(held.signature) said
    WHERE held.signature <> '' AND said.key IN (3, 4) AND said.value > :now)
"""


def turned(store: sqlite3.Connection, *, since: str, now: str) -> list[str]:
    """The values of entries that began or ended after `since` and up to `now`."""
    return [value for (value,) in store.execute(_TURNED, {"since": since, "now": now})]


def next_turn(store: sqlite3.Connection, *, now: str) -> datetime | None:
    """When the next entry, regex or rule begins or ends; None if none does."""
    found = store.execute(_NEXT, {"now": now}).fetchone()[0]
    return None if found is None else datetime.fromisoformat(found)
