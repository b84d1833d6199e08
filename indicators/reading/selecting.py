"""What a reader selects, as a value and as SQL: conditions on objects, and the two ways to them.

By the log, as the reader walks it, or from ids by indexes. Rows come in the order of the log.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from unicodedata import normalize
from uuid import UUID

from exchange.sql import array_of, ask
from indicators import living, matching
from indicators.feeds import needing, tree
from indicators.feeds.filters import EVERYTHING, Filter
from indicators.log import traits, walking
from indicators.log.traits import Sieve
from indicators.log.walking import Walked
from indicators.opinions import standing
from indicators.reading import lines
from indicators.stix import identifiers
from partners.sharing import mine
from partners.viewer import Viewer

# Whether what is found by keys is few. The index of words gathers all places of a word before it tells the first, so of
# a word that all have nobody asks it. Before, 64 pages of the table of versions are looked at, the same distance apart,
# up to 8 rows of each: a word on 8 of these pages is one that many have, and the log leads to a page of it sooner. What
# is looked at decides the way alone, never what is found or counted.
_PAGES, _ROWS, _COMMON = 64, 8, 8
_IS_COMMON = f"""
(SELECT count(DISTINCT (s.ctid::text::point)[0]) >= {_COMMON} FROM indicators_stixobject s
 WHERE s.search @@ (SELECT {{words}}) AND s.ctid = ANY(ARRAY(
    SELECT ('(' || pages.n * place / {_PAGES} || ',' || row || ')')::tid
    FROM (SELECT pg_relation_size('indicators_stixobject') / current_setting('block_size')::int AS n) pages,
         generate_series(0, {_PAGES} - 1) place, generate_series(1, {_ROWS}) row)))
"""
_COUNT = """
SELECT CASE WHEN {common} THEN FALSE
            ELSE (SELECT count(*) <= {few} FROM (SELECT FROM ({starts}) found LIMIT {few} + 1) few) END
"""
# Up to so many holdings a page is found sooner by their keys than by the log: of n among N, by their keys n are looked
# at, by the log limit * N / n. N as PostgreSQL knows it.
_FEW = """
(SELECT sqrt(%(limit)s * greatest(reltuples, 10000))::bigint FROM pg_class
 WHERE oid = 'indicators_holding'::regclass)
