"""What one publisher says of one value, as a store keeps it: with the facts that a policy asks for."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import datetime

from exchange.agent.policy import STANDINGS, Statement
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


def worst(standings: Sequence[str]) -> str:
    """How what a feed tells may stand at worst; "" where it names no standing. An unknown word is the worst."""
    known = [STANDINGS.index(one) if one in STANDINGS else len(STANDINGS) - 1 for one in standings]
    return STANDINGS[max(known)] if known else ""


def meanwhile(held: str, standings: Sequence[str]) -> str:
    """How what is held may stand at worst while pages are to come: as before, too, for removals may be in them."""
    return max(held, worst(standings), key=lambda one: STANDINGS.index(one or "unreviewed"))
