"""Report packages."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from indicators.api.documents.objects import PublisherDocument


class ReportDocument(serializers.Serializer[object]):
    """A report package that was released to the caller's partner."""

    id = serializers.UUIDField()
    title = serializers.CharField()
    root = serializers.CharField(help_text="The STIX id that it begins with.")  # type: ignore[assignment]
    tlp = serializers.ChoiceField(["clear", "green", "amber", "amber+strict", "red"])
    objects = serializers.IntegerField()
    released_at = serializers.DateTimeField()
    bundle_sha256 = serializers.CharField()

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """`from` is a word of Python's."""
        return {"from": PublisherDocument(), **super().get_fields()}


class ReportList(serializers.Serializer[object]):
    """Report packages, newest first."""

    reports = ReportDocument(many=True)
