"""Routes of the portal: report packages."""

from django.urls import path

from indicators.portal import report_schedules, reports

urlpatterns = [
    path("", reports.reports, name="reports"),
    path("schedules/", report_schedules.listing, name="portal-report-schedules"),
    path("schedules/<uuid:schedule_id>/act", report_schedules.act, name="portal-report-schedule-act"),
    path("<uuid:report_id>/", reports.report, name="report"),
    path("<uuid:report_id>/package.zip", reports.package, name="report-package"),
]
