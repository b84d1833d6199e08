"""The log as one reader walks it: the channels that it has open, in one statement whose text is the same for all.

A row of the log says where to look, the holding whether it is so: so a reader never waits for what is told of its sight
(ADR 0031). A short statement finds the first row in the reader's channels (`beginning`); where there is none, that is
the answer. A long one looks at a stretch of the log from there on: it reads each channel's rows by the index over
`(channel, seq)`, and stops at so many rows or so many places on. Whoever wants more asks again from where it stopped
(`walk`). What others do that the reader does not see costs nothing, and neither does the number of ways in which things
are shared.

Names in these texts: the change `c`, its holding `h`, its version `o`, the reader's channels `mine`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from math import ceil, sqrt
from operator import itemgetter
from types import MappingProxyType
from typing import Any
from uuid import UUID

import orjson

from exchange import incarnation, replicas
from exchange.sql import ask
from indicators.log.traits import BLOCK_BITS, Sieve
from partners.viewer import Viewer

NO_SIEVE = Sieve(())

#: The end of the log.
END = "SELECT coalesce((SELECT last_seq FROM indicators_commit ORDER BY last_seq DESC LIMIT 1), 0)"
#: A version enters by its upsert or, if it is a revocation, by its remove. Said by what is left out: without statistics
#: PostgreSQL takes equality for rare, and would read whole channels, sorted, for the first row that enters.
ENTERED = "NOT (c.op = 'remove' AND c.reason <> 'revoked')"

#: Beyond every place.
NOWHERE = 2**63 - 1
#: How to plan what walks the log: row by row, by its keys. Channels differ in size by thousands, and PostgreSQL takes
#: each for a mean one: it would fetch and sort a whole one for its first row, or all audiences for one.
IN_ORDER = {"enable_bitmapscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off", "enable_seqscan": "off"}
#: How many rows of the log a statement reads at least, and at most.
_LEAST_ROWS, _MOST_ROWS = 64, 32_768
#: A stretch has so many times as many places as rows, and the next one at most as many times more.
_WIDER = 8
#: One row that passes the sieve in so many places is many: the log finds more of them sooner than the index of traits.
_DENSE = 4
#: Where it is known how many places a row takes, so much is added for chance.
_SPARE, _ROOM = 1.25, 3.0
#: Where `n` rows told of how many are passed over for each, so many times as far is read as it takes by that: 1 and
#: this by the root of `n`, three deviations of a number that is counted.
_CHANCE = 3.0
#: By the index of traits, after the first stretch: a block, and at most so many places at a time.
_BLOCK, _MOST_PLACES = 1 << BLOCK_BITS, 64 << BLOCK_BITS
#: And at least so many rows of it are taken.
_LEAP_ROWS = 4_096
_AS_IT_IS: Mapping[str, str] = MappingProxyType({})
#: The same for what finds rows by an index that knows no order.
BY_INDEX = IN_ORDER | {"enable_bitmapscan": "on"}


# One row: whether the caller is who they say, the end of the log, and the store's incarnation.
_NOW = f"now AS MATERIALIZED (SELECT ({END}) AS head, {incarnation.SQL} AS life)"
_MINE = """
mine AS MATERIALIZED (
    SELECT s.channel_id AS channel, s.group_id, s.since, s.until, s.lost
    FROM partners_sight s
    WHERE s.partner_id = %(viewer)s AND {which}
      AND (%(groups)s::uuid[] IS NULL OR s.group_id IS NULL OR s.group_id = ANY(%(groups)s))
)
"""
_OPEN = "s.until IS NULL"
_OWN = "s.channel_id IN (SELECT w.id FROM partners_channel w WHERE w.reach = 'own' AND w.partner_id = %(viewer)s)"
#: Of a sight `s`: it tells of the group that is read.
OF_GROUP = f"(s.group_id = %(group)s OR {_OWN})"


def channels(*, own: bool = False, group: UUID | None = None, closed: bool = False) -> str:
    """The first parts of a WITH: who is asking and when, and the reader's channels.

    Of these only its own with `own`, and what tells of a group with `group`; with `closed`, also those that it had open
    once. Needs the parameters `of`, and `group`.
    """
    which = [*([] if closed else [_OPEN]), *([_OWN] if own else []), *([OF_GROUP] if group is not None else [])]
    return f"{_NOW}, {_MINE.format(which=' AND '.join(which) or 'TRUE')}"


#: All channels that the reader has or had open, or those that tell of `group` alone, as the part of a WITH.
OF_SCOPE = _MINE.format(which=f"(%(group)s::uuid IS NULL OR {OF_GROUP})")
#: The reader's open channels, as the part of a WITH. Needs the parameters `of`.
OPEN = _MINE.format(which=_OPEN)


def past(date: str) -> str:
    """The part of a WITH that is the last place up to a date, an SQL expression: one row `past`.

    Dates and places grow together, and the changes of a commit lie a microsecond apart, so a date is a place: found by
    two looks at an index.
    """
    return _PAST.replace("%(date)s", date)


_PAST = """
past AS MATERIALIZED (
    SELECT greatest(
        coalesce((SELECT k.last_seq FROM indicators_commit k WHERE k.date_added <= %(date)s
                  ORDER BY k.date_added DESC LIMIT 1), 0),
        coalesce((SELECT k.last_seq - (extract(epoch FROM k.date_added - %(date)s) * 1000000)::bigint
                  FROM indicators_commit k WHERE k.date_added > %(date)s ORDER BY k.date_added LIMIT 1), 0)
    ) AS seq
)
"""


#: Whether the reader sees the holding with the audience named so: the rule.
SEES = """
EXISTS (SELECT FROM partners_audience seen WHERE seen.id = {audience}
          AND seen.channels && (SELECT array_agg(mine.channel) FROM mine WHERE mine.until IS NULL))
