"""Answers that wait for something to happen, without a thread where the server can do without (`exchange.web`).

A view that has nothing to tell yet raises `NotYet`. It is called again, from its beginning, once the wait is over: by
the server, or here where the server knows nothing of waiting.
"""

from __future__ import annotations

from typing import Any, Protocol

from django.http import HttpRequest, HttpResponse

_WAIT = "exchange.wait"
_CAN_WAIT = "exchange.can_wait"
_ENOUGH = "exchange.waited_enough"


class Wait(Protocol):
    """For what an answer waits; the server uses what `exchange.web.hooks.Wait` says."""

    @property
    def timeout_s(self) -> float:
        """Seconds at most."""

    def block(self) -> None:
        """Wait in this thread."""


class NotYet(Exception):
    """Ask again after `wait`, which is given to the view then (`waited`)."""

    def __init__(self, wait: Wait) -> None:
        super().__init__()
        self.wait = wait


class Later(HttpResponse):
    """No answer: tells the server to ask again."""

    status_code = 202

    def __init__(self, wait: Wait) -> None:
        super().__init__()
        self.later = wait


def later(request: HttpRequest, not_yet: NotYet) -> Later | None:
    """What to answer the server with; None once the wait is over, where it was waited for here."""
    request.META[_WAIT] = not_yet.wait
    if _CAN_WAIT in request.META:
        return Later(not_yet.wait)
    not_yet.wait.block()
    return None


def waited(request: HttpRequest) -> Any:
    """The wait after which the view is called again; None for the first time."""
    return request.META.get(_WAIT)


def has_waited_enough(request: HttpRequest) -> bool:
    """Whether the view has to answer with what there is."""
    return _ENOUGH in request.META
