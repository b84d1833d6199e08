"""How other partners see the source of an object: by name, under a pseudonym, or as the exchange and nobody else.

A pseudonym is a random code, one for each group (and one for whatever reaches a reader outside of any group), so it is
the same within a group and leads from one group to no other. The codes are drawn, not derived: no key tells them.
"""

from __future__ import annotations

import base64
import secrets
import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Q

from partners.attribution import Attribution
from partners.models import Audience, Pseudonym
from partners.sharing import AudienceSpec, Viewer, intern_audience

#: Who stands as the source of what is attributed to the exchange alone: the same for all of it, and nobody's id.
EXCHANGE_ID = uuid.uuid5(uuid.NAMESPACE_URL, "urn:exchange:source:exchange")
_CODE_BYTES = 5


@dataclass(frozen=True, slots=True)
class Source:
    """Whom a viewer is told an object comes from."""

    id: UUID
    name: str
    slug: str


_EXCHANGE = Source(EXCHANGE_ID, "The exchange", "exchange")


def draw(partner_id: UUID, groups: Collection[UUID]) -> None:
    """See to it that a partner has a pseudonym in each of these groups, and one outside of them."""
    known = set(Pseudonym.objects.filter(partner=partner_id).values_list("group_id", flat=True))
    Pseudonym.objects.bulk_create(
        [Pseudonym(partner_id=partner_id, group_id=group, code=_code()) for group in {None, *groups} - known],
        ignore_conflicts=True,
    )


def intern(by: Viewer, spec: AudienceSpec) -> int:
    """The id of the one row that stands for an audience, with the pseudonyms that its readers will need."""
    if spec.attribution == Attribution.PSEUDONYM:
        draw(by.partner_id, spec.groups)
    return intern_audience(by, spec)


def sources(viewer: Viewer, audience_ids: Iterable[int]) -> Mapping[int, Source]:
    """Whom the viewer is told that objects with these audiences come from. Two queries at most.

    A publisher sees its own objects under its own name, whatever it shows to others.
    """
    rows = list(Audience.objects.filter(pk__in=set(audience_ids)).select_related("publisher"))
    codes = _codes(viewer, rows)
    return {row.pk: _source(viewer, row, codes) for row in rows}


def veiled(viewer: Viewer, audience_ids: Iterable[int]) -> dict[int, Source]:
    """The same, of those audiences only whose publisher the viewer is not told. One query where there are none."""
    rows = Audience.objects.filter(pk__in=list(audience_ids)).exclude(attribution=Attribution.NAMED)
    hidden = list(rows.exclude(publisher=viewer.partner_id).select_related("publisher"))
    codes = _codes(viewer, hidden)
    return {row.pk: _source(viewer, row, codes) for row in hidden}


def pseudonym_for(reader: Viewer, audience: Audience) -> Source:
    """What `reader` is told of the source of objects with this audience; to show it to their publisher."""
    return sources(reader, [audience.pk])[audience.pk]


def _codes(viewer: Viewer, rows: Iterable[Audience]) -> Mapping[tuple[UUID, UUID | None], Pseudonym]:
    hidden = {row.publisher_id for row in rows if _is_veiled(viewer, row) and row.attribution == Attribution.PSEUDONYM}
    if not hidden:
        return {}
    within = Q(group__in=viewer.group_ids) | Q(group=None)
    found = Pseudonym.objects.filter(within, partner__in=hidden).select_related("group")
    return {(one.partner_id, one.group_id): one for one in found}


def _source(viewer: Viewer, row: Audience, codes: Mapping[tuple[UUID, UUID | None], Pseudonym]) -> Source:
    if not _is_veiled(viewer, row):
        return Source(row.publisher_id, row.publisher.name, row.publisher.slug)
    if row.attribution == Attribution.EXCHANGE:
        return _EXCHANGE
    return _named(codes[row.publisher_id, _common_group(viewer, row)])


def _common_group(viewer: Viewer, row: Audience) -> UUID | None:
    """The group under whose pseudonym the viewer knows the source: always the same one of those that both name."""
    return min(viewer.group_ids & set(row.groups), default=None)


def _named(pseudonym: Pseudonym) -> Source:
    where = f" of {pseudonym.group.name}" if pseudonym.group else ""
    return Source(pseudonym.pk, f"Partner {pseudonym.code}{where}", f"pseudonym-{pseudonym.code.lower()}")


def _is_veiled(viewer: Viewer, row: Audience) -> bool:
    return row.attribution != Attribution.NAMED and row.publisher_id != viewer.partner_id


def _code() -> str:
    return base64.b32encode(secrets.token_bytes(_CODE_BYTES)).decode()[:6]
