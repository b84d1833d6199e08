"""A partner comes to see more, or less: told to it alone, and to nobody else.

Channels are opened and closed to it in the transaction that changes a membership or a clearance (`partners.sight`), and
with them what it sees, at once, at one place of the log. What lies before that place it is told in a channel of its
own: each holding that it gained enters again for it, behind all that it has read, and each that it lost is removed.
Where all members lose a group at once, as it is dissolved, its holdings are removed in the group's own channels: once
each, not once for each member.

Those are noted in the same transaction (`Telling`) and told in portions, each under the order lock for a few
milliseconds; what is told of each is asked of the rule at its turn. The rows are the queue: what a process left undone
is found by the next sweep. A few are told at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import batched
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Q

from exchange import hints
from exchange.celery import app
from indicators import living
from indicators.log import changes, walking
from indicators.models import Telling
from indicators.telling import notifying
from partners import channels
from partners.channels import Turn
from partners.models import Channel, Sight

Kind = Telling.Kind

#: Holdings of one portion; and so many are told in the transaction that turns the sight.
PORTION = 250


def turn(turns: Sequence[Turn]) -> None:
    """Turn the sight of partners, and note what they are to be told. Called last in the transaction that changes it."""
    turned = sorted({channel for what in turns for channel in what.gained | what.lost})
    before = changes.head()
    found, passed = _shared(turned), _again({channel for what in turns for channel in what.lost})
    changes.lock()
    here = changes.head()
    for channel, holdings in _entered(turned, after=before).items():  # while those were looked for
        found.setdefault(channel, set()).update(holdings)
    for what in turns:
        channels.make_turn(what, place=here)
    ended = channels.left_by_all(turns)
    for channel, partners in ended.items():
        channels.leave_to_removes(channel, partners, place=here)
    rows = [
        *(row for channel in sorted(ended) for row in _ending(channel, found.pop(channel, set()))),
        *(row for what in turns for row in _portions(what, found)),
        *(row for what in turns for row in _portions(what, _but(passed, found), kind=Kind.PASSED)),
    ]
    if sum(len(row.holdings) for row in rows) <= PORTION:
        for row in rows:
            _tell(row)
        channels.end(ended, place=changes.head())
        transaction.on_commit(notifying.hint, robust=True)
    else:
        Telling.objects.bulk_create(rows)
        transaction.on_commit(hint, robust=True)


def _ending(channel: int, holdings: set[int]) -> list[Telling]:
    """What is to be told once for all who lost a channel, in portions."""
    return [
        Telling(channel_id=channel, told_in_id=channel, kind=Kind.CLOSED, holdings=list(portion))
        for portion in batched(sorted(holdings), PORTION)
    ]


def _but(some: Mapping[int, set[int]], others: Mapping[int, set[int]]) -> dict[int, set[int]]:
    return {channel: holdings - others.get(channel, set()) for channel, holdings in some.items()}


def _shared(turned: Iterable[int]) -> dict[int, set[int]]:
    """What is in these channels now, of whatever state, by channel. Walks `holding_by_audience`."""
    return _by_channel(
        "SELECT t.channel, h.id FROM unnest(%s::bigint[]) t(channel)"
        " JOIN partners_audience a ON a.channels @> ARRAY[t.channel] JOIN indicators_holding h ON h.audience_id = a.id",
        [list(turned)],
    )


def _entered(turned: Iterable[int], *, after: int) -> dict[int, set[int]]:
    """What was told in these channels after a place."""
    return _by_channel(
        "SELECT channel, holding_id FROM indicators_change WHERE channel = ANY(%s) AND seq > %s", [list(turned), after]
    )


def _again(closed: Iterable[int]) -> dict[int, set[int]]:
    """What entered again in these channels, and may be elsewhere now. Walks `change_that_enters_again`."""
    return _by_channel(
        "SELECT channel, holding_id FROM indicators_change WHERE channel = ANY(%s) AND again", [list(closed)]
    )


def _by_channel(sql: str, parameters: Sequence[int | list[int]]) -> dict[int, set[int]]:
    found: dict[int, set[int]] = {}
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        for channel, holding in cursor.fetchall():
            found.setdefault(channel, set()).add(holding)
    return found


def _portions(what: Turn, found: Mapping[int, set[int]], *, kind: Kind | None = None) -> list[Telling]:
    """What a partner is to be told, in portions; what a group's channel brings is told in the one of that group."""
    found = {channel: holdings for channel, holdings in found.items() if channel in what.gained | what.lost}
    groups = dict(Channel.objects.filter(pk__in=list(found)).values_list("pk", "group_id"))
    told = Channel.objects.filter(reach=Channel.Reach.TOLD, partner=what.partner_id)
    told_in = dict(told.values_list("group_id", "pk"))
    return [
        Telling(
            partner_id=what.partner_id,
            channel_id=channel,
            told_in_id=told_in[groups[channel]],
            kind=kind or (Kind.OPENED if channel in what.gained else Kind.CLOSED),
            holdings=list(portion),
        )
        for channel, holdings in sorted(found.items())
        for portion in batched(sorted(holdings), PORTION)
    ]


