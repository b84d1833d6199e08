"""Under which trace a commit of the log was made: written with it, and found again by who tells of it.

Only where traces are on (`exchange.tracing`). It is kept in the store, as all is: a hint that was lost, or one that
stands for many pushes, takes no link away. The only writer of Traced.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.db import connection

from exchange import sql, tracing

KEPT_DAYS = 3


def note(*, within: sql.Message) -> None:
    """Have the commit that this message appends to the log linked to the open span. Nothing where none is recorded."""
    carried = tracing.carried()
    if carried:
        within.add(_NOTE, {"carried": carried})


def of(places: Iterable[int]) -> list[str]:
    """The spans under which the changes with these places were made, of those that are known. One query, or none."""
    asked = sorted(set(places))
    if not asked or not tracing.is_on():
        return []
    return [carried for (carried,) in sql.ask(_OF, {"places": asked})]


def forget_old() -> None:
    """Forget what was written more than KEPT_DAYS ago: a message is tried for two days at most."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM indicators_traced WHERE written_at < now() - %s * interval '1 day'",
            [KEPT_DAYS],
        )


# The last commit is ours where this transaction wrote it: one that told nobody of anything made none.
_NOTE = """
INSERT INTO indicators_traced (last_seq, carried)
SELECT end_.last_seq, %(carried)s
FROM (SELECT last_seq, xmin FROM indicators_commit ORDER BY last_seq DESC LIMIT 1) end_
WHERE end_.xmin = pg_current_xact_id()::xid
ON CONFLICT DO NOTHING
"""
# The commit of a place is the first that ends there or later.
_OF = """
SELECT DISTINCT t.carried
FROM unnest(%(places)s::bigint[]) AS asked(seq)
CROSS JOIN LATERAL (
    SELECT c.last_seq FROM indicators_commit c WHERE c.last_seq >= asked.seq ORDER BY c.last_seq LIMIT 1) its
JOIN indicators_traced t ON t.last_seq = its.last_seq
"""
