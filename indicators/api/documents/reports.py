"""Report packages."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from indicators.api.documents.objects import PublisherDocument


class ReportTermsDocument(serializers.Serializer[object]):
    """Terms of a recipient, as a package says them."""

    jurisdiction = serializers.CharField(help_text="ISO 3166; `EU`, `UN`.")
    reference = serializers.CharField()
    until = serializers.DateField(allow_null=True)
    strictest = serializers.ChoiceField(["clear", "green", "amber", "amber+strict", "red"])
    forms = serializers.ListField(child=serializers.ChoiceField(["csv", "form", "stix"]))

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """`from` is a word of Python's."""
        return {"from": serializers.DateField(), **super().get_fields()}


class ReportDocument(serializers.Serializer[object]):
    """A report package that was released to the caller's partner."""

    id = serializers.UUIDField()
    title = serializers.CharField()
    root = serializers.CharField(help_text="The STIX id that it begins with; empty: of a feed.")  # type: ignore[assignment]
    tlp = serializers.ChoiceField(["clear", "green", "amber", "amber+strict", "red"])
    objects = serializers.IntegerField()
    forms = serializers.ListField(child=serializers.ChoiceField(["csv", "form", "stix"]))
    terms = ReportTermsDocument(allow_null=True, help_text="Under which terms of the caller's it stands.")
    released_at = serializers.DateTimeField()
    bundle_sha256 = serializers.CharField()

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """`from` is a word of Python's."""
        return {"from": PublisherDocument(), **super().get_fields()}


class ReportList(serializers.Serializer[object]):
    """Report packages, newest first."""

    reports = ReportDocument(many=True)


class ReportScheduleDocument(serializers.Serializer[object]):
    """When a draft of a report package is put together, and of what."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    recipient = serializers.CharField(help_text="The slug of the partner.")
    root = serializers.CharField(allow_null=True, help_text="What each begins with.")  # type: ignore[assignment]
    feed = serializers.UUIDField(allow_null=True, help_text="Else: what is new in this feed.")
    forms = serializers.ListField(child=serializers.ChoiceField(["csv", "form", "stix"]))
    every = serializers.ChoiceField(["month", "week"])
    day = serializers.IntegerField()
    hour = serializers.IntegerField()
    time_zone = serializers.CharField()
    state = serializers.ChoiceField(["active", "ended", "paused"], help_text="Ended: by itself, `outcome` says why.")
    due_at = serializers.DateTimeField()
    last_at = serializers.DateTimeField(allow_null=True)
    outcome = serializers.CharField(help_text="Of the last run; what was refused, and why.")


class ReportScheduleList(serializers.Serializer[object]):
    """Schedules, by name."""

    schedules = ReportScheduleDocument(many=True)
