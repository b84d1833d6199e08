"""How a publisher stands: its groups, and the audiences that it has used. What a batch of its is held against."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

from django.db import connection

from exchange.errors import Forbidden, Refused
from exchange.memory import Memory
from exchange.sql import Message, columns, instance
from partners.attribution import Attribution
from partners.audiences import AudienceSpec, Standing
from partners.models import Group, Partner
from partners.tlp import Tlp
from partners.viewer import Viewer


def standing(by: Viewer) -> Standing:
    """Where `by` stands now. One query."""
    message = Message()
    groups = message.add(_OWN_GROUPS, [by.partner_id])
    audiences = message.add(_OWN_AUDIENCES, [by.partner_id])
    message.send()
    stamp, count = groups.rows[0][:2]
    found = [instance(Group, row[2:]) for row in groups.rows if row[2] is not None]
    stands = Standing(
        stamp,
        {group.pk: group for group in found},
        {
            AudienceSpec(Tlp(tlp), everyone, tuple(groups), tuple(partners), Attribution(attribution)): pk
            for pk, tlp, everyone, groups, partners, attribution in audiences.rows
        },
    )
    if by.kind == Partner.Kind.EXCHANGE:  # a member of nothing: it goes where it is sent, and is not remembered there
        return replace(stands, groups=Group.objects.in_bulk(by.group_ids))
    if count == len(stands.audiences) and not connection.in_atomic_block:  # there, it may see what is never committed
        _REMEMBERED.put(by.partner_id, stands)
    return stands


def remembered(by: Viewer) -> Standing | None:
    """Where `by` stood when last it was asked; to be asked for once more by who acts on it (`asked_again`)."""
    return _REMEMBERED.get(by.partner_id)


def asked_again(by: Viewer, stands: Standing, message: Message) -> Callable[[], bool]:
    """Ask once more how `by` stands; behind the locks (`partners.locks`), under which it stays so.

    A suspension or a leaving that was committed since it was read, or while this waited, is not overtaken. Returns a
    callable; call it after `send`: it says whether the publisher still stands as it did, and raises Forbidden if the
    partner is no longer active, Refused if it has left a group.
    """
    stamped = message.add(_STAMP_NOW, [by.partner_id])

    def still_stands() -> bool:
        ((state, stamp, count),) = stamped.rows
        if state != Partner.State.ACTIVE:
            raise Forbidden("Your partner takes no part at the moment.", code="partner-not-active")
        if stamp != stands.stamp:
            return False
        if count != len(stands.audiences):  # found when it is needed, and known from the next time on
            _REMEMBERED.drop(by.partner_id)
        if not by.group_ids <= stands.groups.keys():
            raise Refused("The audience names a group that you are not in.", code="unknown-group", at="/groups")
        return True

    return still_stands


_REMEMBERED: Memory[UUID, Standing] = Memory(most=1_024)
_COUNT = "(SELECT count(*) FROM partners_audience a WHERE a.publisher_id = p.id AND a.use = 'objects')"
_DIGEST = """
md5(coalesce((SELECT string_agg(g::text, '' ORDER BY g.id) FROM partners_group g JOIN partners_membership m
              ON m.group_id = g.id AND m.partner_id = p.id AND m.until IS NULL), ''))
"""
# What a standing depends on, as SQL expressions about the partner `p`: its groups as they are, and the server, which
# may be one that lacks an audience; and how many audiences it has used, which are never altered or deleted.
_STAMP = f"{_DIGEST} || ':' || pg_postmaster_start_time()"
_STAMP_NOW = f"SELECT p.state, {_STAMP}, {_COUNT} FROM partners_partner p WHERE p.id = %s"
_OWN_GROUPS = f"""
SELECT {_STAMP}, {_COUNT}, {columns(Group, "g")}
FROM partners_partner p
LEFT JOIN partners_membership m ON m.partner_id = p.id AND m.until IS NULL
LEFT JOIN partners_group g ON g.id = m.group_id
WHERE p.id = %s
"""
_OWN_AUDIENCES = """
SELECT id, tlp, everyone, groups, partners, attribution FROM partners_audience
WHERE publisher_id = %s AND use = 'objects'
"""
