"""The exchange's REST API as a lab's transport: NDJSON up, cursors down."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import batched
from typing import Any

from exchange.client.api import Client
from exchange.client.errors import ApiError
from exchange.lab.transport import Asked, Evidence, InCampaign, SumsTold, Token
from exchange.tokens.prevalence import Answer, Sums

#: Lines and bytes of one call, below what the exchange takes.
_LINES, _BYTES = 2_000, 6_000_000
_ANSWERS = 20_000
_NOT_FOUND = 404
_NDJSON = "application/x-ndjson"
_PAGE = {"limit": "10000"}


class Rest:
    """One lab's way to one group of an exchange."""

    def __init__(self, client: Client, group: str) -> None:
        self._client = client
        self._group = group
        self._at = f"/api/v1/groups/{group}"

    def last_round(self) -> int:
        """As `Transport`."""
        return int(self._client.request("GET", f"{self._at}/evidence")["round"] or 0)

    def finish(self, number: int) -> None:
        """As `Transport`."""
        self._client.request("POST", f"{self._at}/evidence/finish", params={"round": str(number)})

    def send(self, number: int, evidence: Iterable[Evidence], gone: Iterable[str]) -> None:
        """As `Transport`."""
        lines: list[Mapping[str, Any]] = [one.document() for one in evidence]
        lines += [{"account": account, "gone": True} for account in gone]
        for body in _bodies(lines):
            self._client.request(
                "POST", f"{self._at}/evidence", params={"round": str(number)}, body=body, content_type=_NDJSON
            )

    def asked(self, cursor: str) -> Asked:
        """As `Transport`."""
        page = self._client.request("GET", f"{self._at}/evidence/asked", params=_PAGE | {"cursor": cursor})
        return Asked(_tokens(page["asked"]), _tokens(page["ended"]), page["cursor"], page["more"])

    def answer(self, answers: Iterable[tuple[Token, Answer]]) -> None:
        """As `Transport`."""
        for some in batched(answers, _ANSWERS):
            lines = [{"token": token.document(), **one._asdict()} for token, one in some]
            for body in _bodies(lines, most=_ANSWERS):
                self._client.request("POST", f"{self._at}/prevalence", body=body, content_type=_NDJSON)

    def sums(self, cursor: str) -> SumsTold:
        """As `Transport`."""
        page = self._client.request("GET", f"{self._at}/sums", params=_PAGE | {"cursor": cursor})
        return SumsTold(
            [(_token(one["token"]), Sums(*(int(one[name]) for name in Sums._fields))) for one in page["sums"]],
            _tokens(page["one_labs_word"]),
            _tokens(page["ended"]),
            page["cursor"],
            page["more"],
        )

    def campaigns(self) -> dict[str, InCampaign]:
        """As `Transport`. Empty where the exchange knows no campaigns yet."""
        found: dict[str, InCampaign] = {}
        try:
            for one in self._pages("/api/v1/campaigns", "campaigns"):
                if one["group"] != self._group:
                    continue
                for account in self._pages(f"/api/v1/campaigns/{one['id']}/accounts", "accounts"):
                    found[account["account"]] = InCampaign(one["id"], one.get("name") or one["id"], account["grade"])
        except ApiError as error:
            if error.status != _NOT_FOUND:
                raise
        return found

    def _pages(self, path: str, name: str, **params: str) -> Iterator[dict[str, Any]]:
        cursor = ""
        while True:
            page = self._client.request("GET", path, params=params | ({"cursor": cursor} if cursor else {}))
            yield from page[name]
            cursor = page.get("next") or ""
            if not cursor:
                return


def _bodies(lines: Iterable[Mapping[str, Any]], *, most: int = _LINES) -> Iterator[bytes]:
    """NDJSON in bodies that are small enough."""
    body, count = bytearray(), 0
    for line in lines:
        written = json.dumps(line, separators=(",", ":")).encode() + b"\n"
        if count == most or (count and len(body) + len(written) > _BYTES):
            yield bytes(body)
            body, count = bytearray(), 0
        body += written
        count += 1
    if count:
        yield bytes(body)


def _tokens(documents: Iterable[Mapping[str, Any]]) -> list[Token]:
    return [_token(one) for one in documents]


def _token(one: Mapping[str, Any]) -> Token:
    return Token(
        one["subkind"],
        one["scheme"],
        one["key_epoch"],
        one["value"],
        one.get("psp_scope") or "",
        bool(one.get("wide")),
    )
