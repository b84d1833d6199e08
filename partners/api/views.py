"""Who: the caller, the directory of partners, the caller's groups."""

from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from partners import directory
from partners.api.base import Face, answer, viewer_of
from partners.api.documents import GroupList, Me, PartnerList
from partners.sharing import Viewer


class MeView(Face):
    """Who am I, and what may I do."""

    @extend_schema(operation_id="me", responses=Me)
    def get(self, request: Request) -> HttpResponse:
        """The caller's partner, groups, scopes and clearance."""
        viewer = viewer_of(request)
        return answer(_me(viewer))


class PartnersView(Face):
    """The directory, which every partner may read."""

    @extend_schema(operation_id="partners", responses=PartnerList)
    def get(self, request: Request) -> HttpResponse:
        """The active partners."""
        return answer({"partners": [_partner(partner) for partner in directory.partners()]})


class GroupsView(Face):
    """The caller's own groups."""

    @extend_schema(operation_id="groups", responses=GroupList)
    def get(self, request: Request) -> HttpResponse:
        """Groups that the caller is in, with their legal basis and members."""
        return answer({"groups": [_group(group) for group in directory.groups(viewer_of(request))]})


def _me(viewer: Viewer) -> dict[str, Any]:
    return {
        "partner": {
            "id": viewer.partner_id,
            "name": viewer.partner_name,
            "slug": viewer.partner_slug,
            "kind": viewer.kind,
            "identity_id": viewer.identity_id,
            "collection_id": viewer.collection_id,
        },
        "groups": [{"id": g.pk, "slug": g.slug, "name": g.name} for g in directory.groups(viewer)],
        "scopes": sorted(viewer.scopes),
        "clearance": viewer.clearance.word,
        "default_tlp": viewer.default_tlp.word,
    }


def _partner(partner: Any) -> dict[str, Any]:
    return {
        "id": partner.pk,
        "slug": partner.slug,
        "name": partner.name,
        "kind": partner.kind,
        "identity_id": partner.identity_id,
    }


def _group(group: Any) -> dict[str, Any]:
    return {
        "id": group.pk,
        "slug": group.slug,
        "name": group.name,
        "purpose": group.purpose,
        "policy": group.policy,
        "legal_basis": group.legal_basis,
        "basis_from": group.basis_from,
        "basis_until": group.basis_until,
        "partners": [member.partner.slug for member in group.open_memberships],
    }