"""
#: Whether the reader sees what has these channels, to whose holding the row `c` of a stretch led: mostly it is still
#: told in the open channel in which the row was found. Comparing with all takes 1 µs for a reader of 40 groups.
STILL_SEES = """
(c.open AND c.channel = ANY({channels})
 OR {channels} && (SELECT array_agg(mine.channel) FROM mine WHERE mine.until IS NULL))
"""
#: Whether an entry counts for this reader: what comes into others' sight is nothing new to its publisher.
COUNTS = "({change}.reason <> 'granted' OR h.publisher_id <> %(viewer)s)"
#: Whether a change was told in a channel that is open, since it is. Arrays, for a join would begin with channels and
#: look for the few rows of a version once for each.
REACHES = """
{change}.seq > (SELECT array_agg(mine.since ORDER BY mine.channel) FROM mine WHERE mine.until IS NULL)[array_position(
    (SELECT array_agg(mine.channel ORDER BY mine.channel) FROM mine WHERE mine.until IS NULL), {change}.channel)]
"""
#: Whether the change `c` brings its version for the last time, as the reader sees the log: it is told there alone.
#: Each row that hides another lies in a channel that is open; where that is closed, the version is told anew.
#: Few versions enter again, and have an index of their own (`version_that_enters_again`), to which OFFSET 0 leads:
#: it is asked once which of the stretch do, and of these alone for each row.
LAST = f"""
{COUNTS.format(change="c")}
AND (c.version_id NOT IN (SELECT again.version_id FROM indicators_change again WHERE again.again
                          AND again.version_id = ANY((SELECT array_agg(raw.version_id) FROM raw)::bigint[]))
     OR NOT EXISTS (SELECT FROM (SELECT * FROM indicators_change later
                             WHERE later.version_id = c.version_id AND later.seq > c.seq AND later.again OFFSET 0) n
                WHERE {COUNTS.format(change="n")} AND {REACHES.format(change="n")}))
