"""Whom a reader is told an object comes from: its publisher, a pseudonym, or the exchange and nobody else.

A pseudonym is a random code, one for each group (and one for what is shared outside of groups), so it is the same
within a group and leads from one group to no other. The codes are drawn, not derived: no key tells them. What is
published under a pseudonym goes to one group at a time, for an object with two pseudonyms would join them.
"""

from __future__ import annotations

import base64
import secrets
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Q

from exchange.errors import Refused
from partners.attribution import Attribution
from partners.audiences import AudienceSpec
from partners.models import Audience, Partner, Pseudonym
from partners.sharing import intern_audience
from partners.viewer import Viewer

#: Who stands as the source of what is attributed to the exchange alone: the same for all of it, and nobody's id.
EXCHANGE_ID = uuid.uuid5(uuid.NAMESPACE_URL, "urn:exchange:source:exchange")
_CODE_BYTES = 5


@dataclass(frozen=True, slots=True)
class Source:
    """Whom a viewer is told an object comes from."""

    id: UUID
    name: str
    slug: str


#: A publisher, and the audience by which its object is or was seen.
Said = tuple[UUID, int]

_EXCHANGE = Source(EXCHANGE_ID, "The exchange", "exchange")


def intern(by: Viewer, spec: AudienceSpec) -> int:
    """The id of the one row that stands for an audience; its publisher has the pseudonym that its readers will need.

    Raises Refused (`one-group-a-pseudonym`) for a pseudonym in several groups.
    """
    if spec.attribution == Attribution.PSEUDONYM:
        if len(spec.groups) > 1:
            raise Refused("Under a pseudonym, name one group.", code="one-group-a-pseudonym", at="/groups")
        _draw(by.partner_id, spec.groups[0] if spec.groups else None)
    if spec.attribution != Attribution.NAMED:
        Partner.objects.filter(pk=by.partner_id, unnamed=False).update(unnamed=True)
    return intern_audience(by, spec)


def has_pseudonym(partner_id: UUID, spec: AudienceSpec) -> bool:
    """Whether the partner is known by a pseudonym already where this audience is."""
    group = spec.groups[0] if spec.groups else None
    return Pseudonym.objects.filter(partner=partner_id, group=group).exists()


def sources(viewer: Viewer, said: Iterable[Said]) -> Mapping[Said, Source]:
    """Whom the viewer is told that objects of these publishers with these audiences come from. Three queries at most.

    A publisher sees its own objects under its own name, whatever it shows to others.
    """
    wanted = set(said)
    audiences = Audience.objects.in_bulk({audience for _, audience in wanted})
    partners = Partner.everybody.in_bulk({publisher for publisher, _ in wanted})
    veils = {one: audiences[one[1]] for one in wanted if _is_veiled(viewer, one[0], audiences[one[1]].attribution)}
    codes = _codes({one: audience for one, audience in veils.items() if audience.attribution == Attribution.PSEUDONYM})
    named = {(pk, audience): _named(partners[pk]) for pk, audience in wanted - set(veils)}
    return named | {one: codes.get(one, _EXCHANGE) for one in veils}


def known_as(said: Iterable[tuple[UUID, int, UUID | None]]) -> Mapping[tuple[UUID, int, UUID | None], Source]:
    """What publishers who do not give their name are called: by publisher, attribution, and group or none. One query.

    Who has no pseudonym there is the exchange's.
    """
    wanted = set(said)
    asked = [(publisher, group) for publisher, attribution, group in wanted if attribution == Attribution.PSEUDONYM]
    of_groups = Q(pk__in=[])
    for publisher, group in asked:
        of_groups |= Q(partner=publisher, group=group)
    drawn = {(one.partner_id, one.group_id): one for one in Pseudonym.objects.filter(of_groups)} if asked else {}
    known = {key: _pseudonym(one) for key, one in drawn.items()}
    return {
        one: known.get((one[0], one[2]), _EXCHANGE) if one[1] == Attribution.PSEUDONYM else _EXCHANGE for one in wanted
    }


def veiled(viewer: Viewer, audience_ids: Iterable[int]) -> dict[int, Source]:
    """The same by audience, of those alone whose publisher the viewer is not told. One query where there are none."""
    rows = Audience.objects.filter(pk__in=list(audience_ids), use=Audience.Use.OBJECTS)
    hidden = rows.exclude(attribution=Attribution.NAMED).exclude(publisher=viewer.partner_id)
    said = list(hidden.values_list("publisher_id", "pk"))
    found = sources(viewer, said) if said else {}
    return {audience: source for (_, audience), source in found.items()}


def source_of(viewer: Viewer, audience: Audience) -> Source:
    """What `viewer` is told of the source of objects with this audience."""
    one = (audience.publisher_id, audience.pk)
    return sources(viewer, [one])[one]


def hides(viewer: Viewer, *, publisher_id: UUID, attribution: int) -> bool:
    """Whether the viewer is told another source than the publisher."""
    return _is_veiled(viewer, publisher_id, attribution)


def _is_veiled(viewer: Viewer, publisher_id: UUID, attribution: int) -> bool:
    return attribution != Attribution.NAMED and publisher_id != viewer.partner_id


def _codes(veils: Mapping[Said, Audience]) -> dict[Said, Source]:
    if not veils:
        return {}
    wanted = Q(pk__in=[])
    for (publisher, _), audience in veils.items():
        wanted |= Q(partner=publisher, group=_group(audience))
    known = {(one.partner_id, one.group_id): one for one in Pseudonym.objects.filter(wanted)}
    return {one: _pseudonym(known[one[0], _group(audience)]) for one, audience in veils.items()}


def _group(audience: Audience) -> UUID | None:
    return audience.groups[0] if audience.groups else None


def _named(partner: Partner) -> Source:
    return Source(partner.pk, partner.name, partner.slug)


def _pseudonym(one: Pseudonym) -> Source:
    return Source(one.pk, f"Partner {one.code}", f"pseudonym-{one.code.lower()}")


def _draw(partner_id: UUID, group_id: UUID | None) -> None:
    """See to it that a partner has a pseudonym in a group, or outside of groups."""
    if not Pseudonym.objects.filter(partner=partner_id, group=group_id).exists():
        code = base64.b32encode(secrets.token_bytes(_CODE_BYTES)).decode()[:6]
        Pseudonym.objects.bulk_create(
            [Pseudonym(partner_id=partner_id, group_id=group_id, code=code)], ignore_conflicts=True
        )
