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
    """Each resource by name, those with parameters as templates, with the description and how to authenticate."""
    if request.method not in {"GET", "HEAD"}:
        raise MethodNotAllowed("This resource is only read.", allowed=("GET", "HEAD"))
    return HttpResponse(_document(), content_type="application/json")


@cache
def _document() -> bytes:
    ways: Any = get_resolver().reverse_dict.values()
    every = [(path, parameters) for possibilities, *_ in ways for path, parameters in possibilities]
    own = sorted({_template(path, parameters) for path, parameters in every if path.startswith(_ROOT)} - {_ROOT})
    named = {path.removeprefix(_ROOT): f"/{path}" for path in own}
    return orjson.dumps(
        {
            "description": f"/{_ROOT}schema",
            "authentication": "Authorization: Bearer <API key>",
            "taxii": "/taxii2/",
            "resources": {name: path for name, path in named.items() if "{" not in path},
            "templates": {name: path for name, path in named.items() if "{" in path},
        }
    )


def _template(path: str, parameters: list[str]) -> str:
    """An address with its parameters in braces (RFC 6570), as the description has them."""
    return path % {name: f"{{{name}}}" for name in parameters}
