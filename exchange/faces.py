"""Machines and people: which paths belong to whom, and what only people's requests go through.

Machines come with a key and take bytes: they have no session, no cookie, no form and no page, so whatever Django does
for these is left out on their paths.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.module_loading import import_string

TAXII_PATH = "/taxii2"
#: Every other path is the portal's.
MACHINE_PATHS = ("/api/", "/taxii2/", "/livez", "/readyz", "/metrics", "/schemas/")

#: What browsers are to make of a machine's answer, should one be led there: nothing.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
}

_GetResponse = Callable[[HttpRequest], HttpResponse]


def is_machines(request: HttpRequest) -> bool:
    """Whether a machine is expected at this path."""
    return request.path.startswith(MACHINE_PATHS) or request.path == TAXII_PATH


class _ForPeople:
    """A middleware of others, past which machines' requests go."""

    path: str

    def __init__(self, get_response: _GetResponse) -> None:
        self._get_response = get_response
        self._inner: Any = import_string(self.path)(get_response)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer, with the middleware or without."""
        answer: HttpResponse = (self._get_response if is_machines(request) else self._inner)(request)
        return answer


class Policy(_ForPeople):
    """The Content-Security-Policy of pages."""

    path = "django.middleware.csp.ContentSecurityPolicyMiddleware"


class Files(_ForPeople):
    """Static files."""

    path = "whitenoise.middleware.WhiteNoiseMiddleware"


class Sessions(_ForPeople):
    """Sessions."""

    path = "django.contrib.sessions.middleware.SessionMiddleware"


class Forms(_ForPeople):
    """The tokens of forms."""

    path = "django.middleware.csrf.CsrfViewMiddleware"

    def process_view(self, request: HttpRequest, view: Any, arguments: Any, named: Any) -> HttpResponse | None:
        """Refuse a form without its token. No machine is known by a cookie, so none of them can be misused."""
        if is_machines(request):
            return None
        refused: HttpResponse | None = self._inner.process_view(request, view, arguments, named)
        return refused


class Users(_ForPeople):
    """Who is signed in."""

    path = "django.contrib.auth.middleware.AuthenticationMiddleware"


class Messages(_ForPeople):
    """What is said on the next page."""

    path = "django.contrib.messages.middleware.MessageMiddleware"


class Frames(_ForPeople):
    """No page in another's frame."""

    path = "django.middleware.clickjacking.XFrameOptionsMiddleware"


class Htmx(_ForPeople):
    """Whether a part of a page is asked for."""

    path = "django_htmx.middleware.HtmxMiddleware"
