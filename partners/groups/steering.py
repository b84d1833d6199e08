"""How a partner's sharing is steered: its default marking, its ceilings, and what one may publish alone.

A partner's admin sets its own; the operator sets a ceiling above them. Of all ceilings the strictest holds, so that
nobody raises another by setting their own. A key may tighten, but only a person loosens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import transaction

from exchange.errors import Conflict, Forbidden, NotFound, Refused
from partners import locks
from partners.caps import NONE, Caps
from partners.ceilings import UNBOUND, Ceiling, strictest
from partners.defaults import DefaultAudience
from partners.log import audit
from partners.models import Group, Membership, Partner, RoleCeiling
from partners.scopes import ROLE_SCOPES, Role, Scope
from partners.tlp import Tlp
from partners.viewer import Viewer

_MAX_OBJECTS = 1_000_000
_PUBLISHING = tuple(role for role in Role if Scope.PUBLISH in ROLE_SCOPES[role])


@dataclass(frozen=True, slots=True)
class Settings:
    """What a partner's admin sets."""

    default_tlp: Tlp
    default_audience: DefaultAudience | None = None
    ceiling: Ceiling = UNBOUND
    alone: Ceiling = UNBOUND
    alone_objects: int | None = None
    caps: Caps = NONE
    roles: Mapping[Role, Ceiling] = field(default_factory=dict)


def settings_of(partner: Partner) -> Settings:
    """What is set at the moment."""
    roles = {Role(row.role): Ceiling.of(row.tlp, row.width) for row in RoleCeiling.objects.filter(partner=partner)}
    return Settings(
        default_tlp=Tlp(partner.default_tlp),
        default_audience=DefaultAudience.of(partner.default_audience),
        ceiling=Ceiling.of(partner.ceiling_tlp, partner.ceiling_width),
        alone=Ceiling.of(partner.alone_tlp, partner.alone_width),
        alone_objects=partner.alone_objects,
        caps=Caps.of(partner.caps),
        roles={role: roles.get(role, UNBOUND) for role in _PUBLISHING},
    )


def operator_ceiling_of(partner: Partner) -> Ceiling:
    """How far the operator lets it share."""
    return Ceiling.of(partner.operator_ceiling_tlp, partner.operator_ceiling_width)


def change(by: Viewer, wanted: Settings, *, since: Settings | None = None) -> None:
    """Set them for the viewer's own partner. Raises Forbidden, Refused naming the field.

    `since` is what `wanted` was made of. Raises Conflict where it is not so any more: what somebody else has tightened
    in between would be loosened unseen.
    """
    by.require(Scope.ADMIN)
    if wanted.alone_objects is not None and not 1 <= wanted.alone_objects <= _MAX_OBJECTS:
        raise Refused(f"From 1 to {_MAX_OBJECTS}, or none.", code="bad-number", at="/four_eyes/objects")
    if not set(wanted.roles) <= set(_PUBLISHING):
        raise Refused("Only roles that publish have a ceiling.", code="bad-role", at="/role_ceilings")
    with transaction.atomic():
        partner = Partner.objects.select_for_update(no_key=True).get(pk=by.partner_id)
        before = settings_of(partner)
        if since not in (None, before):
            raise Conflict("Somebody has changed the settings in this moment: look again.", code="changed-meanwhile")
        if wanted.default_audience != before.default_audience:
            _require_known(wanted.default_audience, by=by)
        first = not partner.default_audience_was_set
        if not by.is_person and _loosens(wanted, before, first_default=first):
            raise Forbidden("A key may tighten these settings; a person loosens them.", code="needs-a-person")
        if wanted.default_tlp < strictest(wanted.ceiling, operator_ceiling_of(partner)).tlp:
            raise Refused("More open than your ceiling.", code="over-ceiling", at="/default_tlp")
        Partner.objects.filter(pk=partner.pk).update(
            default_tlp=wanted.default_tlp,
            default_audience=None if wanted.default_audience is None else wanted.default_audience.to_json(),
            default_audience_was_set=not first or wanted.default_audience is not None,
            ceiling_tlp=wanted.ceiling.tlp,
            ceiling_width=wanted.ceiling.width,
            alone_tlp=wanted.alone.tlp,
            alone_width=wanted.alone.width,
            alone_objects=wanted.alone_objects,
            caps=wanted.caps.to_json(),
        )
        for role, ceiling in wanted.roles.items():
            RoleCeiling.objects.update_or_create(
                partner=partner, role=role, defaults={"tlp": ceiling.tlp, "width": ceiling.width}
            )
        after = _words(wanted)
        changed = {name: [was, after[name]] for name, was in _words(before).items() if after.get(name, was) != was}
        if changed:
            audit.record(audit.Verb.SETTINGS_CHANGED, by=by, target=f"partner:{partner.slug}", changed=changed)


def set_default_audience(
    partner: Partner, default: DefaultAudience | None, *, by: Viewer | None, why: str = ""
) -> None:
    """Write a default audience down, in a transaction: as the partner is registered, or without a group it has left."""
    before = DefaultAudience.of(Partner.objects.get(pk=partner.pk).default_audience)
    if before == default:
        return
    Partner.objects.filter(pk=partner.pk).update(
        default_audience=None if default is None else default.to_json(), default_audience_was_set=True
    )
    changed = {"default_audience": [_named(before), _named(default)]}
    target = f"partner:{partner.slug}"
    audit.record(audit.Verb.SETTINGS_CHANGED, by=by, target=target, about=partner.pk, changed=changed, why=why)