def _tell(row: Telling) -> None:
    changes.append_found(
        _ENDED if row.partner_id is None else _OPENED if row.kind == Kind.OPENED else _CLOSED,
        {
            "holdings": row.holdings,
            "channel": row.channel_id,
            "told_in": row.told_in_id,
            "viewer": row.partner_id,
            "removes": row.kind == Kind.CLOSED,
        },
    )


def owe(partner_id: UUID, told_in: int, holdings: Iterable[int]) -> None:
    """Have all that a partner sees of these holdings told to it anew, in a channel of its own; call `hint` then."""
    Telling.objects.bulk_create(
        Telling(partner_id=partner_id, channel_id=told_in, told_in_id=told_in, kind=Kind.OPENED, holdings=list(portion))
        for portion in batched(sorted(holdings), PORTION)
    )


def is_behind(partner_id: UUID) -> bool:
    """Whether a partner is still to be told of anything that it lost. One query."""
    closed = Sight.objects.filter(partner=partner_id, until=channels.NOT_YET)
    of_it = Q(partner=partner_id) | Q(partner=None, channel__in=closed.values("channel"))
    return Telling.objects.filter(of_it, kind=Kind.CLOSED).exists()


def tell_next() -> bool:
    """Tell one portion; whether there was one. May run in several places at once."""
    with transaction.atomic():
        row = Telling.objects.select_for_update(skip_locked=True).order_by("pk").first()
        if row is None:
            _end_what_is_told()
            return False
        _tell(row)
        row.delete()
    return True


def _end_what_is_told() -> None:
    """End the channels in which all that was noted for all who lost them has been told."""
    waiting = Sight.objects.filter(until=channels.NOT_YET).values("channel_id").distinct()
    told = waiting.exclude(channel__in=Telling.objects.filter(partner=None).values("channel_id"))
    if ended := list(told.values_list("channel_id", flat=True)):
        changes.lock()
        channels.end(ended, place=changes.head())


def tell_all() -> int:
    """Tell all that waits for it; returns how many portions."""
    count = 0
    while tell_next():
        count += 1
    return count


def hint() -> None:
    """Ask a worker to tell; to be called after the commit."""
    hints.SENDER.send_soon(catch_up)


@app.task(name="indicators.sight.resighting.catch_up")
def catch_up() -> None:
    """Tell all that waits for it."""
    if tell_all():
        notifying.hint()


_SEEN = f"h.newest_id IS NOT NULL AND {walking.SEES.format(audience='h.audience_id')}"
_MINE = """
WITH mine AS MATERIALIZED (
    SELECT s.channel_id AS channel, s.until FROM partners_sight s WHERE s.partner_id = %(viewer)s AND s.until IS NULL
)
"""

