"""How a partner's sharing is steered: its default marking, its ceilings, and what one may publish alone.

A partner's admin sets its own; the operator sets a ceiling above them. Of all ceilings the strictest holds, so that
nobody raises another by setting his own. A key may tighten, but only a person loosens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction

from exchange.errors import Forbidden, NotFound, Refused
from partners import audit
from partners.ceilings import UNBOUND, Ceiling, strictest
from partners.models import Partner, RoleCeiling
from partners.scopes import ROLE_SCOPES, Role, Scope
from partners.sharing import Viewer
from partners.tlp import Tlp

_MAX_OBJECTS = 1_000_000
_PUBLISHING = tuple(role for role in Role if Scope.PUBLISH in ROLE_SCOPES[role])


@dataclass(frozen=True, slots=True)
class Settings:
    """What a partner's admin sets."""

    default_tlp: Tlp
    ceiling: Ceiling = UNBOUND
    alone: Ceiling = UNBOUND
    alone_objects: int | None = None
    roles: Mapping[Role, Ceiling] = field(default_factory=dict)


def settings_of(partner: Partner) -> Settings:
    """What is set at the moment."""
    roles = {Role(row.role): Ceiling.of(row.tlp, row.width) for row in RoleCeiling.objects.filter(partner=partner)}
    return Settings(
        default_tlp=Tlp(partner.default_tlp),
        ceiling=Ceiling.of(partner.ceiling_tlp, partner.ceiling_width),
        alone=Ceiling.of(partner.alone_tlp, partner.alone_width),
        alone_objects=partner.alone_objects,
        roles={role: roles.get(role, UNBOUND) for role in _PUBLISHING},
    )


def operator_ceiling_of(partner: Partner) -> Ceiling:
    """How far the operator lets it share."""
    return Ceiling.of(partner.operator_ceiling_tlp, partner.operator_ceiling_width)


def change(by: Viewer, wanted: Settings) -> None:
    """Set them for the viewer's own partner. Raises Forbidden, Refused naming the field."""
    by.require(Scope.ADMIN)
    if wanted.alone_objects is not None and not 1 <= wanted.alone_objects <= _MAX_OBJECTS:
        raise Refused(f"From 1 to {_MAX_OBJECTS}, or none.", code="bad-number", at="/four_eyes/objects")
    if not set(wanted.roles) <= set(_PUBLISHING):
        raise Refused("Only roles that publish have a ceiling.", code="bad-role", at="/role_ceilings")
    with transaction.atomic():
        partner = Partner.objects.select_for_update(no_key=True).get(pk=by.partner_id)
        before = settings_of(partner)
        if not by.is_person and _loosens(wanted, before):
            raise Forbidden("A key may tighten these settings; a person loosens them.", code="needs-a-person")
        if wanted.default_tlp < strictest(wanted.ceiling, operator_ceiling_of(partner)).tlp:
            raise Refused("More open than your ceiling.", code="over-ceiling", at="/default_tlp")
        Partner.objects.filter(pk=partner.pk).update(
            default_tlp=wanted.default_tlp,
            ceiling_tlp=wanted.ceiling.tlp,
            ceiling_width=wanted.ceiling.width,
            alone_tlp=wanted.alone.tlp,
            alone_width=wanted.alone.width,
            alone_objects=wanted.alone_objects,
        )
        for role, ceiling in wanted.roles.items():
            RoleCeiling.objects.update_or_create(
                partner=partner, role=role, defaults={"tlp": ceiling.tlp, "width": ceiling.width}
            )
        after = _words(wanted)
        changed = {name: [was, after[name]] for name, was in _words(before).items() if after.get(name, was) != was}
        if changed:
            audit.record(audit.Verb.SETTINGS_CHANGED, by=by, target=f"partner:{partner.slug}", changed=changed)


def set_operator_ceiling(partner: Partner, ceiling: Ceiling, *, by: Viewer) -> None:
    """Say how far the operator lets a partner share. Raises NotFound."""
    if not by.operates:
        raise NotFound
    with transaction.atomic():
        Partner.objects.filter(pk=partner.pk).update(
            operator_ceiling_tlp=ceiling.tlp, operator_ceiling_width=ceiling.width
        )
        target = f"partner:{partner.slug}"
        told: dict[str, Any] = {"tlp": ceiling.tlp.word, "width": ceiling.width.word}
        for about in sorted({partner.pk, by.partner_id}):
            audit.record(audit.Verb.CEILING_CHANGED, by=by, target=target, about=about, **told)


def _loosens(wanted: Settings, before: Settings) -> bool:
    more = before.alone_objects is not None and (
        wanted.alone_objects is None or wanted.alone_objects > before.alone_objects
    )
    return (
        more
        or wanted.default_tlp < before.default_tlp
        or wanted.ceiling.loosens(before.ceiling)
        or wanted.alone.loosens(before.alone)
        or any(ceiling.loosens(before.roles.get(role, UNBOUND)) for role, ceiling in wanted.roles.items())
    )


def _words(settings: Settings) -> dict[str, str | int | None]:
    said: dict[str, str | int | None] = {
        "default_tlp": settings.default_tlp.word,
        "ceiling_tlp": settings.ceiling.tlp.word,
        "ceiling_width": settings.ceiling.width.word,
        "alone_tlp": settings.alone.tlp.word,
        "alone_width": settings.alone.width.word,
        "alone_objects": settings.alone_objects,
    }
    for role, ceiling in settings.roles.items():
        said |= {f"{role}_tlp": ceiling.tlp.word, f"{role}_width": ceiling.width.word}
    return said
