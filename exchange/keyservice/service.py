"""The service as a WSGI application: `GET /keys`, `POST /evaluate`, `GET /livez`. Spoken by the exchange alone.

    POST /evaluate    X-Kind, X-Epoch, X-Subkind, X-Partner; body: points, 32 bytes each
    200               body: the proof (64 bytes), then the products, 32 bytes each

Counts come in fixed sizes (`padding.SIZES`): neither this process nor the exchange learns how many values a lab has.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from exchange.keyservice.keeping import Keeper
from exchange.keyservice.store import Store
from exchange.tokens import epochs, forms, oprf, padding

_Start = Callable[..., Any]
_MOST_BYTES = oprf.MOST * 32


class Service:
    """Who asks is the exchange, known by a token; on whose behalf, it says in `X-Partner`."""

    def __init__(
        self,
        keeper: Keeper,
        store: Store,
        *,
        token: str,
        quota: int,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._keeper, self._store, self._token, self._quota, self._now = keeper, store, token, quota, now

    def __call__(self, environ: Mapping[str, Any], start: _Start) -> Iterable[bytes]:
        """One request."""
        status, kind, body = self._answer(environ)
        start(status, [("Content-Type", kind), ("Content-Length", str(len(body))), ("Cache-Control", "no-store")])
        return [body]

    def is_from_the_exchange(self, environ: Mapping[str, Any]) -> bool:
        """Whether the request carries the token."""
        given = str(environ.get("HTTP_AUTHORIZATION", "")).partition("Bearer ")[2]
        return hmac.compare_digest(given.encode(), self._token.encode())

    def _answer(self, environ: Mapping[str, Any]) -> tuple[str, str, bytes]:
        asked = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "")
        if asked == ("GET", "/livez"):
            return "200 OK", "text/plain", b"ok\n"
        if not self.is_from_the_exchange(environ):
            return _problem("401 Unauthorized", "unauthenticated")
        if asked == ("GET", "/keys"):
            return "200 OK", "application/json", json.dumps({"keys": self._keys()}).encode()
        if asked == ("POST", "/evaluate"):
            return self._evaluate(environ)
        return _problem("404 Not Found", "not-found")

    def _keys(self) -> list[dict[str, str]]:
        """The keys that answer now or within a day: a new one is in the log before anybody needs it."""
        now = self._now()
        quarters = dict.fromkeys((*epochs.looked_up_under(now), *epochs.looked_up_under(now + padding.AHEAD)))
        return [
            {"kind": kind, "epoch": quarter, "public_key": self._keeper.public_key(kind, quarter).hex()}
            for quarter in sorted(quarters)
            for kind in forms.Kind
        ]

    def _evaluate(self, environ: Mapping[str, Any]) -> tuple[str, str, bytes]:
        subkind, epoch = str(environ.get("HTTP_X_SUBKIND", "")), str(environ.get("HTTP_X_EPOCH", ""))
        now = self._now()
        kind = forms.OBLIVIOUS.get(subkind)
        if kind is None:
            return _problem("422 Unprocessable Content", "unknown-subkind")
        try:
            answering = epochs.answers(epoch, now)
        except ValueError:
            answering = False
        if not answering:
            return _problem("422 Unprocessable Content", "unknown-epoch")
        raw = environ["wsgi.input"].read(min(int(environ.get("CONTENT_LENGTH") or 0), _MOST_BYTES + 1))
        count = len(raw) // 32
        if len(raw) % 32 or count not in padding.SIZES:
            return _problem("422 Unprocessable Content", "bad-count")
        partner = str(environ.get("HTTP_X_PARTNER", ""))
        if not self._store.spend(partner, subkind, count, day=now.date(), most=self._quota):
            return _problem("429 Too Many Requests", "quota")
        try:
            answer = self._keeper.evaluate(kind, epoch, [raw[at : at + 32] for at in range(0, len(raw), 32)])
        except oprf.BadPoint:
            return _problem("422 Unprocessable Content", "bad-point")
        return "200 OK", "application/octet-stream", answer.proof + b"".join(answer.points)


def _problem(status: str, code: str) -> tuple[str, str, bytes]:
    return status, "application/problem+json", json.dumps({"code": code, "status": int(status[:3])}).encode()
