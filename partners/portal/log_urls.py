"""Routes of the portal: the log of one's own partner."""

from django.urls import path

from partners.portal import log

urlpatterns = [
    path("", log.log, name="log"),
    path("export.jsonl", log.export, name="log-export-file"),
    path("report.pdf", log.pdf, name="log-pdf"),
]
