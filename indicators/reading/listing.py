"""Lists for people: how many objects of each kind fit a question, and the same in another order than the log's.

Both look at the newest holdings that the viewer sees, at most `LOOKED_AT`, living or not, found by audience: so they
cost the same however much there is, and nothing that others do unseen moves them. What lies beyond is said to be there
(`cut`). Whether what has ended fits, the question says (`living`), as for every reader.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal
from uuid import UUID

from exchange.sql import ask
from indicators import living
from indicators.feeds import tree
from indicators.feeds.filters import EVERYTHING, Filter
from indicators.log import walking
from indicators.reading import Statement, newest, page, selecting
from indicators.reading.selecting import Selection
from partners.sharing import audience_ids
from partners.viewer import Viewer

#: So many of the viewer's newest holdings are looked at, at most.
LOOKED_AT = 10_000
#: And so many where each is asked who else says its value: that costs a hundred times as much.
LOOKED_AT_CLOSELY = 1_000
#: And so many before a page is shown: what more of them say is asked for once it is there.
LOOKED_AT_FIRST = 1_000
_CLOSELY = frozenset({"publishers", "matched"})
Order = Literal["severity", "confidence", "left", "subkind"]

# The columns that a list is sorted by; of equal ones the newest first.
_ORDERS: dict[str, str] = {
    "severity": "array_position(ARRAY['low', 'medium', 'high', 'critical']::text[], o.severity::text)",
    "confidence": "o.confidence",
    "left": "o.valid_until",
    "subkind": "o.subkind",
}
ORDERS = tuple(_ORDERS)


@dataclass(frozen=True, slots=True)
class Counted:
    """How many fit, by kind (`other` for what is of none); at least so many where `cut`.

    `goes_on`: these are of the first look, and a whole one may tell more.
    """

    by_kind: dict[str, int]
    cut: bool
    goes_on: bool = False

    @property
    def all(self) -> int:
        """All of them."""
        return sum(self.by_kind.values())


@dataclass(frozen=True, slots=True)
class Sorted:
    """A page in another order than the log's, and how many fit; `cut` where older holdings were not looked at."""

    statements: list[Statement]
    more: bool
    counted: Counted

    @property
    def cut(self) -> bool:
        """Whether there are holdings that were not looked at."""
        return self.counted.cut


def counted_of(found: Sequence[Statement]) -> Counted:
    """The same of all that there is, where that is known already. Pure."""
    kinds = Counter(one.kind or "other" for one in found)
    return Counted(dict(kinds), cut=False)


def counted(viewer: Viewer, wanted: Selection, *, at_first: bool = False) -> Counted:
    """How many objects fit, by kind; `at_first` of fewer of the newest. Two queries."""
    conditions, parameters = selecting.conditions(viewer, wanted)
    whole = _most(wanted.filter, closely=wanted.matched)
    most = min(whole, LOOKED_AT_FIRST) if at_first else whole
    versions, conditions = _versions(conditions)
    sql = _COUNTED.format(versions=versions, conditions=conditions)
    rows = ask(sql, _looking(viewer, parameters, most=most), settings=walking.IN_ORDER)
    found = _counts(rows, most=most)
    return replace(found, goes_on=found.cut and most < whole)


def _counts(rows: Sequence[tuple[str, int, int]], *, most: int) -> Counted:
    return Counted({kind: count for kind, count, _ in rows if count}, cut=any(seen > most for *_, seen in rows))


def ordered(viewer: Viewer, wanted: Selection, *, by: Order, down: bool, offset: int, limit: int) -> Sorted:
    """Objects that fit, in the order of a column, and how many. Five queries at most."""
    conditions, parameters = selecting.conditions(viewer, wanted)
    direction = "DESC NULLS LAST" if down else "ASC NULLS LAST"
    sql = _ORDERED.format(conditions=conditions, column=_ORDERS[by], order=direction)
    most = _most(wanted.filter, closely=wanted.matched)
    looking = _looking(viewer, parameters, most=most) | {"limit": limit + 1, "offset": offset}
    told = ask(sql, looking, settings=walking.IN_ORDER)
    rows = sorted((place, key, text) for place, key, text, *_ in told if place)
    counts = _counts([(text, count, seen) for place, _, text, count, seen in told if not place], most=most)
    places = {key: place for place, key, _ in rows[:limit]}
    ids = tuple({stix_id for *_, stix_id in rows[:limit]})
    found = page(viewer, Selection(stix_ids=ids), limit=1_000).statements if ids else []
    there = sorted((said for said in found if said.object_id in places), key=lambda said: places[said.object_id])
    return Sorted(there, more=len(rows) > limit, counted=counts)


