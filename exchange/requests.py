"""Every request has an id: taken from the caller if sane, bound to the logs, and given back in the answer."""

import re
import time
import uuid
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from structlog.contextvars import bind_contextvars, clear_contextvars

from exchange import access_log, counting, tracing
from exchange.waiting import Later

#: RFC 9110 §8.6: these say nothing of a length that they do not have.
_WITHOUT_LENGTH = frozenset({204, 304})
_SANE = re.compile(r"[A-Za-z0-9-]{8,64}")


class RequestMiddleware:
    """Outermost: binds the request id, and logs one line per request with status and duration."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer with `X-Request-ID`."""
        clear_contextvars()
        inbound = request.META.get("HTTP_X_REQUEST_ID", "")
        request_id = inbound if _SANE.fullmatch(inbound) else str(uuid.uuid4())
        bind_contextvars(request_id=request_id)
        started = time.monotonic()
        with tracing.of_request(request) as step:
            response = self._get_response(request)
            tracing.note_answer(step, request, status=response.status_code)
        response["X-Request-ID"] = request_id
        response.setdefault("Cache-Control", "no-store")
        if not response.streaming and response.status_code not in _WITHOUT_LENGTH:
            response.setdefault("Content-Length", str(len(response.content)))
        if isinstance(response, Later):
            return response
        seconds = time.monotonic() - started
        counting.note_request(request, status=response.status_code, seconds=seconds)
        access_log.note(
            method=request.method,
            path=request.path[:200],
            status=response.status_code,
            ms=round(seconds * 1000, 1),
        )
        return response
