"""One's own partner: its facts, how far it shares, and the settings that its admins make."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import conf
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema

from exchange.errors import Refused
from partners.api import requests
from partners.api.base import Face, Request, again, answer, viewer_of
from partners.api.documents import OwnSettingsDocument
from partners.caps import Caps
from partners.ceilings import Ceiling, Width
from partners.defaults import DefaultAudience
from partners.groups import steering, warning
from partners.models import Partner
from partners.scopes import Role, Scope
from partners.sharing import groups_named, partners_named
from partners.tlp import Tlp
from partners.viewer import Viewer


class OwnView(Face):
    """The caller's partner."""

    write_scope = Scope.ADMIN

    @extend_schema(operation_id="own_partner", responses=OwnSettingsDocument)
    def get(self, request: Request) -> HttpResponse:
        """Facts, ceilings, four-eyes limit, and warnings."""
        return answer(_own(viewer_of(request)))

    @extend_schema(operation_id="change_own_partner", request=requests.SettingsWish, responses=OwnSettingsDocument)
    def patch(self, request: Request) -> HttpResponse:
        """Change settings; what is left out stays. A key may tighten them, a person loosens them in the portal."""
        viewer, sent = viewer_of(request), requests.SettingsWish.read(request)
        before = steering.settings_of(Partner.objects.get(pk=viewer.partner_id))
        four_eyes = sent.get("four_eyes")
        roles = {Role(name): _ceiling(given) for name, given in (sent.get("role_ceilings") or {}).items() if given}
        wanted = steering.Settings(
            default_tlp=Tlp.from_word(sent["default_tlp"]) if sent.get("default_tlp") else before.default_tlp,
            default_audience=_default_audience(viewer, sent["default_audience"])
            if "default_audience" in sent
            else before.default_audience,
            ceiling=_ceiling(sent["ceiling"]) if sent.get("ceiling") else before.ceiling,
            alone=_ceiling(four_eyes) if four_eyes else before.alone,
            alone_objects=four_eyes.get("objects") if four_eyes else before.alone_objects,
            caps=before.caps if sent.get("caps") is None else Caps(**sent["caps"]),
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
        "caps": settings.caps.by_name(),
        "operator_caps": steering.operator_caps_of(partner).by_name(),
        "caps_in_force": viewer.caps.by_name() | {"ends": viewer.caps.most_ends},
        "notices": [
            {"group": notice.group.slug, "basis_until": notice.basis_until, "days": notice.days}
            for notice in warning.notices_of(viewer)
        ],
    }


def _default_audience(viewer: Viewer, given: Mapping[str, Any] | None) -> DefaultAudience | None:
    """The audience of pushes that name none; null has them refused."""
    if given is None:
        return None
    at = "/default_audience"
    try:
        groups = groups_named(viewer, given.get("groups") or [])
        partners = partners_named(given.get("partners") or [])
    except Refused as refused:
        raise Refused(refused.detail, code=refused.code, at=f"{at}{refused.at}") from None
    return DefaultAudience(bool(given.get("open_to_everyone")), tuple(groups), tuple(partners))


def _words(ceiling: Ceiling) -> dict[str, Any]:
    return {"tlp": ceiling.tlp.word, "audience": ceiling.width.word}


def _ceiling(given: Mapping[str, Any]) -> Ceiling:
    return Ceiling(Tlp.from_word(given["tlp"]), Width.from_word(given["audience"]))
