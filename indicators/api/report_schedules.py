"""Schedules of report packages: each puts a draft together, which people check and release in the portal."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema

from exchange import clock
from exchange.errors import Refused
from indicators.api import report_requests as requests
from indicators.api.documents.reports import ReportScheduleDocument, ReportScheduleList
from indicators.models import ReportSchedule
from indicators.reports import scheduling
from partners.api.base import Face, Request, answer, viewer_of
from partners.scopes import Scope


class ReportSchedulesView(Face):
    """When drafts are put together."""

    scope = Scope.PUBLISH

    @extend_schema(operation_id="report_schedules", responses=ReportScheduleList)
    def get(self, request: Request) -> HttpResponse:
        """The schedules of the caller's partner, by name; nobody else sees them."""
        return answer({"schedules": [_document(one) for one in scheduling.listed(viewer_of(request))]})

    @extend_schema(
        operation_id="make_report_schedule",
        request=requests.NewReportSchedule,
        responses={201: ReportScheduleDocument},
    )
    def post(self, request: Request) -> HttpResponse:
        """Have a draft put together each week or month, of what stands under `root`, or is new in `feed`.

        Nothing is released by it: one person checks the draft, and another releases it. It ends with the key, or with
        the rights of the person, that made or changed it last.
        """
        viewer, sent = viewer_of(request), requests.NewReportSchedule.read(request)
        wish = scheduling.Wish(
            name=sent["name"],
            recipient=sent["recipient"],
            every=ReportSchedule.Every(sent["every"]),
            day=sent["day"],
            hour=sent["hour"],
            time_zone=sent.get("time_zone") or "UTC",
            root=sent.get("root") or "",
            feed_id=sent.get("feed"),
            forms=tuple(sent.get("forms") or ()),
        )
        return answer(_document(scheduling.make(viewer, wish)), status=201)


class ReportScheduleView(Face):
    """One of the caller's partner's."""

    scope = Scope.PUBLISH

    @extend_schema(operation_id="report_schedule", responses=ReportScheduleDocument)
    def get(self, request: Request, schedule_id: UUID) -> HttpResponse:
        """A schedule, when it is due, and how its last run went."""
        return answer(_document(scheduling.own(viewer_of(request), schedule_id)))

    @extend_schema(
        operation_id="change_report_schedule",
        request=requests.ReportScheduleChange,
        responses=ReportScheduleDocument,
    )
    def patch(self, request: Request, schedule_id: UUID) -> HttpResponse:
        """Change what is named. Who changes it is who it ends with."""
        viewer, sent = viewer_of(request), requests.ReportScheduleChange.read(request)
        wanted = {name: value for name, value in sent.items() if value is not None}
        if not wanted:
            raise Refused("Name what is to change.", code="nothing-to-change", at="")
        return answer(_document(scheduling.change(viewer, schedule_id, wanted)))

    @extend_schema(operation_id="end_report_schedule", responses={204: None})
    def delete(self, request: Request, schedule_id: UUID) -> HttpResponse:
        """No draft comes of it any more; those that are there stay."""
        scheduling.end(viewer_of(request), schedule_id)
        return HttpResponse(status=204)


def _document(one: ReportSchedule) -> dict[str, Any]:
    return {
        "id": one.pk,
        "name": one.name,
        "recipient": one.recipient.slug,
        "root": one.root or None,
        "feed": one.feed_id,
        "forms": one.forms,
        "every": one.every,
        "day": one.day,
        "hour": one.hour,
        "time_zone": one.time_zone,
        "state": one.state,
        "due_at": clock.rfc3339(one.due_at),
        "last_at": clock.rfc3339(one.last_at) if one.last_at else None,
        "outcome": one.outcome,
    }
