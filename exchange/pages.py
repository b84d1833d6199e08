"""What every page for people gets on its way out: it is compressed, and no other site may take it into itself."""

from django.http import HttpRequest, HttpResponseBase
from django.middleware.gzip import GZipMiddleware

_TYPES = ("text/html", "text/plain", "text/javascript", "application/json", "image/svg+xml")


class PagesMiddleware(GZipMiddleware):
    """Compresses texts alone: archives and papers are compressed already. What machines read goes another way.

    Django's middleware pads each answer by a random length, so that its size does not tell what a page holds (BREACH).
    """

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Compress an answer that is a text, and keep all of them to our own origin."""
        response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        if not response.headers.get("Content-Type", "").startswith(_TYPES):
            return response
        compressed: HttpResponseBase = super().process_response(request, response)
        return compressed
