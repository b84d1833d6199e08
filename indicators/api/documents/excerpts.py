"""Excerpts."""

from __future__ import annotations

from rest_framework import serializers


class ExcerptDocument(serializers.Serializer[object]):
    """An excerpt, without its text."""

    id = serializers.UUIDField()
    excerpt_id = serializers.CharField(help_text="As it was sent.")
    indicator_ref = serializers.CharField()
    state = serializers.ChoiceField(["waiting", "shown"])
    at = serializers.DateTimeField()
    valid_until = serializers.DateTimeField(help_text="Then nothing of it is kept.")


class ExcerptList(serializers.Serializer[object]):
    """Of the caller's partner, oldest first."""

    excerpts = ExcerptDocument(many=True)
