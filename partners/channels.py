"""Channels, and who has them open: the ways from the log to its readers (ADR 0031). Writes Channel and Sight.

A channel is a reach and a marking: everyone, a group, a partner that is named, a publisher's own, each once for every
marking that it may carry. So the rule is one question, whether an audience has a channel that the viewer has open, and
the log is read channel by channel.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from django.db import connection
from django.db.models import Q

from partners.audiences import AudienceSpec
from partners.models import Channel, Sight
from partners.tlp import Tlp

_Reach = Channel.Reach
#: Where a closed channel ends as long as not all removes have been told in it: beyond every place.
NOT_YET = 2**63 - 1
#: What may go to more than named partners.
_BELOW_RED = [tlp for tlp in Tlp if tlp < Tlp.RED]


@dataclass(frozen=True, slots=True)
class Turn:
    """What a partner is about to see differently: the channels that it gains and loses, and those that stay open."""

    partner_id: UUID
    gained: frozenset[int]
    lost: frozenset[int]
    kept: frozenset[int]


def make_of_partner(partner_id: UUID) -> None:
    """Make the channels of a partner, which must be new, and open to it what it sees: all that goes to everyone."""
    _make(
        [
            *(Channel(reach=_Reach.EVERYONE, need=need) for need in _BELOW_RED),
            *(Channel(reach=_Reach.NAMED, partner_id=partner_id, need=need) for need in Tlp),
            Channel(reach=_Reach.OWN, partner_id=partner_id, need=Tlp.CLEAR),
            Channel(reach=_Reach.TOLD, partner_id=partner_id, need=Tlp.CLEAR),
        ]
    )
    make_turn(turning(partner_id), place=0)


def make_of_group(group_id: UUID, members: Iterable[UUID] = ()) -> None:
    """Make the channels of a group, in which nothing was shared yet, and open them to its first members."""
    _make([Channel(reach=_Reach.GROUP, group_id=group_id, need=need) for need in _BELOW_RED])
    for partner_id in members:
        make_turn(turning(partner_id), place=0)


def _make(channels: list[Channel]) -> None:
    Channel.objects.bulk_create(channels, ignore_conflicts=True)


def of_spec(spec: AudienceSpec, *, publisher_id: UUID) -> list[int]:
    """The channels that carry what its publisher shares like this, sorted. One query."""
    reached = Q(reach=_Reach.NAMED, partner__in=spec.partners) | Q(reach=_Reach.GROUP, group__in=spec.groups)
    if spec.everyone:
        reached |= Q(reach=_Reach.EVERYONE)
    wanted = Q(reach=_Reach.OWN, partner=publisher_id) | (Q(need=spec.tlp) & reached)
    return _ids(wanted)


def telling(partner_ids: Iterable[UUID]) -> list[int]:
    """The channels in which these partners alone are told, sorted. One query."""
    return _ids(Q(reach=_Reach.TOLD, partner__in=list(partner_ids), group=None))


def _ids(wanted: Q) -> list[int]:
    return list(Channel.objects.filter(wanted).order_by("pk").values_list("pk", flat=True))


def turning(partner_id: UUID) -> Turn:
    """What its memberships and its clearance, as they are now, open to a partner and close. Two queries."""
    with connection.cursor() as cursor:
        cursor.execute(_MAKE_TOLD, [partner_id])
        cursor.execute(_WANTED, [partner_id])
        wanted = frozenset(channel for (channel,) in cursor.fetchall())
        cursor.execute("SELECT channel_id FROM partners_sight WHERE partner_id = %s AND until IS NULL", [partner_id])
        opened = frozenset(channel for (channel,) in cursor.fetchall())
    return Turn(partner_id, gained=wanted - opened, lost=opened - wanted, kept=wanted & opened)


def make_turn(turn: Turn, *, place: int) -> None:
    """Close and open, at a place of the log: what came before is told to the partner by name, or not at all."""
    Sight.objects.filter(partner=turn.partner_id, channel__in=turn.lost, until=None).update(until=place)
    gained = Channel.objects.filter(pk__in=turn.gained).order_by("pk").values_list("pk", "group_id", "reach")
    Sight.objects.bulk_create(
        Sight(
            partner_id=turn.partner_id,
            channel_id=channel,
            group_id=group,
            since=0 if reach == _Reach.TOLD else place,
        )
        for channel, group, reach in gained
    )


def left_by_all(turns: Iterable[Turn]) -> dict[int, list[UUID]]:
    """Channels that several lost by these turns and nobody has open any more, as a dissolved group's; who lost each."""
    lost: dict[int, list[UUID]] = {}
    for turn in turns:
        for channel in turn.lost:
            lost.setdefault(channel, []).append(turn.partner_id)
    several = {channel: partners for channel, partners in lost.items() if len(partners) > 1}
    still = set(Sight.objects.filter(channel__in=several, until=None).values_list("channel_id", flat=True))
    return {channel: partners for channel, partners in several.items() if channel not in still}


def leave_to_removes(channel: int, partners: Iterable[UUID], *, place: int) -> None:
    """Have these partners, to whom the channel was closed at a place, read the removes that are still to come in it."""
    Sight.objects.filter(channel=channel, partner__in=list(partners), until=place).update(until=NOT_YET)


def end(channel_ids: Iterable[int], *, place: int) -> None:
    """No more removes come in these channels than up to a place."""
    Sight.objects.filter(channel__in=list(channel_ids), until=NOT_YET).update(until=place)


# A member is told of each group in a channel of its own, so that a reader of one group does not walk the others'.
_MAKE_TOLD = """
INSERT INTO partners_channel (reach, partner_id, group_id, need)
SELECT 'told', m.partner_id, m.group_id, 0 FROM partners_membership m WHERE m.partner_id = %s AND m.until IS NULL
ON CONFLICT DO NOTHING
"""

# The channels that a partner is to have open, as its memberships and its clearance are.
_WANTED = """
SELECT c.id FROM partners_partner p JOIN partners_channel c
    ON c.need <= p.clearance
   AND (c.partner_id = p.id OR c.reach = 'everyone'
        OR (c.reach = 'group' AND c.group_id IN (SELECT m.group_id FROM partners_membership m
                                                 WHERE m.partner_id = p.id AND m.until IS NULL)))
WHERE p.id = %s
"""