"""

# One row: what `now` says, the place before the first row of interest, null where there is none, and the last place
# that was pruned. A look at the log's primary key for each channel. Forwards it needs no settings, which would cost a
# poll as much as the look: without an end PostgreSQL takes a channel for long, and reads the first row in order. So
# channels that were closed, which have an end, are looked at by themselves.
_BEGINS_FORWARDS = """
SELECT now.*, at.place, pruned.last
FROM now CROSS JOIN (
    SELECT min(found.seq) - 1 AS place FROM (
        SELECT c.seq FROM mine CROSS JOIN LATERAL (
            SELECT c.seq FROM indicators_change c
            WHERE c.channel = mine.channel AND c.seq > greatest(mine.since, %(after)s{later}) AND {which}
            ORDER BY c.seq LIMIT 1) c
        WHERE mine.until IS NULL {closed}) found
) at CROSS JOIN (SELECT coalesce(max(mine.lost), 0) AS last FROM mine) pruned
"""
_CLOSED = """
        UNION ALL
        SELECT c.seq FROM mine CROSS JOIN LATERAL (
            SELECT c.seq FROM indicators_change c
            WHERE c.channel = mine.channel AND c.seq > greatest(mine.since, %(after)s) AND c.seq <= mine.until
              AND c.op = 'remove'
            ORDER BY c.seq LIMIT 1) c
        WHERE mine.until IS NOT NULL
