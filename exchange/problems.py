"""One table from what happened to what the client reads: problem+json (RFC 9457), a TAXII error, or a page.

Which of the three, the path decides. Nothing else turns an exception into an answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from django.conf import settings
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.module_loading import import_string
from psycopg_pool import PoolTimeout
from structlog import get_logger
from structlog.contextvars import get_contextvars

from exchange import errors

log = get_logger()

#: Paths that machines read; every other path is the portal's and gets a page.
MACHINE_PATHS = ("/api/", "/livez", "/readyz", "/metrics", "/schemas/")
TAXII_PATH = "/taxii2"
#: These, and what the portal's scripts ask in a session.
_READ_BY_MACHINES = (*MACHINE_PATHS, "/ask/")
_TAXII_MEDIA_TYPE = "application/taxii+json;version=2.1"

_DJANGO: tuple[tuple[type[Exception], type[errors.ExchangeError]], ...] = (
    (Http404, errors.NotFound),
    (PermissionDenied, errors.Forbidden),
    (RequestDataTooBig, errors.TooLarge),
    (SuspiciousOperation, errors.Malformed),  # such as more parameters than Django reads
)


def problem(error: errors.ExchangeError) -> dict[str, Any]:
    """The problem document of an error."""
    document: dict[str, Any] = {
        "type": f"urn:exchange:problem:{error.code}",
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "code": error.code,
        "request_id": get_contextvars().get("request_id", ""),
    }
    if error.at is not None:
        document["errors"] = [{"code": error.code, "field": error.at, "message": error.detail}]
    return document


def headers(error: errors.ExchangeError) -> dict[str, str]:
    """The headers that belong to an error."""
    if isinstance(error, errors.TooMany):
        return {"Retry-After": str(error.retry_after_s)}
    if isinstance(error, errors.MethodNotAllowed) and error.allowed:
        return {"Allow": ", ".join(error.allowed)}
    if isinstance(error, errors.Unavailable):
        return {"Retry-After": "2"}
    if isinstance(error, errors.Unauthenticated):
        return {"WWW-Authenticate": 'Bearer realm="exchange", Basic realm="exchange"'}
    return {}


def answer(error: errors.ExchangeError) -> HttpResponse:
    """An error as problem+json."""
    return HttpResponse(
        orjson.dumps(problem(error)),
        status=error.status,
        content_type="application/problem+json",
        headers=headers(error),
    )


def taxii_error(error: errors.ExchangeError) -> dict[str, Any]:
    """The error message of TAXII 2.1 §3.6.1; `http_status` is a string there."""
    message: dict[str, Any] = {
        "title": error.title,
        "description": error.detail,
        "error_code": error.code,
        "http_status": str(error.status),
    }
    if request_id := get_contextvars().get("request_id"):
        message["error_id"] = request_id
    if error.at is not None:
        message["details"] = {"field": error.at}
    return message


def answer_in_taxii(error: errors.ExchangeError) -> HttpResponse:
    """An error as TAXII has it."""
    return HttpResponse(
        orjson.dumps(taxii_error(error)),
        status=error.status,
        content_type=_TAXII_MEDIA_TYPE,
        headers=headers(error),
    )


def expected(raised: Exception) -> errors.ExchangeError | None:
    """The error of ours that an exception amounts to, or None for a fault of ours."""
    if isinstance(raised, errors.ExchangeError):
        return raised
    if isinstance(raised, OperationalError | InterfaceError | PoolTimeout):
        log.error("store.unavailable", error=type(raised).__name__)
        return errors.Unavailable()
    return next((error() for kind, error in _DJANGO if isinstance(raised, kind)), None)


class ProblemMiddleware:
    """Renders what plain Django views raise; a fault of ours is logged and says nothing but its request id."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Hand the request on."""
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, raised: Exception) -> HttpResponse | None:
        """Answer for an exception of a view."""
        return answered(request, raised)


def answered(request: HttpRequest, raised: Exception) -> HttpResponse:
    """The answer for an exception; a fault of ours is logged, and said to be one."""
    error = expected(raised)
    if error is None:
        log.error("request.failed", path=request.path, exc_info=raised)
        error = errors.ExchangeError("Something went wrong on our side. Quote the request id.")
    return _render(request, error)


def handler400(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Django's 400."""
    return _render(request, errors.Malformed())


def handler403(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Django's 403."""
    return _render(request, errors.Forbidden())


def handler404(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Django's 404."""
    return _render(request, errors.NotFound())


def handler429(request: HttpRequest) -> HttpResponse:
    """What allauth answers with where too much was tried; it says the same of every account, there or not."""
    return _render(request, errors.TooMany("That was tried too often. Wait a minute.", retry_after_s=60))


def handler500(request: HttpRequest) -> HttpResponse:
    """Django's 500."""
    return _render(request, errors.ExchangeError("Something went wrong on our side. Quote the request id."))


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Django's answer to a form without its token."""
    return _render(request, errors.Forbidden("The form has expired; load the page again.", code="csrf"))


def _frame(request: HttpRequest, error: errors.ExchangeError) -> dict[str, Any]:
    """What the side bar holds, so that whoever is signed in finds the way on; nothing where the store may be away."""
    if error.status >= 500 or not hasattr(request, "user"):
        return {}
    try:
        framed: dict[str, Any] = import_string(settings.PORTAL_FRAME)(request)
    except (OperationalError, InterfaceError, PoolTimeout):
        return {}
    return framed


def _render(request: HttpRequest, error: errors.ExchangeError) -> HttpResponse:
    if request.path.startswith(f"{TAXII_PATH}/") or request.path == TAXII_PATH:
        return answer_in_taxii(error)
    if request.path.startswith(_READ_BY_MACHINES):
        return answer(error)
    context = {"problem": problem(error), **_frame(request, error)}
    response = render(request, "exchange/problem.html", context, status=error.status)
    if isinstance(error, errors.TooMany):
        response["Retry-After"] = str(error.retry_after_s)
    return response
