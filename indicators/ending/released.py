"""Receipts of a recall: how many of the instances that held it have let go, and how fast. Never who.

An instance is one that acknowledges deltas (docs/delta.md). Law 10 lets the publisher read this at once, where two or
more partners hold it: shares in tenths and times, no counts. Each partner weighs alike, however many instances it has
or says it has: by their number one could be told from the others, or speak for them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from statistics import median
from typing import NamedTuple
from uuid import UUID

from django.db import connection

from exchange.sql import ask
from indicators.models import Ending, Recall
from partners.viewer import Viewer

#: Partners that must hold it before anything is told.
FEWEST = 2
#: An instance that was silent for so long before the recall is not waited for.
_ALIVE = timedelta(days=7)
#: Of very many holdings so many are looked for, evenly over all: they went at places next to each other. In a list
#: fewer.
_MOST_LOOKED_FOR, _LOOKED_FOR_IN_A_LIST = 2_000, 100
_TENTHS = 10


class Instance(NamedTuple):
    """One instance that held what was recalled: whose, and when it had let go; None while it has not."""

    partner: object
    released_at: datetime | None


@dataclass(frozen=True, slots=True)
class Receipts:
    """`holding`: the share of instances that hold it still, in tenths, rounded up: 0 only where none does.

    It is the mean of the partners' own shares. Times are seconds from the recall to the acknowledgement, of those that
    have let go; None where none has. The median is that of the partners' own medians.
    """

    holding: float
    median_s: float | None
    slowest_s: float | None
    last_at: datetime | None

    @property
    def holding_percent(self) -> int:
        """The share of instances that hold it still, as a number of a hundred."""
        return round(100 * self.holding)

    @property
    def gone_percent(self) -> int:
        """The share of instances that have let go, in tenths rounded down, as a number of a hundred."""
        return 100 - self.holding_percent


def of(viewer: Viewer, recall: Recall) -> Receipts | None:
    """The receipts of a recall of the viewer's partner; None where too few held it, and unless it is carried out."""
    if recall.ending is None or recall.ending.state == Ending.State.UNDONE:
        return None
    step = max(1, len(recall.holdings) // _MOST_LOOKED_FOR)
    looked_for = sorted({*recall.holdings[::step], *recall.holdings[-1:]})
    return told(_instances(viewer, looked_for, at=recall.ending.at), at=recall.ending.at)


def of_several(viewer: Viewer, recalls: Sequence[Recall]) -> dict[UUID, Receipts]:
    """The receipts of a few, by recall, where there are any. One query, and one for each that is carried out."""
    ended = {
        one.pk: one.ending.at for one in recalls if one.ending is not None and one.ending.state != Ending.State.UNDONE
    }
    asked = {"me": viewer.partner_id, "recalls": list(ended), "most": _LOOKED_FOR_IN_A_LIST}
    found = {
        pk: told(_instances(viewer, some, at=ended[pk]), at=ended[pk])
        for pk, some in (ask(_SOME_OF, asked) if ended else ())
    }
    return {pk: receipts for pk, receipts in found.items() if receipts is not None}


# A row for each of the partner's own recalls: some of its holdings, evenly over all. Walks the key of recalls.
_SOME_OF = """
SELECT r.id, ARRAY(
    SELECT r.holdings[place] FROM generate_series(
        1, cardinality(r.holdings), greatest(1, cardinality(r.holdings) / %(most)s)) place)
FROM indicators_recall r WHERE r.id = ANY(%(recalls)s::uuid[]) AND r.partner_id = %(me)s
"""


def told(instances: Sequence[Instance], *, at: datetime) -> Receipts | None:
    """What is told of these. Pure."""
    own: dict[object, list[datetime | None]] = {}
    for one in instances:
        own.setdefault(one.partner, []).append(one.released_at)
    if len(own) < FEWEST:
        return None
    shares = [Fraction(moments.count(None), len(moments)) for moments in own.values()]
    share = math.ceil(_TENTHS * sum(shares) / len(own)) / _TENTHS
    took = [[_took(moment, at) for moment in moments if moment is not None] for moments in own.values()]
    medians = [median(several) for several in took if several]
    if not medians:
        return Receipts(share, None, None, None)
    last = max(one.released_at for one in instances if one.released_at is not None)
    return Receipts(share, round(median(medians), 1), _took(last, at), last)


def _took(moment: datetime, at: datetime) -> float:
    return round(max(0.0, (moment - at).total_seconds()), 1)


def _instances(viewer: Viewer, looked_for: Sequence[int], *, at: datetime) -> list[Instance]:
    with connection.cursor() as cursor:
        cursor.execute(
            _INSTANCES, {"me": viewer.partner_id, "holdings": list(looked_for), "at": at, "alive": at - _ALIVE}
        )
        return [Instance(*row) for row in cursor.fetchall()]


# A row for each instance of another's that was alive and held any of it: whose, and when it acknowledged the place up
# to which all of it had gone from its set. Walks, for each set, the unique index over sets and holdings.
_INSTANCES = """
SELECT s.partner_id,
       CASE WHEN NOT held.still AND r.place >= held.place AND r.equal IS NOT FALSE THEN coalesce(
            (SELECT min(n.at) FROM indicators_release n
             WHERE n.feed_set_id = s.id AND n.instance = r.instance AND n.place >= held.place), r.at) END
FROM indicators_feedset s
CROSS JOIN LATERAL (
    SELECT bool_or(f.removed = '') AS still, max(f.place) AS place
    FROM indicators_inforce f
    WHERE f.feed_set_id = s.id AND f.holding_id = ANY(%(holdings)s)
      AND (f.removed = '' OR f.date_added >= %(at)s)
) held
JOIN indicators_receipt r ON r.feed_set_id = s.id AND r.since <= %(at)s AND r.at >= %(alive)s
WHERE s.partner_id <> %(me)s AND held.place IS NOT NULL
"""
