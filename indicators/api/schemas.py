"""Public: the JSON Schemas of our STIX extensions, at stable addresses."""

from django.http import HttpRequest, HttpResponse
from django.urls import path

from exchange.errors import MethodNotAllowed, NotFound
from indicators.stix import vocabulary

_SAFE = ("GET", "HEAD")


def schema(request: HttpRequest, extension_id: str) -> HttpResponse:
    """The schema of one extension definition."""
    if request.method not in _SAFE:
        raise MethodNotAllowed(allowed=_SAFE)
    text = vocabulary.schema_text(extension_id)
    if text is None:
        raise NotFound
    return HttpResponse(text, content_type="application/schema+json", headers={"Cache-Control": "public, max-age=3600"})


urlpatterns = [path("<str:extension_id>.json", schema, name="extension-schema")]
