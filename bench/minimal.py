"""The least that Django answers: no middleware, no database, one view. What look-ups are measured against."""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

settings.configure(
    SECRET_KEY=os.urandom(32).hex(), ALLOWED_HOSTS=["127.0.0.1"], ROOT_URLCONF=__name__, MIDDLEWARE=[], USE_TZ=True
)


def view(request: HttpRequest, stix_id: str) -> HttpResponse:
    return HttpResponse(b'{"id":"' + stix_id.encode() + b'"}', content_type="application/json")


urlpatterns = [path("objects/<str:stix_id>", view)]
application = get_wsgi_application()
