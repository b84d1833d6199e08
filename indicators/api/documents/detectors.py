"""Detectors."""

from __future__ import annotations

from rest_framework import serializers


class DetectorDocument(serializers.Serializer[object]):
    """A detector of the caller's partner."""

    id = serializers.CharField(help_text="What `detector.name` of an indicator says.")
    name = serializers.CharField()
    version = serializers.CharField(allow_null=True)
    sha256 = serializers.CharField(allow_null=True)
    registered_at = serializers.DateTimeField()
    retired_at = serializers.DateTimeField(allow_null=True)


class DetectorList(serializers.Serializer[object]):
    """By name, retired ones last."""

    detectors = DetectorDocument(many=True)
