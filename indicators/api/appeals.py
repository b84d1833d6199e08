"""Appeals: file them by tokens, and answer those on one's own indicators (docs/judgement.md)."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema

from exchange import clock
from indicators.api import requests
from indicators.api.documents.appeals import AppealDocument, AppealList, StatisticsDocument, TicketDocument, TicketList
from indicators.opinions import appealing, wishing
from partners.api.base import Face, Request, answer, viewer_of
from partners.scopes import Scope


class AppealsView(Face):
    """Appeals of the caller's partner."""

    scope = Scope.REACT

    @extend_schema(operation_id="appeals", responses=AppealList)
    def get(self, request: Request) -> HttpResponse:
        """The newest appeals that the caller's partner filed, with the tickets on what it sees."""
        return answer({"appeals": [_filed(one) for one in appealing.filed(viewer_of(request))]})

    @extend_schema(operation_id="file_appeal", request=requests.AppealWish, responses={201: AppealDocument})
    def post(self, request: Request) -> HttpResponse:
        """Say by tokens that somebody is blocked who should not be: each who says one of them gets a ticket.

        Never a raw value: make the tokens on your machine (`exchange appeal`). Tickets on what the caller sees are told
        with their clock; of others nothing is told, not whether there are any. No ticket says who filed it.
        """
        sent = requests.AppealWish.read(request)
        tokens = wishing.AppealToken.values(sent["tokens"])
        made = appealing.file(viewer_of(request), tokens, reason=sent["reason"], dissent=bool(sent.get("dissent")))
        return answer(_filed(made), status=201)


class AppealView(Face):
    """One appeal."""

    scope = Scope.REACT

    @extend_schema(operation_id="appeal", responses=AppealDocument)
    def get(self, request: Request, appeal_id: UUID) -> HttpResponse:
        """What became of an appeal of the caller's partner, on what it sees."""
        return answer(_filed(appealing.find(viewer_of(request), appeal_id)))


class TicketsView(Face):
    """Tickets on the caller's own indicators."""

    scope = Scope.PUBLISH
    known = ("all",)

    @extend_schema(operation_id="tickets", responses=TicketList)
    def get(self, request: Request) -> HttpResponse:
        """What others appeal against of the caller's indicators, the next due first; with `all`, answered ones too."""
        found = appealing.received(viewer_of(request), everything=self.asked.flag("all"))
        return answer({"tickets": [_ticket(one) for one in found]})


class TicketView(Face):
    """One ticket."""

    scope = Scope.PUBLISH

    @extend_schema(operation_id="decide_ticket", request=requests.TicketWish, responses=TicketDocument)
    def post(self, request: Request, ticket_id: UUID) -> HttpResponse:
        """Keep the indicator, or revoke it: that reaches every list. 409 where it is answered or has ended."""
        outcome = requests.TicketWish.read(request)["outcome"]
        return answer(_ticket(appealing.decide(viewer_of(request), ticket_id, outcome=outcome)))


class StatisticsView(Face):
    """How the caller's partner answers."""

    scope = Scope.PUBLISH

    @extend_schema(operation_id="appeal_statistics", responses=StatisticsDocument)
    def get(self, request: Request) -> HttpResponse:
        """Tickets on the caller's own indicators in 90 days: how many, how they were answered, how soon."""
        viewer = viewer_of(request)
        viewer.require_all_groups()
        return answer(appealing.statistics(viewer.partner_id))


def _filed(one: appealing.Filed) -> dict[str, Any]:
    dissents = one.dissents
    said = (
        {}
        if dissents is None
        else {"dissents": {"given": dissents.given, "left": dissents.left, "stays": dissents.stays}}
    )
    return said | {
        "id": one.appeal.pk,
        "at": clock.rfc3339(one.appeal.at),
        "reason": one.appeal.reason,
        "tokens": one.appeal.tokens,
        "tickets": [_ticket(ticket) for ticket in one.tickets],
    }


def _ticket(one: appealing.Shown) -> dict[str, Any]:
    said: dict[str, Any] = {
        "id": one.id,
        "object": one.stix_id,
        "reason": one.reason,
        "state": one.state,
        "due_at": clock.rfc3339(one.due_at),
        "overdue": one.overdue,
        "decided_at": one.decided_at and clock.rfc3339(one.decided_at),
    }
    if one.publisher is not None:
        said["publisher"] = {"id": one.publisher.id, "slug": one.publisher.slug, "name": one.publisher.name}
    return said
