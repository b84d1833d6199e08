"""What every view of the REST face does alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from django.http import HttpRequest, HttpResponse
from rest_framework.views import APIView

from exchange.errors import MethodNotAllowed
from exchange.parameters import Parameters
from partners.keys import auth
from partners.scopes import Scope
from partners.viewer import Viewer

_SAFE = ("GET", "HEAD", "OPTIONS")


class Request(HttpRequest):
    """Django's request, once it is known who asks."""

    auth: Viewer


class Face(APIView):
    """A view that knows who asks. `scope` is what methods need (None: any key), `write_scope` what changing ones do.

    `known` are the parameters that it reads; every other one is refused, for a misspelt filter must not widen a result.
    What changes anything is done in a transaction of its own, in which it is asked again who the caller is
    (`auth.acting`); `asks_again` says that its verb does that itself, or that it changes nothing.
    """

    scope: Scope | None = Scope.READ
    write_scope: Scope | None = None
    known: tuple[str, ...] = ()
    asks_again = False

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        """Authenticate, then ask for the scope and read the parameters before anything is looked up.

        In DRF's order, without what it does besides: the API speaks JSON whatever is asked for, its bodies are read by
        its own rules, and what is raised is answered where all is (`exchange.faces`).
        """

        def act(viewer: Viewer) -> Any:
            request.auth = viewer
            if self.asks_again or request.method in _SAFE:
                return self._handled(request, *args, **kwargs)
            with auth.acting(viewer):
                return self._handled(request, *args, **kwargs)

        return auth.acted(request, act)

    def _handled(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        needed = self.scope if request.method in _SAFE or self.write_scope is None else self.write_scope
        if needed is not None:
            request.auth.require(needed)
        self.asked = Parameters(request, known=self.known)
        method = str(request.method).lower()
        handler = getattr(self, method, None) if method in self.http_method_names else None
        if handler is None:
            raise MethodNotAllowed("This resource knows no such method.", allowed=tuple(self.allowed_methods))
        return handler(request, *args, **kwargs)

    def options(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        """The methods, in `Allow`."""
        return HttpResponse(status=204, headers={"Allow": ", ".join(self.allowed_methods)})


def viewer_of(request: Request) -> Viewer:
    """Who asks; authentication has put it there."""
    return request.auth


def again(request: Request) -> Viewer:
    """Who asks, asked again, for an answer that waits. Raises Unauthenticated once the key no longer holds."""
    return auth.viewer_of_request(request)


def answer(document: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """A JSON answer; `orjson.Fragment` inside the document is written out verbatim."""
    return written(orjson.dumps(document, option=orjson.OPT_UTC_Z), status=status, headers=headers)


def written(body: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """The same, of what is JSON already."""
    return HttpResponse(body, status=status, content_type="application/json", headers=headers)


def fragment(stored: str | bytes) -> orjson.Fragment:
    """Stored JSON that goes out as it is."""
    return orjson.Fragment(stored)