def chosen(viewer: Viewer, wanted: Selection, *, own: bool, most: int) -> tuple[list[str], bool]:
    """The ids of all that fit now, one's own or others', the newest first: the frozen scope of an act on many.

    The whole log is walked, not the newest holdings alone. The second value tells whether there are more than `most`.
    """
    found: dict[str, None] = {}
    before: int | None = None
    more = True
    while more and len(found) <= most:
        read = newest(viewer, replace(wanted, own=own), before=before, limit=_AT_ONCE)
        theirs = (one for one in read.statements if own or one.publisher_id != viewer.partner_id)
        found |= dict.fromkeys(one.stix_id for one in theirs)
        before, more = read.reached, read.more
    return list(found)[:most], len(found) > most


_AT_ONCE = 1_000


def _most(wanted: Filter, *, closely: bool = False) -> int:
    """How many of the newest holdings are looked at for a filter."""
    closely = closely or any(term.field in _CLOSELY for term in tree.terms(wanted.tree))
    return LOOKED_AT_CLOSELY if closely else LOOKED_AT


def _versions(conditions: str) -> tuple[str, str]:
    """How to come to the versions `o` of the holdings that are looked at, and the conditions: not where none asks."""
    apart = conditions.replace(_NEWEST, "TRUE")
    if _OF_VERSION.search(apart):
        return _NEWEST_VERSION, conditions
    return "", apart


_NEWEST = "h.newest_id = o.id"
# LIMIT leads by the key of each, whatever PostgreSQL believes that the conditions cost.
_NEWEST_VERSION = """
CROSS JOIN LATERAL (SELECT o.* FROM indicators_stixobject o WHERE o.id = h.newest_id LIMIT 1) o"""
_OF_VERSION = re.compile(r"\bo\.")


def _looking(viewer: Viewer, parameters: dict[str, Any], *, most: int = LOOKED_AT) -> dict[str, Any]:
    return parameters | {
        "audiences": audience_ids(viewer),
        "looked": most + 1,
        "viewer": viewer.partner_id,
    }


