"""The change log: appended to in commit order, read forward by cursor.

Writing: `append` takes a short advisory lock as the last step before commit. `seq` and `date_added` are
assigned under it, so no reader that has seen one row can later find a row before it. The lock is released
after the commit is visible (PostgreSQL releases locks last), hence a later writer always numbers after us.

Reading: the audiences that a viewer may see are few and known; each is one ordered branch of an index scan
over `(audience_id, seq)`, and PostgreSQL merges the branches lazily: a page reads about as many rows as it
returns, wherever in the log it lies and however many partners there are.

An object may enter more than once: taken back and given again, or told to those alone who came to see it. A reader
finds it once, at its latest entry that the reader may see (ADR 0008).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection, transaction

from exchange import incarnation, prepared
from exchange.memory import Memory
from exchange.prepared import Message
from indicators import living
from indicators.feeds.filters import Filter
from indicators.models import Change
from indicators.storing import Version
from partners import auth
from partners.claims import HOLDS, NOTHING
from partners.sharing import Viewer, rule_sql
from partners.sources import hides, sources

#: Key of the advisory lock that orders the log: "chgs".
ORDER_LOCK = 0x63686773


#: How to plan a query: have it follow the branches of the log lazily, or go from ids to rows by indexes, whatever
#: PostgreSQL believes about sizes. Without statistics it takes a branch for a few rows, and would read and sort whole
#: branches for one page, or all of the log for a few ids (ADR 0022).
IN_ORDER = prepared.Planner(enable_sort="off", enable_bitmapscan="off")
BY_IDS = prepared.Planner(enable_seqscan="off", enable_bitmapscan="off")


@dataclass(frozen=True, slots=True)
class NewChange:
    """A change before it has its place in the log."""

    holding_id: int
    object_id: int
    publisher_id: UUID
    audience_id: int
    op: Change.Op
    reason: Change.Reason
    again: bool = False


def removes(holdings: Iterable[Version | None], reason: Change.Reason, *, publisher_id: UUID) -> list[NewChange]:
    """What tells those who see holdings, by their newest versions, that they do not any more; of those that live."""
    return [
        NewChange(held.holding_id, held.object_id, publisher_id, held.audience_id, Change.Op.REMOVE, reason)
        for held in holdings
        if held is not None and living.lives(held.state)
    ]


class Entry(NamedTuple):
    """One value of a blocklist."""

    kind: str
    subkind: str
    scheme: str
    key_epoch: str
    value: str


class Told(NamedTuple):
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
    valid_from: datetime | None
    valid_until: datetime | None
    seen_by: int  # the audience by which it is or was seen, and how that shows its publisher
    attribution: int
    body: str | None
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Sight:
    """What a reader may see.

    `stamp` stands for all that it depends on; `again` is whether any object entered twice; `windows` are the stretches
    of the log (audience, after, until) in which the reader saw what it now sees or no longer sees.
    """

    audiences: list[int]
    stamp: str
    again: bool
    windows: tuple[tuple[int, int, int | None], ...] = ()

    @property
    def listed(self) -> str:
        """The audiences as an SQL array; the ids are integers of ours."""
        return f"'{{{','.join(str(int(audience)) for audience in self.audiences)}}}'::bigint[]"

    def branches(self, *, bound: str = "seq > %(after)s", order: str = "ASC", after: int | None = None) -> str:
        """One ordered branch of the log per audience, as SQL that PostgreSQL turns into a lazy merge.

        With `after`, the branches hold the removes that are told to this reader, too. The ids are integers of ours,
        written out because a parameter would be shared by all branches.
        """
        windows = [] if after is None else [w for w in self.windows if w[2] is None or w[2] > after]
        since = {audience: begin for audience, begin, until in windows if until is None}
        of_visible = (
            _BRANCH.format(id=audience, bound=_without_removes_before(since.get(audience, 0), bound), order=order)
            for audience in self.audiences
        )
        of_lost = (
            _BRANCH.format(
                id=audience, bound=f"{bound} AND op = 'remove' AND seq > {begin:d} AND seq <= {until:d}", order=order
            )
            for audience, begin, until in windows
            if until is not None
        )
        return " UNION ALL ".join([*of_visible, *of_lost]) or _BRANCH.format(id=0, bound="false", order=order)

    def latest_entry(self, change: str) -> str:
        """The condition that the row named `change` is the latest entry of its object that the reader may see."""
        return _LATEST_ENTRY.format(c=change) if self.again else ""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the log as one viewer sees it. `reached` is where the next one starts."""

    changes: list[Told]
    reached: int
    more: bool


