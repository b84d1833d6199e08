"""Pages are compressed, by gzip, for browsers that take it; what machines read has its own ways (`answers`).

Django's middleware pads each answer by a random length, so that its size does not tell what a page holds (BREACH).
"""

from django.http import HttpRequest, HttpResponseBase
from django.middleware.gzip import GZipMiddleware

_TYPES = ("text/html", "text/plain", "application/json")


class PagesMiddleware(GZipMiddleware):
    """The same for texts alone: archives and papers are compressed already."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Compress an answer that is a text."""
        if not response.headers.get("Content-Type", "").startswith(_TYPES):
            return response
        compressed: HttpResponseBase = super().process_response(request, response)
        return compressed