# All of this is planned as the log is (`walking.IN_ORDER`): the version and values of each that is looked at are found
# by their keys. PostgreSQL takes 10,000 for so many that it reads the tables of all versions and values whole.
#
# The viewer's newest holdings: each audience is read from the end of its index over (audience, id), a little at first,
# then twice as much of each that may have more of the newest. So about as many are read as are looked at, in however
# many audiences they lie, and however unevenly. `reach`: what was found until now, and of each audience that is `open`
# the place to go on `before`. Then those of them with something to show, each audience's from the oldest of them on
# (OFFSET 0 keeps PostgreSQL from other indexes).
_LOOKED = f"""
reach AS (
    SELECT a.ids AS open, array_fill({walking.NOWHERE}::bigint, ARRAY[cardinality(a.ids)]) AS before,
           NULL::bigint[] AS found, 1 + 3 * %(looked)s::bigint / (2 * greatest(cardinality(a.ids), 1)) AS step
    FROM (SELECT %(audiences)s::bigint[] AS ids) a
    UNION ALL
    SELECT further.* FROM reach r CROSS JOIN LATERAL (
        WITH more AS MATERIALIZED (
            SELECT a.id AS audience, found.id
            FROM unnest(r.open, r.before) a(id, before) CROSS JOIN LATERAL (
                SELECT h.id FROM indicators_holding h WHERE h.audience_id = a.id AND h.id < a.before
                ORDER BY h.id DESC LIMIT r.step) found
        ), kept AS MATERIALIZED (
            SELECT one.id FROM (SELECT unnest(r.found) AS id UNION ALL SELECT more.id FROM more) one
            ORDER BY one.id DESC LIMIT %(looked)s
        ), going_on AS MATERIALIZED (
            SELECT more.audience, min(more.id) AS last FROM more GROUP BY more.audience
            HAVING count(*) = r.step
               AND min(more.id) > coalesce((SELECT min(kept.id) FROM kept HAVING count(*) = %(looked)s), 0)
        )
        SELECT (SELECT array_agg(g.audience ORDER BY g.audience) FROM going_on g),
               (SELECT array_agg(g.last ORDER BY g.audience) FROM going_on g),
               (SELECT array_agg(kept.id) FROM kept), 2 * r.step
    ) further
    WHERE cardinality(r.open) > 0
), newest AS MATERIALIZED (
    SELECT unnest(last.found) AS id FROM (SELECT r.found FROM reach r ORDER BY r.step DESC LIMIT 1) last
), looked AS MATERIALIZED (
    SELECT h.* FROM unnest(%(audiences)s::bigint[]) a(id) CROSS JOIN LATERAL (
        SELECT held.* FROM indicators_holding held
        WHERE held.audience_id = a.id AND held.id >= (SELECT min(newest.id) FROM newest) OFFSET 0
    ) h
    WHERE h.newest_id IS NOT NULL
)
"""
# A row for each kind, and one for none: how many fit, and how many were looked at.
_COUNTED = f"""
WITH RECURSIVE {_LOOKED}, fits AS (
    SELECT coalesce(h.kind, 'other') AS kind, count(*) AS n FROM looked h {{versions}}
    WHERE TRUE {{conditions}} GROUP BY 1
)
SELECT f.kind, f.n, (SELECT count(*) FROM newest) FROM fits f
UNION ALL SELECT 'other', 0, (SELECT count(*) FROM newest)
"""
# What fits is read once: a row for each of the page, with its place, and those of a count.
_ORDERED = f"""
WITH RECURSIVE {_LOOKED}, fits AS MATERIALIZED (
    SELECT o.id, h.stix_id, coalesce(h.kind, 'other') AS kind, {{column}} AS sorted_by
    FROM looked h {_NEWEST_VERSION} WHERE TRUE {{conditions}}
)
SELECT row_number() OVER (), f.id, f.stix_id, 0, 0
FROM (SELECT * FROM fits ORDER BY sorted_by {{order}}, id DESC LIMIT %(limit)s OFFSET %(offset)s) f
UNION ALL SELECT 0, 0, f.kind, count(*), 0 FROM fits f GROUP BY f.kind
UNION ALL SELECT 0, 0, 'other', 0, count(*) FROM newest
"""


@dataclass(frozen=True, slots=True)
class Sayer:
    """Somebody who says a value of an object, too, as the viewer may see it; `named` with its name."""

    publisher_id: UUID
    named: bool
    holdings: int


def sayers(viewer: Viewer, object_ids: Collection[int]) -> dict[int, tuple[int, list[Sayer]]]:
    """By version: the key of its holding, and who says one of its values, itself among them. Two queries.

    Whoever says it without a name is one sayer, whoever they are: how many hide is not told.
    """
    if not object_ids:
        return {}
    rows = ask(_SAYERS, {"objects": list(object_ids), "audiences": audience_ids(viewer), "viewer": viewer.partner_id})
    found: dict[int, tuple[int, list[Sayer]]] = {}
    for version, holding, publisher, named, count in rows:
        there = found.setdefault(version, (holding, []))[1]
        if publisher is not None:
            there.append(Sayer(publisher, named, count))
    return found


