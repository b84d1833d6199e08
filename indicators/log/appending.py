"""Writing the log: each change gets its place, in commit order. The only writer of Change, Commit and Untold.

The order lock is the last that a transaction takes: `seq` and `date_added` are assigned under it, so no reader that has
seen one row can later find a row before it. It is released after the commit is visible (PostgreSQL releases locks
last), hence a later writer always numbers after us. A change becomes a row in each channel of the audience that it
concerns (ADR 0031).

All who publish wait for that lock, so it is held for so many rows at most, however many a batch makes (ADR 0045): what
a transaction brings beyond them is written down in it (`Untold`) and told right after its commit, in portions, each
under the lock for some milliseconds. The rows are the queue: what a process left is found by the next sweep. Of a
change that is still to be told the holding says already what is so, as it does for whatever the log tells late.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
from django.db import connection, transaction

from exchange.celery import app
from exchange.sql import Message, Reply, array_of, array_of_numbers
from indicators import living
from indicators.log import traced, traits
from indicators.models import Change, Untold
from indicators.stored import Version
from indicators.values import carrying, overlapping

#: Key of the advisory lock that orders the log: "chgs".
ORDER_LOCK = 0x63686773
#: So many rows at most are written under the order lock; one change to more channels than that is one portion.
PORTION = 256
#: So few changes go at once, whatever their channels.
_FEW = 8


class NewChange(msgspec.Struct, frozen=True):
    """A change before it has its place in the log: told to an audience, but for those whom another reaches as well.

    A remove is told to its publisher all the same.
    """

    holding_id: int
    version_id: int
    audience_id: int
    op: Change.Op
    reason: Change.Reason
    again: bool = False
    but: int | None = None


def remove(held: Version, reason: Change.Reason, *, but: int | None = None) -> list[NewChange]:
    """What tells those who see a holding, by its newest version, that they do not any more; nothing if it has ended."""
    if not living.lives(held.state):
        return []
    return [NewChange(held.holding_id, held.object_id, held.audience_id, Change.Op.REMOVE, reason, but=but)]


def removes(holdings: Iterable[Version | None], reason: Change.Reason) -> list[NewChange]:
    """The same of several holdings; where there is none, of none."""
    return [change for held in holdings if held is not None for change in remove(held, reason)]


def append(changes: Sequence[NewChange], *, by: UUID | None = None, within: Message | None = None) -> None:
    """Give each change its place in the log, with `within` when that message is sent; `by` is whose batch it is.

    Last in the transaction: the lock is held until commit. What is more than a portion is told right after it, but for
    removes, which are told in the order in which sights are turned. Of one partner's, earlier changes come first.
    """
    if not changes:
        return
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("a change is appended in the transaction that makes it")
    message = within or Message()
    carrying.note_sources([one.holding_id for one in changes if one.op == Change.Op.UPSERT], within=message)
    given = {
        "by": by,
        "portion": PORTION,
        "holdings": array_of_numbers(change.holding_id for change in changes),
        "versions": array_of_numbers(change.version_id for change in changes),
        "audiences": array_of_numbers(change.audience_id for change in changes),
        "buts": array_of_numbers(change.but or 0 for change in changes),
        "ops": array_of(change.op.value for change in changes),
        "reasons": array_of(change.reason.value for change in changes),
        "agains": array_of_numbers(change.again for change in changes),
    }
    if len(changes) > _FEW:
        left = message.add(_LEAVE, given)
        transaction.on_commit(partial(_settle_left, by, left), robust=True)
        for when in ("IMMEDIATE", "DEFERRED"):  # else the commit looks for what rows refer to, and holds the lock
            message.add(f"SET CONSTRAINTS ALL {when}")
    message.add(_LOCK, [ORDER_LOCK])
    message.add(_APPEND_FIRST if len(changes) > _FEW else _APPEND_GIVEN, given)
    message.add(traits.INDEX)
    traced.note(within=message)
    if within is None:
        message.send()


def append_found(query: str, parameters: Mapping[str, Any]) -> int:
    """Give each change that `query` finds its place in the log; returns how many. To be called as `append` is.

    The query selects `holding, version, channels, tlp, op, reason, again, place`, places from 1 on without gaps; it
    begins after the lock is held.
    """
    lock()
    with connection.cursor() as cursor:
        cursor.execute(_append(query), parameters)
        count, _ = cursor.fetchone()
        cursor.execute(traits.INDEX)
        return int(count)


def lock() -> None:
    """Let nobody append until this transaction ends: what is asked from now on is what the next change will find."""
    with connection.cursor() as cursor:
        cursor.execute(_LOCK, [ORDER_LOCK])


def settle(by: UUID | None) -> None:
    """Tell what is still untold of one partner's (None: of nobody's), in portions, each a transaction of its own.

    Each is one message, so the lock is never held while this process is at something else. May run in several places
    at once: who holds the order lock takes the oldest portion that is left.
    """
    more = True
    while more:
        message = Message()
        message.add(_LOCK, [ORDER_LOCK])
        message.add(_APPEND_UNTOLD, {"by": by})
        message.add(traits.INDEX)
        traced.note(within=message)
        taken = message.add(_TAKE_AWAY, {"by": by})
        message.send()
        more = bool(taken.rows) and taken.rows[0][0]


def _settle_left(by: UUID | None, left: Reply) -> None:
    if left.rows:
        settle(by)


@app.task(name="indicators.log.appending.catch_up", ignore_result=True)
def catch_up() -> None:
    """Tell what a process left untold. Safe to run at any time, and twice."""
    for by in Untold.objects.values_list("partner_id", flat=True).distinct().order_by():
        settle(by)


_LOCK = "SELECT pg_advisory_xact_lock(%s)"

# One row: how many changes there were; who waits is woken at the commit. The end of the log is the last commit; under
# the order lock nobody makes another.
_APPEND = """
WITH found AS MATERIALIZED ({new}), shared AS MATERIALIZED (
    SELECT found.*, found.op = 'upsert' AND {linked} AS linked FROM found
), new AS MATERIALIZED (
    SELECT shared.*, CASE WHEN shared.op = 'upsert' OR shared.reason = 'revoked' THEN (
        SELECT {words} FROM indicators_stixobject o JOIN indicators_holding h ON h.id = o.holding_id
        JOIN partners_audience a ON a.id = h.audience_id WHERE o.id = shared.version) END AS words
    FROM shared
), last AS MATERIALIZED (
    SELECT coalesce(end_.last_seq, 0) AS seq, greatest(clock_timestamp(), end_.date_added) AS moment
    FROM (SELECT) one LEFT JOIN LATERAL (
        SELECT last_seq, date_added FROM indicators_commit ORDER BY last_seq DESC LIMIT 1) end_ ON true
), ended AS (
    INSERT INTO indicators_commit (last_seq, date_added)
    SELECT last.seq + max(new.place), last.moment + max(new.place) * interval '1 microsecond'
    FROM new CROSS JOIN last GROUP BY last.seq, last.moment
), told AS (
    INSERT INTO indicators_change (channel, seq, date_added, holding_id, version_id, op, reason, tlp, again, linked,
                                   traits)
    SELECT told_in.channel, last.seq + new.place, last.moment + new.place * interval '1 microsecond',
           new.holding, new.version, new.op, new.reason, new.tlp, new.again, new.linked,
           CASE WHEN new.words IS NOT NULL THEN {numbers} END
    FROM new CROSS JOIN last CROSS JOIN LATERAL unnest(new.channels) told_in(channel)
)
SELECT count(*), CASE WHEN count(*) > 0 THEN pg_notify('exchange_changes', '')::text END FROM new
"""

# Each audience is found by its key: another plan would read all that there are, under the lock. A remove `but` for an
# audience is told to its publisher all the same, who sees the holding before and after (`changes.since`).
_TOLD_TO = """
CROSS JOIN LATERAL (
    SELECT a.tlp, CASE WHEN given.but = 0 THEN a.channels
                       ELSE ARRAY(SELECT unnest(a.channels)
                                  EXCEPT SELECT unnest(b.channels) FROM partners_audience b WHERE b.id = given.but
                                  UNION SELECT w.id FROM partners_channel w
                                  WHERE given.op = 'remove' AND w.id = ANY(a.channels) AND w.reach = 'own')
                  END AS channels
    FROM partners_audience a WHERE a.id = given.audience LIMIT 1) a
