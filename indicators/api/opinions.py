"""Judge: what partners think of an object, and one's own opinion."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema

from exchange import clock
from exchange.errors import NotFound
from indicators.api import requests
from indicators.api.documents.opinions import GivenDocument, JudgedList, SightedDocument, SightingList
from indicators.opinions import giving, sighting
from indicators.stix import identifiers
from partners.api.base import Face, Request, answer, viewer_of
from partners.scopes import Scope
from partners.sources import Source


class OpinionsView(Face):
    """Opinions on one object."""

    scope = Scope.READ
    write_scope = Scope.REACT

    @extend_schema(operation_id="opinions", responses=JudgedList)
    def get(self, request: Request, stix_id: str) -> HttpResponse:
        """How each publisher's object under an id stands, by the opinions that the caller may see."""
        judged = giving.read(viewer_of(request), _id(stix_id))
        return answer({"judged": [_judged(one) for one in judged]})

    @extend_schema(
        operation_id="give_opinion",
        request=requests.OpinionWish,
        responses={200: GivenDocument},
    )
    def post(self, request: Request, stix_id: str) -> HttpResponse:
        """Give the caller's opinion on an object of somebody else's, or revise it; it goes where the object is.

        It is published as a STIX `opinion`, and answered with how the object stands then. One that dissents keeps the
        object out of the caller's own lists at once, and out of others' as soon as it is disputed.
        """
        viewer = viewer_of(request)
        sent = requests.OpinionWish.read(request)
        status = giving.give(viewer, _id(stix_id), opinion=sent["opinion"], reason=sent["reason"])
        judged = giving.read(viewer, stix_id)
        return answer({"status": status, "judged": [_judged(one) for one in judged]})


class SightingsView(Face):
    """Sightings of one object."""

    scope = Scope.READ
    write_scope = Scope.REACT

    @extend_schema(operation_id="sightings", responses=SightingList)
    def get(self, request: Request, stix_id: str) -> HttpResponse:
        """The newest sightings of an object that the caller may see, in buckets."""
        return answer({"sightings": [_sighted(one) for one in sighting.read(viewer_of(request), _id(stix_id))]})

    @extend_schema(operation_id="report_sighting", request=requests.SightingWish, responses={201: SightedDocument})
    def post(self, request: Request, stix_id: str) -> HttpResponse:
        """Say that the caller's partner saw it, too; it goes where the object is.

        The count is kept as the power of ten below, the times as full hours.
        """
        sent = requests.SightingWish.read(request)
        last = sent.get("last_seen") or clock.now()
        status = sighting.report(
            viewer_of(request),
            _id(stix_id),
            count=sent.get("count") or 1,
            first_seen=sent.get("first_seen") or last,
            last_seen=last,
        )
        return answer({"status": status}, status=201)


def _sighted(one: sighting.Sighted) -> dict[str, Any]:
    return {
        "partner": _source(one.partner),
        "id": one.stix_id,
        "count": one.count,
        "first_seen": one.first_seen,
        "last_seen": one.last_seen,
    }


class ConfirmView(Face):
    """A dissent beyond the day's cap."""

    scope = Scope.REACT

    @extend_schema(operation_id="confirm_opinion", request=None, responses={204: None})
    def post(self, request: Request, stix_id: str) -> HttpResponse:
        """Have the own partner's dissent on an object count by itself: a second person says so."""
        giving.confirm(viewer_of(request), _id(stix_id))
        return HttpResponse(status=204)


def _id(stix_id: str) -> str:
    """Raises NotFound for what is no id."""
    if not identifiers.ID.fullmatch(stix_id):
        raise NotFound
    return stix_id


def _judged(one: giving.Judged) -> dict[str, Any]:
    return {
        "publisher": _source(one.publisher),
        "standing": one.standing,
        "opinions": [
            {
                "partner": _source(given.partner) | ({"suspended": True} if given.suspended else {}),
                "opinion": given.opinion,
                "reason": given.reason,
                "id": given.stix_id,
                "modified": clock.rfc3339(given.modified),
                "waits": not given.counts_alone,
            }
            for given in one.opinions
        ],
    }


def _source(source: Source) -> dict[str, Any]:
    return {"id": source.id, "slug": source.slug, "name": source.name}
