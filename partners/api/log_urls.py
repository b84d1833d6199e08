"""Routes of the REST face: the log."""

from django.urls import path

from partners.api import log

urlpatterns = [
    path("export", log.ExportView.as_view(), name="log-export"),
    path("head", log.HeadView.as_view(), name="log-head"),
    path("keys", log.KeysView.as_view(), name="log-keys"),
    path("proof/consistency", log.ConsistencyView.as_view(), name="log-consistency"),
    path("proof/inclusion", log.InclusionView.as_view(), name="log-inclusion"),
    path("records", log.RecordsView.as_view(), name="log-records"),
]
