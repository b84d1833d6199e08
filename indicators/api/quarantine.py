"""What waits in the caller's own quarantine: read page by page, and deleted."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema

from exchange import clock, paging
from indicators.api.documents.waiting import QuarantinedDocument, QuarantineList
from indicators.models import Quarantined
from indicators.publishing import quarantine
from partners.api.base import Face, Request, answer, fragment, viewer_of
from partners.scopes import Scope

_LIMIT = 1_000
_PLACE = "quarantine"


class QuarantineView(Face):
    """The caller's own objects that wait to be mended."""

    scope = Scope.PUBLISH
    known = ("cursor", "limit")

    @extend_schema(
        operation_id="quarantine",
        parameters=[
            OpenApiParameter("cursor", description="`next` of the last page; without it, the first page."),
            OpenApiParameter("limit", {"type": "integer", "minimum": 1, "maximum": _LIMIT, "default": 100}),
        ],
        responses=QuarantineList,
    )
    def get(self, request: Request) -> HttpResponse:
        """What waits to be mended and pushed again, newest first; nobody else sees it."""
        viewer = viewer_of(request)
        limit = self.asked.number("limit", 100, least=1, most=_LIMIT)
        cursor = self.asked.text("cursor")
        before = None
        if cursor:
            at, entry = paging.unseal(cursor, viewer=viewer.partner_id, scope=_PLACE)
            before = datetime.fromisoformat(str(at)), UUID(str(entry))
        found = quarantine.page(viewer, before=before, limit=limit + 1)
        more, found = len(found) > limit, found[:limit]
        position: paging.Position = [found[-1].at.isoformat(), str(found[-1].entry)] if more else []
        following = paging.seal(position, viewer=viewer.partner_id, scope=_PLACE) if more else None
        return answer({"quarantined": [_document(each) for each in found], "next": following})


class QuarantinedView(Face):
    """One of them."""

    scope = Scope.PUBLISH

    @extend_schema(operation_id="quarantined", responses=QuarantinedDocument)
    def get(self, request: Request, entry: UUID) -> HttpResponse:
        """One object that waits, with its bytes."""
        return answer(_document(quarantine.find(viewer_of(request), entry)))

    @extend_schema(operation_id="delete_quarantined", responses={204: None})
    def delete(self, request: Request, entry: UUID) -> HttpResponse:
        """Delete it for good. What is mended and pushed again is gone by itself."""
        quarantine.delete(viewer_of(request), entry)
        return HttpResponse(status=204)


def _document(each: Quarantined) -> dict[str, Any]:
    return {
        "entry": each.entry,
        "id": each.stix_id,
        "code": each.code,
        "field": each.field,
        "message": each.message,
        "at": clock.rfc3339(each.at),
        "object": fragment(quarantine.body(each).decode()),
    }
