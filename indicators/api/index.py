"""The index of the REST face: where to begin. It says nothing that the description does not, and needs no key."""

from __future__ import annotations

from functools import cache
from typing import Any

import orjson
from django.http import HttpRequest, HttpResponse
from django.urls import get_resolver

from exchange.errors import MethodNotAllowed

_ROOT = "api/v1/"


def index(request: HttpRequest) -> HttpResponse:
    """Each resource that has an address of its own, by name, with the description and how to authenticate."""
    if request.method not in {"GET", "HEAD"}:
        raise MethodNotAllowed("This resource is only read.", allowed=("GET", "HEAD"))
    return HttpResponse(_document(), content_type="application/json")


@cache
def _document() -> bytes:
    ways: Any = get_resolver().reverse_dict.values()
    every = [path for possibilities, *_ in ways for path, parameters in possibilities if not parameters]
    paths = sorted({path for path in every if path.startswith(_ROOT) and path != _ROOT})
    return orjson.dumps(
        {
            "description": f"/{_ROOT}schema",
            "authentication": "Authorization: Bearer <API key>",
            "taxii": "/taxii2/",
            "resources": {path.removeprefix(_ROOT): f"/{path}" for path in paths},
        }
    )
