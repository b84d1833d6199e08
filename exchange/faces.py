"""Machines and people: which paths belong to whom.

Machines come with a key and take bytes: they have no session, no cookie, no form and no page. So their requests go to
their view from here, and whatever Django does for people is neither done nor paid for (ADR 0025).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse
from django.urls import ResolverMatch, URLResolver, get_resolver

from exchange import problems, waiting
from exchange.errors import Forbidden, Malformed

_BELOW = (*problems.MACHINE_PATHS, f"{problems.TAXII_PATH}/")

#: Of a path whose view is remembered; and what is no such path, for a secret is in it.
_MOST_KEPT_CHARS, _SECRET = 200, "/lists/"
#: What a load balancer asks from within.
_IN_CLEAR = ("/livez", "/readyz", "/metrics")
#: What browsers are to make of a machine's answer, should one be led there: nothing.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
}


def is_machines(request: HttpRequest) -> bool:
    """Whether a machine is expected at this path."""
    return request.path.startswith(_BELOW) or request.path == problems.TAXII_PATH


class MachineMiddleware:
    """Answers machines; people's requests go on to the middleware below."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer, whatever happens: nothing that a view raises gets past here."""
        if not is_machines(request):
            return self._get_response(request)
        response = _of_another_host(request) or _in_clear(request) or _answered(request)
        for name, value in _HEADERS.items():
            response.headers[name] = value
        return response


def _of_another_host(request: HttpRequest) -> HttpResponse | None:
    """The answer to who asks under a name that is not in ALLOWED_HOSTS: what leads a browser here is not ours.

    What looks from within whether we are well asks by address.
    """
    if request.path.startswith(_IN_CLEAR):
        return None
    try:
        request.get_host()
    except DisallowedHost:
        why = "The exchange is not asked under this name (Host)."
        return problems.answered(request, Malformed(why, code="unknown-host"))
    return None


def _in_clear(request: HttpRequest) -> HttpResponse | None:
    """The answer to who asks over plain HTTP where HTTPS is spoken; a redirect would have them send their key again."""
    if request.is_secure() or not settings.SECURE_SSL_REDIRECT or request.path.startswith(_IN_CLEAR):
        return None
    why = "Ask over HTTPS. A key that came with this request has travelled in clear: rotate it."
    return problems.answered(request, Forbidden(why, code="https-required"))


def _answered(request: HttpRequest) -> HttpResponse:
    while True:
        try:
            return _asked(request)
        except waiting.NotYet as not_yet:
            if later := waiting.later(request, not_yet):
                return later


def _found(path: str) -> ResolverMatch:
    """The view of a path. Machines ask the same few again and again. Raises Resolver404."""
    kept = len(path) <= _MOST_KEPT_CHARS and _SECRET not in path
    return (_kept if kept else _resolved)(get_resolver(), path)


def _resolved(resolver: URLResolver, path: str) -> ResolverMatch:
    return resolver.resolve(path)


#: Django tries each pattern before the right one, and notes each that it tried.
_kept = lru_cache(maxsize=1_024)(_resolved)


def _asked(request: HttpRequest) -> HttpResponse:
    try:
        found = request.resolver_match = _found(request.path_info)
        response: HttpResponse = found.func(request, *found.args, **found.kwargs)
        if callable(render := getattr(response, "render", None)):
            response = render()
    except waiting.NotYet:
        raise
    except Exception as raised:  # noqa: BLE001 - each becomes an answer; what is no caller's fault is logged
        return problems.answered(request, raised)
    return response
