"""Make messages due: the rows that `notifying` finds a reason for, of many subscriptions by one statement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from exchange import clock, sql
from indicators.models import Subscription


@dataclass(slots=True)
class New:
    """A message that is to be made: up to where it tells of the log, or between which places of a set."""

    subscription: Subscription
    reached: int
    count: int
    urgent: bool
    places: tuple[int | None, int | None] = (None, None)
    pk: UUID = field(default_factory=uuid4)


def write(made: Sequence[New]) -> None:
    """Make them due now."""
    if not made:
        return
    given = {
        "ids": [one.pk for one in made],
        "partners": [one.subscription.partner_id for one in made],
        "subscriptions": [one.subscription.pk for one in made],
        "first": [one.subscription.seq for one in made],
        "last": [one.reached for one in made],
        "first_places": [one.places[0] for one in made],
        "last_places": [one.places[1] for one in made],
        "counts": [one.count for one in made],
        "urgent": [one.urgent for one in made],
        "now": clock.now(),
    }
    sql.ask(_MAKE, given)


def reach(subscription_ids: Sequence[UUID], place: int) -> None:
    """Note that these were told of the log up to this place; their rows are held by whoever says so."""
    sql.ask(_REACH, {"ids": subscription_ids, "place": place})


_REACH = "UPDATE indicators_subscription SET seq = %(place)s WHERE id = ANY(%(ids)s::uuid[])"
# What is not named has a default in the store: the kind is `changes`.
_MAKE = """
INSERT INTO indicators_delivery
    (id, partner_id, subscription_id, first_seq, last_seq, first_place, last_place, changes, urgent, state, attempts,
     due_at, created_at, outcome)
SELECT given.*, 'due', 0, %(now)s::timestamptz, %(now)s::timestamptz, ''
FROM unnest(%(ids)s::uuid[], %(partners)s::uuid[], %(subscriptions)s::uuid[], %(first)s::bigint[], %(last)s::bigint[],
            %(first_places)s::bigint[], %(last_places)s::bigint[], %(counts)s::int[], %(urgent)s::bool[]) AS given
"""
