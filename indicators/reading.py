"""The one way out for objects: pages, look-ups, search, counts and matches, each starting at the visibility rule.

What is served are the publisher's bytes as they came (`body`); nothing is rebuilt. Places in the log are given to
callers as integers and leave the house only inside sealed cursors.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from django.db import connection

from exchange.errors import NotFound, TooLarge
from indicators import changes
from indicators.feeds.filters import EVERYTHING, Filter
from indicators.models import Match, Quarantined, StixObject
from partners import reads
from partners.models import Audience
from partners.sharing import Viewer, audience_ids
from partners.sources import Source, hides, sources

Versions = Literal["last", "first", "all"]

#: A version that is asked for: by its place in the history, or by its own timestamp.
Wanted = Versions | datetime


_MOST_LOOKED_UP = 5_000


@dataclass(frozen=True, slots=True)
class Selection:
    """What a reader asks for: a filter and what a single request adds to it."""

    filter: Filter = EVERYTHING
    stix_ids: tuple[str, ...] = ()
    versions: Wanted = "last"
    or_versions: tuple[Wanted, ...] = ()  # and these versions too
    spec_versions: tuple[str, ...] = ()
    added_after: datetime | None = None
    own: bool = False  # only what the viewer itself published
    group: UUID | None = None  # only what is addressed to this group
    tlps: tuple[int, ...] = ()  # only with one of these markings
    matched: bool = False  # only what the viewer sees a match of
    once: bool = False  # one row per id and version, the first that is asked for, whoever published it
    words: str = ""  # full-text search in titles, or a whole id or value
    audiences: tuple[int, ...] | None = None  # only what has one of these
    marks: tuple[str, ...] = ()  # only what has one of these marks (`stix.conformance`)
    unmarked: bool = False  # only what has no mark


@dataclass(frozen=True, slots=True)
class Statement:
    """One version of one object, as one publisher says it."""

    seq: int
    date_added: datetime
    object_id: int
    stix_id: str
    stix_type: str
    version: str | None
    modified: datetime | None
    revoked: bool
    latest: bool
    title: str
    kind: str | None
    subkind: str | None
    severity: str | None
    confidence: int | None
    valid_from: datetime | None
    valid_until: datetime | None
    publisher_id: UUID
    publisher_name: str
    publisher_slug: str
    publisher_suspended: bool
    tlp: int
    spec_version: str
    audience_id: int
    attribution: int
    marks: list[str] | None
    body: str


@dataclass(frozen=True, slots=True)
class Page:
    """Some statements in log order, the place to go on from, and whether there is more."""

    statements: list[Statement]
    reached: int
    more: bool


def page(
    viewer: Viewer,
    wanted: Selection,
    *,
    after: int = 0,
    limit: int,
    max_bytes: int | None = None,
    with_bodies: bool = True,
) -> Page:
    """Oldest first, from place `after` on: at most `limit` statements. Two queries.

    `max_bytes` bounds the sum of the bodies: the page ends with the object that reaches it. Without bodies, each
    `body` is empty and none is read.
    """
    return _page(
        viewer,
        wanted,
        limit=limit,
        after=after,
        bound="seq > %(after)s",
        order="ASC",
        max_bytes=max_bytes,
        with_bodies=with_bodies,
    )


def newest(
    viewer: Viewer, wanted: Selection, *, before: int | None = None, limit: int, max_bytes: int | None = None
) -> Page:
    """Newest first, from before place `before`: a page of at most `limit`, within `max_bytes` too. Two queries."""
    bound = "seq < %(after)s" if before is not None else "TRUE"
    return _page(viewer, wanted, limit=limit, after=before or 0, bound=bound, order="DESC", max_bytes=max_bytes)


def statements(viewer: Viewer, stix_id: str, *, versions: Versions = "last") -> list[Statement]:
    """What the viewer may see under one id: a statement per publisher (and version). Raises NotFound if nothing."""
    found = page(viewer, Selection(stix_ids=(stix_id,), versions=versions), limit=1_000).statements
    if not found:
        raise NotFound
    return found


def looked_up(viewer: Viewer, stix_ids: Sequence[str], *, max_bytes: int) -> dict[str, list[Statement]]:
    """What the viewer may see under each of these ids; an id under which there is nothing is left out. Two queries.

    Raises TooLarge where the answer would be: then fewer are to be asked at a time.
    """
    found = page(viewer, Selection(stix_ids=tuple(stix_ids)), limit=_MOST_LOOKED_UP, max_bytes=max_bytes)
    if found.more:
        raise TooLarge("Ask for fewer ids at a time.", code="answer-too-large")
    by_id: dict[str, list[Statement]] = {}
    for said in found.statements:
        by_id.setdefault(said.stix_id, []).append(said)
    return by_id


def note(viewer: Viewer, handed_out: Sequence[Statement], *, surface: str, feed: str = "") -> None:
    """Tally that these were handed to the viewer; nothing for none. One statement."""
    if handed_out:
        seqs = [said.seq for said in handed_out]
        reads.tally(viewer, surface=surface, objects=len(seqs), feed=feed, places=(min(seqs), max(seqs)))


def holds(viewer: Viewer, stix_id: str, *, own: bool = False) -> bool:
    """Whether the viewer may see any version under an id. One query."""
    found = StixObject.objects.visible_to(viewer).filter(stix_id=stix_id)
    return (found.filter(publisher=viewer.partner_id) if own else found).exists()


def entered(viewer: Viewer, stix_ids: Sequence[str]) -> dict[str, datetime]:
    """When what the viewer itself published without any version came in, by id. Two queries."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT o.stix_id, c.date_added FROM indicators_stixobject o"
            f" JOIN indicators_change c ON c.object_id = o.id AND {_ENTERED} AND c.audience_id = ANY(%(own)s)"
            " WHERE o.stix_id = ANY(%(ids)s) AND o.modified IS NULL AND o.audience_id = ANY(%(own)s) ORDER BY c.seq",
            {"ids": list(stix_ids), "own": audience_ids(viewer, own=True)},
        )
        return dict(cursor.fetchall())


