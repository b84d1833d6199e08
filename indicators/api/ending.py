"""Take back or revoke many objects of the caller's own, by id or by a file that holds them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiTypes, extend_schema

from exchange import bodies
from exchange.errors import Refused
from indicators import publishing
from indicators.api import requests
from indicators.api.batches import IDEMPOTENCY_KEY, batch_answer, idempotency_key, is_ndjson
from indicators.api.documents.batches import BatchAnswer
from indicators.ending import revoking, withdrawing
from indicators.stix import parsing
from partners.api.base import Face, Request, viewer_of
from partners.scopes import Scope
from partners.viewer import Viewer

_MAX_IDS = 1_000
_MAX_ID_CHARS = 300
_SENT = {
    "application/json": requests.EndedIds,
    "application/stix+json;version=2.1": OpenApiTypes.OBJECT,
    "application/x-ndjson": OpenApiTypes.STR,
}
_Verb = Callable[..., publishing.Answer]


class RevokeView(Face):
    """The end of many objects, said to their readers."""

    scope = Scope.PUBLISH
    asks_again = True

    @extend_schema(operation_id="revoke_many", parameters=[IDEMPOTENCY_KEY], request=_SENT, responses=BatchAnswer)
    def post(self, request: Request) -> HttpResponse:
        """Revoke objects of your own, by their ids or by a bundle, envelope or NDJSON that holds them.

        A revoked version of each is made of the bytes that you published, dated after them, and goes to those who hold
        the object. Answered as a push: `accepted` has ended by that, `unchanged` had ended before.
        """
        return _ended(request, "revoke", revoking.revoke_each)


class WithdrawManyView(Face):
    """The end of many objects, in all their versions."""

    scope = Scope.PUBLISH
    asks_again = True

    @extend_schema(operation_id="withdraw_many", parameters=[IDEMPOTENCY_KEY], request=_SENT, responses=BatchAnswer)
    def post(self, request: Request) -> HttpResponse:
        """Take back objects of your own, by their ids or by a bundle, envelope or NDJSON that holds them.

        Whoever holds them is told to drop them, and nobody sees them any more. Answered as a push: `accepted` is taken
        back by that, `unchanged` had been before. Published again with `wake=true`, an object comes back.
        """
        return _ended(request, "withdraw", withdrawing.withdraw_each)


def _ended(request: Request, name: str, verb: _Verb) -> HttpResponse:
    viewer, key = viewer_of(request), idempotency_key(request)
    ids = _ids(request, viewer)
    digest = hashlib.sha256("\0".join([name, *ids]).encode()).digest()
    return batch_answer(verb(viewer, ids, request=publishing.Request(digest, key)))


def _ids(request: Request, viewer: Viewer) -> list[str]:
    """The ids that the body names, in order. Raises Refused naming the element."""
    if bodies.media_type(request) == "application/json":
        named: list[str] = requests.EndedIds.read(request)["ids"]
        return named
    ndjson = is_ndjson(request)
    ids = [element.stix_id for element in parsing.read_batch(bodies.read(request), ndjson=ndjson)]
    if not 1 <= len(ids) <= _MAX_IDS:
        raise Refused(f"From 1 to {_MAX_IDS:,} objects.", code="bad-ids", at="/objects")
    for place, stix_id in enumerate(ids):
        if stix_id is None or len(stix_id) > _MAX_ID_CHARS or not stix_id.isprintable():
            raise Refused("Not an identifier.", code="bad-id", at=f"/objects/{place}")
    return [stix_id for stix_id in ids if stix_id is not None]
