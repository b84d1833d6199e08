"""What the REST face says of itself: OpenAPI 3.1, made once per process, with what all operations have in common."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import orjson
from django.http import HttpRequest, HttpResponse
from drf_spectacular.generators import SchemaGenerator

from exchange.errors import MethodNotAllowed

_PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "What went wrong (RFC 9457). `code` is stable; the refused value is never repeated.",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "code": {"type": "string"},
                    "field": {
                        "type": "string",
                        "description": "A JSON pointer, or a slash and a parameter.",
                    },
                    "message": {"type": "string"},
                },
                "required": ["code", "field", "message"],
            },
        },
    },
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "examples": [
        {
            "type": "urn:exchange:problem:unknown-parameter",
            "title": "Refused",
            "status": 422,
            "detail": "There is no such parameter here. There are: cursor, feed, limit.",
            "code": "unknown-parameter",
            "request_id": "9f5a4f6e-7a0c-4f0e-9c55-0b1f6f0c2a11",
            "errors": [
                {
                    "code": "unknown-parameter",
                    "field": "/kinds",
                    "message": "There is no such parameter here. There are: cursor, feed, limit.",
                }
            ],
        }
    ],
}
_EVERYWHERE = {
    "400": "The request cannot be read as what it claims to be.",
    "401": "No credential, or one that is not valid.",
    "403": "The key lacks the scope.",
    "422": "Readable, but against a rule; `errors` names the field or the parameter.",
    "429": "Too many invalid keys, open streams or bytes at once; `Retry-After` says when to come back.",
    "503": "The store does not answer at the moment; nothing was done. Try again.",
}
_OF_ONE_THING = {"404": "Absent, or not the caller's to see: one answer for both."}
_NAMES = frozenset({"feed", "first", "leaf"})  # parameters that name one thing
#: What reads where the terms of the group may not allow it.
_OF_TERMS = frozenset({"evidence", "asked_tokens", "sums"})
_OF_WRITING = {"409": "It contradicts what is stored."}
_OF_BODIES = {"413": "More bytes or objects than a request may have.", "415": "A media type that is not read here."}
_SUCCESS = {
    "200": "Done.",
    "201": "Made.",
    "202": "Will be done.",
    "204": "Done; there is nothing to say.",
    "206": "A part of it.",
}


def describe(request: HttpRequest) -> HttpResponse:
    """The description of this API, for everybody."""
    if request.method not in {"GET", "HEAD"}:
        raise MethodNotAllowed("The description is read.", allowed=("GET", "HEAD"))
    headers = {"Cache-Control": "public, max-age=300"}
    return HttpResponse(text(), content_type="application/vnd.oai.openapi+json", headers=headers)


@cache
def text() -> bytes:
    """The description as it is served."""
    return orjson.dumps(document())


def document() -> dict[str, Any]:
    """The description, from the views and from what every operation has in common."""
    described: dict[str, Any] = SchemaGenerator().get_schema(public=True)
    described["servers"] = [{"url": "/"}]
    described["components"]["schemas"]["Problem"] = _PROBLEM
    described["components"]["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "description": "An API key: `exk_…`."},
        "basic": {"type": "http", "scheme": "basic", "description": "Any user name, and an API key as the password."},
    }
    for path, method, operation in _operations(described):
        operation["summary"], _, rest = operation["description"].partition("\n\n")
        operation["description"] = rest or operation["summary"]
        operation["security"] = [{"bearer": []}, {"basic": []}]
        if "requestBody" in operation:
            operation["requestBody"]["required"] = True  # an empty object, where all may be left out
        # To all but the operator, its routes are not there.
        one = "{" in path or "/operator/" in path
        _name_answers(
            operation,
            one=one,
            body="requestBody" in operation,
            writes=method != "get" or operation["operationId"] in _OF_TERMS,
        )
    return described


def _operations(described: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


_OF_RANGES = {"406": "In none of the codings that you accept."}


def _name_answers(operation: dict[str, Any], *, one: bool, body: bool, writes: bool) -> None:
    """Say what each answer means, and add the problems that an operation of this form can answer."""
    answers = operation["responses"]
    for status, found in answers.items():
        found["description"] = _SUCCESS[status]
    named_by_query = any(parameter["name"] in _NAMES for parameter in operation.get("parameters", ()))
    problems = dict(_EVERYWHERE)
    problems |= _OF_ONE_THING if one or body or named_by_query else {}
    problems |= _OF_WRITING if writes else {}
    problems |= _OF_BODIES if body else {}
    if "206" in answers:
        problems |= _OF_RANGES
        answers["416"] = {"description": "There are no such bytes; `Content-Range` says how many there are."}
    for status, meaning in sorted(problems.items()):
        answers[status] = {
            "description": meaning,
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
