"""Routes of the documentation."""

from django.urls import path

from partners.portal import docs

urlpatterns = [
    path("", docs.contents, name="docs"),
    path("/try", docs.trying, name="try-api"),
    path("/<path:name>", docs.chapter, name="chapter"),
]
