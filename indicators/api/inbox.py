"""What concerns the caller's partner, newest first (docs/api.md, "Inbox")."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter, OpenApiTypes, extend_schema
from rest_framework import serializers

from exchange import clock
from indicators.telling import inbox
from partners.api.base import Face, Request, answer, viewer_of

_DAYS = 30


class InboxItem(serializers.Serializer[object]):
    """One thing that happened."""

    kind = serializers.ChoiceField(choices=inbox.KINDS)
    at = serializers.DateTimeField()
    about = serializers.CharField(
        help_text="The STIX id that it is about, the name of an agent or connection, or a subscription's id."
    )
    says = serializers.CharField(help_text="A word: of an opinion or appeal its reason, of a match what is equal.")
    by = serializers.CharField(help_text="The other partner, as you are shown it; empty where none is.")
    did = serializers.ListField(
        child=serializers.CharField(), help_text="Of a campaign what became of it, as in its history; else empty."
    )


class InboxPage(serializers.Serializer[object]):
    """The newest first."""

    items = InboxItem(many=True)


class InboxView(Face):
    """What concerns the caller's partner."""

    known = ("days", "limit")

    @extend_schema(
        operation_id="inbox",
        parameters=[
            OpenApiParameter("days", OpenApiTypes.INT, description=f"How far back; 1 to {_DAYS}, {_DAYS} by default."),
            OpenApiParameter("limit", OpenApiTypes.INT, description=f"1 to {inbox.MOST}, 20 by default."),
        ],
        responses=InboxPage,
    )
    def get(self, request: Request) -> HttpResponse:
        """Opinions and appeals on your own, matches with it, campaigns with your accounts, recalls, own systems."""
        viewer = viewer_of(request)
        days = self.asked.number("days", _DAYS, least=1, most=_DAYS)
        limit = self.asked.number("limit", 20, least=1, most=inbox.MOST)
        found = inbox.inbox(viewer, since=clock.now() - timedelta(days=days), limit=limit)
        return answer({"items": [asdict(item) for item in found]})