# A row for each version and each partner that says one of its values in what the viewer sees: from the few values of a
# holding to all that carry them, by their index. A fingerprint without its scope is equal to nothing.
_SAYERS = """
SELECT o.id, o.holding_id, said.publisher, coalesce(said.named, FALSE), coalesce(said.holdings, 0)
FROM indicators_stixobject o LEFT JOIN LATERAL (
    SELECT CASE WHEN by.attribution = 0 OR sayer.publisher_id = %(viewer)s THEN sayer.publisher_id
                ELSE '00000000-0000-0000-0000-000000000000'::uuid END AS publisher,
           by.attribution = 0 OR sayer.publisher_id = %(viewer)s AS named, count(DISTINCT sayer.id) AS holdings
    FROM (SELECT k.token_value_id FROM indicators_carries k WHERE k.holding_id = o.holding_id) own
    JOIN indicators_tokenvalue v ON v.id = own.token_value_id AND (v.subkind <> 'psp_fp' OR v.psp_scope <> '')
    CROSS JOIN LATERAL (
        SELECT k.holding_id FROM indicators_carries k
        WHERE k.token_value_id = own.token_value_id AND k.audience_id = ANY(%(audiences)s) OFFSET 0) also
    CROSS JOIN LATERAL (SELECT * FROM indicators_holding h WHERE h.id = also.holding_id LIMIT 1) sayer
    CROSS JOIN LATERAL (SELECT * FROM partners_audience a WHERE a.id = sayer.audience_id LIMIT 1) by
    WHERE sayer.state = 'live'
    GROUP BY 1, 2
) said ON TRUE
WHERE o.id = ANY(%(objects)s)
"""


@dataclass(frozen=True, slots=True)
class Tally:
    """How many fit a filter; at least so many where `cut`."""

    count: int
    cut: bool


def tallied(viewer: Viewer, wanted: Sequence[Filter]) -> list[Tally]:
    """How many living indicators fit each of these filters: in one look, and one more for those that look closely."""
    found: dict[int, Tally] = {}
    for most in (LOOKED_AT, LOOKED_AT_CLOSELY):
        places = [place for place, one in enumerate(wanted) if _most(one) == most]
        if places:
            found |= dict(zip(places, _tallied(viewer, [wanted[place] for place in places], most=most), strict=True))
    return [found[place] for place in range(len(wanted))]


def _tallied(viewer: Viewer, wanted: Sequence[Filter], *, most: int) -> list[Tally]:
    counts: list[str] = []
    parameters: dict[str, Any] = {}
    for place, one in enumerate(wanted):
        condition, more = one.within(_INDICATORS).sql(viewer, prefix=f"view{place}_")
        counts.append(f"count(*) FILTER (WHERE TRUE {condition})")
        parameters |= more
    sql = _TALLIED.format(counts=", ".join(counts))
    (row,) = ask(sql, _looking(viewer, parameters, most=most), settings=walking.IN_ORDER)
    return [Tally(count, row[-1] > most) for count in row[:-1]]


def counted_each(viewer: Viewer, wanted: Sequence[Selection]) -> list[Tally]:
    """How many of the newest fit each of these, which differ in their filters and words alone. One look for all.

    A part that several of the filters have is asked once of each row.
    """
    asked = [tree.conjuncts(one.worded.tree) for one in wanted]
    columns: list[str] = []
    parameters: dict[str, Any] = {}
    for place, part in enumerate(parts := list(dict.fromkeys(itertools.chain(*asked)))):
        condition, more = Filter(part).sql(viewer, prefix=f"part{place}_")
        columns.append(f"(TRUE {condition}) AS part{place}")
        parameters |= more
    rest, more = selecting.conditions(viewer, replace(wanted[0], filter=EVERYTHING, words=""))
    counts = [" AND ".join(f"part{parts.index(part)}" for part in one) or "TRUE" for one in asked]
    sql = _COUNTED_EACH.format(
        columns=", ".join(columns), counts=", ".join(f"count(*) FILTER (WHERE {one})" for one in counts), rest=rest
    )
    looking = _looking(viewer, parameters | more, most=LOOKED_AT_FIRST)
    (row,) = ask(sql, looking, settings=walking.IN_ORDER)
    return [Tally(count, row[-1] > LOOKED_AT_FIRST) for count in row[:-1]]


_INDICATORS = Filter.of(types=("indicator",))
# OFFSET 0 keeps PostgreSQL from asking a part anew for each count.
_COUNTED_EACH = f"""
WITH RECURSIVE {_LOOKED}
SELECT {{counts}}, (SELECT count(*) FROM newest) FROM looked h {_NEWEST_VERSION}
CROSS JOIN LATERAL (SELECT {{columns}} OFFSET 0) said WHERE TRUE {{rest}}
"""
_TALLIED = f"""
WITH RECURSIVE {_LOOKED}
SELECT {{counts}}, (SELECT count(*) FROM newest) FROM looked h {_NEWEST_VERSION} WHERE {living.LIVES}
"""
