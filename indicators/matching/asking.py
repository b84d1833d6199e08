"""Find matches in what a viewer sees: by stretches their own log, or from objects.

The log marks rows of which some value was carried by another source, too, when they were appended (`Change.linked`): it
only says where to look. Whether there is a match, and where it stands, is asked of living holdings that the viewer
sees. How far one request walks is counted in rows of the viewer's own log, marked or not: so neither what is found nor
where a cursor stands depends on what others do unseen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from uuid import UUID

from indicators.matching import finding, standing, stretches
from indicators.matching.finding import Match, Standing
from indicators.matching.stretches import TOP, Bounds
from partners.viewer import Viewer

#: Rows of their own log that one request of a reader covers at most.
ROWS = 20_000
#: Marked rows that are looked at in one go: each costs dozens of blocks, and as a rule each leads to another value.
_LEAST, _MOST = 16, 2_048
#: Values that `recent` looks at: so many in one go, and in all.
_STRETCH, _LOOKED_AT = 100, 1_000

#: Where a reader of the newest first goes on: before this place and, of the values that stand there, this one.
Before = tuple[int, UUID]
#: A value at its place, with its sides.
_Placed = tuple[Before, list[Standing]]


@dataclass(frozen=True, slots=True)
class Newest:
    """Matches, newest first, and where to go on (None: that was all); `end` is the last place of the viewer's log."""

    matches: list[Match]
    before: Before | None
    end: int


@dataclass(frozen=True, slots=True)
class Recent:
    """How many matches, and when the last was found; `cut`: at least so many."""

    count: int
    last_at: datetime | None
    cut: bool


@dataclass(frozen=True, slots=True)
class Since:
    """Matches, oldest first, the place that was reached, and whether there is more to be read now."""

    matches: list[Match]
    reached: int
    more: bool


def newest(viewer: Viewer, *, before: Before | None = None, limit: int, rows: int = ROWS) -> Newest:
    """Each value once, where its last object stands in the viewer's log, newest first.

    At most `limit`, of at most `rows` rows of that log: there may be more where fewer are found.
    """
    placed, following, last = _newest(viewer, before=before, limit=limit, rows=rows)
    return Newest(_placed_shown(viewer, placed), following, last)


