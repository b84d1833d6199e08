"""A table that is published again: what it said before keeps its id, so that a nightly dump neither doubles nor undoes.

An id is a keyed hash of what the table says of whom, under the key of the sealed file of this machine: nobody else can
compute it from a value, and so find out who published it without a name.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from exchange.client.keeping import Kept
from exchange.client.renewing import Written
from exchange.client.tables import Built
from exchange.stix import words

_TIMES = ("created", "modified", "valid_from", "valid_until")


def settled(kept: Kept, built: Iterable[Built], *, place: str, now: datetime) -> Iterator[Built]:
    """Each under the id that it has in this place (exchange, audience, marking).

    What says the same as before, within the first half of its life, is what was published then, byte for byte; else it
    is a new version. A value that a table says several times keeps as many indicators, in the order of the table.
    """
    seen: Counter[str] = Counter()
    for one in built:
        document = json.loads(one.indicator.serialize())
        subkind = document["extensions"][words.EXTENSION_ID]["subkind"]
        said = json.dumps([place, one.column, subkind, list(one.forms) or document["pattern"]])
        seen[said] += 1
        document["id"] = f"indicator--{kept.uuid_of(f'{seen[said]} {said}')}"
        yield replace(one, indicator=Written(_version(kept, document, now=now)))


def _version(kept: Kept, document: dict[str, Any], *, now: datetime) -> dict[str, Any]:
    before = kept.published_as(document["id"])
    if before is None:
        return document
    last = before["object"]
    begins, ends, modified = (datetime.fromisoformat(last[name]) for name in ("valid_from", "valid_until", "modified"))
    if _said(last) == _said(document) and now < begins + (ends - begins) / 2:
        return dict(last)
    later = max(now.astimezone(UTC).replace(microsecond=0), modified + timedelta(seconds=1))
    return document | {"created": last["created"], "modified": f"{later:%Y-%m-%dT%H:%M:%S.000Z}"}


def _said(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in _TIMES}