def titles(viewer: Viewer, stix_ids: Collection[str]) -> dict[str, str]:
    """The titles of those among these ids that the viewer may see; all others look alike: they are left out."""
    if not stix_ids:
        return {}
    found = StixObject.objects.visible_to(viewer).filter(stix_id__in=list(stix_ids), latest=True).order_by("pk")
    return dict(found.values_list("stix_id", "title"))


def visible(viewer: Viewer, stix_ids: Collection[str]) -> set[str]:
    """Those among these ids of which the viewer may see anything; all others look alike. Two queries."""
    if not stix_ids:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT stix_id FROM indicators_stixobject WHERE stix_id = ANY(%s) AND audience_id = ANY(%s)",
            [list(stix_ids), audience_ids(viewer)],
        )
        return {row[0] for row in cursor.fetchall()}


def audience_of(viewer: Viewer, object_id: int) -> Audience:
    """The exact audience of an object of the viewer's own. Raises NotFound for anybody else's."""
    held = (
        StixObject.objects.visible_to(viewer)
        .filter(pk=object_id, publisher=viewer.partner_id)
        .select_related("audience")
        .first()
    )
    if held is None:
        raise NotFound
    return held.audience


def counts_by_kind(viewer: Viewer) -> dict[str, int]:
    """How many newest versions of each kind (of indicator) or type the viewer may see."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(kind, stix_type), count(*) FROM indicators_stixobject"
            " WHERE audience_id = ANY(%s) AND latest AND NOT revoked GROUP BY 1 ORDER BY 2 DESC, 1",
            [audience_ids(viewer)],
        )
        return dict(cursor.fetchall())


def matches(viewer: Viewer, *, before: int | None = None, limit: int, object_ids: Sequence[int] = ()) -> list[Match]:
    """Newest first: links of which the viewer may see both ends, each end in its newest version."""
    found = Match.objects.visible_to(viewer).filter(left__latest=True, right__latest=True)
    if before is not None:
        found = found.filter(pk__lt=before)
    if object_ids:
        found = found.filter(left__in=object_ids) | found.filter(right__in=object_ids)
    found = found.exclude(left__publisher=viewer.partner_id, right__publisher=viewer.partner_id)
    ends = ("left__publisher", "right__publisher", "left__audience", "right__audience")
    rows = list(found.select_related(*ends).defer("left__body", "right__body").order_by("-pk")[:limit])
    held = [end for row in rows for end in (row.left, row.right)]
    shown = sources(viewer, {(end.publisher_id, end.audience_id) for end in held}) if held else {}
    for end in held:
        end.source = shown[end.publisher_id, end.audience_id]
    return rows


def quarantined(viewer: Viewer, *, limit: int = 100) -> list[Quarantined]:
    """What waits for the viewer's own partner to mend it, newest first."""
    return list(Quarantined.objects.of(viewer).order_by("-at", "-pk")[:limit])


