"""What can go wrong between a partner and the exchange."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from exchange.client.publishing import PublishResult

_NOT_FOUND = 404
#: So much of what a refusal says is kept.
_MOST_LETTERS = 2_000


class ExchangeClientError(Exception):
    """Base of all errors of the client.

    `answered` is what a call of many batches was answered before it broke; None for a call of one.
    """

    answered: PublishResult | None = None


class Unreachable(ExchangeClientError):
    """No answer of an exchange came, even after the retries: none at all, or what something on the way says."""


class Unusable(ExchangeClientError):
    """A file or setting of the caller's own cannot be used."""


class ApiError(ExchangeClientError):
    """The exchange refused; it says why in a problem document (RFC 9457).

    `code` is stable and for programs, `detail` is for people, `request_id` is what the operator asks for. `asked` is
    what was asked for, which a 404 names; `retry_after_s` for how long the exchange wants to be left alone, 0 where it
    did not say.
    """

    def __init__(
        self, status: int, problem: dict[str, Any], *, asked: str = "", retry_after: str | None = None
    ) -> None:
        self.status = status
        self.retry_after_s = retry_after_s(retry_after)
        self.code = _told(problem.get("code", "unknown"))
        self.detail = _told(problem.get("detail") or problem.get("title") or f"status {status}")
        if status == _NOT_FOUND and asked:
            self.detail = f"{self.detail.rstrip('.')}: {asked}"
        self.request_id = _told(problem.get("request_id", ""))
        told = problem.get("errors")
        self.errors = [one for one in told if isinstance(one, dict)] if isinstance(told, list) else []
        super().__init__(self.detail)

    def __str__(self) -> str:
        where = _told(self.errors[0].get("field", "")) if self.errors else ""
        told = f"{self.detail} ({self.code}{' at ' + where if where else ''})"
        return f"{told} [request {self.request_id}]" if self.request_id else told


def _told(said: Any) -> str:
    """What a server says, for a terminal and a log: so much of it, and nothing that steers either."""
    return "".join(letter if letter.isprintable() else " " for letter in str(said)[:_MOST_LETTERS])


def retry_after_s(header: str | None) -> float:
    """The seconds of a Retry-After header; 0 where there are none, or a date."""
    return float(header) if header and len(header) <= 9 and header.isascii() and header.isdigit() else 0.0


def why(error: Exception) -> str:
    """What went wrong with a file, in words, for a sentence that names the file itself; no byte of it is repeated."""
    if isinstance(error, UnicodeDecodeError):
        line = error.object.count(b"\n", 0, error.start) + 1
        return f"line {line} is not UTF-8; save the file as UTF-8"
    return getattr(error, "strerror", None) or str(error)
