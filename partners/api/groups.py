"""Groups: one's own, made, joined, left, renewed; and the proposals that wait for the word of several partners."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema

from exchange import clock
from exchange.errors import Refused
from partners.api import requests
from partners.api.base import Face, Request, answer, viewer_of
from partners.api.documents import (
    GroupDocument,
    GroupList,
    ProposalDocument,
    ProposalList,
)
from partners.groups import directory, membership, proposing
from partners.models import Group, Partner, Proposal
from partners.scopes import Scope
from partners.sharing import why_closed
from partners.viewer import Viewer


class GroupsView(Face):
    """The caller's own groups."""

    write_scope = Scope.ADMIN

    @extend_schema(operation_id="groups", responses=GroupList)
    def get(self, request: Request) -> HttpResponse:
        """Groups that the caller is in, with their legal basis and members."""
        return answer({"groups": [_group(group) for group in directory.groups(viewer_of(request))]})

    @extend_schema(operation_id="create_group", request=requests.NewGroup, responses={201: GroupDocument})
    def post(self, request: Request) -> HttpResponse:
        """Make a group; a lab becomes its first member."""
        viewer, sent = viewer_of(request), requests.NewGroup.read(request)
        group = membership.create(
            viewer,
            name=sent["name"],
            purpose=sent["purpose"],
            basis=_basis(sent),
            policy=Group.Policy(sent.get("policy") or Group.Policy.CLOSED_FACTS),
            join_rule=Group.JoinRule(sent.get("join_rule") or Group.JoinRule.ANY_ADMIN),
        )
        return answer(_group(group, members=[viewer.partner_slug]), status=201)


class GroupView(Face):
    """One group."""

    @extend_schema(operation_id="group", responses=GroupDocument)
    def get(self, request: Request, slug: str) -> HttpResponse:
        """A group that the caller is in, or is invited to."""
        return answer(_group(membership.find(viewer_of(request), slug)))


class InviteView(Face):
    """Taking a partner in."""

    scope = Scope.ADMIN

    @extend_schema(operation_id="invite_to_group", request=requests.PartnerName, responses={201: ProposalDocument})
    def post(self, request: Request, slug: str) -> HttpResponse:
        """Invite a partner; it joins when it and, by the group's rule, all members have agreed."""
        viewer, group = viewer_of(request), membership.find(viewer_of(request), slug)
        return _proposed(viewer, membership.invite(viewer, group, _partner(request)))


class RemoveView(Face):
    """Parting with a member."""

    scope = Scope.ADMIN

    @extend_schema(operation_id="remove_from_group", request=requests.PartnerName, responses={201: ProposalDocument})
    def post(self, request: Request, slug: str) -> HttpResponse:
        """Propose that a member goes; it does when all others have agreed."""
        viewer, group = viewer_of(request), membership.find(viewer_of(request), slug)
        return _proposed(viewer, membership.remove(viewer, group, _partner(request)))


class RenewView(Face):
    """Another basis, or other dates."""

    scope = Scope.ADMIN

    @extend_schema(operation_id="renew_group", request=requests.NewBasis, responses={201: ProposalDocument})
    def post(self, request: Request, slug: str) -> HttpResponse:
        """Propose a basis; it holds when all members have agreed."""
        viewer, group = viewer_of(request), membership.find(viewer_of(request), slug)
        return _proposed(viewer, membership.renew(viewer, group, _basis(requests.NewBasis.read(request))))


class LeaveView(Face):
    """Leaving."""

    scope = Scope.ADMIN

    @extend_schema(operation_id="leave_group", request=None, responses={204: None})
    def post(self, request: Request, slug: str) -> HttpResponse:
        """Leave a group: what others share there is seen no more."""
        viewer = viewer_of(request)
        membership.leave(viewer, membership.find(viewer, slug))
        return HttpResponse(status=204)


