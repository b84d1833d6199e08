"""Keys of the caller's own partner: list, issue, rotate, revoke. Nobody issues beyond their own rights."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema

from exchange import clock
from partners import keys
from partners.api import requests
from partners.api.base import Face, Request, answer, viewer_of
from partners.api.documents import KeyDocument, KeyList, NewKeyDocument
from partners.models import ApiKey, Group, Partner
from partners.scopes import Scope
from partners.sharing import groups_named

_NO_STORE = {"Cache-Control": "no-store"}
_DEFAULT_OVERLAP = timedelta(days=1)


class KeysView(Face):
    """The keys of a partner."""

    scope = Scope.ADMIN

    @extend_schema(operation_id="keys", responses=KeyList)
    def get(self, request: Request) -> HttpResponse:
        """The keys of the caller's partner, newest first; of those that are over, the newest 500."""
        found = list(keys.listed(viewer_of(request)).prefetch_related("networks_seen"))
        return answer({"keys": _documents(found)})

    @extend_schema(operation_id="issue_key", request=requests.NewKey, responses={201: NewKeyDocument})
    def post(self, request: Request) -> HttpResponse:
        """Make a key, no stronger than the one that asks, which becomes its parent. The answer holds it, this once."""
        viewer = viewer_of(request)
        sent = requests.NewKey.read(request)
        groups = sent.get("groups") or ()
        made, secret = keys.issue(
            Partner.objects.get(pk=viewer.partner_id),
            by=viewer,
            name=sent["name"],
            scopes=[Scope(word) for word in sent["scopes"]],
            expires_in=_minutes(sent, "expires_in_minutes"),
            groups=groups_named(viewer, groups) if groups else (),
            networks=sent.get("networks") or (),
            certificate_subject=sent.get("certificate_subject") or "",
            certificate_sha256=sent.get("certificate_sha256") or "",
        )
        return answer(_document(made) | {"secret": secret}, status=201, headers=_NO_STORE)


class KeyView(Face):
    """One key."""

    scope = Scope.ADMIN

    @extend_schema(operation_id="key", responses=KeyDocument)
    def get(self, request: Request, public_id: str) -> HttpResponse:
        """A key of the caller's partner."""
        return answer(_document(keys.find(viewer_of(request), public_id)))

    @extend_schema(operation_id="revoke_key", responses={204: None})
    def delete(self, request: Request, public_id: str) -> HttpResponse:
        """Make a key, and all keys that descend from it, worthless from the next request on."""
        viewer = viewer_of(request)
        keys.revoke(keys.find(viewer, public_id), by=viewer)
        return HttpResponse(status=204)


class RotateView(Face):
    """A successor for a key."""

    scope = Scope.ADMIN

    @extend_schema(operation_id="rotate_key", request=requests.Rotation, responses={201: NewKeyDocument})
    def post(self, request: Request, public_id: str) -> HttpResponse:
        """A new secret with the same name and limits; the old key ends after the overlap (a day unless said)."""
        viewer = viewer_of(request)
        key = keys.find(viewer, public_id)
        overlap = _minutes(requests.Rotation.read(request), "overlap_minutes")
        made, secret = keys.rotate(key, overlap=_DEFAULT_OVERLAP if overlap is None else overlap, by=viewer)
        return answer(_document(made) | {"secret": secret}, status=201, headers=_NO_STORE)


def _document(key: ApiKey) -> dict[str, Any]:
    return _documents([key])[0]


def _documents(found: Sequence[ApiKey]) -> list[dict[str, Any]]:
    """As the API shows them: groups by slug, those that the partner has left included."""
    slugs = dict(
        Group.objects.filter(pk__in={group for key in found for group in key.groups or ()}).values_list("pk", "slug")
    )
    moment = clock.now()
    return [
        {
            "id": key.public_id,
            "name": key.name,
            "scopes": key.scopes,
            "only": key.only,
            "groups": _slugs(key.groups, slugs),
            "networks": key.networks,
            "certificate_subject": key.certificate_subject,
            "certificate_sha256": key.certificate_sha256,
            "state": keys.state(key, at=moment),
            "parent_id": key.parent.public_id if key.parent else None,
            "created_by": key.created_by,
            "created_at": clock.rfc3339(key.created_at),
            "expires_at": clock.rfc3339(key.expires_at),
            "revoked_at": clock.rfc3339(key.revoked_at) if key.revoked_at else None,
            "last_used_at": clock.rfc3339(key.last_used_at) if key.last_used_at else None,
            "networks_seen": [
                {
                    "network": seen.prefix,
                    "first_at": clock.rfc3339(seen.first_at),
                    "last_at": clock.rfc3339(seen.last_at),
                }
                for seen in keys.seen(key)
            ],
        }
        for key in found
    ]


def _slugs(groups: Iterable[UUID] | None, slugs: dict[UUID, str]) -> list[str] | None:
    return None if groups is None else sorted(slugs[group] for group in groups if group in slugs)


def _minutes(sent: dict[str, Any], name: str) -> timedelta | None:
    minutes = sent.get(name)
    return None if minutes is None else timedelta(minutes=minutes)