"""
_COLUMNS = "(holding, version, audience, but, op, reason, again, place)"
_GIVEN = f"""
SELECT given.*, a.tlp, a.channels
FROM unnest(%(holdings)s::bigint[], %(versions)s::bigint[], %(audiences)s::bigint[], %(buts)s::bigint[],
            %(ops)s::text[], %(reasons)s::text[], %(agains)s::boolean[])
     WITH ORDINALITY AS given{_COLUMNS} {_TOLD_TO}
"""
# The same with the portion that each goes with: the first, for a remove that no version enters by.
_ENTERS = "(given.op = 'upsert' OR given.reason = 'revoked')"
_PORTIONED = f"""
SELECT given.*, CASE WHEN {_ENTERS} THEN (sum(cardinality(given.channels)) FILTER (WHERE {_ENTERS})
                    OVER (ORDER BY given.place ROWS UNBOUNDED PRECEDING) - 1) / %(portion)s ELSE 0 END AS portion
FROM ({_GIVEN}) given
"""
_FIRST = f"""
SELECT given.holding, given.version, given.channels, given.tlp, given.op, given.reason, given.again,
       row_number() OVER (ORDER BY given.place) AS place
FROM ({_PORTIONED}) given WHERE given.portion = 0
"""
# A row for each portion but the first, in order.
_LEAVE = f"""
INSERT INTO indicators_untold (partner_id, holdings, versions, audiences, buts, ops, reasons, agains)
SELECT %(by)s::uuid, array_agg(holding ORDER BY place), array_agg(version ORDER BY place),
       array_agg(audience ORDER BY place), array_agg(but ORDER BY place), array_agg(op ORDER BY place),
       array_agg(reason ORDER BY place), array_agg(again ORDER BY place)