"""

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
    in_force: bool = False  # only newest versions that live and are not disarmed for the viewer
    living: bool = False  # without what has ended
    group: UUID | None = None  # only what is addressed to this group
    tlps: tuple[int, ...] = ()  # only with one of these markings
    matched: bool = False  # only what the viewer sees a match of
    once: bool = False  # of several publishers' holdings of an id the one that is the reader's line (`lines`)
    besides: tuple[str, ...] = ()  # without these ids, and no version of a partner's identity but newer than ours
    words: str = ""  # words of titles or their beginnings, an id or its beginning, or a whole value
    audiences: tuple[int, ...] | None = None  # only what has one of these
    marks: tuple[str, ...] = ()  # only what has one of these marks (`stix.conformance`)
    unmarked: bool = False  # only what has no mark
    feed_set: int | None = None  # only what this set of the viewer's holds, by its places and moments (`feeds.proving`)

    @property
    def worded(self) -> Filter:
        """The filter with the words that are looked for."""
        return self.filter.within(_words(self)) if self.words else self.filter


@dataclass(frozen=True, slots=True)
class Stretch:
    """Where to read in the log, in which order, and how much at most; backwards from its end where `after` is None."""

    limit: int
    after: int | None = 0
    backwards: bool = False
    max_bytes: int | None = None


def found(viewer: Viewer, wanted: Selection, where: Stretch, *, columns: Sequence[str], joins: str) -> Walked:
    """The rows of a page. One query, and more where few of many rows are wanted.

    `columns` are expressions on the change `c`, the version `o`, its holding `h` and what `joins` adds: the first of
    them is `c.seq AS seq`, the last is `body`.
    """
    listed = ", ".join(columns)
    condition, parameters = conditions(viewer, wanted)
    first = walking.channels(own=wanted.own, group=wanted.group)
    parameters |= {"group": wanted.group, "added_after": wanted.added_after}
    if wanted.feed_set is not None:
        return _held(viewer, wanted, where, columns=columns, joins=joins)
    later = None if wanted.added_after is None else _PAST_SEQ
    if later is not None:
        first = f"{first}, {_PAST}"
    order = "DESC" if where.backwards else "ASC"
    after = (walking.NOWHERE if where.backwards else 0) if where.after is None else where.after
    starts, named = ("", {}) if wanted.stix_ids else _starts(viewer, wanted, limit=where.limit)
    if wanted.stix_ids or starts:
        parameters |= named
        bound = f"c.seq {'<' if where.backwards else '>'} %(after)s" + (f" AND c.seq > {later}" if later else "")
        holdings = _BY_IDS if wanted.stix_ids else _BY_KEYS.format(keys=starts)
        page = _FROM_OBJECTS.format(
            columns=listed, holdings=holdings, joins=joins, bound=bound, conditions=condition, order=order
        )
        return walking.at_once(
            viewer,
            walking.statement(first, None, page, columns=len(columns), order=order),
            parameters | {"after": after},
            limit=where.limit,
            max_bytes=where.max_bytes,
            settings=walking.BY_INDEX if starts else walking.IN_ORDER,
            backwards=where.backwards,
        )
    page = _FROM_LOG.format(
        columns=listed,
        joins=joins,
        newest="AND h.newest_id = c.version_id" if set(_versions(wanted)) == {"last"} else "",
        conditions=condition,
        order=order,
    )
    sieve = _sieve(viewer, wanted)
    ways = [
        walking.statement(
            first,
            walking.stretch(which=walking.ENTERED, order=order, later=later or "", sieve=sieve, leaps=leaps),
            page,
            columns=len(columns),
            order=order,
        )
        for leaps in ((False, True) if sieve else (False,))
    ]
    return walking.walk(
        viewer,
        walking.beginning(first, which=walking.ENTERED, order=order, later=later or ""),
        ways[0],
        parameters | sieve.parameters,
        after=after,
        limit=where.limit,
        max_bytes=where.max_bytes,
        backwards=where.backwards,
        leaping=ways[-1] if sieve else "",
        sifted=sieve.is_compared,
    )


def _held(viewer: Viewer, wanted: Selection, where: Stretch, *, columns: Sequence[str], joins: str) -> Walked:
    """The same of what a set holds: its places are the rows' places, and when it told them is when they were added."""
    condition, parameters = conditions(viewer, wanted)
    page = _FROM_SET.format(columns=", ".join(columns), joins=joins, conditions=condition)
    parameters |= {"added_after": wanted.added_after, "feed_set": wanted.feed_set, "after": where.after or 0}
    return walking.at_once(
        viewer,
        walking.statement(walking.channels(), None, page, columns=len(columns)),
        parameters,
        limit=where.limit,
        max_bytes=where.max_bytes,
    )


def _starts(viewer: Viewer, wanted: Selection, *, limit: int) -> tuple[str, dict[str, Any]]:
    """Where to begin but with the log: the keys of few holdings. Empty where there are many; one query to know."""
    starts, parameters = wanted.worded.starts(viewer)
    if not starts.keys:
        return "", {}
    common = _IS_COMMON.format(words=starts.words) if starts.words else "FALSE"
    count = _COUNT.format(common=common, starts=starts.keys, few=_FEW)
    few = ask(count, parameters | {"limit": limit}, settings=walking.BY_INDEX)[0][0]
    return (starts.keys, parameters) if few else ("", {})


def _words(wanted: Selection) -> Filter:
    return Filter(tree.term("words", [normalize("NFKC", wanted.words)]))