"""
_BEGINS_BACKWARDS = """
SELECT now.*, at.place, pruned.last
FROM now CROSS JOIN (
    SELECT max(found.seq) + 1 AS place FROM mine CROSS JOIN LATERAL (
        SELECT c.seq FROM indicators_change c
        WHERE c.channel = mine.channel AND c.seq > greatest(mine.since{later}) AND c.seq < %(after)s AND {which}
        ORDER BY c.seq DESC LIMIT 1) found
) at CROSS JOIN (SELECT coalesce(max(mine.lost), 0) AS last FROM mine) pruned
"""
# What of a row of the log is sorted and kept: all but its traits, which take as much room as the rest.
_ROW = "c.channel, c.seq, c.date_added, c.holding_id, c.version_id, c.op, c.reason, c.tlp, c.again, c.linked"
# `at`, one row: the place to begin at. `raw`: the rows of a stretch, by place, each change once. Each channel is one
# walk of the log's primary key. Of a channel that was closed, only the removes are told, up to where it was.
_FORWARDS = """
at AS MATERIALIZED (SELECT %(begins)s::bigint AS place){numbers}, raw AS MATERIALIZED (
    SELECT DISTINCT ON (found.seq) found.*, mine.group_id AS via, mine.until IS NULL AS open
    FROM at CROSS JOIN mine CROSS JOIN LATERAL (
        SELECT {row} FROM indicators_change c
        WHERE c.channel = mine.channel AND c.seq > greatest(mine.since, at.place)
          AND c.seq <= least(mine.until, at.place + %(width)s) AND {which} {sifted}
        ORDER BY c.seq LIMIT %(rows)s) found
    ORDER BY found.seq LIMIT %(rows)s
)
"""
_BACKWARDS = """
at AS MATERIALIZED (SELECT %(begins)s::bigint AS place){numbers}, raw AS MATERIALIZED (
    SELECT DISTINCT ON (found.seq) found.*, mine.group_id AS via, mine.until IS NULL AS open
    FROM at CROSS JOIN mine CROSS JOIN LATERAL (
        SELECT {row} FROM indicators_change c
        WHERE c.channel = mine.channel AND c.seq > greatest(mine.since{later}) AND c.seq < at.place
          AND c.seq >= at.place - %(width)s AND {which} {sifted}
        ORDER BY c.seq DESC LIMIT %(rows)s) found
    ORDER BY found.seq DESC LIMIT %(rows)s
)
"""
# The same from the place that was reached, by `change_by_trait`, a look for each channel and block: one look for all
# would compare each row of common words with the words of every block. `+ 0` keeps PostgreSQL from any other way.
_SIFTED_FORWARDS = """
at AS MATERIALIZED (SELECT greatest(%(begins)s::bigint{later}) AS place){numbers}, raw AS MATERIALIZED (
    SELECT DISTINCT ON (found.seq) found.*, sought.group_id AS via, sought.until IS NULL AS open
    FROM sought CROSS JOIN LATERAL (
        SELECT {row} FROM indicators_change c
        WHERE c.seq + 0 > (SELECT at.place FROM at) AND c.seq + 0 <= (SELECT at.place + %(width)s FROM at)
          AND {which} {sifted} OFFSET 0) found
    WHERE found.channel = sought.channel AND found.seq > sought.since
    ORDER BY found.seq LIMIT %(rows)s
)
"""
_SIFTED_BACKWARDS = """
at AS MATERIALIZED (SELECT %(begins)s::bigint AS place){numbers}, raw AS MATERIALIZED (
    SELECT DISTINCT ON (found.seq) found.*, sought.group_id AS via, sought.until IS NULL AS open
    FROM sought CROSS JOIN LATERAL (
        SELECT {row} FROM indicators_change c
        WHERE c.seq + 0 < (SELECT at.place FROM at) AND c.seq + 0 >= (SELECT at.place - %(width)s FROM at)
          AND {which} {sifted} OFFSET 0) found
    WHERE found.channel = sought.channel AND found.seq > greatest(sought.since{later})
    ORDER BY found.seq DESC LIMIT %(rows)s
)
"""
#: Of open channels all, of those that were closed the removes.
ALL_OF_IT = "(mine.until IS NULL OR c.op = 'remove')"


def beginning(first: str, *, which: str, order: str = "ASC", later: str = "", closed: bool = False) -> str:
    """The whole text that finds the first row for which `which` holds, and after the place `later` as well.

    With `closed`, removes in channels that were closed, too.
    """
    found = _BEGINS_FORWARDS if order == "ASC" else _BEGINS_BACKWARDS
    later = f", {later}" if later else ""
    return f"WITH {first} {found.format(which=which, later=later, closed=_CLOSED if closed else '')}"


def stretch(*, which: str, order: str = "ASC", later: str = "", sieve: Sieve = NO_SIEVE, leaps: bool = False) -> str:
    """The parts of a WITH that read a stretch, of rows for which `which` holds, and after the place `later` as well.

    Of these only what passes the sieve; with `leaps`, found by the index that it is for.
    """
    if leaps:
        text = _SIFTED_FORWARDS if order == "ASC" else _SIFTED_BACKWARDS
    else:
        text = _FORWARDS if order == "ASC" else _BACKWARDS
    first, last = "greatest(at.place, 0)", f"least(at.place + %(width)s, ({END}))"
    if order != "ASC":
        first, last = "greatest(at.place - %(width)s, 0)", f"least(at.place, ({END}))"
    return text.format(
        row=_ROW,
        which=which,
        later=f", {later}" if later else "",
        sifted=sieve.sought() if leaps else sieve.condition(),
        numbers=sieve.numbers(f"SELECT {first} FROM at", f"SELECT {last} FROM at") if sieve else "",
    )


# The rows of the page, then one row with what `Walked` says, as JSON in place of its body: columns of its own would be
# sent and read with each row, as nulls. Each body goes from its table to the reader as it lies: whatever keeps rows for
# later (a part of a WITH, a join of the two, a sort) copies each, a millisecond for a thousand.
_FROM_STRETCH = """
({told})
UNION ALL
SELECT {nulls}, json_build_array(now.head, now.life, at.place, walked.rows, walked.last, pruned.last)::text, NULL, NULL
FROM now CROSS JOIN at CROSS JOIN (SELECT coalesce(max(mine.lost), 0) AS last FROM mine) pruned
CROSS JOIN (SELECT count(*) AS rows, {last}(seq) AS last FROM raw) walked
"""
_FROM_IDS = """
({told})
UNION ALL
SELECT {nulls}, json_build_array(now.head, now.life)::text, NULL, NULL FROM now
"""
# Rows until their bodies have so many bytes; each says how many they are with it, and whether another was found.
_WITHIN = """
SELECT * FROM (
    SELECT found.*, sum(coalesce(octet_length(body), 0)) OVER by_place AS upto, lead(TRUE) OVER by_place AS another
    FROM ({page}) found WINDOW by_place AS (ORDER BY seq {order} ROWS UNBOUNDED PRECEDING)
) counted WHERE counted.upto - coalesce(octet_length(counted.body), 0) < %(max_bytes)s
"""
#: From the end of a row: its body, the bytes up to it, and behind them whether there is another row.
_BODY, _UPTO = -3, -2


def statement(first: str, stretch: str | None, page: str, *, columns: int, order: str = "ASC") -> str:
    """The whole text. `page` selects at most `%(limit)s` rows with `seq` and `body`; their bytes are bounded here.

    Its rows have so many `columns`, and come in their order. Without a stretch, `page` finds its rows by other ways
    than the log's.
    """
    parts = first if stretch is None else f"{first}, {stretch}"
    read = (_FROM_IDS if stretch is None else _FROM_STRETCH).format(
        told=_WITHIN.format(page=page, order=order),
        nulls=", ".join(["NULL"] * (columns - 1)),
        last="max" if order == "ASC" else "min",
    )
    return f"WITH {parts} {read}"


@dataclass(slots=True)
class Walked:
    """What was found: rows, each beginning with its place, and whether there are more.

    `reached` is the last row of the reader's that was looked at, told or not; None where there was none.
    """

    page: list[tuple[Any, ...]]
    reached: int | None = None
    more: bool = False
    head: int = 0  # the end of the log
    lost: int = 0  # the last row that was pruned from what this reader is told


def of(viewer: Viewer) -> dict[str, Any]:
    """The parameters that say who is reading."""
    groups = viewer.key_groups if viewer.key_groups is not None else viewer.group_ids if viewer.limited else None
    return {"viewer": viewer.partner_id, "groups": None if groups is None else sorted(groups)}


#: Parameters that a walk itself gives its statements.
_TAKEN = frozenset({"after", "begins", "rows", "width", "limit", "max_bytes"})


def walk(
    viewer: Viewer,
    beginning: str,
    sql: str,
    parameters: Mapping[str, Any],
    *,
    after: int,
    limit: int,
    max_bytes: int | None = None,
    most: int | None = None,
    backwards: bool = False,
    leaping: str = "",
    sifted: bool = False,
) -> Walked:
    """The first `limit` rows of the pages after a place (with `backwards`, before it), within `max_bytes`.

    The row that reaches `max_bytes` is the last. Where `most` rows of the log were looked at, it ends with what was
    found, for there may be more. One short statement where nothing is new, else a long one besides, and more where many
    rows are of no interest: of these, `leaping` finds the others by an index (`stretch`), where there is one for them;
    with `sifted`, what `sql` reads has all that the index asks for, and where that is much, the log goes on.
    Raises Gone.
    """
    if taken := _TAKEN.intersection(parameters):
        raise ValueError(f"a walk has parameters of these names: {sorted(taken)}")
    walked, place, looked_at, left = Walked([]), after, 0, NOWHERE if max_bytes is None else max_bytes
    rows = max(limit + 1, _LEAST_ROWS)
    known = (hash(sql), viewer.partner_id)
    width, leaps = _met.width(known, rows), False
    while True:
        if not leaps:
            how = IN_ORDER if backwards else _AS_IT_IS
            facts, _ = _asked(viewer, beginning, {**parameters, "after": place}, settings=how, paged=False)
            walked.head, begins, walked.lost = facts
            if begins is None:
                return walked
            place = begins
        bounds = {"begins": place, "rows": rows, "width": width, "limit": limit + 1 - len(walked.page)}
        asked, settings = (leaping, BY_INDEX) if leaps else (sql, IN_ORDER)
        everything = {**parameters, **bounds, "max_bytes": max(left, 1)}  # of a full page: whether there is another row
        facts, page = _asked(viewer, asked, everything, settings=settings, backwards=backwards)
        walked.head, begins, count, last, walked.lost = facts
        read = abs(last - begins) if count == rows else min(width, begins if backwards else walked.head - begins)
        if not leaps and count >= min(rows, _LEAST_ROWS):
            _met.note(known, read / count)
        if _take(walked, page, limit=limit if left > 0 else len(walked.page)):
            return walked
        left -= int(page[-1][_UPTO]) if page else 0
        if last is None and not leaping:
            return walked
        walked.reached, looked_at = last or walked.reached, looked_at + count
        # After a full stretch the next begins at its last row, not where it might have ended.
        place = last if count == rows else begins - width if backwards else begins + width
        if count < rows and (place <= 1 if backwards else place >= walked.head):
            return walked
        if most is not None and looked_at >= most:
            walked.more = True
            return walked
        # Where what was looked at was of interest, few rows lie in many places: no more of them than are still wanted.
        sparse = count < rows and 2 * len(page) >= count > 0
        rows = max(limit + 1 - len(walked.page), _LEAST_ROWS) if sparse else min(rows * _WIDER, _MOST_ROWS)
        if walked.page:  # as many as it took so far for each that was found, and some for chance
            wanted = (limit + 1 - len(walked.page)) * looked_at / len(walked.page)
            rows = min(rows, max(ceil(wanted * (1 + _CHANCE / sqrt(len(walked.page)))), _LEAST_ROWS))
        # Where much passes, or the next are likely within a block, reading on takes less than finding all that it has.
        near = (sifted and count * _DENSE >= read) or (
            page and (limit + 1 - len(walked.page)) * read <= _BLOCK * len(page)
        )
        if leaping and (leaps or not near):
            # A block's rows are all found and sorted, whatever is wanted of them: what is left would be found anew.
            rows = max(rows, _LEAP_ROWS)
            width, leaps = min(width * _WIDER, _MOST_PLACES) if leaps else _BLOCK, True
        else:
            width = min(width * _WIDER, ceil(rows * max(read / count * _SPARE, 1)) if count else NOWHERE)


class _Met:
    """How many places of the log a row took that a reader met last, by what was read and who did.

    What others publish unseen lies between, and too narrow a stretch is asked a second time. It says where to stop
    first, and changes nothing of what is found.
    """

    def __init__(self) -> None:
        self._apart: dict[tuple[int, UUID], float] = {}

    def width(self, known: tuple[int, UUID], rows: int) -> int:
        """How many places a stretch for so many rows has."""
        apart = self._apart.get(known)
        if apart is None:
            return rows * _WIDER
        # Rows that lie close are read soon: room for three times as far costs less than a second statement.
        return ceil(rows * min(max(apart * _SPARE, min(apart * _ROOM, _WIDER)), _WIDER * _WIDER))

    def note(self, known: tuple[int, UUID], apart: float) -> None:
        """Remember it; of too many all is forgotten."""
        if len(self._apart) >= _MOST_MET:
            self._apart = {}
        self._apart[known] = apart


_MOST_MET = 4_096
_met = _Met()


def at_once(
    viewer: Viewer,
    sql: str,
    parameters: Mapping[str, Any],
    *,
    limit: int,
    max_bytes: int | None = None,
    settings: Mapping[str, str] = IN_ORDER,
    backwards: bool = False,
) -> Walked:
    """The same for a statement without a stretch: one."""
    bounds = {"limit": limit + 1, "max_bytes": NOWHERE if max_bytes is None else max_bytes}
    everything = {**parameters, **bounds}
    (head,), page = _asked(viewer, sql, everything, settings=settings, backwards=backwards)
    walked = Walked([], head=head)
    if not _take(walked, page, limit=limit) and page:
        walked.reached = page[-1][0]
    return walked


def _take(walked: Walked, page: list[tuple[Any, ...]], *, limit: int) -> bool:
    """Add a page of which as many rows were read as fit; whether there are more than that."""
    fits = page[: limit - len(walked.page)]
    walked.page += [row[:_UPTO] for row in fits]
    walked.more = len(page) > len(fits) or bool(page and page[-1][-1])
    if walked.more and walked.page:
        walked.reached = walked.page[-1][0]
    return walked.more


def _asked(
    viewer: Viewer,
    sql: str,
    parameters: dict[str, Any],
    *,
    settings: Mapping[str, str] = _AS_IT_IS,
    paged: bool = True,
    backwards: bool = False,
) -> tuple[tuple[Any, ...], list[tuple[Any, ...]]]:
    """What a query says whose last row has the facts, what `now` says first: these, and the rows of its page by place.

    The first fact is the end of the log. Which life of the store this is comes with the answer. Where
    no page is asked for (`paged`), its one row is the facts.
    """
    began_with = incarnation.current()
    *page, told = replicas.read(partial(ask, sql, parameters | of(viewer), settings=settings))
    head, life, *others = orjson.loads(told[_BODY]) if paged else told
    incarnation.note(life, began_with=began_with)
    page.sort(key=_PLACE, reverse=backwards)  # they are in order, and to see that costs next to nothing
    return (head, *others), page


_PLACE = itemgetter(0)
