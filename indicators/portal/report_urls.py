"""Routes of the portal: report packages."""

from django.urls import path

from indicators.portal import reports

urlpatterns = [
    path("", reports.reports, name="reports"),
    path("<uuid:report_id>/", reports.report, name="report"),
    path("<uuid:report_id>/package.zip", reports.package, name="report-package"),
]