FROM ({_PORTIONED}) given WHERE given.portion > 0 GROUP BY given.portion ORDER BY given.portion
RETURNING id
"""
_OLDEST = """
SELECT * FROM indicators_untold WHERE partner_id IS NOT DISTINCT FROM %(by)s::uuid ORDER BY id LIMIT 1
"""
_UNTOLD = f"""
SELECT given.*, a.tlp, a.channels
FROM ({_OLDEST}) u
CROSS JOIN LATERAL unnest(u.holdings, u.versions, u.audiences, u.buts, u.ops, u.reasons, u.agains)
     WITH ORDINALITY AS given{_COLUMNS} {_TOLD_TO}
"""
# One row: whether there is another portion; none where there was none.
_TAKE_AWAY = f"""
DELETE FROM indicators_untold u WHERE u.id = (SELECT id FROM ({_OLDEST}) oldest)
RETURNING EXISTS (SELECT FROM indicators_untold o WHERE o.partner_id IS NOT DISTINCT FROM u.partner_id AND o.id > u.id)
"""


def _append(new: str) -> str:
    return _APPEND.format(
        new=new,
        linked=f"({carrying.IS_SHARED} OR {overlapping.IS_OVERLAPPED})",
        words=traits.words_of(matched=f"shared.linked OR {traits.MAY_OVERLAP}"),
        numbers=traits.of_row("new.words", "told_in.channel", "(last.seq + new.place)"),
    )


_APPEND_GIVEN, _APPEND_FIRST, _APPEND_UNTOLD = _append(_GIVEN), _append(_FIRST), _append(_UNTOLD)
