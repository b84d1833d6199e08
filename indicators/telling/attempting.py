"""One attempt: a message that is written and signed is posted, and how the receiver took it.

Asks no database: while receivers are waited for, no connection of the store is held.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from exchange import outbound, tracing
from exchange.stepping import Steps

TIMEOUT_S = 10.0
_MAX_REPLY_BYTES = 16_384
_GONE = 410


@dataclass(frozen=True, slots=True)
class Letter:
    """A signed message as it leaves. `about`: the traces that it tells of; `facts`: what its span says."""

    url: str
    body: bytes
    headers: Mapping[str, str]
    about: tuple[str, ...]
    facts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one attempt ended. `retry_after` is what the receiver asked for, if it did; `asked`: it was asked at all.

    `away`: what the message was about has been pruned from the log; its subscriber has to start over.
    """

    delivered: bool
    words: str
    status_code: int | None = None
    retry_after: timedelta | None = None
    gone: bool = False
    asked: bool = True
    away: bool = False


def posting(letter: Letter) -> Steps[Outcome]:
    """Send it, and wait for the answer, TIMEOUT_S at most."""
    with tracing.span("delivery", kind="client", links=letter.about, **letter.facts) as step:
        try:
            reply = yield from outbound.posting(
                letter.url, letter.body, headers=letter.headers, timeout_s=TIMEOUT_S, max_bytes=_MAX_REPLY_BYTES
            )
        except (outbound.Blocked, outbound.Failed) as failed:
            step.set_attribute("error.type", type(failed).__name__)
            return Outcome(delivered=False, words=str(failed))
        step.set_attribute("http.response.status_code", reply.status)
        return judge(reply)


def judge(reply: outbound.Reply) -> Outcome:
    """Any 2xx is a receipt; 410 says that nobody listens any more; all else is a failure to be tried again."""
    words = f"Answered {reply.status}."
    if 200 <= reply.status < 300:
        return Outcome(delivered=True, words=words, status_code=reply.status)
    asked = timedelta(seconds=reply.retry_after_s) if reply.retry_after_s is not None else None
    return Outcome(
        delivered=False, words=words, status_code=reply.status, retry_after=asked, gone=reply.status == _GONE
    )