def object_count_by_kind() -> dict[str, int]:
    """For the operator's metrics only: newest versions of each kind, over all publishers, without content."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(kind, 'other'), count(*) FROM indicators_stixobject WHERE latest GROUP BY 1 ORDER BY 1"
        )
        return dict(cursor.fetchall())


def _page(
    viewer: Viewer,
    wanted: Selection,
    *,
    limit: int,
    after: int,
    bound: str,
    order: str,
    max_bytes: int | None = None,
    with_bodies: bool = True,
) -> Page:
    conditions, parameters = _conditions(wanted)
    parameters |= {"after": after, "limit": limit + 1, "max_bytes": max_bytes}
    bound = f"{bound} AND seq <= %(end)s"
    if wanted.matched:  # the other end is somebody else's, so `own` does not bind it
        parameters["both"] = audience_ids(viewer)
    if wanted.added_after is not None:
        bound = f"{bound} AND {_ADDED_AFTER}"
        parameters["added_after"] = wanted.added_after
    columns = _COLUMNS.format(body="o.body" if with_bodies else "''")
    past = _PAST if wanted.added_after is not None else ""

    def query(seen: changes.Sight) -> str:
        where = f"{seen.latest_entry('c')} {conditions}".replace(_OTHERS_LATEST, seen.latest_entry("tc"))
        if wanted.stix_ids or wanted.words:
            unindexed = "+ 0" if wanted.stix_ids else ""
            bounded = bound.replace("seq >", f"seq {unindexed} >").replace("seq <", f"seq {unindexed} <")
            source = _FROM_OBJECTS.format(bound=bounded, conditions=where, unindexed=unindexed)
        else:
            branches = seen.branches(bound=bound, order=order)
            source = _FROM_LOG.format(branches=branches, order=order, conditions=where)
        sql = f"{past} {columns} {source} ORDER BY c.seq {order} LIMIT %(limit)s"
        return sql if max_bytes is None else _WITHIN_BYTES.format(query=sql, order=order)

    planned = changes.BY_IDS if wanted.stix_ids else "" if wanted.words else changes.IN_ORDER
    _, rows = changes.look(viewer, query, parameters, own=wanted.own, group=wanted.group, planned=planned)
    more = len(rows) > limit or (max_bytes is not None and bool(rows) and rows[-1][-1])
    found = [Statement(*row[:_STATEMENT_COLUMNS]) for row in rows[:limit]]
    return Page(_sourced(viewer, found), reached=found[-1].seq if found else after, more=more)


def _sourced(viewer: Viewer, found: list[Statement]) -> list[Statement]:
    """The same, each with the source that the viewer is told."""
    veiled = [one for one in found if hides(viewer, publisher_id=one.publisher_id, attribution=one.attribution)]
    if not veiled:
        return found
    shown = sources(viewer, {(one.publisher_id, one.audience_id) for one in veiled})
    return [_by(one, shown.get((one.publisher_id, one.audience_id))) for one in found]


def _by(said: Statement, source: Source | None) -> Statement:
    if source is None:
        return said
    return replace(
        said,
        publisher_id=source.id,
        publisher_name=source.name,
        publisher_slug=source.slug,
        publisher_suspended=False,  # who is suspended would tell who is behind a pseudonym
    )


def _conditions(wanted: Selection) -> tuple[str, dict[str, Any]]:
    """Conditions on the object `o` and the change `c` that brought it in."""
    sql, parameters = wanted.filter.sql("o")
    conditions = [sql, _version_condition(wanted)]
    parameters["moments"] = [version for version in _versions(wanted) if isinstance(version, datetime)]
    if wanted.spec_versions:
        conditions.append("AND o.spec_version = ANY(%(spec_versions)s)")
        parameters["spec_versions"] = list(wanted.spec_versions)
    if wanted.stix_ids:
        conditions.append("AND o.stix_id = ANY(%(stix_ids)s)")
        parameters["stix_ids"] = list(wanted.stix_ids)
    if wanted.audiences is not None:
        conditions.append("AND o.audience_id = ANY(%(shown)s)")
        parameters["shown"] = list(wanted.audiences)
    if wanted.tlps:
        conditions.append("AND o.audience_id IN (SELECT x.id FROM partners_audience x WHERE x.tlp = ANY(%(tlps)s))")
        parameters["tlps"] = list(wanted.tlps)
    if wanted.matched:
        conditions.append(_HAS_MATCH)
    if wanted.marks:
        conditions.append(_HAS_MARK)
        parameters["marks"] = list(wanted.marks)
    if wanted.unmarked:
        conditions.append("AND o.marks IS NULL")
    if wanted.words:
        conditions.append(_HAS_WORDS)
        parameters["words"] = wanted.words
    return " ".join(conditions), parameters


def _versions(wanted: Selection) -> tuple[Wanted, ...]:
    return (wanted.versions, *wanted.or_versions)


def _version_condition(wanted: Selection) -> str:
    """One alternative for each keyword, and one for all timestamps."""
    words = dict.fromkeys("at" if isinstance(version, datetime) else version for version in _versions(wanted))
    alternatives = (_IS_VERSION[word].format(earlier=wanted.filter.sql("f")[0]) + _once(wanted, word) for word in words)
    return "AND (" + " OR ".join(f"({alternative})" for alternative in alternatives) + ")"


def _once(wanted: Selection, word: str) -> str:
    """Another publisher's statement takes the place of one only where it is asked for itself."""
    return _OTHERS.format(better=_IS_BETTER[word], asked=wanted.filter.sql("t")[0]) if wanted.once else ""


