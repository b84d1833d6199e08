"""What became of the objects of a batch."""

from __future__ import annotations

from rest_framework import serializers

from indicators.api.documents.objects import MarkDocument


class ResultDocument(serializers.Serializer[object]):
    """The answer to one element of a batch."""

    index = serializers.IntegerField()
    id = serializers.CharField(allow_null=True)
    version = serializers.CharField(allow_null=True)
    status = serializers.ChoiceField(["accepted", "unchanged", "withdrawn", "waiting", "quarantined", "refused"])
    code = serializers.CharField(required=False)
    field = serializers.CharField(required=False, help_text="JSON pointer inside the object.")
    message = serializers.CharField(required=False)
    marks = MarkDocument(many=True, required=False)
    suppressed_by = serializers.ListField(
        child=serializers.ChoiceField(["benign-listed", "benign-type", "too-broad"]),
        required=False,
        help_text="What keeps values of the object out of every list.",
    )


class CountsDocument(serializers.Serializer[object]):
    """How many objects were answered how."""

    accepted = serializers.IntegerField()
    unchanged = serializers.IntegerField()
    withdrawn = serializers.IntegerField()
    waiting = serializers.IntegerField()
    quarantined = serializers.IntegerField()
    refused = serializers.IntegerField()


class ReferenceDocument(serializers.Serializer[object]):
    """A reference of an object that entered, to something that is not there for the caller."""

    index = serializers.IntegerField()
    id = serializers.CharField()
    field = serializers.CharField(help_text="JSON pointer inside the object.")
    ref = serializers.CharField()


class LossReport(serializers.Serializer[object]):
    """What a batch lost on its way in."""

    counts = serializers.DictField(child=serializers.IntegerField())
    marks = serializers.DictField(child=serializers.IntegerField(), help_text="How many marks of each code.")
    reasons = serializers.DictField(child=serializers.IntegerField(), help_text="Codes of what was held back.")
    unresolved = ReferenceDocument(many=True, help_text="Neither in the batch nor among what the caller may see.")
    dangling = ReferenceDocument(many=True, help_text="To objects of the batch that were held back.")


class BatchAnswer(serializers.Serializer[object]):
    """The answer to a batch."""

    id = serializers.UUIDField()
    received = serializers.DateTimeField()
    counts = CountsDocument()
    results = ResultDocument(many=True)
    report = LossReport(required=False)
