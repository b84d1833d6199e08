"""The operator's: every partner, and inviting, suspending and reinstating them. To all others there is nothing here."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema

from exchange import clock
from exchange.errors import Refused
from partners import operating
from partners.api.base import Face, Request, answer, form, viewer_of
from partners.api.documents import (
    InvitedPartnerDocument,
    NewPartnerDocument,
    RegisteredPartnerDocument,
    RegisteredPartnerList,
    SuspensionDocument,
    WhomDocument,
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

    @extend_schema(operation_id="invite_partner", request=NewPartnerDocument, responses={201: InvitedPartnerDocument})
    def post(self, request: Request) -> HttpResponse:
        """Register a partner and invite its first admin. The link is mailed, and in this answer, this once."""
        viewer = viewer_of(request)
        life.require_operator_or_key(viewer)
        sent = form(request, known={"name": str, "slug": str, "kind": str, "email": str})
        invited = inviting.invite_partner(
            viewer,
            name=sent.get("name") or "",
            slug=sent.get("slug") or "",
            kind=_kind(sent.get("kind") or Partner.Kind.LAB),
            email=sent.get("email") or "",
        )
        return answer(_invited(*invited), status=201)


class RegisteredInviteView(OperatorFace):
    """The way back into a partner that has no admin."""

    @extend_schema(operation_id="invite_admin", request=WhomDocument, responses={201: InvitedPartnerDocument})
    def post(self, request: Request, slug: str) -> HttpResponse:
        """Invite an admin into a partner that has none yet, or none any more; 404 for one that has."""
        viewer = viewer_of(request)
        life.require_operator_or_key(viewer)
        sent = form(request, known={"email": str})
        partner = operating.partner_named(slug)
        invited = inviting.invite_first_admin(viewer, partner.pk, email=sent.get("email") or "")
        return answer(_invited(*invited), status=201)


class SuspendView(OperatorFace):
    """Nothing new in or out for a partner."""

    @extend_schema(operation_id="suspend_partner", request=SuspensionDocument, responses=RegisteredPartnerDocument)
    def post(self, request: Request, slug: str) -> HttpResponse:
        """Suspend it, from this answer on; the partner reads why."""
        viewer = viewer_of(request)
        life.require_operator_or_key(viewer)
        sent = form(request, known={"why": str})
        life.suspend(operating.partner_named(slug), by=viewer, why=sent.get("why") or "")
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


def _kind(word: str) -> Partner.Kind:
    if word not in Partner.Kind:
        raise Refused("A lab or a recipient.", code="bad-kind", at="/kind")
    return Partner.Kind(word)