# Of what was opened: each version that the partner sees now, the newest of each holding last. The order of the log is
# that of holdings, then of versions. TAXII serves versions of every age and state; the delta feed tells of those that
# live. Also what it sees by another channel, too: that one may be closed before it has read so far.
_OPENED = f"""
{_MINE}
SELECT h.id AS holding, o.id AS version, ARRAY[%(told_in)s::bigint] AS channels, a.tlp, 'upsert' AS op,
       'granted' AS reason, true AS again,
       row_number() OVER (ORDER BY h.id, o.id = h.newest_id, o.modified NULLS FIRST, o.id) AS place
FROM unnest(%(holdings)s::bigint[]) given(id) JOIN indicators_holding h ON h.id = given.id
JOIN indicators_stixobject o ON o.holding_id = h.id
JOIN partners_audience a ON a.id = h.audience_id
WHERE {_SEEN} AND {living.shown()}
"""
# Of what was closed to all who had it open: a remove of each holding, unless the last that was told there is one. Who
# sees it by another channel is not told (`changes.since`).
_ENDED = """
SELECT h.id AS holding, v.id AS version, ARRAY[%(channel)s::bigint] AS channels, k.need AS tlp, 'remove' AS op,
       'narrowed' AS reason, false AS again, row_number() OVER (ORDER BY h.id) AS place
FROM unnest(%(holdings)s::bigint[]) given(id) JOIN indicators_holding h ON h.id = given.id
JOIN partners_channel k ON k.id = %(channel)s
CROSS JOIN LATERAL (
    SELECT o.id FROM indicators_stixobject o WHERE o.holding_id = h.id ORDER BY o.id = h.newest_id DESC, o.id DESC
    LIMIT 1) v
WHERE 'remove' IS DISTINCT FROM (
    SELECT c.op FROM indicators_stixobject o JOIN indicators_change c ON c.version_id = o.id
    WHERE o.holding_id = h.id AND c.channel = %(channel)s ORDER BY c.seq DESC LIMIT 1)
"""
# Of what was closed: a remove of each holding, unless the last that the partner was told there is one. What it sees all
# the same is told by that as it is now (`changes.since`). It enters again, too, if one of its versions did so in this
# channel: whoever passed over an earlier entry for that one (`walking.LAST`) and has not read so far would never find
# it.
_CLOSED = f"""
{_MINE}, asked AS MATERIALIZED (
    SELECT h.*, a.tlp, {_SEEN} AS seen, (SELECT c.need FROM partners_channel c WHERE c.id = %(channel)s) AS need
    FROM unnest(%(holdings)s::bigint[]) given(id) JOIN indicators_holding h ON h.id = given.id
    JOIN partners_audience a ON a.id = h.audience_id
), told AS (
    SELECT h.id AS holding, v.id AS version, h.need AS tlp, 'remove' AS op, 'narrowed' AS reason, false AS again
    FROM asked h CROSS JOIN LATERAL (
        SELECT o.id FROM indicators_stixobject o WHERE o.holding_id = h.id ORDER BY o.id = h.newest_id DESC, o.id DESC
        LIMIT 1) v
    WHERE %(removes)s AND 'remove' IS DISTINCT FROM (
        SELECT c.op FROM indicators_stixobject o JOIN indicators_change c ON c.version_id = o.id
        WHERE o.holding_id = h.id AND c.channel = %(channel)s AND c.seq <= (
            SELECT max(s.until) FROM partners_sight s WHERE s.partner_id = %(viewer)s AND s.channel_id = %(channel)s)
        ORDER BY c.seq DESC LIMIT 1)
    UNION ALL
    SELECT h.id, o.id, h.tlp, 'upsert', 'granted', true
    FROM asked h JOIN indicators_stixobject o ON o.holding_id = h.id
    WHERE h.seen AND {living.shown()} AND EXISTS (
        SELECT FROM indicators_change c WHERE c.version_id = o.id AND c.channel = %(channel)s AND c.again)
)
SELECT told.*, ARRAY[%(told_in)s::bigint] AS channels, row_number() OVER (ORDER BY op, holding, version) AS place
FROM told
"""
