"""Excerpts of attackers' prompts: sent by machines or people, and read by people alone, in the portal."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiTypes, extend_schema

from exchange import bodies, clock, shapes
from indicators import excerpts
from indicators.api.documents.excerpts import ExcerptDocument, ExcerptList
from indicators.models import Excerpt
from partners.api.base import Face, Request, answer, viewer_of
from partners.scopes import Scope

_MAX_BYTES = 8_192


class ExcerptsView(Face):
    """One's own: without their texts."""

    scope = Scope.PUBLISH

    @extend_schema(operation_id="excerpts", responses=ExcerptList)
    def get(self, request: Request) -> HttpResponse:
        """What waits and what is shown, oldest first; nobody's machine reads the texts."""
        return answer({"excerpts": [_document(one) for one in excerpts.own(viewer_of(request))]})

    @extend_schema(
        operation_id="send_excerpt",
        request={"application/stix+json;version=2.1": OpenApiTypes.OBJECT, "application/json": OpenApiTypes.OBJECT},
        responses={202: ExcerptDocument},
    )
    def post(self, request: Request) -> HttpResponse:
        """Send one `x-exchange-excerpt`. It waits for a second person of your partner, who decides in the portal."""
        raw = bodies.read(request, max_bytes=_MAX_BYTES)
        return answer(_document(excerpts.send(viewer_of(request), shapes.object_in(raw), raw)), status=202)


class ExcerptView(Face):
    """One of one's own."""

    scope = Scope.PUBLISH

    @extend_schema(operation_id="end_excerpt", responses={204: None})
    def delete(self, request: Request, excerpt: UUID) -> HttpResponse:
        """Delete it before its end; nothing of it is kept."""
        excerpts.end(viewer_of(request), excerpt)
        return HttpResponse(status=204)


def _document(one: Excerpt) -> dict[str, Any]:
    return {
        "id": one.pk,
        "excerpt_id": one.excerpt_id,
        "indicator_ref": one.holding.stix_id,
        "state": one.state,
        "at": clock.rfc3339(one.at),
        "valid_until": clock.rfc3339(one.valid_until),
    }
