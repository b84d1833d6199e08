"""Hosts and ranges that partners make known as their own: read by all, changed by an admin of each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema

from exchange import clock
from indicators.api import requests
from indicators.api.documents import ServiceHostList
from indicators.benign import service_hosts, suppressing
from indicators.models import ServiceHost
from partners.api.base import Face, Request, answer, viewer_of
from partners.scopes import Scope


class ServiceHostsView(Face):
    """What is in no list because it is a member's own."""

    write_scope = Scope.ADMIN

    @extend_schema(operation_id="service_hosts", responses=ServiceHostList)
    def get(self, request: Request) -> HttpResponse:
        """The hosts and ranges of all partners. They are public among them."""
        return answer(_document(service_hosts.listed()))

    @extend_schema(operation_id="add_service_hosts", request=requests.HostsWish, responses={201: ServiceHostList})
    def post(self, request: Request) -> HttpResponse:
        """Make hosts and ranges known as one's own, with all names below a host: they give no entry in any list."""
        added = service_hosts.add(viewer_of(request), requests.HostsWish.read(request)["values"])
        suppressing.hint()
        return answer(_document(added), status=201)


class ServiceHostView(Face):
    """One of one's own."""

    scope = Scope.ADMIN

    @extend_schema(operation_id="end_service_host", responses={204: None})
    def delete(self, request: Request, host_id: UUID) -> HttpResponse:
        """Say that it is one's own no more: what others publish of it is listed again."""
        service_hosts.end(viewer_of(request), host_id)
        suppressing.hint()
        return HttpResponse(status=204)


def _document(hosts: Iterable[ServiceHost]) -> dict[str, Any]:
    return {
        "hosts": [
            {
                "id": host.pk,
                "value": host.value,
                "partner": {"slug": host.partner.slug, "name": host.partner.name},
                "since": clock.rfc3339(host.since),
            }
            for host in hosts
        ]
    }
