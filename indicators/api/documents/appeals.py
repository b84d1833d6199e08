"""The shapes of appeals."""

from __future__ import annotations

from rest_framework import serializers

from indicators.api.documents.objects import PublisherDocument


class TicketDocument(serializers.Serializer[object]):
    """An appeal on one indicator, as its filer or its publisher reads it."""

    id = serializers.UUIDField()
    object = serializers.CharField(help_text="The indicator's id.")
    reason = serializers.CharField()
    state = serializers.ChoiceField(
        ["open", "kept", "ended", "gone"], help_text="gone: the filer sees the indicator no more."
    )
    due_at = serializers.DateTimeField(help_text="Until when the publisher is to answer.")
    overdue = serializers.BooleanField()
    decided_at = serializers.DateTimeField(allow_null=True)
    publisher = PublisherDocument(required=False, help_text="As the filer sees it; absent where it no longer does.")


class TicketList(serializers.Serializer[object]):
    """Tickets, the next due first."""

    tickets = TicketDocument(many=True)


class DissentsDocument(serializers.Serializer[object]):
    """The filer's own opinion on what it sees."""

    given = serializers.IntegerField(help_text="Indicators on which it was given now.")
    left = serializers.IntegerField(help_text="Those on which it was not, for their number: file again.")
    stays = serializers.IntegerField(help_text="Those on which a colleague of the filer says otherwise: that stays.")


class AppealDocument(serializers.Serializer[object]):
    """An appeal, with the tickets on what its filer sees."""

    id = serializers.UUIDField()
    at = serializers.DateTimeField()
    reason = serializers.CharField()
    tokens = serializers.IntegerField(help_text="How many; they are not kept.")
    tickets = TicketDocument(many=True)
    dissents = DissentsDocument(required=False, help_text="In the answer to an appeal with `dissent` alone.")


class AppealList(serializers.Serializer[object]):
    """Appeals, newest first."""

    appeals = AppealDocument(many=True)


class StatisticsDocument(serializers.Serializer[object]):
    """Tickets on a partner's indicators."""

    days = serializers.IntegerField()
    received = serializers.IntegerField()
    open = serializers.IntegerField()
    kept = serializers.IntegerField()
    ended = serializers.IntegerField(help_text="Their indicators ended, whatever ended them.")
    late = serializers.IntegerField(help_text="Answered after their time, or overdue.")
    median_hours = serializers.FloatField(allow_null=True, help_text="From the appeal to the answer.")
