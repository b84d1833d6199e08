"""The caller's people, and who is invited to join them. All of it needs the scope `admin`."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema

from exchange import clock
from partners.api import requests
from partners.api.base import Face, Request, answer, viewer_of
from partners.api.documents import (
    InvitationList,
    InvitedDocument,
    PersonDocument,
    PersonList,
)
from partners.identity import inviting, people
from partners.models import Invitation
from partners.scopes import Role, Scope


class PeopleView(Face):
    """The people of the caller's partner."""

    scope = Scope.ADMIN

    @extend_schema(operation_id="people", responses=PersonList)
    def get(self, request: Request) -> HttpResponse:
        """Everybody, the deactivated too, with roles and second factors."""
        return answer({"people": [_person(user) for user in people.of(viewer_of(request))]})


class PersonView(Face):
    """One person of the caller's partner."""

    scope = Scope.ADMIN

    @extend_schema(operation_id="person", responses=PersonDocument)
    def get(self, request: Request, user_id: int) -> HttpResponse:
        """A person."""
        return answer(_found(request, user_id))

    @extend_schema(operation_id="change_person", request=requests.PersonChange, responses=PersonDocument)
    def patch(self, request: Request, user_id: int) -> HttpResponse:
        """Give another role, or end or renew access. Whoever is deactivated is signed out at once."""
        sent = requests.PersonChange.read(request)
        role = None if sent.get("role") is None else Role(sent["role"])
        people.change(viewer_of(request), user_id, role=role, active=sent.get("active"))
        return answer(_found(request, user_id))


class InvitationsView(Face):
    """Open invitations."""

    scope = Scope.ADMIN

    @extend_schema(operation_id="invitations", responses=InvitationList)
    def get(self, request: Request) -> HttpResponse:
        """The open invitations into the caller's partner; their links are not shown again."""
        return answer({"invitations": [_invitation(each) for each in inviting.pending(viewer_of(request))]})

    @extend_schema(operation_id="invite", request=requests.NewInvitation, responses={201: InvitedDocument})
    def post(self, request: Request) -> HttpResponse:
        """Invite somebody. The link is mailed, and in this answer, this once; it is good once, for seven days."""
        sent = requests.NewInvitation.read(request)
        made, link = inviting.invite(viewer_of(request), email=sent["email"], role=Role(sent["role"]))
        return answer(_invitation(made) | {"link": link}, status=201)


class InvitationView(Face):
    """One open invitation."""

    scope = Scope.ADMIN

    @extend_schema(operation_id="withdraw_invitation", responses={204: None})
    def delete(self, request: Request, invitation_id: UUID) -> HttpResponse:
        """Withdraw it: its link is worthless from now on."""
        inviting.revoke(viewer_of(request), invitation_id)
        return HttpResponse(status=204)


def _found(request: Request, user_id: int) -> dict[str, Any]:
    return _person(people.find(viewer_of(request), user_id))


def _person(user: Any) -> dict[str, Any]:
    return {
        "id": user.pk,
        "username": user.username,
        "email": user.email,
        "role": user.role,
        "active": user.is_active,
        "passkey": user.has_passkey,
        "authenticator_app": user.has_app,
        "last_sign_in": user.last_login and clock.rfc3339(user.last_login),
    }


def _invitation(invitation: Invitation) -> dict[str, Any]:
    return {
        "id": invitation.pk,
        "email": invitation.email,
        "role": invitation.role,
        "created_at": clock.rfc3339(invitation.created_at),
        "expires_at": clock.rfc3339(invitation.expires_at),
    }
