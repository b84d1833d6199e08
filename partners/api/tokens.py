"""Tokens: public keys, oblivious evaluation, and the keys of groups."""

from __future__ import annotations

import base64

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema

from exchange import clock
from partners.api import requests
from partners.api.base import Face, Request, answer, viewer_of
from partners.api.log_documents import Evaluation, GroupKeyList, TokenKeyList
from partners.scopes import Scope
from partners.tokens import groupkeys, oblivious

_NO_STORE = {"Cache-Control": "no-store"}


class TokenKeysView(Face):
    """The public keys of the key service."""

    scope = None

    @extend_schema(operation_id="token_keys", responses=TokenKeyList)
    def get(self, request: Request) -> HttpResponse:
        """The public keys that answer now, each with the proof that it is in the log. Pin them."""
        return answer(oblivious.keys())


class EvaluateView(Face):
    """Oblivious evaluation."""

    scope = Scope.TOKENISE
    asks_again = True

    @extend_schema(operation_id="evaluate_points", request=requests.EvaluationWish, responses=Evaluation)
    def post(self, request: Request) -> HttpResponse:
        """Apply a key to blinded points (RFC 9497, VOPRF), with one proof for all. Nothing is kept but a count."""
        sent = requests.EvaluationWish.read(request)
        found = oblivious.evaluate(viewer_of(request), **sent)
        document = {"points": [_base64(one) for one in found.points], "proof": _base64(found.proof)}
        return answer(document, headers=_NO_STORE)


class GroupKeysView(Face):
    """The keys of one group."""

    scope = Scope.GROUP_KEYS

    @extend_schema(operation_id="group_keys", responses=GroupKeyList)
    def get(self, request: Request, slug: str) -> HttpResponse:
        """The keys of a group of yours: look up under each, publish with a token under each that `publishes`."""
        found = groupkeys.hand_out(viewer_of(request), slug)
        return answer({"keys": [_handed(one) for one in found]}, headers=_NO_STORE)


def _handed(one: groupkeys.Handed) -> dict[str, object]:
    return {
        "epoch": one.epoch,
        "key": _base64(one.key),
        "publishes": one.publishes,
        "publish_until": clock.rfc3339(one.publish_until),
        "answers_until": clock.rfc3339(one.answers_until),
    }


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
