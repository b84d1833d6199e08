"""What a store is asked after a restore: is it whole, does it open, does it hold all that was acknowledged.

Each app names here what it can tell (`apps.py`): this ground knows no partner and no indicator. Nothing that was opened
leaves this module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import connection

from exchange import clock, sealing
from exchange.models import Heartbeat

#: One call a row, which opens what is sealed in it.
Openers = Callable[[], Iterator[Callable[[], object]]]
#: What is sealed, in the operator's words, and its rows.
SEALED: dict[str, Openers] = {}
#: The same words: seals the rows anew with the present SECRET_KEY, and returns how many were under another.
RESEAL: dict[str, Callable[[], int]] = {}
#: Each returns a sentence for whatever is not as it was written.
PROOFS: list[Callable[[], Iterator[str]]] = []
#: Numbers that only grow, and grow with whatever is acknowledged.
GROWING: dict[str, Callable[[], int]] = {}
#: Whose heartbeat it is.
_DRILL = "drill's mark"
#: What a drill writes last before its point, as a number among those of a witness: microseconds since 1970.
MARK = "the mark that was written last"
_NOT_LOGGED = """
SELECT relname FROM pg_class
WHERE relpersistence = 'u' AND relkind IN ('r', 'p') AND relnamespace = current_schema()::regnamespace ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class Tried:
    """Of one kind of sealed rows: how many opened, and how many did not."""

    what: str
    opened: int
    closed: int


def tried() -> Iterator[Tried]:
    """Open every sealed row under today's SECRET_KEY and SECRET_KEY_FALLBACKS."""
    for what, openers in sorted(SEALED.items()):
        opened = closed = 0
        for one in openers():
            try:
                one()
            except sealing.Broken:
                closed += 1
            else:
                opened += 1
        yield Tried(what, opened, closed)


def witness() -> dict[str, int]:
    """How far each number that only grows has come."""
    return {what: look() for what, look in sorted(GROWING.items())}


def mark() -> dict[str, int]:
    """Write the mark, and return it for a witness.

    PostgreSQL's log has transactions in the order in which they were committed, and a restore takes a prefix of it. So
    where the mark is there, whatever was acknowledged before it is: in rows that no number tells of, too.
    """
    Heartbeat.objects.update_or_create(name=_DRILL, defaults={"at": clock.now()})
    return {MARK: _marked()}


def _marked() -> int:
    at = Heartbeat.objects.filter(name=_DRILL).values_list("at", flat=True).first()
    return (at - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1) if at is not None else 0


def _not_logged() -> Iterator[str]:
    """PostgreSQL keeps nothing of such a table over a restore; the broker's, in their own schema, hold hints alone."""
    with connection.cursor() as cursor:
        cursor.execute(_NOT_LOGGED)
        for (name,) in cursor.fetchall():
            yield f"{name}: an unlogged table, which every restore empties"


def findings(seen: Mapping[str, int]) -> Iterator[str]:
    """A sentence for whatever is wrong: in the store itself, with its seals, or against a witness of before."""
    for proof in PROOFS:
        yield from proof()
    yield from _not_logged()
    for one in tried():
        if one.closed:
            yield f"{one.closed} of {one.opened + one.closed} {one.what} do not open: SECRET_KEY is not the one of then"
    now = witness() | {MARK: _marked()}
    for what, least in seen.items():
        if now.get(what, 0) >= least:
            continue
        if what == MARK:
            yield "The mark that was written before the point is missing, and so may be what was acknowledged before it"
        else:
            yield f"{what}: {now.get(what, 0)} are there, {least} were acknowledged before the point"
