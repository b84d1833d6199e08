"""The operator's: every partner, and inviting, suspending and reinstating them. To all others there is nothing here."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema

from exchange import clock
from partners import operating
from partners.api import requests
from partners.api.base import Face, Request, answer, viewer_of
from partners.api.documents import (
    InvitedPartnerDocument,
    RegisteredPartnerDocument,
    RegisteredPartnerList,
)
from partners.groups import life
from partners.identity import inviting
from partners.models import Invitation, Partner
from partners.scopes import Scope


class OperatorFace(Face):
    """Needs a key of the operator's with the scope `admin`."""

    scope = Scope.ADMIN


class RegisteredView(OperatorFace):
    """Every partner, whatever its state."""

    @extend_schema(operation_id="registered_partners", responses=RegisteredPartnerList)
    def get(self, request: Request) -> HttpResponse:
        """By name."""
        life.require_operator_or_key(viewer_of(request))
        return answer({"partners": [_partner(one) for one in Partner.objects.order_by("name")]})

    @extend_schema(operation_id="invite_partner", request=requests.NewPartner, responses={201: InvitedPartnerDocument})
    def post(self, request: Request) -> HttpResponse:
        """Register a partner and invite its first admin. The link is mailed, and in this answer, this once."""
        viewer = viewer_of(request)
        life.require_operator_or_key(viewer)
        sent = requests.NewPartner.read(request)
        kind = Partner.Kind(sent.get("kind") or Partner.Kind.LAB)
        invited = inviting.invite_partner(viewer, name=sent["name"], slug=sent["slug"], kind=kind, email=sent["email"])
        return answer(_invited(*invited), status=201)


class RegisteredInviteView(OperatorFace):
    """The way back into a partner that has no admin."""

    @extend_schema(operation_id="invite_admin", request=requests.FirstAdmin, responses={201: InvitedPartnerDocument})
    def post(self, request: Request, slug: str) -> HttpResponse:
        """Invite an admin into a partner that has none yet, or none any more; 404 for one that has."""
        viewer = viewer_of(request)
        life.require_operator_or_key(viewer)
        sent = requests.FirstAdmin.read(request)
        partner = operating.partner_named(slug)
        invited = inviting.invite_first_admin(viewer, partner.pk, email=sent["email"])
        return answer(_invited(*invited), status=201)


class SuspendView(OperatorFace):
    """Nothing new in or out for a partner."""

    @extend_schema(operation_id="suspend_partner", request=requests.Suspension, responses=RegisteredPartnerDocument)
    def post(self, request: Request, slug: str) -> HttpResponse:
        """Suspend it, from this answer on; the partner reads why."""
        viewer = viewer_of(request)
        life.require_operator_or_key(viewer)
        sent = requests.Suspension.read(request)
        life.suspend(operating.partner_named(slug), by=viewer, why=sent["why"])
        return answer(_partner(operating.partner_named(slug)))


class ReinstateView(OperatorFace):
    """The counterpart of suspending."""

    @extend_schema(operation_id="reinstate_partner", request=None, responses=RegisteredPartnerDocument)
    def post(self, request: Request, slug: str) -> HttpResponse:
        """Let a suspended partner take part again, with its groups, keys and people."""
        viewer = viewer_of(request)
        life.require_operator_or_key(viewer)
        life.reinstate(operating.partner_named(slug), by=viewer)
        return answer(_partner(operating.partner_named(slug)))


def _partner(partner: Partner) -> dict[str, Any]:
    return {
        "id": partner.pk,
        "slug": partner.slug,
        "name": partner.name,
        "kind": partner.kind,
        "identity_id": partner.identity_id,
        "state": partner.state,
        "state_since": clock.rfc3339(partner.state_since),
        "suspended_why": partner.suspended_why or None,
    }


def _invited(partner: Partner, invitation: Invitation, link: str) -> dict[str, Any]:
    return {
        "partner": _partner(partner),
        "email": invitation.email,
        "expires_at": clock.rfc3339(invitation.expires_at),
        "link": link,
    }
