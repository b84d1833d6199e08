"""`/taxii2` without its slash, as people type the discovery address into a client."""

from django.urls import path

from indicators.taxii import views

urlpatterns = [path("", views.discovery, name="taxii-discovery-without-slash")]