def recent(viewer: Viewer, *, since: datetime, most: int) -> Recent:
    """How many values that the viewer's own objects carry were matched since a moment, up to so many.

    Looks at `_LOOKED_AT` values at most, whoever says them, the newest first, a stretch at a time.
    """
    own, found, before = standing.own_source(viewer), Recent(0, None, cut=False), None
    for _ in range(_LOOKED_AT // _STRETCH):
        placed, before, _ = _newest(
            viewer, before=before, limit=_STRETCH, rows=ROWS, enough=lambda _, oldest: oldest < since
        )
        late = [at for _, sides in placed if (at := _found_at(sides)) >= since and finding.is_met(sides, by=own)]
        found = Recent(found.count + len(late), found.last_at or next(iter(late), None), cut=False)
        if found.count >= most:
            return Recent(most, found.last_at, cut=True)
        if before is None or len(placed) < _STRETCH or _found_at(placed[-1][1]) < since:
            return found
    return Recent(found.count, found.last_at, cut=True)


def _placed_shown(viewer: Viewer, placed: Sequence[_Placed]) -> list[Match]:
    return standing.shown(viewer, {value_id: (seq, _found_at(sides), sides) for (seq, value_id), sides in placed})


def since(viewer: Viewer, *, after: int, limit: int, rows: int = ROWS) -> Since:
    """What was found after a place of the viewer's log, oldest first: a value each time that an object comes to it.

    A value that comes several times on one page stands where it came last.
    """
    covered = stretches.reach(viewer, Bounds(after=after), rows=rows)
    left: Bounds | None = Bounds(after, covered.last + 1) if covered.last else None
    found: dict[UUID, standing.Asked] = {}
    most, place = _size(limit), after
    while left is not None:
        stretch = stretches.marked(viewer, left, most=most)
        sides = standing.sides_of(viewer, stretch.rows)
        for seq, there in groupby(stretch.rows, key=attrgetter("seq")):
            later = [row for row in there if finding.is_later(row, sides[row.value_id])]
            if later and len(found) >= limit:
                return Since(_in_order(viewer, found), reached=place, more=True)
            found |= {row.value_id: (seq, row.date_added, sides[row.value_id]) for row in later}
            place = seq if later else place
        left, most = stretch.left, min(4 * most, _MOST)
    return Since(_in_order(viewer, found), reached=covered.last or after, more=covered.more)


def beside(viewer: Viewer, told: Sequence[tuple[int, datetime, int]]) -> dict[int, list[Match]]:
    """By place in the log, what versions that are told there have in common with what came before: places and keys."""
    if not told:
        return {}
    rows = stretches.carried(viewer, told)
    sides = standing.sides_of(viewer, rows)
    later: dict[int, dict[UUID, standing.Asked]] = {}
    for row in rows:
        if finding.is_later(row, sides[row.value_id]):
            later.setdefault(row.seq, {})[row.value_id] = (row.seq, row.date_added, sides[row.value_id])
    return standing.shown_each(viewer, later)


def among(viewer: Viewer, object_ids: Sequence[int], *, limit: int) -> list[Match]:
    """What these versions have in common with others, what came last first."""
    rows = stretches.carried(viewer, [(0, None, key) for key in object_ids])
    placed = _placed(standing.sides_of(viewer, rows), before=None, place=finding.last)[:limit]
    return standing.shown(viewer, {value_id: (seq, None, sides) for (seq, value_id), sides in placed})


def _newest(
    viewer: Viewer,
    *,
    before: Before | None,
    limit: int,
    rows: int,
    enough: Callable[[int, datetime], bool] = lambda found, at: False,
) -> tuple[list[_Placed], Before | None, int]:
    """Where the newest values stand, where to go on, and the first place that was looked at.

    `enough` is asked before older rows are looked at: it is given how many were found, and the date of the oldest row.
    """
    whole = Bounds(before=before[0] + 1 if before else TOP, newest_first=True)
    left: Bounds | None = whole
    most, covered, seen = _size(limit), None, set[UUID]()
    placed: list[_Placed] = []
    while left is not None:
        stretch = stretches.marked(viewer, left, most=most)
        sides = standing.sides_of(viewer, [row for row in stretch.rows if row.value_id not in seen])
        seen |= sides.keys()
        found = _placed(sides, before=before)
        # Of many that carry a value some are looked at; where its place lies further on, it is found there.
        ahead = {value_id for (place, value_id), _ in found if stretch.rows and place < stretch.rows[-1].seq}
        placed += [one for one in found if one[0][1] not in ahead]
        seen -= ahead
        left, most = stretch.left, min(4 * most, _MOST)
        if len(placed) > limit or (stretch.oldest is not None and enough(len(placed), stretch.oldest)):
            break
        if left is not None and covered is None:
            covered = stretches.reach(viewer, whole, rows=rows)
            left = Bounds(covered.last - 1, left.before, newest_first=True) if covered.last < left.before - 1 else None
    if covered is None:
        after = placed[limit][0][0] - 1 if len(placed) > limit else 0
        covered = stretches.reach(viewer, Bounds(after, whole.before, newest_first=True), rows=rows)
    placed = [one for one in placed if not covered.more or one[0][0] >= covered.last]
    if len(placed) > limit:
        return placed[:limit], placed[limit - 1][0], covered.first
    return placed, (covered.last, UUID(int=0)) if covered.more else None, covered.first


def _placed(
    sides: Mapping[UUID, list[Standing]],
    *,
    before: Before | None,
    place: Callable[[list[Standing]], Standing | None] = finding.newest,
) -> list[_Placed]:
    """The values that are matched and stand before a place, each at the place of its last side, newest first."""
    placed = [
        ((last.last, value_id), of_value)
        for value_id, of_value in sides.items()
        if (last := place(of_value)) is not None and (before is None or (last.last, value_id) < before)
    ]
    return sorted(placed, key=lambda one: one[0], reverse=True)


def _found_at(sides: Sequence[Standing]) -> datetime:
    found = finding.newest(sides)
    assert found is not None
    assert found.last_at is not None
    return found.last_at


def _in_order(viewer: Viewer, found: Mapping[UUID, standing.Asked]) -> list[Match]:
    return standing.shown(viewer, dict(sorted(found.items(), key=lambda one: (one[1][0], one[0]))))


def _size(limit: int) -> int:
    return min(max(_LEAST, limit + limit // 4), _MOST)
