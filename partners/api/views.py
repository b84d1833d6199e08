"""Who: the caller, and the directory of partners."""

from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema

from partners.api.base import Face, Request, answer, viewer_of
from partners.api.documents import Me, PartnerList
from partners.groups import directory
from partners.viewer import Viewer


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
