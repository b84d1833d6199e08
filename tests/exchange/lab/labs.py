"""Five labs with files of one story, and the exchange they meet in."""

from __future__ import annotations

import gzip
import hmac
import json
from urllib.parse import parse_qs

import httpx

from exchange.client.api import Client
from exchange.lab.transport import Evidence, Token
from exchange.tokens import forms
from exchange.tokens.forms import Scheme
from exchange.tokens.prevalence import Answer

KEY = b"a key of the tests' own, 32 byte"


class TestMaker:
    """Makes tokens of all subkinds under one key, without a key service."""

    __test__ = False

    def __init__(self, epochs=("2026q4",)):
        self._epochs = tuple(epochs)

    def epochs(self, scheme):
        return self._epochs if scheme is Scheme.OBLIVIOUS else tuple(f"ring-{one}-1" for one in self._epochs)

    def both(self):
        return {scheme: self.epochs(scheme) for scheme in Scheme}

    def values(self, subkind, wanted):
        return [
            tuple(
                hmac.digest(KEY + epoch.encode(), forms.input_bytes(subkind, form), "sha256") for epoch in self._epochs
            )
            for form in wanted
        ]


class Captured:
    """A `LocalGroup` behind HTTP in the shapes of the API, which keeps every byte that a lab sends."""

    def __init__(self, group):
        self.group, self.requests = group, []

    def client(self, lab):
        client = Client("http://127.0.0.1:1", "exk_test")
        client._http = httpx.Client(
            base_url="http://127.0.0.1:1", transport=httpx.MockTransport(lambda request: self._answer(request, lab))
        )
        return client

    def _answer(self, request, lab):
        raw = request.content
        body = gzip.decompress(raw) if request.headers.get("content-encoding") == "gzip" else raw
        self.requests.append((request.method, str(request.url), body))
        path, asked = request.url.path, parse_qs(request.url.query.decode())
        way = self.group.lab(lab)
        lines = [json.loads(line) for line in body.splitlines()]
        if path == "/api/v1/campaigns":
            return httpx.Response(404, json={"code": "not-found", "status": 404})
        assert path.startswith("/api/v1/groups/ring/"), path
        step = path.removeprefix("/api/v1/groups/ring/")
        if (request.method, step) == ("GET", "evidence"):
            return httpx.Response(200, json={"round": way.last_round(), "interval_s": 0})
        if step == "evidence":
            way.send(
                int(asked["round"][0]),
                [
                    Evidence(
                        one["account"],
                        [_token(each) for each in one["tokens"]],
                        one["basis"],
                        one["publisher_action"],
                        one["until"],
                    )
                    for one in lines
                    if "tokens" in one
                ],
                [one["account"] for one in lines if one.get("gone")],
            )
            return httpx.Response(200, json={})
        if step == "evidence/finish":
            way.finish(int(asked["round"][0]))
            return httpx.Response(200, json={})
        if step == "prevalence":
            way.answer([(_token(one["token"]), Answer(one["holders"], one["suspects"])) for one in lines])
            return httpx.Response(200, json={})
        if step == "evidence/asked":
            page = way.asked("")
            told = {"asked": _documents(page.asked), "ended": _documents(page.ended), "cursor": "c", "more": False}
            return httpx.Response(200, json=told)
        assert step == "sums", step
        page = way.sums("")
        told = {
            "sums": [{"token": token.document(), **one._asdict()} for token, one in page.sums],
            "one_labs_word": _documents(page.one_labs_word),
            "ended": _documents(page.ended),
            "cursor": "c",
            "more": False,
        }
        return httpx.Response(200, json=told)


def _documents(tokens):
    return [one.document() for one in tokens]


def _token(one):
    return Token(
        one["subkind"], one["scheme"], one["key_epoch"], one["value"], one.get("psp_scope", ""), one.get("wide", False)
    )