_STATEMENT_COLUMNS = len(fields(Statement))
_COLUMNS = """
SELECT c.seq, c.date_added, o.id, o.stix_id, o.stix_type, o.version, o.modified, o.revoked, o.latest, o.title, o.kind,
       o.subkind, o.severity, o.confidence, o.valid_from, o.valid_until, o.publisher_id, p.name, p.slug,
       p.state = 'suspended', a.tlp, o.spec_version, o.audience_id, a.attribution, o.marks, {body} AS body
"""

# Dates and places grow together, so a date is a place: found by one look at an index, it bounds every branch.
_PAST = """
WITH past AS MATERIALIZED (
    SELECT coalesce((SELECT seq FROM indicators_change WHERE date_added <= %(added_after)s
                     ORDER BY date_added DESC LIMIT 1), 0) AS seq
)
"""
_ADDED_AFTER = "seq > (SELECT past.seq FROM past)"

# A version enters the log by its upsert or, if it is a revocation, by its remove.
_ENTERED = "(c.op = 'upsert' OR c.reason = 'revoked')"

_FROM_LOG = (
    """
FROM (SELECT * FROM ({branches}) branches ORDER BY seq {order}) c
CROSS JOIN LATERAL (
    SELECT o.* FROM indicators_stixobject o
    WHERE o.id = c.object_id AND o.audience_id = ANY(%(audiences)s) AND """
    + _ENTERED
    + """ {conditions}
    LIMIT 1
) o
JOIN partners_partner p ON p.id = o.publisher_id JOIN partners_audience a ON a.id = o.audience_id
"""
)

# Ids lead to few rows; neither audience nor place is then a way to them, whatever PostgreSQL believes where it has no
# statistics. The joins are outer ones so that nobody goes from all partners to the objects.
_FROM_OBJECTS = (
    """
FROM indicators_stixobject o
CROSS JOIN LATERAL (
    SELECT * FROM indicators_change c
    WHERE c.object_id = o.id AND """
    + _ENTERED
    + """ AND c.audience_id {unindexed} = ANY(%(audiences)s) AND {bound} OFFSET 0
) c
LEFT JOIN partners_partner p ON p.id = o.publisher_id LEFT JOIN partners_audience a ON a.id = o.audience_id
WHERE o.audience_id {unindexed} = ANY(%(audiences)s) {conditions}
"""
)

