"""What a reader selects, as a value and as SQL: conditions on objects, and the two ways to them.

By the log, whose branches are merged lazily in their order, or from ids by indexes. Rows come in the order of the log.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from unicodedata import normalize
from uuid import UUID

from exchange.tokens import normalising
from indicators import changes, lines, living
from indicators.feeds.filters import EVERYTHING, Filter
from indicators.stix import identifiers
from partners.sharing import Viewer, audience_ids

Versions = Literal["last", "first", "all"]

#: A version that is asked for: by its place in the history, or by its own timestamp.
Wanted = Versions | datetime


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
    once: bool = False  # of several publishers' holdings of an id the one that is the reader's line (`lines`)
    besides: tuple[str, ...] = ()  # without these ids, and no version of a partner's identity but newer than ours
    words: str = ""  # full-text search in titles, or a whole id or value
    audiences: tuple[int, ...] | None = None  # only what has one of these
    marks: tuple[str, ...] = ()  # only what has one of these marks (`stix.conformance`)
    unmarked: bool = False  # only what has no mark


@dataclass(frozen=True, slots=True)
class Stretch:
    """Where to read in the log, in which order, and how much at most."""

    limit: int
    after: int = 0
    bound: str = "seq > %(after)s"
    order: str = "ASC"
    max_bytes: int | None = None


def found(
    viewer: Viewer, wanted: Selection, where: Stretch, *, columns: str, joins: str, within_bytes: str
) -> list[tuple[Any, ...]]:
    """The rows of a page, and one more where there are more than its limit. One query, or two.

    `columns` are expressions on the change `c`, the object `o` and what `joins` adds, the first of them `c.seq`.
    `within_bytes` is the query around it that keeps to `max_bytes`.
    """
    conditions, parameters = _conditions(viewer, wanted)
    parameters |= {"after": where.after, "limit": where.limit + 1, "max_bytes": where.max_bytes}
    bound, order, past, begins = where.bound, where.order, "", "%(after)s" if where.order == "ASC" else "0"
    if wanted.matched:  # the other end is somebody else's, so `own` does not bind it
        parameters["both"] = audience_ids(viewer)
    if wanted.added_after is not None:
        bound, past = f"{bound} AND {_ADDED_AFTER}", _PAST
        begins = f"greatest({begins}, (SELECT past.seq FROM past))"
        parameters["added_after"] = wanted.added_after
    most = changes.most(after=begins)

    def query(seen: changes.Sight) -> str:
        which = f"{seen.latest_entry('c')} {conditions}"
        if wanted.stix_ids or wanted.words:
            unindexed = "+ 0" if wanted.stix_ids else ""
            bounded = bound.replace("seq >", f"seq {unindexed} >").replace("seq <", f"seq {unindexed} <")
            source = _FROM_OBJECTS.format(bound=bounded, conditions=which, unindexed=unindexed)
            joined = joins.replace("JOIN", "LEFT JOIN")  # so that nobody goes from all partners to the objects
        else:
            source = _FROM_LOG.format(
                branches=seen.branches(bound=bound, order=order),
                order=order,
                newest="AND h.newest_id = c.object_id" if set(_versions(wanted)) == {"last"} else "",
                conditions=which,
            )
            joined = joins
        source = source.replace(_JOINS, joined)
        sql = f"{past} SELECT {columns} {source} ORDER BY c.seq {order} LIMIT {most}"
        return sql if where.max_bytes is None else within_bytes.format(query=sql, order=order)

    planner = changes.BY_IDS if wanted.stix_ids else None if wanted.words else changes.IN_ORDER
    return changes.look(viewer, query, parameters, own=wanted.own, group=wanted.group, planner=planner)[1]


def _conditions(viewer: Viewer, wanted: Selection) -> tuple[str, dict[str, Any]]:
    """Conditions on the version `o`, its holding `h` and the change `c` that brought it in."""
    sql, parameters = wanted.filter.sql(viewer)
    conditions = [sql, _version_condition(viewer, wanted)]
    parameters["moments"] = [version for version in _versions(wanted) if isinstance(version, datetime)]
    if wanted.spec_versions:
        conditions.append("AND o.spec_version = ANY(%(spec_versions)s)")
        parameters["spec_versions"] = list(wanted.spec_versions)
    if wanted.stix_ids:
        conditions.append("AND h.stix_id = ANY(%(stix_ids)s)")
        parameters["stix_ids"] = identifiers.canonical(wanted.stix_ids)
    if wanted.once:
        among, named = wanted.filter.among.sql(viewer, holding="t", prefix="among")
        conditions.append(lines.is_chosen(among))
        parameters |= named
    if wanted.besides:
        conditions.append(_IS_NOT_OURS)
        parameters["besides"] = list(wanted.besides)
    if wanted.audiences is not None:
        conditions.append("AND h.audience_id = ANY(%(shown)s)")
        parameters["shown"] = list(wanted.audiences)
    if wanted.tlps:
        conditions.append("AND h.audience_id IN (SELECT x.id FROM partners_audience x WHERE x.tlp = ANY(%(tlps)s))")
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
        parameters["words"] = normalize("NFKC", wanted.words)
        parameters["values"] = list(normalising.any_of(wanted.words))
    return " ".join(conditions), parameters


def _versions(wanted: Selection) -> tuple[Wanted, ...]:
    return (wanted.versions, *wanted.or_versions)


def _version_condition(viewer: Viewer, wanted: Selection) -> str:
    """One alternative for each keyword, and one for all timestamps; of the newest nobody asks whether it is shown."""
    words = dict.fromkeys("at" if isinstance(version, datetime) else version for version in _versions(wanted))
    shown = "" if set(words) == {"last"} else f"AND {living.shown()} "
    alternatives = (_IS_VERSION[word].format(earlier=wanted.filter.sql(viewer, "f")[0]) for word in words)
    return f"{shown}AND (" + " OR ".join(f"({alternative})" for alternative in alternatives) + ")"


# Dates and places grow together, so a date is a place: found by one look at an index, it bounds every branch.
_PAST = """
WITH past AS MATERIALIZED (
    SELECT coalesce((SELECT seq FROM indicators_change WHERE date_added <= %(added_after)s
                     ORDER BY date_added DESC LIMIT 1), 0) AS seq
)
"""
_ADDED_AFTER = "seq > (SELECT past.seq FROM past)"

_JOINS = "/*joins*/"

# A version enters the log by its upsert or, if it is a revocation, by its remove.
ENTERED = "(c.op = 'upsert' OR c.reason = 'revoked')"

_FROM_LOG = (
    """