def append(changes: Sequence[NewChange], *, within: Message | None = None) -> None:
    """Give each change its place in the log, with `within` when that message is sent.

    Last in the transaction: the lock is held until commit.
    """
    if not changes:
        return
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("a change is appended in the transaction that makes it")
    message = within or Message()
    message.add(_LOCK, [ORDER_LOCK])
    message.add_prepared(
        _APPEND_GIVEN,
        {
            "holdings": [change.holding_id for change in changes],
            "objects": [change.object_id for change in changes],
            "publishers": [change.publisher_id for change in changes],
            "audiences": [change.audience_id for change in changes],
            "ops": [change.op.value for change in changes],
            "reasons": [change.reason.value for change in changes],
            "agains": [change.again for change in changes],
        },
        called="append",
    )
    if within is None:
        message.send()


def append_found(query: str, parameters: Mapping[str, Any]) -> int:
    """Give each change that `query` finds its place in the log; yields how many. To be called as `append` is.

    The query yields `holding, object, publisher, audience, op, reason, again, place`; it begins after the lock is held.
    """
    lock()
    with connection.cursor() as cursor:
        cursor.execute(_APPEND.format(new=f"({query}) AS new"), parameters)
        count: int = cursor.rowcount
        if count:
            cursor.execute(_NOTIFY)
    return count


def lock() -> None:
    """Let nobody append until this transaction ends: what is asked from now on is what the next change will find."""
    with connection.cursor() as cursor:
        cursor.execute(_LOCK, [ORDER_LOCK])


def head() -> int:
    """The last place of the log; 0 when it is empty."""
    with connection.cursor() as cursor:
        cursor.execute(_END)
        return int(cursor.fetchone()[0])


def since(
    viewer: Viewer, wanted: Filter, *, after: int, limit: int, fresh_until: int = 0, max_bytes: int | None = None
) -> Span:
    """The changes that `viewer` should apply, in order, at most `limit`, after place `after`.

    An upsert is told if it is what the holding says now: its newest version, living, and visible. A remove is told as
    it stands, except those up to `fresh_until`, the end of the log when a reader that holds nothing began: what they
    remove was never told to it; and except a narrowing or withdrawal after which the reader sees the holding live all
    the same. `max_bytes` bounds the sum of the bodies: the span
    ends with the object that reaches it. Two queries. Raises Gone (`start-over`) where the log ends before `after`,
    Refused where the filter cannot be followed.
    """
    conditions, parameters = wanted.followable().sql(viewer)
    parameters |= {"after": after, "fresh": fresh_until, "limit": limit + 1, "max_bytes": max_bytes}

    def query(seen: Sight) -> str:
        sql = _SINCE.format(
            branches=seen.branches(after=after),
            conditions=conditions,
            lives=living.LIVES,
            once=seen.latest_entry("c"),
            most=most(after="%(after)s"),
        )
        return sql if max_bytes is None else _WITHIN_BYTES.format(query=sql)

    end, rows = look(viewer, query, parameters)
    if max(after, fresh_until) > end:  # restored to an earlier point, and nobody said so
        raise incarnation.start_over()
    more = len(rows) > limit or (max_bytes is not None and bool(rows) and rows[-1][-1])
    told = [_told(row[:_TOLD_COLUMNS]) for row in rows[:limit]]
    return Span(_sourced(viewer, told), reached=told[-1].seq if more else max(after, end), more=more)


def _sourced(viewer: Viewer, told: list[Told]) -> list[Told]:
    """The same, each with the source that the viewer is told."""
    veiled = [one for one in told if hides(viewer, publisher_id=one.publisher_id, attribution=one.attribution)]
    if not veiled:
        return told
    found = sources(viewer, {(one.publisher_id, one.seen_by) for one in veiled})
    shown = {one.seq: found[one.publisher_id, one.seen_by] for one in veiled}
    return [
        one._replace(publisher_id=shown[one.seq].id, publisher_name=shown[one.seq].name) if one.seq in shown else one
        for one in told
    ]


