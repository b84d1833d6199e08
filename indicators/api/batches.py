"""Push: a batch of STIX objects in, an answer per object out."""

from __future__ import annotations

import hashlib
import re
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter, OpenApiTypes, extend_schema

from exchange import bodies, clock
from exchange.errors import Malformed, Refused, UnsupportedMedia
from exchange.parameters import Parameters
from indicators import publishing
from indicators.api.documents.batches import BatchAnswer
from indicators.publishing import answering, losses
from indicators.publishing.reach import Reach
from indicators.publishing.results import STATUSES
from indicators.stix import making, parsing
from partners.api.base import Face, Request, answer, fragment, viewer_of
from partners.attribution import Attribution
from partners.scopes import Scope
from partners.tlp import Tlp
from partners.viewer import Viewer

_JSON = {"application/json", "application/stix+json", "application/taxii+json"}
_VERSION = re.compile(r';\s*version\s*=\s*"?([^";\s]*)', re.IGNORECASE)
_NDJSON = {"application/x-ndjson", "application/ndjson", "application/jsonl"}
_KEY = re.compile(r"[\x21-\x7e]{1,128}")
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "pattern": "^[!-~]{1,128}$"},
    location="header",
    description="Visible ASCII characters. The same key with the same request is given the first answer again.",
)
_PARAMETERS = [
    OpenApiParameter("groups", description="Slugs of groups of yours, separated by commas."),
    OpenApiParameter("partners", description="Slugs of single partners, separated by commas."),
    OpenApiParameter("everyone", bool, description="Share with every partner."),
    OpenApiParameter("tlp", enum=[tlp.word for tlp in Tlp], description="Least strict marking of all."),
    OpenApiParameter("wake", bool, description="Bring back what you have withdrawn."),
    OpenApiParameter("report", enum=["loss"], description="With a report on what was lost on the way in."),
    OpenApiParameter(
        "attribution",
        enum=[one.word for one in Attribution],
        description="How other partners see the source; the more reserved of this and what an object says.",
    ),
    IDEMPOTENCY_KEY,
]
_DESCRIBED = ("application/json", "application/stix+json;version=2.1", "application/taxii+json;version=2.1")
_BATCH = {
    "type": "object",
    "description": "A STIX bundle, a TAXII envelope, or a single object. Each object is judged by itself.",
    "properties": {"objects": {"type": "array", "items": {}, "minItems": 1, "maxItems": parsing.LIMITS.objects}},
    "required": ["objects"],
    "examples": [{"objects": [making.account_pattern()]}],
}


class BatchesView(Face):
    """Push."""

    scope = Scope.PUBLISH
    asks_again = True
    known = ("groups", "partners", "everyone", "tlp", "attribution", "report", "wake")

    @extend_schema(
        operation_id="publish",
        parameters=_PARAMETERS,
        request={**dict.fromkeys(_DESCRIBED, _BATCH), "application/x-ndjson": OpenApiTypes.STR},
        responses=BatchAnswer,
    )
    def post(self, request: Request) -> HttpResponse:
        """Publish a STIX bundle, a TAXII envelope, a single object, or NDJSON; gzip is welcome."""
        viewer = viewer_of(request)
        reach = _reach(viewer, self.asked)
        ndjson = is_ndjson(request)
        key, wake = idempotency_key(request), self.asked.flag("wake")
        body = bodies.read(request)
        with_report = bool(self.asked.choice("report", "", of=("", "loss")))
        asked = repr(reach) + ("wake" if wake else "")
        digest = hashlib.sha256(asked.encode() + b"\0")
        digest.update(body)
        elements = parsing.read_batch(body, ndjson=ndjson)
        sent = publishing.Request(digest.digest(), key)
        done = publishing.publish(elements, by=viewer, reach=reach, request=sent, wake=wake)
        return batch_answer(done, report=losses.report(elements, done, by=viewer) if with_report else None)


class BatchView(Face):
    """One push of the caller's own partner, again."""

    scope = Scope.PUBLISH

    @extend_schema(operation_id="batch", responses=BatchAnswer)
    def get(self, request: Request, batch_id: UUID) -> HttpResponse:
        """The answer that a batch was given."""
        return batch_answer(answering.answer_of(answering.batch(viewer_of(request), batch_id)))


def batch_answer(done: publishing.Answer, *, report: dict[str, Any] | None = None, status: int = 200) -> HttpResponse:
    """The answer to a batch, the first time or again."""
    document = {
        "id": done.batch_id,
        "received": clock.rfc3339(done.received_at),
        "counts": {word: done.counts.get(word, 0) for word in STATUSES},
        "results": fragment(done.results),
    }
    if report is not None:
        document["report"] = report
    return answer(document, status=status, headers={"Idempotency-Replayed": "true"} if done.replayed else None)


def _reach(viewer: Viewer, asked: Parameters) -> Reach:
    """The audience that the query names. Raises Refused naming the parameter, also for one that names nobody.

    An empty parameter is a variable that was not set, and the default audience might be wider than what it stood for.
    """
    for name in asked.among(("groups", "partners")):
        if not asked.words(name):
            raise Refused("It names nobody. Leave it out for the default audience.", code="bad-audience", at=f"/{name}")
    for name in asked.among(("tlp", "attribution")):
        if not asked.text(name):
            raise Refused("It is empty. Leave it out for your default.", code="bad-parameter", at=f"/{name}")
    said = asked.among(("groups", "partners"))
    everyone = asked.flag("everyone")
    return Reach.in_words(
        viewer,
        named=everyone or bool(said),
        everyone=everyone,
        groups=asked.words("groups"),
        partners=asked.words("partners"),
        tlp=asked.text("tlp"),
        attribution=asked.text("attribution"),
    )


def is_ndjson(request: Request) -> bool:
    """Whether objects come one a line. Raises UnsupportedMedia for what is read in no way."""
    media = bodies.media_type(request)
    version = _VERSION.search(request.headers.get("Content-Type", ""))
    if version is None or version[1] == "2.1":
        if media in _NDJSON:
            return True
        if media in _JSON:
            return False
    raise UnsupportedMedia("Send application/stix+json;version=2.1, application/json or application/x-ndjson.")


def idempotency_key(request: Request) -> str | None:
    """The key that makes a request repeatable, if it has one. Raises Malformed."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not _KEY.fullmatch(key):
        raise Malformed("1 to 128 visible ASCII characters.", code="bad-idempotency-key", at="/Idempotency-Key")
    return key
