"""Hosts and ranges that partners name as their own: read by all, changed by an admin of each, proven by others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema

from exchange import clock
from indicators.api import requests
from indicators.api.documents.service_hosts import ServiceHostDocument, ServiceHostList
from indicators.benign import proofs, service_hosts, suppressing
from indicators.models import ServiceHost
from partners.api.base import Face, Request, answer, viewer_of
from partners.scopes import Scope
from partners.viewer import Viewer


class ServiceHostsView(Face):
    """What is in no list because it is a member's own."""

    write_scope = Scope.ADMIN

    @extend_schema(operation_id="service_hosts", responses=ServiceHostList)
    def get(self, request: Request) -> HttpResponse:
        """The hosts and ranges of all partners. They are public among them, and so is whether they are proven."""
        return answer(_document(viewer_of(request), service_hosts.listed()))

    @extend_schema(operation_id="add_service_hosts", request=requests.HostsWish, responses={201: ServiceHostList})
    def post(self, request: Request) -> HttpResponse:
        """Name hosts and ranges as one's own, with all names below a host: one's own lists leave them out at once.

        Those of others do once they are proven: a host by the `challenge` in its DNS, or by the operator; a range by
        two other partners, or the operator.
        """
        viewer = viewer_of(request)
        added = service_hosts.add(viewer, requests.HostsWish.read(request)["values"])
        suppressing.hint()
        proofs.hint()
        return answer(_document(viewer, added), status=201)


class ServiceHostView(Face):
    """One of one's own."""

    scope = Scope.ADMIN

    @extend_schema(operation_id="end_service_host", responses={204: None})
    def delete(self, request: Request, host_id: UUID) -> HttpResponse:
        """Say that it is one's own no more, or as the operator, another's: what is published of it is listed again."""
        service_hosts.end(viewer_of(request), host_id)
        suppressing.hint()
        return HttpResponse(status=204)


class CheckView(Face):
    """The proof of one of one's own."""

    write_scope = Scope.ADMIN

    @extend_schema(operation_id="check_service_host", request=None, responses=ServiceHostDocument)
    def post(self, request: Request, host_id: UUID) -> HttpResponse:
        """Have the DNS of a host asked for its challenge now; a worker does so within seconds."""
        viewer = viewer_of(request)
        host = service_hosts.ask_now(viewer, host_id)
        proofs.hint()
        return answer(_one(viewer, host))


class ConfirmView(Face):
    """The proof of another's."""

    write_scope = Scope.ADMIN

    @extend_schema(operation_id="confirm_service_host", request=None, responses=ServiceHostDocument)
    def post(self, request: Request, host_id: UUID) -> HttpResponse:
        """Say that what another partner names is that partner's.

        Two partners' words prove a range of at most /20 (/40 of IPv6), the operator's any range and host.
        """
        viewer = viewer_of(request)
        host = service_hosts.confirm(viewer, host_id)
        suppressing.hint()
        return answer(_one(viewer, host))


def _document(viewer: Viewer, hosts: Iterable[ServiceHost]) -> dict[str, Any]:
    return {"hosts": [_one(viewer, host) for host in hosts]}


def _one(viewer: Viewer, host: ServiceHost) -> dict[str, Any]:
    """A host or range; how it is proven, its own partner reads."""
    document = {
        "id": host.pk,
        "value": host.value,
        "partner": {"slug": host.partner.slug, "name": host.partner.name},
        "since": clock.rfc3339(host.since),
        "proven": host.proven_at is not None,
    }
    if host.partner_id != viewer.partner_id:
        return document
    asks = host.proven_at is None and not service_hosts.is_range(host.value)
    return document | {
        "proven_by": host.proven_by or None,
        "confirmed_by": host.confirmed_by.slug if host.confirmed_by else None,
        "challenge": {"name": proofs.record_of(host.value), "value": host.challenge} if asks else None,
        "asked_at": clock.rfc3339(host.asked_at) if asks and host.asked_at else None,
    }
