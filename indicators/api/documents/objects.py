"""Objects as their readers see them, by whom, and with what marks."""

from __future__ import annotations

from rest_framework import serializers

from exchange.stix import words


class PublisherDocument(serializers.Serializer[object]):
    """Who says it."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    slug = serializers.CharField(required=False)
    suspended = serializers.BooleanField(required=False, help_text="Only where it is: it publishes nothing new.")


class MarkDocument(serializers.Serializer[object]):
    """What STIX 2.1 says is wrong with an object that was taken all the same."""

    code = serializers.CharField()
    field = serializers.CharField(allow_blank=True, help_text="JSON pointer inside the object.")
    message = serializers.CharField(required=False)


class ClaimedDocument(serializers.Serializer[object]):
    """A creator that its publisher names, and that is not the publisher as registered here: hearsay."""

    id = serializers.CharField(max_length=300)
    according_to = PublisherDocument()


class MeasuredDocument(serializers.Serializer[object]):
    """What the exchange itself measured of an object's text; the object's bytes never say it."""

    benign_hits = serializers.ChoiceField(
        words.BENIGN_HITS,
        help_text="How many of the bundled ordinary prompts it matches: none; few, that is one or two, of a phrase at"
        " most two; many, which is refused today.",
    )
    sample_size = serializers.IntegerField(min_value=1, help_text="How many prompts are bundled.")


class StatementDocument(serializers.Serializer[object]):
    """An object as its publishers say it; `object` holds the exact bytes that were published."""

    publisher = PublisherDocument()
    publishers = PublisherDocument(many=True, required=False)
    tlp = serializers.ChoiceField(["clear", "green", "amber", "amber+strict", "red"])
    publisher_suspended = serializers.BooleanField()
    date_added = serializers.DateTimeField()
    marks = MarkDocument(many=True, required=False)
    creator = ClaimedDocument(required=False)
    measured = MeasuredDocument(required=False)
    object = serializers.DictField()


class ObjectsPage(serializers.Serializer[object]):
    """A page of objects, newest first."""

    objects = StatementDocument(many=True)
    next = serializers.CharField(allow_null=True)


class ReaderDocument(serializers.Serializer[object]):
    """A partner that sees something, and whom it is told that it comes from."""

    name = serializers.CharField()
    slug = serializers.CharField()
    source = PublisherDocument()  # type: ignore[assignment]


class ReaderList(serializers.Serializer[object]):
    """The partners that see something, by name."""

    readers = ReaderDocument(many=True)


class Statements(serializers.Serializer[object]):
    """What is said under one id."""

    statements = StatementDocument(many=True)


class FoundDocument(Statements):
    """What is said under one of the ids."""

    id = serializers.CharField()


class LookedUp(serializers.Serializer[object]):
    """The ids of which something can be seen, in the order in which they were asked; all others are left out."""

    objects = FoundDocument(many=True)