def _sieve(viewer: Viewer, wanted: Selection) -> Sieve:
    """What every row of this selection has; of older versions their type alone, for all else may have changed since."""
    needs = needing.needs(viewer, wanted.filter.tree)
    if set(_versions(wanted)) != {"last"}:
        return Sieve([need for need in needs if all(word.startswith("type=") for word in need)])
    if wanted.matched:
        needs.append(frozenset({traits.MATCHED}))
    if wanted.tlps:
        needs.append(frozenset(f"tlp={tlp}" for tlp in wanted.tlps))
    return Sieve(needs)


def conditions(viewer: Viewer, wanted: Selection) -> tuple[str, dict[str, Any]]:
    """Conditions on the version `o`, its holding `h` and the change `c` that brought it in."""
    sql, parameters = wanted.filter.sql(viewer)
    found = [sql, _version_condition(viewer, wanted)]
    parameters["moments"] = [version for version in _versions(wanted) if isinstance(version, datetime)]
    if wanted.spec_versions:
        found.append("AND o.spec_version = ANY(%(spec_versions)s)")
        parameters["spec_versions"] = list(wanted.spec_versions)
    if wanted.stix_ids:
        found.append("AND h.stix_id = ANY(%(stix_ids)s)")
        parameters["stix_ids"] = array_of(identifiers.canonical(wanted.stix_ids))
    if wanted.once:
        among, named = wanted.filter.among.sql(viewer, holding="t", prefix="among")
        found.append(lines.is_chosen(among, group=wanted.group is not None))
        parameters |= named
    if wanted.besides:
        found.append(_IS_NOT_OURS)
        parameters["besides"] = array_of(wanted.besides)
    if wanted.group is not None:
        found.append(_IS_IN_GROUP)
    if wanted.audiences is not None:
        found.append("AND h.audience_id = ANY(%(shown)s)")
        parameters["shown"] = list(wanted.audiences)
    if wanted.tlps:
        found.append("AND h.audience_id IN (SELECT x.id FROM partners_audience x WHERE x.tlp = ANY(%(tlps)s))")
        parameters["tlps"] = list(wanted.tlps)
    if wanted.in_force:
        disarmed = standing.is_disarmed(hears=walking.SEES.format(audience="s.audience_id"))
        found.append(f"AND h.newest_id = o.id AND {living.LIVES} AND NOT {disarmed}")
    if wanted.living:
        found.append(f"AND {living.LIVES}")
    if wanted.matched:  # the other end is somebody else's, so `own` does not bind it
        found.append(_HAS_MATCH)
        parameters["both"] = list(mine(viewer).values_list("channel", flat=True))
    if wanted.marks:
        found.append(_HAS_MARK)
        parameters["marks"] = list(wanted.marks)
    if wanted.unmarked:
        found.append("AND o.marks IS NULL")
    if wanted.words:
        worded, named = _words(wanted).sql(viewer, prefix="words")
        found.append(worded)
        parameters |= named
    return " ".join(found), parameters


def _versions(wanted: Selection) -> tuple[Wanted, ...]:
    return (wanted.versions, *wanted.or_versions)


def _version_condition(viewer: Viewer, wanted: Selection) -> str:
    """One alternative for each keyword, and one for all timestamps; of the newest nobody asks whether it is shown."""
    words = dict.fromkeys("at" if isinstance(version, datetime) else version for version in _versions(wanted))
    shown = "" if set(words) == {"last"} else f"AND {living.shown()} "
    alternatives = (_IS_VERSION[word].format(earlier=wanted.filter.sql(viewer, "f")[0]) for word in words)
    return f"{shown}AND (" + " OR ".join(f"({alternative})" for alternative in alternatives) + ")"


_PAST = walking.past("%(added_after)s::timestamptz")
_PAST_SEQ = "(SELECT past.seq FROM past)"

