"""The log as its reader is told it, page by page and as events."""

from __future__ import annotations

from rest_framework import serializers


class EntryDocument(serializers.Serializer[object]):
    """One value of a blocklist."""

    kind = serializers.CharField()
    subkind = serializers.CharField()
    scheme = serializers.CharField()
    key_epoch = serializers.CharField(allow_blank=True)
    value = serializers.CharField()


class ToldPublisherDocument(serializers.Serializer[object]):
    """Whom a change comes from, as its reader is told."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    named = serializers.BooleanField(
        help_text="Whether it is said under the publisher's name: only then it counts as an independent publisher."
    )


class ChangeDocument(serializers.Serializer[object]):
    """One change, to be applied in order."""

    op = serializers.ChoiceField(["upsert", "remove"])
    reason = serializers.CharField()
    id = serializers.CharField()
    type = serializers.CharField()
    kind = serializers.CharField(allow_null=True)
    publisher = ToldPublisherDocument()
    tlp = serializers.CharField()
    date_added = serializers.DateTimeField()
    confidence = serializers.IntegerField(allow_null=True)
    valid_from = serializers.DateTimeField(allow_null=True, help_text="Its entries are in force from then on.")
    valid_until = serializers.DateTimeField(allow_null=True, help_text="And until then.")
    entries = EntryDocument(many=True)
    object = serializers.DictField(required=False, help_text="Of an upsert: the exact bytes that were published.")


class ChangesPage(serializers.Serializer[object]):
    """A stretch of the change log; hand the cursor back to go on."""

    changes = ChangeDocument(many=True)
    cursor = serializers.CharField()
    more = serializers.BooleanField()


class ReceiptAnswer(serializers.Serializer[object]):
    """Whether the instance's set hash is the exchange's; null where that has moved on since."""

    equal = serializers.BooleanField(allow_null=True)


class SnapshotWait(serializers.Serializer[object]):
    """That a file is being made: ask again after `Retry-After`."""

    state = serializers.ChoiceField(choices=["making"])


class EventDocument(serializers.Serializer[object]):
    """One event of the stream, by its fields; lines that begin with a colon only show that it lives."""

    event = serializers.ChoiceField(["open", "change", "end"])
    id = serializers.CharField(required=False, help_text="The cursor after the event; send it as Last-Event-ID.")
    retry = serializers.IntegerField(required=False, help_text="Milliseconds to wait before opening it again.")
    data = serializers.CharField(  # type: ignore[assignment]  # DRF takes fields out of the class
        help_text="JSON: for `change`, `feed`, `urgent`, `changes` and `more` as a webhook tells them."
    )