def leave_out(partner_id: UUID, group_id: UUID, *, by: Viewer | None) -> None:
    """Take a group that was left out of the default audience: whoever joins it again does not publish there by that."""
    partner = Partner.objects.select_for_update(no_key=True).get(pk=partner_id)
    default = DefaultAudience.of(partner.default_audience)
    if default is not None:
        set_default_audience(partner, default.without(group_id), by=by, why="left the group")


def words_of(default: DefaultAudience | None) -> dict[str, Any] | None:
    """A default audience by short names; None where none is set."""
    if default is None:
        return None
    groups = Group.objects.filter(pk__in=default.groups).order_by("slug").values_list("slug", flat=True)
    partners = Partner.objects.filter(pk__in=default.partners).order_by("slug").values_list("slug", flat=True)
    return {"open_to_everyone": default.open_to_everyone, "groups": list(groups), "partners": list(partners)}


def _require_known(default: DefaultAudience | None, *, by: Viewer) -> None:
    """Refuse a default audience with groups that the partner is not in, or with itself among the partners."""
    if default is None:
        return
    members = Membership.objects.filter(partner=by.partner_id, until=None, group__in=default.groups)
    if not set(default.groups) <= by.group_ids & set(members.values_list("group_id", flat=True)):
        raise Refused("A group that you are not in.", code="unknown-group", at="/default_audience/groups")
    if by.partner_id in default.partners:
        raise Refused("You see what you publish anyway.", code="own-partner", at="/default_audience/partners")


def _named(default: DefaultAudience | None) -> str:
    said = words_of(default)
    if said is None:
        return "none"
    named = [*(["everyone (CLEAR, GREEN)"] if said["open_to_everyone"] else []), *said["groups"], *said["partners"]]
    return ", ".join(named) or "nobody else"


def set_operator_ceiling(partner: Partner, ceiling: Ceiling, *, by: Viewer) -> None:
    """Say how far the operator lets a partner share. Raises NotFound."""
    if not by.operates:
        raise NotFound
    with transaction.atomic():
        locks.standing_alone([partner.pk])
        Partner.objects.filter(pk=partner.pk).update(
            operator_ceiling_tlp=ceiling.tlp, operator_ceiling_width=ceiling.width
        )
        target = f"partner:{partner.slug}"
        told: dict[str, Any] = {"tlp": ceiling.tlp.word, "width": ceiling.width.word}
        for about in sorted({partner.pk, by.partner_id}):
            audit.record(audit.Verb.CEILING_CHANGED, by=by, target=target, about=about, **told)


def operator_caps_of(partner: Partner) -> Caps:
    """How much the operator lets it send out and end before a second person looks."""
    return Caps.of(partner.operator_caps)


def set_operator_caps(partner: Partner, caps: Caps, *, by: Viewer) -> None:
    """Say how much the operator lets a partner send out and end before a second person looks. Raises NotFound."""
    if not by.operates:
        raise NotFound
    with transaction.atomic():
        locks.standing_alone([partner.pk])
        Partner.objects.filter(pk=partner.pk).update(operator_caps=caps.to_json())
        told: dict[str, Any] = {**caps.by_name()}
        for about in sorted({partner.pk, by.partner_id}):
            audit.record(audit.Verb.CAPS_CHANGED, by=by, target=f"partner:{partner.slug}", about=about, **told)


def _loosens(wanted: Settings, before: Settings, *, first_default: bool) -> bool:
    """Whether anything may go further; a default audience where there never was one takes nothing from a person."""
    default = wanted.default_audience
    wider_default = (
        default is not None and default != before.default_audience and not default.within(before.default_audience)
    )
    more = before.alone_objects is not None and (
        wanted.alone_objects is None or wanted.alone_objects > before.alone_objects
    )
    return (
        more
        or wanted.default_tlp < before.default_tlp
        or (wider_default and not first_default)
        or wanted.ceiling.loosens(before.ceiling)
        or wanted.alone.loosens(before.alone)
        or wanted.caps.loosens(before.caps)
        or any(ceiling.loosens(before.roles.get(role, UNBOUND)) for role, ceiling in wanted.roles.items())
    )


def _words(settings: Settings) -> dict[str, str | int | None]:
    said: dict[str, str | int | None] = {
        "default_tlp": settings.default_tlp.word,
        "default_audience": _named(settings.default_audience),
        "ceiling_tlp": settings.ceiling.tlp.word,
        "ceiling_width": settings.ceiling.width.word,
        "alone_tlp": settings.alone.tlp.word,
        "alone_width": settings.alone.width.word,
        "alone_objects": settings.alone_objects,
        **{f"cap_{name}": value for name, value in settings.caps.by_name().items()},
    }
    for role, ceiling in settings.roles.items():
        said |= {f"{role}_tlp": ceiling.tlp.word, f"{role}_width": ceiling.width.word}
    return said
