"""Hosts and ranges that partners name as their own."""

from __future__ import annotations

from rest_framework import serializers


class HostOwnerDocument(serializers.Serializer[object]):
    """Whose a host is."""

    slug = serializers.CharField()
    name = serializers.CharField()


class ChallengeDocument(serializers.Serializer[object]):
    """The TXT record that proves a host."""

    name = serializers.CharField()
    value = serializers.CharField()


class ServiceHostDocument(serializers.Serializer[object]):
    """A host or range that a partner names as its own; how it is proven, that partner alone reads."""

    id = serializers.UUIDField()
    value = serializers.CharField()
    partner = HostOwnerDocument()
    since = serializers.DateTimeField()
    proven = serializers.BooleanField(help_text="Whether everybody's lists leave it out; else its partner's own do.")
    proven_by = serializers.CharField(
        required=False, allow_null=True, help_text="`dns`, `operator`, the slugs of partners, or `before`."
    )
    confirmed_by = serializers.CharField(
        required=False, allow_null=True, help_text="The partner that confirmed a range first; a second one proves it."
    )
    challenge = ChallengeDocument(required=False, allow_null=True)
    asked_at = serializers.DateTimeField(
        required=False, allow_null=True, help_text="When its DNS did not show the challenge, last."
    )


class ServiceHostList(serializers.Serializer[object]):
    """Hosts and ranges of all partners."""

    hosts = ServiceHostDocument(many=True)
