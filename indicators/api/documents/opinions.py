"""Opinions and sightings."""

from __future__ import annotations

from rest_framework import serializers

from indicators.api.documents.objects import PublisherDocument


class HeardDocument(serializers.Serializer[object]):
    """An opinion as it is read."""

    partner = PublisherDocument()
    opinion = serializers.CharField()
    reason = serializers.CharField(allow_blank=True)
    id = serializers.CharField(help_text="Of the STIX opinion.")
    modified = serializers.DateTimeField()
    waits = serializers.BooleanField(help_text="Your own, beyond the day's cap: a second person confirms it.")


class JudgedDocument(serializers.Serializer[object]):
    """A publisher's object and how it stands."""

    publisher = PublisherDocument()
    standing = serializers.ChoiceField(["unreviewed", "supported", "disputed", "refuted"])
    opinions = HeardDocument(many=True)


class JudgedList(serializers.Serializer[object]):
    """The objects under an id."""

    judged = JudgedDocument(many=True)


class GivenDocument(JudgedList):
    """The same after an opinion was given, and what became of that."""

    status = serializers.ChoiceField(["accepted", "unchanged", "waiting", "merged"])


class SightedDocument(serializers.Serializer[object]):
    """What became of a sighting."""

    status = serializers.ChoiceField(["accepted", "unchanged", "waiting"])


class SeenDocument(serializers.Serializer[object]):
    """A sighting."""

    partner = PublisherDocument()
    id = serializers.CharField(help_text="Of the STIX sighting.")
    count = serializers.IntegerField(allow_null=True)
    first_seen = serializers.CharField(allow_null=True)
    last_seen = serializers.CharField(allow_null=True)


class SightingList(serializers.Serializer[object]):
    """Sightings, newest first."""

    sightings = SeenDocument(many=True)