FROM (SELECT * FROM ({branches}) branches ORDER BY seq {order}) c
CROSS JOIN LATERAL (
    SELECT h.* FROM indicators_holding h
    WHERE h.id = c.holding_id AND h.audience_id = ANY(%(audiences)s) AND """
    + ENTERED
    + """ {newest}
    LIMIT 1
) h
CROSS JOIN LATERAL (
    SELECT o.* FROM indicators_stixobject o WHERE o.id = c.object_id {conditions}
    LIMIT 1
) o
/*joins*/
"""
)

# Ids lead to few rows; neither audience nor place is then a way to them, whatever PostgreSQL believes where it has no
# statistics.
_FROM_OBJECTS = (
    """
FROM indicators_holding h
JOIN indicators_stixobject o ON o.holding_id = h.id
CROSS JOIN LATERAL (
    SELECT * FROM indicators_change c
    WHERE c.object_id = o.id AND """
    + ENTERED
    + """ AND c.audience_id {unindexed} = ANY(%(audiences)s) AND {bound} OFFSET 0
) c
/*joins*/
WHERE h.audience_id {unindexed} = ANY(%(audiences)s) {conditions}
"""
)

# What has no timestamp of its own has one version, named by the moment it came in.
_IS_VERSION = {
    "all": "TRUE",
    "at": "(o.modified = ANY(%(moments)s) OR (o.modified IS NULL AND c.date_added = ANY(%(moments)s)))",
    "first": """
NOT EXISTS (SELECT FROM indicators_stixobject f WHERE f.holding_id = h.id AND f.modified < o.modified {earlier}
            AND """
    + living.shown("f")
    + """)
""",
    "last": "h.newest_id = o.id",
}

# What the exchange itself says of a partner has the moment of its registration as its version.
_IS_NOT_OURS = """
AND (h.stix_type NOT IN ('identity', 'marking-definition', 'extension-definition')
     OR NOT (h.stix_id = ANY(%(besides)s) OR EXISTS (
         SELECT FROM partners_partner i WHERE i.identity_id = h.stix_id COLLATE "default" AND i.state <> 'invited'
            AND o.modified <= i.created_at)))
"""

_HAS_MARK = """
AND o.marks IS NOT NULL AND EXISTS (
    SELECT FROM unnest(o.marks) mark WHERE split_part(mark, ' ', 1) = ANY(%(marks)s))
"""

_HAS_WORDS = """
AND (o.search @@ websearch_to_tsquery('simple', %(words)s) OR h.stix_id = lower(%(words)s) OR o.id IN (
    SELECT w.object_id FROM unnest(%(values)s::text[]) asked
    JOIN indicators_token w ON hashtextextended(w.value, 0) = hashtextextended(asked, 0) AND w.value = asked))
"""

# Both ends through the rule, and both in their newest version.
_HAS_MATCH = """
AND h.newest_id = o.id AND EXISTS (
    SELECT FROM indicators_match m
    JOIN indicators_stixobject t ON t.id = CASE WHEN m.left_id = o.id THEN m.right_id ELSE m.left_id END
    JOIN indicators_holding th ON th.newest_id = t.id AND th.id = t.holding_id
    WHERE (m.left_id = o.id OR m.right_id = o.id) AND th.audience_id = ANY(%(both)s)
      AND (th.publisher_id <> h.publisher_id OR h.publisher_id <> %(viewer)s))
"""