def look(
    viewer: Viewer,
    query: Callable[[Sight], str],
    parameters: dict[str, Any],
    *,
    own: bool = False,
    group: UUID | None = None,
    planner: prepared.Planner | None = IN_ORDER,
) -> tuple[int, list[tuple[Any, ...]]]:
    """The end of the log, and the rows of the query that was made for what `viewer` sees up to there, by `seq`.

    The query is to bound its rows by `most`. What the viewer sees is remembered, of all or, with `own` and `group`, of
    a part; whether that still holds is asked in the same snapshot, and whether the viewer is who it claims to be. Where
    it does not (another clearance, a group that was joined, a new audience), no row is read, and it is asked for anew.
    One query, or two. Raises Doubtful.
    """
    key = (viewer.partner_id, viewer.group_ids, viewer.clearance, viewer.sight, own, group)
    seen, began_with = _REMEMBERED.get(key), incarnation.current()
    while True:
        if seen is None:
            seen = sight(viewer, own=own, group=group)
        claim = viewer.claim if viewer.claim is not None and not viewer.claim.settled else None
        asked = parameters | {"stamp": seen.stamp} | (claim.parameters if claim else NOTHING)
        # The text is this reader's alone anyway (the branches name its audiences), so these are written out, too.
        sql = _STAMPED.format(query=query(seen))
        sql = sql.replace("%(audiences)s", seen.listed).replace("%(viewer)s", f"'{viewer.partner_id}'::uuid")
        rows = prepared.rows(sql, asked, called="page", planner=planner) if planner else _asked_once(sql, asked)
        if claim:
            claim.settle(holds=rows[0][0] is not None)
        if rows[0][0] is not None:
            incarnation.note(rows[0][0].rpartition(":")[2], began_with=began_with)
        if rows[0][0] == seen.stamp:
            if not connection.in_atomic_block:  # there, it may see what is never committed
                _REMEMBERED.put(key, seen)
            return rows[0][1], [row[2:] for row in rows if row[2] is not None]
        seen = None


def most(*, after: str) -> str:
    """How many rows a query for `look` yields, as an SQL expression: `limit`, and none where none is to be read.

    That is where what the viewer sees is not what it was taken for, or where the log ends before the place `after`,
    another expression: what becomes visible later enters the log later.
    """
    return f"CASE WHEN now.stamp = %(stamp)s AND now.head > {after} THEN %(limit)s ELSE 0 END"


def sight(viewer: Viewer, *, own: bool = False, group: UUID | None = None) -> Sight:
    """What a reader may see: one query, hence one snapshot.

    Of this only its own with `own`, and only what names the group with `group`. The viewer must be as it is in that
    snapshot: one that was read before its groups changed is read again.
    """
    while True:
        rule, parameters = rule_sql(viewer, own=own, group=group)
        sql = _SIGHT.format(rule=rule)
        current, audiences, stamp, again, windows = prepared.rows(
            sql, [*parameters, viewer.partner_id], called="sight"
        )[0]
        if current == viewer.sight:
            told = tuple((audience, after, None if until < 0 else until) for audience, after, until in windows or ())
            return Sight(audiences, stamp, again, told)
        viewer = auth.again(viewer)


#: What readers saw when last they looked; of as many as follow the log at the same time.
_REMEMBERED: Memory[Any, Sight] = Memory(most=4_096)


