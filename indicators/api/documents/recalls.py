"""The shapes of recalls."""

from __future__ import annotations

from rest_framework import serializers


class ReceiptsDocument(serializers.Serializer[object]):
    """How far the subscribers are whose instances acknowledge deltas."""

    holding = serializers.FloatField(help_text="The share that holds it still, in tenths, rounded up; 0: nobody does.")
    median_s = serializers.FloatField(allow_null=True, help_text="From the recall to an acknowledgement, in seconds.")
    slowest_s = serializers.FloatField(allow_null=True)
    last_at = serializers.DateTimeField(allow_null=True, help_text="When the last of them acknowledged.")


class RecallDocument(serializers.Serializer[object]):
    """A recall."""

    id = serializers.UUIDField()
    state = serializers.ChoiceField(["prepared", "disarmed", "undone", "final"])
    asked = serializers.DictField(help_text="What was asked for; in a list, of `ids` the first hundred.")
    at = serializers.DateTimeField(help_text="When it was prepared.")
    actor = serializers.CharField()
    objects = serializers.IntegerField(help_text="How many it names, exactly.")
    recalled = serializers.IntegerField(allow_null=True, help_text="How many of them lived when it was carried out.")
    recalled_at = serializers.DateTimeField(allow_null=True)
    until = serializers.DateTimeField(allow_null=True, help_text="Until then it can be undone.")
    needs_second_person = serializers.BooleanField(help_text="Whether a second person makes it final before that.")
    brought_back = serializers.IntegerField(allow_null=True)
    ids = serializers.ListField(child=serializers.CharField(), required=False, help_text="The first thousand.")
    receipts = ReceiptsDocument(required=False, allow_null=True)


class RecallList(serializers.Serializer[object]):
    """Recalls, newest first."""

    recalls = RecallDocument(many=True)
