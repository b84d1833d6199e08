"""On which legal bases something is shared: the groups of audiences, as they stand at this moment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from partners.audiences import AudienceSpec
from partners.models import Audience, Group, Partner


@dataclass(frozen=True, slots=True)
class Names:
    """Slugs of groups and partners by id, and the basis of each group as a record or a cover sheet says it."""

    groups: Mapping[UUID, str]
    partners: Mapping[UUID, str]
    bases: Mapping[UUID, dict[str, Any]]

    @classmethod
    def of(cls, audiences: Iterable[Audience | AudienceSpec], *, known: Mapping[UUID, Group] | None = None) -> Names:
        """What these audiences name. At most two queries; groups that are known are not asked for."""
        found = list(audiences)
        group_ids = {group for audience in found for group in audience.groups}
        partner_ids = {partner for audience in found for partner in audience.partners}
        held = known or {}
        groups = [held[pk] for pk in group_ids if pk in held]
        groups += Group.objects.filter(pk__in=group_ids - set(held)) if group_ids - set(held) else []
        groups.sort(key=lambda group: group.slug)
        partners = Partner.objects.filter(pk__in=partner_ids).values_list("pk", "slug") if partner_ids else []
        return cls(
            {group.pk: group.slug for group in groups}, dict(partners), {group.pk: of(group) for group in groups}
        )


def of(group: Group) -> dict[str, Any]:
    """The basis of one group: its name, the reference to what was agreed, its dates."""
    return {
        "group": group.slug,
        "name": group.name,
        "reference": group.legal_basis,
        "from": group.basis_from.isoformat(),
        "until": group.basis_until.isoformat() if group.basis_until else None,
    }


def in_force(group: Group, *, on: date) -> bool:
    """Whether the basis of a group carries on this day."""
    return group.basis_from <= on and (group.basis_until is None or on <= group.basis_until)
