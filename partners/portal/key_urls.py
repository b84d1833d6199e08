"""Routes of the pages about a partner's keys."""

from django.urls import path

from partners.portal import keys

urlpatterns = [
    path("", keys.overview, name="keys"),
    path("<str:public_id>/act", keys.act, name="key-act"),
]
