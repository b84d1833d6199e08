"""One request to the server of a connection, through the one door out; what goes wrong is said in words for people.

Words never repeat what the server said: it is a stranger's text, and may say what nobody here may read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import orjson

from exchange import outbound

#: One request, and the bytes of one answer.
TIMEOUT_S = 30.0
MAX_BYTES = 12 * 1024 * 1024
_USER_AGENT = "Exchange-Connection/1"
_WHY = {
    401: "It refuses the credential (401).",
    403: "The credential may not do this there (403).",
    404: "There is no such address there (404).",
    406: "It does not speak TAXII 2.1 (406).",
    429: "It asks us to come back later (429).",
}


class Trouble(Exception):
    """A run ends here; what was done before stays. `final`: trying again by itself will hardly help."""

    def __init__(
        self, words: str, *, status: int | None = None, retry_after_s: int | None = None, needs_person: bool = False
    ) -> None:
        super().__init__(words)
        self.words, self.status, self.retry_after_s = words, status, retry_after_s
        self._needs_person = needs_person

    @property
    def final(self) -> bool:
        """Whether a person has to do something first."""
        return self._needs_person or self.status in {401, 403, 404, 406, 410}


class TooLong(Exception):
    """The answer has more bytes than are read; a smaller page may fit."""


class Later(Exception):
    """The time of this run is over: what it has not done yet is the next one's."""


#: What is called before each request, and may raise.
_gate: ContextVar[Callable[[], None] | None] = ContextVar("gate", default=None)


@contextmanager
def asking(before: Callable[[], None]) -> Iterator[None]:
    """Call `before` ahead of each request that is made within, so that a run ends whatever is still to be asked."""
    token = _gate.set(before)
    try:
        yield
    finally:
        _gate.reset(token)


def ask(
    method: str, url: str, *, authorization: str, accept: str, body: bytes | None = None, media: str = ""
) -> outbound.Reply:
    """The answer to one request, whatever its status.

    Raises Trouble where none came, TooLong, and what `asking` was given raises where the run may ask no more.
    """
    if (gate := _gate.get()) is not None:
        gate()
    headers = {"Accept": accept, "User-Agent": _USER_AGENT}
    if authorization:
        headers["Authorization"] = authorization
    if body is not None:
        headers["Content-Type"] = media or accept
    try:
        if body is not None:
            reply = outbound.post(url, body, headers=headers, timeout_s=TIMEOUT_S, max_bytes=MAX_BYTES)
        elif method == "DELETE":
            reply = outbound.delete(url, headers=headers, timeout_s=TIMEOUT_S, max_bytes=MAX_BYTES)
        else:
            reply = outbound.get(url, headers=headers, timeout_s=TIMEOUT_S, max_bytes=MAX_BYTES)
    except (outbound.Blocked, outbound.Failed) as failed:
        raise Trouble(str(failed)) from None
    if len(reply.body) >= MAX_BYTES:
        raise TooLong
    return reply


def require_ok(reply: outbound.Reply) -> None:
    """Raise Trouble for an answer that is none of 2xx."""
    if not 200 <= reply.status < 300:
        words = _WHY.get(reply.status, f"It answered {reply.status}.")
        raise Trouble(words, status=reply.status, retry_after_s=reply.retry_after_s)


def document(body: bytes) -> Any:
    """The JSON of an answer. Raises Trouble."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Trouble("What it answered is not JSON.") from None