# What has no timestamp of its own has one version, named by the moment it came in.
_IS_VERSION = {
    "all": "TRUE",
    "at": "(o.modified = ANY(%(moments)s) OR (o.modified IS NULL AND c.date_added = ANY(%(moments)s)))",
    "first": """
NOT EXISTS (SELECT FROM indicators_stixobject f WHERE f.stix_id = o.stix_id AND f.publisher_id = o.publisher_id
            AND f.audience_id = ANY(%(audiences)s) AND f.modified < o.modified {earlier})
""",
    "last": "o.latest",
}

_OTHERS_LATEST = "/*latest*/"

# Only an id that several publishers hold needs the look at the others' versions.
_OTHERS = """
AND NOT (EXISTS (SELECT FROM indicators_sharedid s WHERE s.stix_id = o.stix_id) AND EXISTS (
    SELECT FROM indicators_stixobject t JOIN indicators_change tc ON tc.object_id = t.id
     AND (tc.op = 'upsert' OR tc.reason = 'revoked') AND tc.audience_id = ANY(%(audiences)s) /*latest*/
    WHERE t.stix_id = o.stix_id AND t.publisher_id <> o.publisher_id AND t.audience_id = ANY(%(audiences)s)
      AND {better} {asked}))
"""
_SAME_AND_EARLIER = "t.modified IS NOT DISTINCT FROM o.modified AND tc.seq < c.seq"
_IS_BETTER = {
    "all": _SAME_AND_EARLIER,
    "at": _SAME_AND_EARLIER,
    "first": _SAME_AND_EARLIER,
    "last": f"t.latest AND {_SAME_AND_EARLIER}",
}

# The inner query is bounded by rows; of these only as many bodies are read as fit (their lengths cost nothing).
_WITHIN_BYTES = """
SELECT * FROM (
    SELECT page.*,
           sum(octet_length(body)) OVER (ORDER BY seq {order} ROWS UNBOUNDED PRECEDING) - octet_length(body) AS before,
           lead(seq) OVER (ORDER BY seq {order}) IS NOT NULL AS followed
    FROM ({query}) page) page
WHERE before < %(max_bytes)s ORDER BY seq {order}
"""

_HAS_MARK = """
AND o.marks IS NOT NULL AND EXISTS (
    SELECT FROM unnest(o.marks) mark WHERE split_part(mark, ' ', 1) = ANY(%(marks)s))
"""

_HAS_WORDS = """
AND (o.search @@ websearch_to_tsquery('simple', %(words)s) OR o.stix_id = %(words)s OR o.id IN (
    SELECT w.object_id FROM indicators_token w
    WHERE hashtextextended(w.value, 0) = hashtextextended(%(words)s, 0) AND w.value = %(words)s))
"""

# Both ends through the rule, and both in their newest version.
_HAS_MATCH = """
AND o.latest AND EXISTS (
    SELECT FROM indicators_match m
    JOIN indicators_stixobject t ON t.id = CASE WHEN m.left_id = o.id THEN m.right_id ELSE m.left_id END
    WHERE (m.left_id = o.id OR m.right_id = o.id) AND t.latest AND t.audience_id = ANY(%(both)s)
      AND (t.publisher_id <> o.publisher_id OR o.publisher_id <> %(viewer)s))
"""


def merged(found: Sequence[Statement]) -> list[tuple[Statement, list[Statement]]]:
    """Statements with equal bytes as one, with all who say it; those that differ stay apart."""
    by_bytes: dict[tuple[str, str], list[Statement]] = {}
    for statement in found:
        by_bytes.setdefault((statement.stix_id, statement.body), []).append(statement)
    return [(same[0], same) for same in by_bytes.values()]


def own_object(viewer: Viewer, stix_id: str) -> Statement:
    """The newest version of what the viewer itself published under an id. Raises NotFound."""
    wanted = Selection(stix_ids=(stix_id,), own=True)
    found = page(viewer, wanted, limit=1).statements
    if not found:
        raise NotFound
    return found[0]


def by_key(viewer: Viewer, object_id: int) -> StixObject:
    """One stored version by its internal key. Raises NotFound."""
    found = StixObject.objects.visible_to(viewer).filter(pk=object_id).first()
    if found is None:
        raise NotFound
    return found