class DissolveView(Face):
    """The end of a group."""

    scope = Scope.ADMIN

    @extend_schema(operation_id="dissolve_group", request=None, responses={201: ProposalDocument})
    def post(self, request: Request, slug: str) -> HttpResponse:
        """Propose to dissolve a group; it ends when all members have agreed."""
        viewer = viewer_of(request)
        return _proposed(viewer, membership.dissolve(viewer, membership.find(viewer, slug)))


class ProposalsView(Face):
    """What is to be decided."""

    @extend_schema(operation_id="proposals", responses=ProposalList)
    def get(self, request: Request) -> HttpResponse:
        """Open proposals of the caller's groups, and invitations to its partner."""
        viewer = viewer_of(request)
        return answer({"proposals": [_proposal(viewer, each) for each in proposing.proposals(viewer)]})


class AgreeView(Face):
    """Saying yes."""

    scope = Scope.ADMIN

    @extend_schema(operation_id="agree", request=None, responses=ProposalDocument)
    def post(self, request: Request, proposal_id: UUID) -> HttpResponse:
        """Agree for the caller's partner; an invited partner accepts so."""
        viewer = viewer_of(request)
        return answer(_proposal(viewer, membership.agree(viewer, proposal_id)))


class DeclineView(Face):
    """Saying no."""

    scope = Scope.ADMIN

    @extend_schema(operation_id="decline", request=None, responses=ProposalDocument)
    def post(self, request: Request, proposal_id: UUID) -> HttpResponse:
        """Decline for the caller's partner: the proposal is off."""
        viewer = viewer_of(request)
        return answer(_proposal(viewer, membership.decline(viewer, proposal_id)))


def _proposed(viewer: Viewer, made: Proposal) -> HttpResponse:
    return answer(_proposal(viewer, made), status=201)


def _partner(request: Request) -> Partner:
    slug = requests.PartnerName.read(request)["partner"]
    found = Partner.objects.filter(slug=slug, state=Partner.State.ACTIVE).first()
    if found is None:
        raise Refused("There is no partner of this name.", code="unknown-partner", at="/partner")
    return found


def _basis(sent: dict[str, Any]) -> proposing.Basis:
    return proposing.Basis(
        sent["legal_basis"],
        sent.get("basis_reference") or "",
        sent["basis_from"],
        sent.get("basis_until"),
        sent.get("evidence"),
    )


def _group(group: Any, *, members: list[str] | None = None) -> dict[str, Any]:
    return {
        "id": group.pk,
        "slug": group.slug,
        "name": group.name,
        "purpose": group.purpose,
        "policy": group.policy,
        "join_rule": group.join_rule,
        "legal_basis": group.legal_basis,
        "basis_reference": group.basis_reference,
        "basis_from": group.basis_from,
        "basis_until": group.basis_until,
        "evidence": group.evidence,
        "takes_new": why_closed(group, on=clock.now().date()) is None,
        "partners": members if members is not None else [one.partner.slug for one in group.open_memberships],
    }


def _proposal(viewer: Viewer, made: Proposal) -> dict[str, Any]:
    said = made.agreements.filter(agreed=True).select_related("partner").order_by("at", "pk")
    return {
        "id": made.pk,
        "kind": made.kind,
        "state": made.state,
        "group": {"id": made.group.pk, "slug": made.group.slug, "name": made.group.name},
        "partner": made.partner.slug if made.partner else None,
        "proposed_by": made.proposer.slug,
        "made_at": clock.rfc3339(made.made_at),
        "legal_basis": made.legal_basis,
        "basis_reference": made.basis_reference,
        "basis_from": made.basis_from,
        "basis_until": made.basis_until,
        "evidence": made.evidence,
        "agreed": [{"partner": one.partner.slug, "at": clock.rfc3339(one.at)} for one in said],
        "asks_you": made.state == Proposal.State.OPEN and viewer.partner_id in proposing.waits_for(made),
    }
