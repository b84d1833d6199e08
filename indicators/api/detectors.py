"""The caller's partner's detectors: what its indicators may name, and what it calls them."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema

from exchange import clock
from indicators import detectors
from indicators.api import requests
from indicators.api.documents.detectors import DetectorDocument, DetectorList
from indicators.models import Detector
from partners.api.base import Face, Request, answer, viewer_of
from partners.scopes import Scope


class DetectorsView(Face):
    """All of them; nobody else reads what they are called."""

    write_scope = Scope.PUBLISH

    @extend_schema(operation_id="detectors", responses=DetectorList)
    def get(self, request: Request) -> HttpResponse:
        """By name, retired ones last."""
        return answer({"detectors": [_document(one) for one in detectors.listed(viewer_of(request))]})

    @extend_schema(operation_id="register_detector", request=requests.NewDetector, responses={201: DetectorDocument})
    def post(self, request: Request) -> HttpResponse:
        """Register one, under a new id or, where your objects name one already, under that."""
        sent = requests.NewDetector.read(request)
        said = {name: sent.get(name) or "" for name in ("name", "sha256", "version")}
        made = detectors.register(viewer_of(request), **said, code=sent.get("id") or "")
        return answer(_document(made), status=201)


class DetectorView(Face):
    """One of them."""

    scope = Scope.PUBLISH

    @extend_schema(operation_id="change_detector", request=requests.DetectorChange, responses=DetectorDocument)
    def patch(self, request: Request, code: str) -> HttpResponse:
        """Give it another name, version or digest; what is left out stays."""
        sent = requests.DetectorChange.read(request)
        return answer(_document(detectors.change(viewer_of(request), code, **{n: v or "" for n, v in sent.items()})))

    @extend_schema(operation_id="retire_detector", responses={204: None})
    def delete(self, request: Request, code: str) -> HttpResponse:
        """Let no new version name it; what names it stays."""
        detectors.retire(viewer_of(request), code)
        return HttpResponse(status=204)


def _document(one: Detector) -> dict[str, Any]:
    return {
        "id": one.code,
        "name": one.name,
        "version": one.version or None,
        "sha256": one.sha256 or None,
        "registered_at": clock.rfc3339(one.registered_at),
        "retired_at": None if one.retired_at is None else clock.rfc3339(one.retired_at),
    }
