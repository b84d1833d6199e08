"""What one publisher says of one value, as a store keeps it: with the facts that a policy asks for."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import datetime

from exchange.agent.policy import Statement
from exchange.lists.lines import Said

_PROMPT = "prompt-signature"
#: Of a signature that was kept before its facts were: nobody knows, so it blocks nothing until it is told anew.
_UNKNOWN_FACTS = ("not kept", "not kept", "")


def stated(said: Said, publisher: str, facts: Sequence[str], standing: str) -> Statement:
    """With control, shared_infra and review, and a standing of its own behind them or else that of the feed."""
    control, shared_infra, review, *own = facts
    return Statement(said, publisher, control, shared_infra, review, next(filter(None, own), standing))


def signatures(db: sqlite3.Connection, *, standing: str) -> Iterator[tuple[Statement, datetime | None]]:
    """What the regexes and rules that are held say, each with when it begins."""
    rows = db.execute(
        "SELECT publisher, publisher_name, named, stix_id, signature FROM held WHERE signature <> '' ORDER BY 4, 1"
    )
    for publisher, name, named, stix_id, signature in rows:
        subkind, pattern, confidence, begins, ends, *facts = json.loads(signature)
        of = (publisher,) if named else ()
        end = datetime.fromisoformat(ends) if ends else None
        said = Said(pattern, subkind, "", "", _PROMPT, (name,), of, confidence, end, (stix_id,))
        begin = datetime.fromisoformat(begins) if begins else None
        yield stated(said, publisher, facts or _UNKNOWN_FACTS, standing), begin
