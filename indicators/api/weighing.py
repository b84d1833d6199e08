"""What one's own indicators were good for (docs/judgement.md)."""

from __future__ import annotations

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers

from exchange.errors import NotFound
from indicators.models import Holding
from indicators.opinions import weighing
from indicators.stix import identifiers
from partners.api.base import Face, Request, answer, viewer_of
from partners.scopes import Scope


class CountedDocument(serializers.Serializer[object]):
    """Other partners, each number as where its bucket begins (3, 5, 10, 20, 50, 100); null below three."""

    as_of = serializers.DateTimeField(help_text="When it was counted; it moves once an interval of your groups.")
    hold = serializers.IntegerField(allow_null=True, help_text="Hold it in the set of a feed.")
    matched = serializers.IntegerField(allow_null=True, help_text="Said in 90 days that they met it.")
    blocked = serializers.IntegerField(allow_null=True, help_text="Said in 90 days that they blocked by it.")
    disagreed = serializers.IntegerField(allow_null=True, help_text="Dissent.")


class UsefulnessDocument(CountedDocument):
    """Of all own indicators, and what is the caller's own to know."""

    precision = serializers.FloatField(
        allow_null=True, help_text="Of what others judged in 90 days, the share nobody dissents from, in tenths."
    )
    by_kind = serializers.DictField(help_text="hold, matched, blocked, disagreed by kind.")
    own = serializers.DictField(help_text="median_hours_to_share; gives and uses: exact, for you alone.")


class UsefulnessView(Face):
    """Of all indicators of the caller's partner."""

    scope = Scope.PUBLISH

    @extend_schema(operation_id="usefulness", responses=UsefulnessDocument)
    def get(self, request: Request) -> HttpResponse:
        """How many other partners hold, met, blocked and disagree with what the caller's partner publishes.

        Buckets over three or more partners, never who; with what the partner itself gives and uses.
        """
        return answer(weighing.of_all(viewer_of(request)))


class ObjectUsefulnessView(Face):
    """Of one indicator."""

    scope = Scope.PUBLISH

    @extend_schema(operation_id="object_usefulness", responses=CountedDocument)
    def get(self, request: Request, stix_id: str) -> HttpResponse:
        """How many other partners hold, met, blocked and disagree with one indicator of the caller's own."""
        viewer = viewer_of(request)
        own = Holding.objects.visible_to(viewer).filter(
            publisher=viewer.partner_id, stix_id=identifiers.folded(stix_id), stix_type="indicator"
        )
        if (holding := own.first()) is None:
            raise NotFound
        return answer(weighing.of_one(viewer, holding))
