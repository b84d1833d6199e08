"""Who sees an object, and why: of one's own, each reader with the group or the naming that shows it to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from django.utils.translation import gettext

from partners import viewing
from partners.groups import directory
from partners.models import Audience, Group, Partner
from partners.portal.letters import Lab
from partners.viewer import Viewer


@dataclass(frozen=True, slots=True)
class Reason:
    """One partner that sees it, and by what."""

    lab: Lab | None
    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Basis:
    """The legal basis of a group that the object goes to."""

    group: str
    slug: str
    basis: str
    policy: str
    until: date | None


def readers(viewer: Viewer, audience: Audience, partners: Sequence[Partner], known: Mapping[UUID, Lab]) -> list[Reason]:
    """Who else sees an object of the viewer's own, by name, each with the way by which it comes to them."""
    ways: dict[UUID, list[str]] = {}
    for group in directory.groups(viewer):
        for membership in group.open_memberships if group.pk in audience.groups else ():  # type: ignore[attr-defined]
            day = membership.since
            ways.setdefault(membership.partner_id, []).append(
                gettext("member of {name}, since {day}").format(name=group.name, day=f"{day.day} {day:%b %Y}")
            )
    keys = {partner.slug: partner.pk for partner in partners}
    found = []
    for reader in viewing.readers(audience.pk):
        key = keys.get(reader.partner_slug)
        named = [gettext("named by you")] if key in audience.partners else []
        why = [*(ways.get(key, []) if key else []), *named] or [gettext("every partner sees it")]
        found.append(Reason(known.get(key) if key else None, reader.partner_name, "; ".join(why)))
    return found


def bases(viewer: Viewer, audience: Audience) -> list[Basis]:
    """The bases of those groups of an audience that are the viewer's own, too."""
    mine = [group for group in audience.groups if group in viewer.group_ids]
    found = Group.objects.filter(pk__in=mine).order_by("name")
    return [Basis(one.name, one.slug, one.legal_basis, one.get_policy_display(), one.basis_until) for one in found]