def _asked_once(sql: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Planned for these very values: where a plan for any would be a poor one."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def _without_removes_before(place: int, bound: str) -> str:
    return f"{bound} AND (op = 'upsert' OR seq > {place:d})" if place else bound


# Each has an order of its own: only so does PostgreSQL see that the index yields a branch by `seq` (ADR 0022).
_BRANCH = (
    "(SELECT seq, date_added, op, reason, holding_id, object_id, publisher_id, audience_id FROM indicators_change"
    " WHERE audience_id = {id:d} AND {bound} ORDER BY seq {order})"
)

_LATEST_ENTRY = """
AND (SELECT n.seq FROM indicators_change n
     WHERE n.object_id = {c}.object_id AND n.again AND n.seq > {c}.seq
       AND n.audience_id = ANY(%(audiences)s) LIMIT 1) IS NULL
"""


_END = "SELECT coalesce(max(seq), 0) FROM indicators_change"
# In the order of the partial index: an EXISTS would be answered by reading the table where there is none.
_ANY_AGAIN = "SELECT (SELECT object_id FROM indicators_change WHERE again ORDER BY object_id, seq LIMIT 1) IS NOT NULL"
_WINDOWS = """
SELECT array_agg(ARRAY[w.audience_id, w.after, coalesce(w.until, -1)] ORDER BY w.id) FROM indicators_window w
WHERE w.partner_id = "partners_partner"."id"
"""

# Audiences are made and never altered or deleted: as many as before are the same, unless another server counts them (a
# standby that lacks the last of them). Windows turn with the sight.
_STAMP = f"""
SELECT s.sight || ':' || (SELECT count(*) FROM partners_audience) || ':' || ({_ANY_AGAIN})
       || ':' || pg_postmaster_start_time() || ':' || {incarnation.SQL}
FROM partners_partner s WHERE s.id = %(viewer)s
"""
_SIGHT = f"""
SELECT partners_partner.sight, ARRAY({{rule}}), ({_STAMP.replace("%(viewer)s", "partners_partner.id")}), ({_ANY_AGAIN}),
       ({_WINDOWS})
FROM partners_partner WHERE partners_partner.id = %s
"""
# OFFSET 0 has both be asked for once, and not wherever they are named.
_STAMPED = f"""
SELECT now.stamp, now.head, found.*
FROM (SELECT CASE WHEN {HOLDS} THEN ({_STAMP}) END AS stamp, ({_END}) AS head OFFSET 0) now
LEFT JOIN LATERAL ({{query}}) found ON true
"""

_LOCK = "SELECT pg_advisory_xact_lock(%s)"
_NOTIFY = "SELECT pg_notify('exchange_changes', '')"
_APPEND = """
INSERT INTO indicators_change (seq, date_added, op, reason, holding_id, object_id, publisher_id, audience_id, again)
SELECT last.seq + new.place, last.moment + new.place * interval '1 microsecond',
       new.op, new.reason, new.holding, new.object, new.publisher, new.audience, new.again
FROM {new},
     (SELECT coalesce((SELECT seq FROM indicators_change ORDER BY seq DESC LIMIT 1), 0) AS seq,
             greatest(clock_timestamp(), (SELECT date_added FROM indicators_change ORDER BY seq DESC LIMIT 1)) AS moment
     ) AS last
"""

_GIVEN = """
unnest(%(holdings)s::bigint[], %(objects)s::bigint[], %(publishers)s::uuid[], %(audiences)s::bigint[], %(ops)s::text[],
       %(reasons)s::text[], %(agains)s::boolean[])
       WITH ORDINALITY AS new(holding, object, publisher, audience, op, reason, again, place)
"""

_APPEND_GIVEN = f"""
WITH appended AS ({_APPEND.format(new=_GIVEN)})
{_NOTIFY}
"""

# One row a change: the log says where to look, the holding says whether. An upsert is told of what lives in this very
# version, a remove of what does not, or is out of sight. From the branches to a holding by its key, and only of what is
# told to its version.
_SINCE = """
SELECT c.seq, c.date_added, c.op, c.reason, h.stix_id, h.stix_type, o.kind, c.publisher_id, p.name,
       CASE WHEN c.op = 'upsert' THEN h.tlp ELSE (SELECT l.tlp FROM partners_audience l WHERE l.id = c.audience_id) END,
       o.confidence, o.valid_from, o.valid_until, CASE WHEN c.op = 'upsert' THEN h.audience_id ELSE c.audience_id END,
       CASE WHEN c.op = 'upsert' THEN h.attribution
            ELSE (SELECT l.attribution FROM partners_audience l WHERE l.id = c.audience_id) END,
       CASE WHEN c.op = 'upsert' THEN o.body END AS body,
       CASE WHEN c.op = 'upsert' THEN o.entries END AS entries
FROM (SELECT * FROM ({branches}) branches ORDER BY seq) c
CROSS JOIN LATERAL (
    SELECT h.stix_id, h.stix_type, h.publisher_id, h.audience_id, a.tlp, a.attribution
    FROM indicators_holding h JOIN partners_audience a ON a.id = h.audience_id
    WHERE h.id = c.holding_id
      AND CASE WHEN c.op = 'upsert'
               THEN h.newest_id = c.object_id AND {lives} AND h.audience_id = ANY(%(audiences)s) {once}
               ELSE c.seq > %(fresh)s AND (c.reason NOT IN ('narrowed', 'withdrawn')
                                           OR NOT ({lives} AND h.audience_id = ANY(%(audiences)s)))
               END
    LIMIT 1
) h
CROSS JOIN LATERAL (
    SELECT o.kind, o.confidence, o.valid_from, o.valid_until, o.body,
           (SELECT array_agg(ARRAY[coalesce(o.kind, h.stix_type), t.domain, t.scheme, t.key_epoch, t.value]
                             ORDER BY t.id)
            FROM indicators_token t WHERE t.object_id = o.id AND t.suppressed_by = '') AS entries
    FROM indicators_stixobject o
    WHERE o.id = c.object_id {conditions}
    LIMIT 1
) o
JOIN partners_partner p ON p.id = c.publisher_id
ORDER BY c.seq LIMIT {most}
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
_TOLD_COLUMNS = len(Told._fields)


def _told(row: tuple[Any, ...]) -> Told:
    entries = tuple(map(Entry._make, row[-1] or ()))
    return Told._make((*row[:-1], entries))
