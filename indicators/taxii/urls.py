"""Below `/taxii2/`, which §8.2.1 fixes at the root of the server."""

from django.urls import path

from indicators.taxii import views

_COLLECTION = "exchange/collections/<str:collection_id>/"

# First those that are asked for most.
urlpatterns = [
    path(f"{_COLLECTION}objects/", views.objects, name="taxii-objects"),
    path(f"{_COLLECTION}objects/<str:object_id>/", views.one_object, name="taxii-object"),
    path("", views.discovery, name="taxii-discovery"),
    path("exchange/", views.api_root, name="taxii-api-root"),
    path("exchange/status/<str:status_id>/", views.status, name="taxii-status"),
    path("exchange/collections/", views.collections_of_viewer, name="taxii-collections"),
    path(_COLLECTION, views.collection, name="taxii-collection"),
    path(f"{_COLLECTION}manifest/", views.manifest, name="taxii-manifest"),
    path(f"{_COLLECTION}objects/<str:object_id>/versions/", views.versions, name="taxii-versions"),
    path("<path:rest>", views.without_slash, name="taxii-without-slash"),
]
