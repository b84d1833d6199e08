"""What waits for its own partner: to be mended, for a second person, or until it is final."""

from __future__ import annotations

from rest_framework import serializers


class QuarantinedDocument(serializers.Serializer[object]):
    """One object of the caller's own that waits to be mended."""

    entry = serializers.UUIDField(help_text="Names it at `/quarantine/{entry}`.")
    id = serializers.CharField()
    code = serializers.CharField()
    field = serializers.CharField(allow_blank=True, help_text="JSON pointer inside the object.")
    message = serializers.CharField()
    at = serializers.DateTimeField()
    object = serializers.DictField(help_text="The exact bytes that were pushed.")


class QuarantineList(serializers.Serializer[object]):
    """What waits to be mended, newest first."""

    quarantined = QuarantinedDocument(many=True)
    next = serializers.CharField(allow_null=True)


class WaitingReach(serializers.Serializer[object]):
    """The audience that a waiting batch named."""

    named = serializers.BooleanField(
        help_text="False for the default audience as it was when it was sent; then `everyone` is for CLEAR and GREEN."
    )
    everyone = serializers.BooleanField()
    groups = serializers.ListField(child=serializers.CharField())
    partners = serializers.ListField(child=serializers.CharField())
    tlp = serializers.CharField(allow_null=True)


class WaitingDocument(serializers.Serializer[object]):
    """A batch, or the part of one, that waits for a second person."""

    id = serializers.UUIDField()
    batch = serializers.UUIDField()
    at = serializers.DateTimeField()
    actor = serializers.CharField()
    why = serializers.CharField()
    audience = WaitingReach()
    objects = serializers.IntegerField(help_text="How many.")
    ids = serializers.ListField(child=serializers.CharField(), help_text="Of the first thousand.")


class WaitingList(serializers.Serializer[object]):
    """What waits, oldest first."""

    waiting = WaitingDocument(many=True)


class DisarmedDocument(serializers.Serializer[object]):
    """What one call recalled, or revoked or withdrew in bulk, while it can come back."""

    id = serializers.UUIDField()
    ended_by = serializers.ChoiceField(["flood", "recall", "revoke", "withdraw"])
    at = serializers.DateTimeField()
    until = serializers.DateTimeField(
        allow_null=True, help_text="From then on it is final, if nobody has decided before; null: never by itself."
    )
    actor = serializers.CharField()
    objects = serializers.IntegerField(help_text="How many.")
    ids = serializers.ListField(child=serializers.CharField(), help_text="Of the first thousand.")


class DisarmedList(serializers.Serializer[object]):
    """What can come back, oldest first."""

    disarmed = DisarmedDocument(many=True)


class UndoneDocument(serializers.Serializer[object]):
    """One act that is undone."""

    id = serializers.UUIDField()
    brought_back = serializers.IntegerField()
    ended = serializers.IntegerField(
        help_text="Stay ended: they may not go any more where they were, or were ended since."
    )


class UndoneList(serializers.Serializer[object]):
    """What was undone."""

    undone = UndoneDocument(many=True)
