"""The shapes that the OpenAPI description shows; the views write them without serializers, from stored bytes."""

from __future__ import annotations

from rest_framework import serializers


class PublisherDocument(serializers.Serializer[object]):
    """Who says it."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    slug = serializers.CharField(required=False)


class ResultDocument(serializers.Serializer[object]):
    """The answer to one element of a batch."""

    index = serializers.IntegerField()
    id = serializers.CharField(allow_null=True)
    version = serializers.CharField(allow_null=True)
    status = serializers.ChoiceField(["accepted", "unchanged", "quarantined", "refused"])
    code = serializers.CharField(required=False)
    field = serializers.CharField(required=False, help_text="JSON pointer inside the object.")
    message = serializers.CharField(required=False)


class BATCH(serializers.Serializer[object]):
    """The answer to a batch."""

    id = serializers.UUIDField()
    received = serializers.DateTimeField()
    counts = serializers.DictField(child=serializers.IntegerField())
    results = ResultDocument(many=True)


class StatementDocument(serializers.Serializer[object]):
    """An object as its publishers say it; `object` holds the exact bytes that were published."""

    publisher = PublisherDocument()
    publishers = PublisherDocument(many=True, required=False)
    tlp = serializers.ChoiceField(["clear", "green", "amber", "amber+strict", "red"])
    date_added = serializers.DateTimeField()
    object = serializers.JSONField()


class OBJECTS(serializers.Serializer[object]):
    """A page of objects, newest first."""

    objects = StatementDocument(many=True)
    next = serializers.CharField(allow_null=True)


class STATEMENTS(serializers.Serializer[object]):
    """What is said under one id."""

    statements = StatementDocument(many=True)


class EntryDocument(serializers.Serializer[object]):
    """One value of a blocklist."""

    kind = serializers.CharField()
    subkind = serializers.CharField()
    scheme = serializers.CharField()
    key_epoch = serializers.CharField(allow_blank=True)
    value = serializers.CharField()


class ChangeDocument(serializers.Serializer[object]):
    """One change, to be applied in order."""

    op = serializers.ChoiceField(["upsert", "remove"])
    reason = serializers.CharField()
    id = serializers.CharField()
    type = serializers.CharField()
    kind = serializers.CharField(allow_null=True)
    publisher = PublisherDocument()
    tlp = serializers.CharField()
    date_added = serializers.DateTimeField()
    confidence = serializers.IntegerField(allow_null=True)
    valid_until = serializers.DateTimeField(allow_null=True)
    entries = EntryDocument(many=True)
    object = serializers.JSONField(required=False, help_text="Of an upsert: the exact bytes that were published.")


class CHANGES(serializers.Serializer[object]):
    """A stretch of the change log; hand the cursor back to go on."""

    changes = ChangeDocument(many=True)
    cursor = serializers.CharField()
    more = serializers.BooleanField()


class MatchEndDocument(serializers.Serializer[object]):
    """One end of a match."""

    id = serializers.CharField()
    title = serializers.CharField()
    publisher = PublisherDocument()


class MatchDocument(serializers.Serializer[object]):
    """What two partners have in common."""

    id = serializers.IntegerField()
    basis = serializers.CharField()
    domain = serializers.CharField()
    found_at = serializers.DateTimeField()
    objects = MatchEndDocument(many=True)


class MATCHES(serializers.Serializer[object]):
    """A page of matches, newest first."""

    matches = MatchDocument(many=True)
    next = serializers.CharField(allow_null=True)


class FEED(serializers.Serializer[object]):
    """A saved filter."""

    id = serializers.UUIDField(read_only=True)
    name = serializers.CharField(max_length=120)
    filter = serializers.DictField(required=False)


class FEEDS(serializers.Serializer[object]):
    """The caller's feeds."""

    feeds = FEED(many=True)


class SUBSCRIPTION(serializers.Serializer[object]):
    """An address that is told of a feed's changes."""

    id = serializers.UUIDField(read_only=True)
    url = serializers.URLField(max_length=1000)
    feed = serializers.UUIDField(allow_null=True, required=False)
    state = serializers.ChoiceField(["active", "paused", "dead"], read_only=True)
    secret = serializers.CharField(read_only=True, required=False, help_text="Only in the answer to its creation.")


class SUBSCRIPTIONS(serializers.Serializer[object]):
    """The caller's subscriptions."""

    subscriptions = SUBSCRIPTION(many=True)


class DeliveryDocument(serializers.Serializer[object]):
    """One message to a subscription and how it went."""

    id = serializers.UUIDField()
    state = serializers.ChoiceField(["due", "sending", "delivered", "dead"])
    attempts = serializers.IntegerField()
    changes = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    due_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)
    status_code = serializers.IntegerField(allow_null=True)
    outcome = serializers.CharField()


class DELIVERIES(serializers.Serializer[object]):
    """The newest deliveries of a subscription."""

    deliveries = DeliveryDocument(many=True)


class OUTCOME(serializers.Serializer[object]):
    """How a test message went."""

    delivered = serializers.BooleanField()
    outcome = serializers.CharField()
    status_code = serializers.IntegerField(allow_null=True)


class PROBLEM(serializers.Serializer[object]):
    """RFC 9457 problem document."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    code = serializers.CharField()
    request_id = serializers.CharField()
    errors = serializers.ListField(child=serializers.DictField(), required=False)  # type: ignore[assignment]
