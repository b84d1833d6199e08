"""Somebody with an API key, who asks over HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
from django.test import Client

from partners.keys import auth

if TYPE_CHECKING:
    from django.http import HttpResponse

    from partners.scopes import Scope
    from partners.viewer import Viewer

API = "/api/v1/"
STIX = "application/stix+json;version=2.1"


@dataclass(frozen=True)
class Caller:
    """One key; every answer is Django's own."""

    key: str

    @property
    def viewer(self) -> Viewer:
        return auth.viewer_of_key(self.key)

    def ask(self, method: str, path: str, body: bytes = b"", *, media: str = "", **headers: str) -> HttpResponse:
        client = Client(raise_request_exception=False, headers={"Authorization": f"Bearer {self.key}"})
        where = path if path.startswith("/") else API + path
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return client.generic(method, where, body, content_type=media, headers=sent)

    def get(self, path: str, **headers: str) -> HttpResponse:
        return self.ask("GET", path, **headers)

    def push(
        self, *objects: dict[str, Any] | bytes, query: str = "", media: str = STIX, **headers: str
    ) -> HttpResponse:
        raw = [held if isinstance(held, bytes) else orjson.dumps(held) for held in objects]
        return self.ask("POST", f"batches{query}", b'{"objects":[' + b",".join(raw) + b"]}", media=media, **headers)

    def send(self, method: str, path: str, document: Any) -> HttpResponse:
        return self.ask(method, path, orjson.dumps(document), media="application/json")


def read(answer: HttpResponse, status: int = 200) -> Any:
    """The document of an answer that was expected to have this status."""
    assert answer.status_code == status, answer.content[:500]
    return orjson.loads(answer.content)


def code(answer: HttpResponse, status: int) -> str:
    """The stable code of a problem (RFC 9457)."""
    assert answer.headers["Content-Type"] == "application/problem+json", answer.content[:300]
    document = read(answer, status)
    assert document["status"] == status
    assert document["request_id"] == answer.headers["X-Request-ID"]
    return document["code"]


def at(answer: HttpResponse) -> str:
    """The field that a problem names."""
    return orjson.loads(answer.content)["errors"][0]["field"]


def another(caller_of: Any, *scopes: Scope) -> Caller:
    """A further key of a partner, with these scopes only."""
    from tests import build

    return Caller(build.a_key(caller_of, *scopes))
