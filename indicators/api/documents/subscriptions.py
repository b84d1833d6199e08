"""Feeds, who is told of them, and how that went."""

from __future__ import annotations

from rest_framework import serializers

from indicators.api.requests import FilterField


class FeedDocument(serializers.Serializer[object]):
    """A saved filter."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    filter = FilterField()
    text = serializers.CharField(allow_blank=True, help_text="The same in one line.")


class AddressDocument(serializers.Serializer[object]):
    """An address of a feed's list, without its token, which is stored nowhere."""

    id = serializers.CharField(help_text="Of its token: what follows `exl_`. The log names it `key:<id>`.")
    feed = serializers.CharField(help_text="Its id, or `all`.")
    format = serializers.CharField()
    name = serializers.CharField()
    networks = serializers.ListField(child=serializers.CharField(), help_text="Empty: from anywhere.")
    state = serializers.ChoiceField(["active", "expired", "revoked"])
    created_by = serializers.CharField()
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField(allow_null=True, help_text="To the minute.")


class AddressList(serializers.Serializer[object]):
    """The addresses of a feed's list."""

    addresses = AddressDocument(many=True)


class NewAddressDocument(AddressDocument):
    """An address that was made, whole, this once."""

    token = serializers.CharField()
    address = serializers.CharField()


class PreviewDocument(serializers.Serializer[object]):
    """Counts of living objects."""

    text = serializers.CharField(allow_blank=True, help_text="The filter in one line.")
    holds = serializers.IntegerField(help_text="At most 10,000.")
    changed_7d = serializers.IntegerField(help_text="Whose version was made within seven days.")
    covered = serializers.IntegerField(help_text="That another of your feeds holds.")
    disputed = serializers.IntegerField(help_text="That lists leave out: disputed, refuted, or dissented from by you.")
    ended_disputed = serializers.IntegerField(
        help_text="Besides: what others dissented from within 90 days, and was revoked or expired since."
    )
    cut = serializers.BooleanField(help_text="Whether there are more than were looked at.")


class FeedList(serializers.Serializer[object]):
    """The caller's feeds."""

    feeds = FeedDocument(many=True)


class SubscriptionDocument(serializers.Serializer[object]):
    """An address that is told of a feed's changes."""

    id = serializers.UUIDField()
    url = serializers.URLField(max_length=1000)
    feed = serializers.UUIDField(allow_null=True, required=False)
    state = serializers.ChoiceField(["active", "paused", "dead"])
    old_secret_until = serializers.DateTimeField(
        allow_null=True, help_text="Until then the secret before this one signs, too."
    )
    created_at = serializers.DateTimeField()
    format = serializers.ChoiceField(["standard", "slack", "teams"], help_text="The shape of its messages.")
    only = serializers.ChoiceField(
        ["yours"], allow_null=True, help_text="`yours`: of the feed, what concerns your partner; null: all of it."
    )
    failures = serializers.IntegerField(help_text="Attempts that failed since the last message that arrived.")
    failing_since = serializers.DateTimeField(
        allow_null=True, help_text="Since when its breaker is open: it is asked less often, and replays wait."
    )


class SubscribedDocument(SubscriptionDocument):
    """The answer to a subscription's creation: the only one that holds its secret."""

    secret = serializers.CharField(help_text="Signs every message (Standard Webhooks).")


class SubscriptionList(serializers.Serializer[object]):
    """The caller's subscriptions."""

    subscriptions = SubscriptionDocument(many=True)


class DeliveryDocument(serializers.Serializer[object]):
    """One message to a subscription and how it went."""

    id = serializers.UUIDField()
    subscription = serializers.UUIDField()
    kind = serializers.ChoiceField(
        ["changes", "ping", "again", "replay", "start-over", "refiltered"],
        help_text="`ping`, `again` and `replay` were asked for and are tried once; `start-over` follows a restore, and"
        " `refiltered` a change of the feed's filter.",
    )
    webhook_id = serializers.CharField(help_text="As the message says it; what is sent again keeps it.")
    state = serializers.ChoiceField(["due", "sending", "delivered", "dead"])
    attempts = serializers.IntegerField()
    changes = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    due_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)
    status_code = serializers.IntegerField(allow_null=True)
    outcome = serializers.CharField(allow_blank=True)


class DeliveryList(serializers.Serializer[object]):
    """The newest deliveries of a subscription."""

    deliveries = DeliveryDocument(many=True)


class LetterList(serializers.Serializer[object]):
    """Messages of a subscription, the oldest first."""

    deliveries = DeliveryDocument(many=True)
    more = serializers.BooleanField(help_text="Whether there are others after them.")
