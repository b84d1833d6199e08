"""Routes of the REST face: who."""

from django.urls import path

from partners.api import views

urlpatterns = [
    path("me", views.MeView.as_view(), name="me"),
    path("partners", views.PartnersView.as_view(), name="partners"),
    path("groups", views.GroupsView.as_view(), name="groups"),
]
