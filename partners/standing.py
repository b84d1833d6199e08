"""How a publisher stands: its groups, and the audiences that it has used. What a batch of its is held against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from django.db import connection

from exchange.memory import Memory
from exchange.prepared import Message, Reply
from exchange.rows import columns, instance
from partners.attribution import Attribution
from partners.models import Group
from partners.sharing import AudienceSpec, Viewer
from partners.tlp import Tlp


@dataclass(frozen=True, slots=True)
class Standing:
    """The groups as they were, with a digest of them, and the audiences."""

    digest: str
    groups: Mapping[UUID, Group]
    audiences: Mapping[AudienceSpec, int]


def standing(by: Viewer, *, stamp: str = "") -> Standing:
    """Where `by` stands: what is remembered under the stamp that `STAMP` was answered with, or else one query."""
    known = _REMEMBERED.get((by.partner_id, stamp)) if stamp else None
    if known is not None:
        return known
    message = Message()
    groups = message.add_prepared(_OWN_GROUPS, [by.partner_id], called="groups")
    audiences = message.add_prepared(_OWN_AUDIENCES, [by.partner_id], called="own_audiences")
    message.send()
    stamped, digest, count = groups.rows[0][:3]
    found = [instance(Group, row[3:]) for row in groups.rows if row[3] is not None]
    stands = Standing(
        digest,
        {group.pk: group for group in found},
        {
            AudienceSpec(Tlp(tlp), everyone, tuple(groups), tuple(partners), Attribution(attribution)): pk
            for pk, tlp, everyone, groups, partners, attribution in audiences.rows
        },
    )
    if count == len(stands.audiences) and not connection.in_atomic_block:  # there, it may see what is never committed
        _REMEMBERED.put((by.partner_id, stamped), stands)
    return stands


def digest_within(message: Message, by: Viewer) -> Reply:
    """The digest of the groups as they are when the message is sent: another means that the standing is overtaken."""
    return message.add_prepared(_DIGEST_NOW, [by.partner_id], called="digest")


_REMEMBERED: Memory[tuple[UUID, str], Standing] = Memory(most=1_024)
_COUNT = "(SELECT count(*) FROM partners_audience a WHERE a.publisher_id = p.id AND a.use = 'objects')"
_DIGEST = """
md5(coalesce((SELECT string_agg(g::text, '' ORDER BY g.id) FROM partners_group g JOIN partners_membership m
              ON m.group_id = g.id AND m.partner_id = p.id AND m.until IS NULL), ''))
"""
_DIGEST_NOW = f"SELECT {_DIGEST} FROM partners_partner p WHERE p.id = %s"
#: What a standing depends on, as an SQL expression about the partner `p`: its groups as they are, and the number of the
#: audiences that it has used, which are never altered or deleted; on the server that counts them.
STAMP = f"{_DIGEST} || ':' || {_COUNT} || ':' || pg_postmaster_start_time()"
_OWN_GROUPS = f"""
SELECT {STAMP}, {_DIGEST}, {_COUNT}, {columns(Group, "g")}
FROM partners_partner p
LEFT JOIN partners_membership m ON m.partner_id = p.id AND m.until IS NULL
LEFT JOIN partners_group g ON g.id = m.group_id
WHERE p.id = %s
"""
_OWN_AUDIENCES = """
SELECT id, tlp, everyone, groups, partners, attribution FROM partners_audience
WHERE publisher_id = %s AND use = 'objects'
"""
