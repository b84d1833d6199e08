"""What the server asks of the application that it serves, beyond WSGI."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Protocol

from exchange.web.shares import Stranger


class Wait(Protocol):
    """For what an answer waits: something that is heard of, or `timeout_s` at most."""

    @property
    def timeout_s(self) -> float:
        """Seconds at most."""

    def listen(self, woken: Any) -> bool:
        """Have `woken` called, from any thread, when it is heard; False where it already was."""

    def forget(self, woken: Any) -> None:
        """Have it called no more."""

    def more_s(self) -> float:
        """Once its time is up, so many seconds more: above 0 where there is nothing to do yet after all."""


@dataclass(frozen=True, slots=True)
class Pause:
    """A wait for nothing but time."""

    timeout_s: float

    def listen(self, woken: Any) -> bool:
        """There is nothing to hear."""
        return True

    def forget(self, woken: Any) -> None:
        """There was nothing to hear."""

    def more_s(self) -> float:
        """It ends when it said."""
        return 0.0


class Hooks:
    """Answers that fit any application; one that knows more has its own (`exchange.front`)."""

    #: Answered by whoever reads the request: needs nothing, and is never in anyone's way.
    at_once: frozenset[str] = frozenset()
    #: Answered one after the other by a thread of their own.
    aside: frozenset[str] = frozenset()

    def known(self, environ: Mapping[str, Any]) -> Hashable | None:
        """Whose share a request is of, where that is known without asking anybody."""
        return self.network(environ)

    def ask(self, environ: Mapping[str, Any]) -> Hashable | None:
        """The same, asked of the store; None for a stranger."""
        return None

    def network(self, environ: Mapping[str, Any]) -> Stranger:
        """Whose share a stranger's request is of."""
        return Stranger(network_of(environ.get("REMOTE_ADDR", "")))

    def most_bytes(self, environ: Mapping[str, Any], *, stranger: bool) -> int:
        """Bytes that the body may have."""
        return 32 * 1024 * 1024

    def refusal(
        self, environ: Mapping[str, Any], status: HTTPStatus, *, code: str, detail: str
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """The answer to what never reaches the application."""
        body = json.dumps({"title": status.phrase, "status": status, "code": code, "detail": detail}).encode()
        headers = [("Content-Type", "application/problem+json"), ("Content-Length", str(len(body)))]
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            headers.append(("Retry-After", "1"))
        return status, headers, body

    def step_done(self) -> None:
        """Called in its thread after each piece of an answer that is made in pieces."""


@lru_cache(maxsize=4_096)
def network_of(address: str) -> str:
    """The /24 of an IPv4 address, the /64 of an IPv6 one."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    mapped = getattr(parsed, "ipv4_mapped", None) or parsed
    return str(ipaddress.ip_network((mapped, 24 if mapped.version == 4 else 64), strict=False))
