"""The flood breaker: an indicator that suddenly meets everybody is disarmed by the machine, and its publisher is told.

Decided from what subscribers met by the hour (`tallying`). Each subscriber is compared with itself: what it met of the
indicator before is its baseline. Only where three or more partners jump at once is anything done, so no member, nor
two, can disarm a rival's indicator by what they say; several agents of one partner are one subscriber. Nobody is told a
number. What was disarmed comes back when its publisher says so, and only then; after that the level that was found
is no jump any more.

The first half is plain functions of plain values. The only writer of Flood.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from statistics import median_low
from uuid import UUID

from django.db import connection, transaction

from exchange import clock, hints
from exchange.celery import app
from exchange.sql import Message
from indicators.ending import disarming
from indicators.log import changes, following
from indicators.models import Ending, Flood, Holding
from indicators.opinions import tallying
from indicators.publishing import storing
from indicators.telling import notifying
from partners import sharing
from partners.keys import auth

#: Partners that must see a jump in the same hours.
FEWEST = 3
#: What a subscriber meets in an hour without anybody looking, and by how many times more it jumps.
QUIET, JUMP = 10, 100
#: The hours that are looked at, this one and the last, and those that they are compared with.
_NOW, _BEFORE = timedelta(hours=1), timedelta(days=7)
_PAGE = 200


@dataclass(frozen=True, slots=True)
class Subscriber:
    """What one partner met of one indicator: the most in an hour just now, and in each hour before that met any."""

    now: int
    before: tuple[int, ...] = ()


def baseline(before: Sequence[int], *, accepted: int = 0) -> int:
    """What is usual: the median of the hours that met any, at least `QUIET` and what its publisher let stand."""
    return max(QUIET, accepted, median_low(before) if before else 0)


def jumps(one: Subscriber, *, accepted: int = 0) -> bool:
    """Whether a subscriber meets far more than usual."""
    return one.now >= JUMP * baseline(one.before, accepted=accepted)


def floods(subscribers: Iterable[Subscriber], *, accepted: int = 0) -> bool:
    """Whether so many subscribers see a jump that the indicator is to be disarmed; each stands for one partner."""
    return sum(jumps(one, accepted=accepted) for one in subscribers) >= FEWEST


def break_floods() -> int:
    """Disarm what floods now; returns how many. May run in several places at once."""
    now = tallying.hour_of(clock.now())
    count, after = 0, 0
    while holdings := _candidates(since=now - _NOW, after=after):
        count += _break_each(holdings, now=now)
        after = holdings[-1]
    return count


def _break_each(holdings: Sequence[int], *, now: datetime) -> int:
    """Disarm what of these floods; returns how many."""
    met = _met(holdings, since=now - _BEFORE)
    accepted = dict(Flood.unrestricted.filter(holding__in=holdings).values_list("holding", "level"))
    by_publisher: dict[UUID, dict[int, int]] = defaultdict(dict)
    for publisher, holding in Holding.unrestricted.filter(pk__in=holdings).values_list("publisher", "pk"):
        found = {one: subscriber_of(hours, now=now) for one, hours in met.get(holding, {}).items() if one != publisher}
        if floods(found.values(), accepted=accepted.get(holding, 0)):
            by_publisher[publisher][holding] = max(one.now for one in found.values())
    return sum(_disarm(publisher, found) for publisher, found in sorted(by_publisher.items()))


def subscriber_of(hours: Mapping[datetime, int], *, now: datetime) -> Subscriber:
    """What a partner met by the hour, as it is compared: the hour that goes on and the one before, and all earlier."""
    recent = [count for hour, count in hours.items() if hour >= now - _NOW]
    return Subscriber(max(recent, default=0), tuple(count for hour, count in hours.items() if hour < now - _NOW))


def _candidates(*, since: datetime, after: int) -> list[int]:
    """The next living holdings, by key, that three or more partners met often enough since then to be looked at."""
    least = {"least": QUIET * JUMP, "fewest": FEWEST}
    with connection.cursor() as cursor:
        cursor.execute(_CANDIDATES, {"since": since, "after": after, "limit": _PAGE, **least})
        return [holding for (holding,) in cursor.fetchall()]


# A row for each holding; walks the index of tallies by hour.
_CANDIDATES = """
SELECT t.holding_id FROM (
    SELECT t.holding_id, t.partner_id, t.hour FROM indicators_tally t
    WHERE t.hour >= %(since)s AND t.holding_id > %(after)s
    GROUP BY t.holding_id, t.partner_id, t.hour HAVING sum(greatest(t.matched, t.blocked)) >= %(least)s
) t JOIN indicators_holding h ON h.id = t.holding_id AND h.state = 'live' AND t.partner_id <> h.publisher_id
GROUP BY t.holding_id HAVING count(DISTINCT t.partner_id) >= %(fewest)s
ORDER BY t.holding_id LIMIT %(limit)s
"""


def _met(holdings: Sequence[int], *, since: datetime) -> dict[int, dict[UUID, dict[datetime, int]]]:
    """Of each holding, what each partner that takes part and sees it met by the hour."""
    with connection.cursor() as cursor:
        cursor.execute(_MET, {"holdings": list(holdings), "since": since})
        rows = cursor.fetchall()
    viewers = {one.partner_id: one for one in auth.every_viewer()}
    asking = [viewers[one] for one in {row[2] for row in rows} if one in viewers]
    sees = sharing.who_sees({row[1] for row in rows}, asking)
    found: dict[int, dict[UUID, dict[datetime, int]]] = defaultdict(lambda: defaultdict(dict))
    for holding, audience, partner, hour, count in rows:
        if partner in sees[audience]:
            found[holding][partner][hour] = int(count)
    return found


# A row for each holding, partner and hour; walks the unique index of tallies.
_MET = """
SELECT t.holding_id, h.audience_id, t.partner_id, t.hour, sum(greatest(t.matched, t.blocked))
FROM indicators_tally t JOIN indicators_holding h ON h.id = t.holding_id
JOIN partners_partner p ON p.id = t.partner_id AND p.state = 'active'
WHERE t.holding_id = ANY(%(holdings)s) AND t.hour >= %(since)s
GROUP BY 1, 2, 3, 4
"""


@transaction.atomic
def _disarm(publisher: UUID, found: Mapping[int, int]) -> int:
    """Disarm these of one publisher's that live still; `found` are the levels by holding. Returns how many."""
    storing.lock_publisher(publisher)
    by = replace(auth.viewer_whatever_state(publisher), actor="system")
    ended = disarming.living_of(by, list(found))
    if not ended:
        return 0
    last = Message()
    ending = disarming.an_ending(by, len(ended), Ending.Verb.FLOOD, alone=True)
    told = disarming.disarm_as(ending, ended, by=by, within=last)
    for one in ended.values():
        level = found[one.held.holding_id]
        Flood.unrestricted.update_or_create(
            holding_id=one.held.holding_id, defaults={"level": level, "at": clock.now()}
        )
    changes.append(told, within=last)
    last.send()
    transaction.on_commit(notifying.hint, robust=True)
    return len(ended)


def hand_over(became: Mapping[int, int]) -> None:
    """Have the levels that a publisher let stand hold for the holdings of its heir that took their place, by key."""
    with connection.cursor() as cursor:
        cursor.execute(_HAND_OVER, [list(became), list(became.values())])


_HAND_OVER = """
UPDATE indicators_flood f SET holding_id = new.heirs
FROM unnest(%s::bigint[], %s::bigint[]) AS new(id, heirs) WHERE f.holding_id = new.id
"""


@app.task(name="indicators.opinions.flooding.catch_up")
def catch_up() -> None:
    """Count the sightings that came, and disarm what floods."""
    if following.follow("tallies", lambda after: tallying.find(after=after)):
        hints.SENDER.send_soon(catch_up)
    break_floods()
