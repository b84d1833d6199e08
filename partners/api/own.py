"""One's own partner: its facts, how far it shares, and the settings that its admins make."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import conf
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema

from exchange.errors import Refused
from partners.api.base import Face, Request, again, answer, form, viewer_of
from partners.api.documents import OwnSettingsDocument, SettingsDocument
from partners.caps import Caps
from partners.ceilings import Ceiling, Width
from partners.defaults import DefaultAudience
from partners.groups import steering, warning
from partners.models import Partner
from partners.scopes import Role, Scope
from partners.sharing import groups_named, partners_named
from partners.tlp import Tlp
from partners.viewer import Viewer

_KNOWN = {
    "caps": dict,
    "ceiling": dict,
    "default_audience": dict,
    "default_tlp": str,
    "four_eyes": dict,
    "role_ceilings": dict,
}


class OwnView(Face):
    """The caller's partner."""

    write_scope = Scope.ADMIN

    @extend_schema(operation_id="own_partner", responses=OwnSettingsDocument)
    def get(self, request: Request) -> HttpResponse:
        """Facts, ceilings, four-eyes limit, and warnings."""
        return answer(_own(viewer_of(request)))

    @extend_schema(operation_id="change_own_partner", request=SettingsDocument, responses=OwnSettingsDocument)
    def patch(self, request: Request) -> HttpResponse:
        """Change settings; what is left out stays. A key may tighten them, a person loosens them in the portal."""
        viewer, sent = viewer_of(request), form(request, known=_KNOWN)
        before = steering.settings_of(Partner.objects.get(pk=viewer.partner_id))
        four_eyes = sent.get("four_eyes")
        roles = {
            _role(name): _ceiling(given, at=f"/role_ceilings/{name}", more=())
            for name, given in (sent.get("role_ceilings") or {}).items()
        }
        wanted = steering.Settings(
            default_tlp=_tlp(sent["default_tlp"], at="/default_tlp") if sent.get("default_tlp") else before.default_tlp,
            default_audience=_default_audience(viewer, sent["default_audience"])
            if "default_audience" in sent
            else before.default_audience,
            ceiling=_ceiling(sent["ceiling"], at="/ceiling") if sent.get("ceiling") else before.ceiling,
            alone=_ceiling(four_eyes, at="/four_eyes", more=("objects",)) if four_eyes else before.alone,
            alone_objects=_number(four_eyes) if four_eyes else before.alone_objects,
            caps=Caps.read(sent["caps"], at="/caps") if sent.get("caps") is not None else before.caps,
            roles={**before.roles, **roles},
        )
        steering.change(viewer, wanted, since=before)
        return answer(_own(again(request)))


def _own(viewer: Viewer) -> dict[str, Any]:
    partner = Partner.objects.get(pk=viewer.partner_id)
    settings = steering.settings_of(partner)
    return {
        "id": partner.pk,
        "slug": partner.slug,
        "name": partner.name,
        "kind": partner.kind,
        "identity_id": partner.identity_id,
        "collection_id": partner.collection_id,
        "state": partner.state,
        "clearance": Tlp(partner.clearance).word,
        "default_tlp": settings.default_tlp.word,
        "default_audience": steering.words_of(settings.default_audience),
        "open_policy": conf.settings.OPEN_POLICY,
        "ceiling": _words(settings.ceiling),
        "operator_ceiling": _words(steering.operator_ceiling_of(partner)),
        "role_ceilings": {role.value: _words(ceiling) for role, ceiling in settings.roles.items()},
        "four_eyes": _words(settings.alone) | {"objects": settings.alone_objects},
        "caps": settings.caps.words(),
        "operator_caps": steering.operator_caps_of(partner).words(),
        "caps_in_force": viewer.caps.words() | {"ends": viewer.caps.most_ends},
        "notices": [
            {"group": notice.group.slug, "basis_until": notice.basis_until, "days": notice.days}
            for notice in warning.notices_of(viewer)
        ],
    }


def _default_audience(viewer: Viewer, given: Any) -> DefaultAudience | None:
    """The audience of pushes that name none; null has them refused."""
    if given is None:
        return None
    at = "/default_audience"
    kinds = {"open_to_everyone": bool, "groups": list, "partners": list}
    if not isinstance(given, Mapping) or not set(given) <= set(kinds):
        raise Refused("An object with open_to_everyone, groups and partners.", code="wrong-type", at=at)
    for name, kind in kinds.items():
        value = given.get(name, kind())
        if not isinstance(value, kind) or (isinstance(value, list) and not all(isinstance(one, str) for one in value)):
            raise Refused("True or false, and lists of slugs.", code="wrong-type", at=f"{at}/{name}")
    try:
        groups, partners = groups_named(viewer, given.get("groups", [])), partners_named(given.get("partners", []))
    except Refused as refused:
        raise Refused(refused.detail, code=refused.code, at=f"{at}{refused.at}") from None
    return DefaultAudience(bool(given.get("open_to_everyone")), tuple(groups), tuple(partners))


def _words(ceiling: Ceiling) -> dict[str, Any]:
    return {"tlp": ceiling.tlp.word, "audience": ceiling.width.word}


def _ceiling(given: Any, *, at: str, more: tuple[str, ...] = ()) -> Ceiling:
    if not isinstance(given, Mapping) or not {"tlp", "audience"} <= set(given) <= {"tlp", "audience", *more}:
        raise Refused("An object with tlp and audience.", code="wrong-type", at=at)
    try:
        width = Width.from_word(given["audience"])
    except ValueError:
        raise Refused("everyone, groups or partners.", code="bad-choice", at=f"{at}/audience") from None
    return Ceiling(_tlp(given["tlp"], at=f"{at}/tlp"), width)


def _tlp(word: Any, *, at: str) -> Tlp:
    try:
        return Tlp.from_word(word if isinstance(word, str) else "")
    except ValueError:
        raise Refused("clear, green, amber, amber+strict or red.", code="unknown-marking", at=at) from None


def _number(four_eyes: Mapping[str, Any]) -> int | None:
    value = four_eyes.get("objects")
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise Refused("A whole number, or none.", code="wrong-type", at="/four_eyes/objects")
    return value


def _role(name: str) -> Role:
    if name not in Role.values:
        raise Refused("There is no such role.", code="bad-role", at="/role_ceilings")
    return Role(name)
