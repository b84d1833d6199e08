"""What the portal's scripts ask to make tokens in the browser: the public keys, and oblivious evaluation."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import orjson
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe

from exchange import bodies
from exchange.errors import Malformed, Refused
from partners.portal.access import page
from partners.tokens import oblivious
from partners.viewer import Viewer

_MOST_BYTES = 128 * 1024


@require_safe
@page
def keys(_request: HttpRequest, _viewer: Viewer) -> HttpResponse:
    """The public keys that answer now, as `GET /api/v1/tokens/keys`."""
    return _json(oblivious.keys())


@require_POST
@page
def evaluate(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Apply a key to blinded points, as `POST /api/v1/tokens/evaluate`."""
    try:
        sent = orjson.loads(bodies.read(request, max_bytes=_MOST_BYTES))
    except orjson.JSONDecodeError:
        raise Malformed(gettext("Not JSON.")) from None
    sent = sent if isinstance(sent, dict) else {}
    subkind, epoch, points = sent.get("subkind"), sent.get("epoch"), sent.get("points")
    if not (isinstance(subkind, str) and isinstance(epoch, str) and isinstance(points, list)):
        raise Refused("subkind, epoch and points.", code="bad-wish")
    read = [_point(one, place) for place, one in enumerate(points)]
    found = oblivious.evaluate(viewer, subkind=subkind, epoch=epoch, points=read)
    written = [base64.b64encode(one).decode() for one in found.points]
    return _json({"points": written, "proof": base64.b64encode(found.proof).decode()})


def _point(written: Any, place: int) -> bytes:
    try:
        return base64.b64decode(written, validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise Refused(gettext("32 bytes as base64."), code="bad-point", at=f"/points/{place}") from None


def _json(document: dict[str, Any]) -> HttpResponse:
    return HttpResponse(orjson.dumps(document), content_type="application/json")
