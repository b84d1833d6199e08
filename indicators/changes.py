"""The change log: appended to in commit order, read forward by cursor.

Writing: `append` takes a short advisory lock as the last step before commit. `seq` and `date_added` are
assigned under it, so no reader that has seen one row can later find a row before it. The lock is released
after the commit is visible (PostgreSQL releases locks last), hence a later writer always numbers after us.

Reading: the audiences that a viewer may see are few and known; each is one ordered branch of an index scan
over `(audience_id, seq)`, and PostgreSQL merges the branches lazily: a page reads about as many rows as it
returns, wherever in the log it lies and however many partners there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models.expressions import RawSQL

from indicators.feeds.filters import Filter
from indicators.models import Change
from partners.sharing import Viewer, audiences_visible_to

#: Key of the advisory lock that orders the log: "chgs".
ORDER_LOCK = 0x63686773


@dataclass(frozen=True, slots=True)
class NewChange:
    """A change before it has its place in the log."""

    object_id: int
    publisher_id: UUID
    audience_id: int
    op: Change.Op
    reason: Change.Reason


@dataclass(frozen=True, slots=True)
class Entry:
    """One value of a blocklist."""

    kind: str
    subkind: str
    scheme: str
    key_epoch: str
    value: str


@dataclass(frozen=True, slots=True)
class Told:
    """One change as its reader sees it; `body` is None for a remove."""

    seq: int
    date_added: datetime
    op: str
    reason: str
    stix_id: str
    stix_type: str
    kind: str | None
    publisher_id: UUID
    publisher_name: str
    tlp: int
    confidence: int | None
    valid_until: datetime | None
    body: str | None
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the log as one viewer sees it. `reached` is where the next one starts."""

    changes: list[Told]
    reached: int
    more: bool


def append(changes: Sequence[NewChange]) -> None:
    """Give each change its place in the log. Call it last in the transaction: the lock is held until commit."""
    if not changes:
        return
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("a change is appended in the transaction that makes it")
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [ORDER_LOCK])
        cursor.execute(
            _APPEND,
            {
                "objects": [change.object_id for change in changes],
                "publishers": [change.publisher_id for change in changes],
                "audiences": [change.audience_id for change in changes],
                "ops": [change.op.value for change in changes],
                "reasons": [change.reason.value for change in changes],
            },
        )
        cursor.execute(_NOTE_SHARED_IDS, {"objects": [change.object_id for change in changes]})
        cursor.execute("SELECT pg_notify('exchange_changes', '')")


def head() -> int:
    """The last place of the log; 0 when it is empty."""
    with connection.cursor() as cursor:
        cursor.execute(_END)
        return int(cursor.fetchone()[0])


def since(
    viewer: Viewer, wanted: Filter, *, after: int, limit: int, fresh_until: int = 0, max_bytes: int | None = None
) -> Span:
    """The changes that `viewer` should apply, in order, at most `limit`, after place `after`.

    An upsert is told if it is what the holding says now: the newest version, not revoked, within its validity,
    and visible. A remove is told as it stands, except those up to `fresh_until`, the end of the log when a
    reader that holds nothing began: what they remove was never told to it. `max_bytes` bounds the sum of the
    bodies: the span ends with the object that reaches it. Three queries at most.
    """
    end, audiences = sight(viewer)
    if not audiences:
        return Span([], reached=max(after, end), more=False)
    conditions, parameters = wanted.sql("o")
    parameters |= {"after": after, "end": end, "audiences": audiences, "fresh": fresh_until, "limit": limit + 1}
    query = _SINCE.format(branches=branches(audiences), conditions=conditions)
    if max_bytes is not None:
        query = _WITHIN_BYTES.format(query=query)
        parameters["max_bytes"] = max_bytes
    with in_order() as cursor:
        cursor.execute(query, parameters)
        rows = cursor.fetchall()
    more = len(rows) > limit or (max_bytes is not None and bool(rows) and rows[-1][-1])
    told = [_told(row[:_TOLD_COLUMNS]) for row in rows[:limit]]
    return Span(told, reached=told[-1].seq if more else max(after, end), more=more)


def sight(viewer: Viewer, *, own: bool = False) -> tuple[int, list[int]]:
    """How far a reader may look, and the audiences it may see up to there: one query, hence one snapshot.

    An audience is committed with its first object. Were the end of the log read after the audiences, or not at
    all, an audience made in between would be missing while the reader moves past its first changes.
    """
    allowed = audiences_visible_to(viewer)
    if own:
        allowed = allowed.filter(publisher=viewer.partner_id)
    seen = allowed.annotate(end=RawSQL(_END, ())).order_by("pk").values_list("pk", "end")  # noqa: S611 - ours
    found = list(seen)
    return (found[0][1] if found else 0), [pk for pk, _ in found]


