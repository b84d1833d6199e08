"""Who speaks TAXII in these tests, and what they send. All goes through the real verbs."""

from __future__ import annotations

import base64
import itertools
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import orjson
from django.test import Client
from django.utils.http import urlencode

from exchange import clock
from indicators.reading import referred
from tests import build

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from django.http import HttpResponse

    from partners.models import Partner
    from partners.scopes import Scope

TAXII = "application/taxii+json;version=2.1"
ROOT = "/taxii2/exchange/"
EVERYTHING = f"{ROOT}collections/everything/"
PUBLISHED_AFTER = clock.rfc3339(referred.BEFORE_THE_LOG)

_serial = itertools.count()


@dataclass
class Caller:
    """A partner with a key and the HTTP client that presents it, as Basic with any user name."""

    partner: Partner
    key: str

    @property
    def own(self) -> str:
        return f"{ROOT}collections/{self.partner.collection_id}/"

    @property
    def headers(self) -> dict[str, str]:
        credentials = base64.b64encode(f"anybody:{self.key}".encode()).decode()
        return {"Authorization": f"Basic {credentials}", "Accept": TAXII}

    def get(
        self, path: str, parameters: dict[str, Any] | None = None, *, method: str = "get", **headers: str
    ) -> HttpResponse:
        """What is published: the caller says that it has what stands before the log, unless it says `added_after`."""
        if "added_after" not in path and "/collections/" in path:
            parameters = {"added_after": PUBLISHED_AFTER} | (parameters or {})
        if "?" in path and parameters:
            path, parameters = f"{path}&{urlencode(parameters)}", None
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        ask = getattr(Client(headers=self.headers | named), method)
        return cast("HttpResponse", ask(path, parameters or {}))

    def head(self, path: str) -> HttpResponse:
        return self.get(path, method="head")

    def from_the_beginning(self, path: str, **parameters: Any) -> HttpResponse:
        """The same with what stands before the log: the request of a client that comes for the first time."""
        return Client(headers=self.headers).get(path, parameters)

    def post(self, path: str, body: Any, content_type: str = TAXII, **headers: str) -> HttpResponse:
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return Client(headers=self.headers | named).post(path, raw, content_type=content_type)

    def delete(self, path: str) -> HttpResponse:
        return Client(headers=self.headers).delete(path)

    def add(self, *objects: dict[str, Any]) -> dict[str, Any]:
        """Add objects to the own collection; the status that came back, which must tell of no failure."""
        answer = self.post(f"{self.own}objects/", {"objects": objects})
        status = orjson.loads(answer.content)
        assert answer.status_code == 202, status
        assert status["failure_count"] == 0, status
        return status

    def objects(self, path: str, **parameters: Any) -> list[dict[str, Any]]:
        """The objects of one page."""
        answer = self.get(path, parameters)
        assert answer.status_code == 200, answer.content
        return orjson.loads(answer.content).get("objects", [])

    def pages(self, path: str, parameters: dict[str, Any] | None = None) -> Iterator[HttpResponse]:
        """All pages, by `next`."""
        cursor: dict[str, Any] = {}
        while True:
            answer = self.get(path, (parameters or {}) | cursor)
            assert answer.status_code == 200, answer.content
            yield answer
            read = orjson.loads(answer.content)
            if not read.get("more"):
                return
            cursor = {"next": read["next"]}


def published(objects: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of what a client read, or of records of it, what is published: without what stands before the log."""
    ours = {one.stix_id for one in referred.found()}
    return [one for one in objects if one["id"] not in ours]


def a_caller(name: str, *scopes: Scope, kind: str = "lab") -> Caller:
    return another_key(build.a_partner(name, kind), *scopes)


def another_key(partner: Partner, *scopes: Scope) -> Caller:
    return Caller(partner, build.a_key(partner, *scopes))


def an_indicator(**changed: Any) -> dict[str, Any]:
    number = next(_serial)
    return {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator--{uuid.uuid4()}",
        "created": "2026-01-01T00:00:00.000Z",
        "modified": "2026-01-01T00:00:00.000Z",
        "name": f"Indicator {number}",
        "pattern": f"[domain-name:value = 'host-{number}.example']",
        "pattern_type": "stix",
        "valid_from": "2026-01-01T00:00:00Z",
    } | changed


def a_domain(value: str = "") -> dict[str, Any]:
    """A cyber-observable: it has no timestamps, hence no version of its own."""
    return {"type": "domain-name", "id": f"domain-name--{uuid.uuid4()}", "value": value or f"d{next(_serial)}.example"}


def revised(found: dict[str, Any], day: int, **changed: Any) -> dict[str, Any]:
    return found | {"modified": f"2026-01-{day:02}T00:00:00.000Z"} | changed
