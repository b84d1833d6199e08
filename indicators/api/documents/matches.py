"""Values that two or more sources carry."""

from __future__ import annotations

from rest_framework import serializers

from indicators.api.documents.objects import PublisherDocument


class MatchEndDocument(serializers.Serializer[object]):
    """An object that carries a matched value, or one that overlaps it."""

    id = serializers.CharField()
    title = serializers.CharField(allow_blank=True)
    publisher = PublisherDocument()
    value = serializers.CharField(
        required=False, help_text="Where it is not the match's own: a network around or within it, another BIN range."
    )


class MatchDocument(serializers.Serializer[object]):
    """A value that objects of two or more sources carry, as the caller sees them."""

    id = serializers.UUIDField(help_text="The value's own: the same whenever it is matched.")
    basis = serializers.ChoiceField(
        ["token", "overlap"], help_text="`overlap`: no two sources carry the value; `objects` say what overlaps it."
    )
    domain = serializers.CharField(help_text="What it is compared as.")
    scheme = serializers.CharField()
    key_epoch = serializers.CharField(allow_blank=True)
    value = serializers.CharField()
    found_at = serializers.DateTimeField(help_text="When the last of its objects came to the caller.")
    objects = MatchEndDocument(many=True, help_text="Of each source some, the newest first.")


class MatchesPage(serializers.Serializer[object]):
    """A page of matches: the newest first or, with `since`, what was found after it, oldest first."""

    matches = MatchDocument(many=True)
    next = serializers.CharField(allow_null=True, help_text="The next page; null at the end. A page may be short.")
    more = serializers.BooleanField(help_text="Whether there is more to be read now.")
    since = serializers.CharField(
        allow_null=True, help_text="To be sent as `since`: for what is found from here on. Not on later pages."
    )