def branches(audiences: Sequence[int], *, bound: str = "seq > %(after)s AND seq <= %(end)s", order: str = "ASC") -> str:
    """One ordered branch of the log per audience, as SQL that PostgreSQL turns into a lazy merge.

    The ids are integers of ours, written out because a parameter would be shared by all branches.
    """
    one = (
        "(SELECT seq, date_added, op, reason, object_id FROM indicators_change"
        " WHERE audience_id = {id:d} AND {bound} ORDER BY seq {order})"
    )
    return " UNION ALL ".join(one.format(id=audience, bound=bound, order=order) for audience in audiences)


@contextmanager
def in_order() -> Iterator[CursorWrapper]:
    """A cursor whose queries follow the branches of the log lazily, whatever PostgreSQL believes about their size.

    Where it has no statistics it takes a branch for a few rows, and would read and sort whole branches for one page
    (ADR 0022). The settings hold for the block's transaction. One query.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_IN_ORDER)
        yield cursor


_IN_ORDER = (
    "SELECT set_config('enable_sort', 'off', true), set_config('enable_bitmapscan', 'off', true),"
    " set_config('max_parallel_workers_per_gather', '0', true), set_config('jit', 'off', true)"
)
_END = "SELECT coalesce(max(seq), 0) FROM indicators_change"

_APPEND = """
INSERT INTO indicators_change (seq, date_added, op, reason, object_id, publisher_id, audience_id)
SELECT last.seq + new.place, last.moment + new.place * interval '1 microsecond',
       new.op, new.reason, new.object, new.publisher, new.audience
FROM unnest(%(objects)s::bigint[], %(publishers)s::uuid[], %(audiences)s::bigint[], %(ops)s::text[],
            %(reasons)s::text[]) WITH ORDINALITY AS new(object, publisher, audience, op, reason, place),
     (SELECT coalesce((SELECT seq FROM indicators_change ORDER BY seq DESC LIMIT 1), 0) AS seq,
             greatest(clock_timestamp(), (SELECT date_added FROM indicators_change ORDER BY seq DESC LIMIT 1)) AS moment
     ) AS last
"""

# Under the order lock every earlier holding is committed and every later one will see ours.
_NOTE_SHARED_IDS = """
INSERT INTO indicators_sharedid (stix_id)
SELECT DISTINCT mine.stix_id
FROM unnest(%(objects)s::bigint[]) AS new(id)
JOIN indicators_stixobject mine ON mine.id = new.id
JOIN indicators_stixobject other ON other.stix_id = mine.stix_id AND other.publisher_id <> mine.publisher_id
ON CONFLICT DO NOTHING
"""

_SINCE = """
SELECT c.seq, c.date_added, c.op, c.reason, o.stix_id, o.stix_type, o.kind, o.publisher_id, p.name, o.tlp,
       o.confidence, o.valid_until, CASE WHEN c.op = 'upsert' THEN o.body END AS body,
       CASE WHEN c.op = 'upsert' THEN o.entries END AS entries
FROM (SELECT * FROM ({branches}) branches ORDER BY seq) c
CROSS JOIN LATERAL (
    SELECT o.stix_id, o.stix_type, o.kind, o.publisher_id, a.tlp, o.confidence, o.valid_until, o.body,
           (SELECT array_agg(ARRAY[coalesce(o.kind, o.stix_type), t.domain, t.scheme, t.key_epoch, t.value]
                             ORDER BY t.id)
            FROM indicators_token t WHERE t.object_id = o.id) AS entries
    FROM indicators_stixobject o JOIN partners_audience a ON a.id = o.audience_id
    WHERE o.id = c.object_id
      AND CASE WHEN c.op = 'upsert'
               THEN o.latest AND NOT o.revoked AND (o.valid_until IS NULL OR o.valid_until > now())
                    AND o.audience_id = ANY(%(audiences)s)
               ELSE c.seq > %(fresh)s END
      {conditions}
    LIMIT 1
) o
JOIN partners_partner p ON p.id = o.publisher_id
ORDER BY c.seq LIMIT %(limit)s
"""

# The inner query is bounded by rows; of these only as many bodies are read as fit (their lengths cost nothing).
_WITHIN_BYTES = """
SELECT * FROM (
    SELECT span.*,
           coalesce(sum(octet_length(body)) OVER (ORDER BY seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)
               AS before,
           lead(seq) OVER (ORDER BY seq) IS NOT NULL AS followed
    FROM ({query}) span) span
WHERE before < %(max_bytes)s ORDER BY seq
"""
_TOLD_COLUMNS = len(fields(Told))


def _told(row: tuple[Any, ...]) -> Told:
    entries = tuple(Entry(*values) for values in row[-1] or ())
    return Told(*(*row[:-1], entries))