# From a stretch of the log to the versions that its rows name, each at the last of its entries.
_FROM_LOG = f"""
SELECT {{columns}}
FROM raw c
CROSS JOIN LATERAL (
    SELECT h.* FROM indicators_holding h
    WHERE h.id = c.holding_id AND EXISTS (
        SELECT FROM partners_audience seen
        WHERE seen.id = h.audience_id AND {walking.STILL_SEES.format(channels="seen.channels")}
    ) {{newest}} LIMIT 1
) h
CROSS JOIN LATERAL (
    SELECT o.* FROM indicators_stixobject o WHERE o.id = c.version_id AND {walking.LAST} {{conditions}} LIMIT 1
) o
{{joins}}
ORDER BY c.seq {{order}} LIMIT %(limit)s
"""

# From ids, or words, to versions, and to the last entry of each. OFFSET 0 leads by ids, to the few versions of each,
# and to their few entries, whatever PostgreSQL believes: it takes audiences, and channels, for narrow where it has no
# statistics, and what words cost for so much that it reads all versions first.
_BY_KEYS = "(SELECT * FROM indicators_holding held WHERE held.id IN ({keys}) OFFSET 0) h"
_BY_IDS = "(SELECT * FROM indicators_holding held WHERE held.stix_id = ANY(%(stix_ids)s) OFFSET 0) h"
_FROM_OBJECTS = f"""
SELECT {{columns}}
FROM {{holdings}}
CROSS JOIN LATERAL (SELECT * FROM indicators_stixobject version WHERE version.holding_id = h.id OFFSET 0) o
CROSS JOIN LATERAL (
    SELECT c.* FROM (SELECT * FROM indicators_change entry WHERE entry.version_id = o.id OFFSET 0) c
    WHERE {walking.ENTERED} AND {walking.COUNTS.format(change="c")} AND {walking.REACHES.format(change="c")}
    ORDER BY c.seq DESC LIMIT 1
) c
{{joins}}
WHERE {walking.SEES.format(audience="h.audience_id")} AND {{bound}} {{conditions}}
ORDER BY c.seq {{order}} LIMIT %(limit)s
"""

# From the rows of a set, by place (index over set and place), to the versions that are in force. Moments grow with the
# places: who begins is led to theirs from the end, which is near where they come often; who goes on, from their place,
# where the next row is mostly the first that counts: so that pages together read the set once.
_FROM_SET = f"""
SELECT {{columns}}
FROM (
    SELECT f.place AS seq, f.told_at AS date_added, f.holding_id, f.version_id
    FROM indicators_inforce f
    WHERE f.feed_set_id = %(feed_set)s AND f.removed = '' AND f.place > greatest(%(after)s, CASE
        WHEN %(added_after)s::timestamptz IS NULL THEN 0
        WHEN %(after)s > 0 THEN coalesce((
              SELECT b.place - 1 FROM indicators_inforce b
              WHERE b.feed_set_id = %(feed_set)s AND b.place > %(after)s AND b.told_at > %(added_after)s::timestamptz
              ORDER BY b.place LIMIT 1), {2**63 - 1})
        ELSE (SELECT b.place FROM indicators_inforce b
              WHERE b.feed_set_id = %(feed_set)s AND b.told_at <= %(added_after)s::timestamptz
              ORDER BY b.place DESC LIMIT 1) END)
) c
JOIN indicators_holding h ON h.id = c.holding_id
JOIN indicators_stixobject o ON o.id = c.version_id
{{joins}}
WHERE h.newest_id = o.id AND {living.LIVES} AND {walking.SEES.format(audience="h.audience_id")} {{conditions}}
ORDER BY c.seq LIMIT %(limit)s
"""

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

_IS_IN_GROUP = """
AND EXISTS (SELECT FROM partners_audience g WHERE g.id = h.audience_id AND %(group)s = ANY(g.groups))
"""

_HAS_MARK = """
AND o.marks IS NOT NULL AND EXISTS (
    SELECT FROM unnest(o.marks) mark WHERE split_part(mark, ' ', 1) = ANY(%(marks)s))
"""

_HAS_MATCH = f"AND h.newest_id = o.id AND {matching.IS_MATCHED.format(holding='h', viewer='%(viewer)s')}"
