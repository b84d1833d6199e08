"""Who is told of changes, and each message.

`telling.subscribing` writes Subscription, and `telling.breaker` how its endpoint fails. `telling.notifying`,
`telling.delivering` and `telling.replaying` write Delivery, `telling.digesting` Digest.
"""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from exchange import clock
from indicators.models.feeds import Feed
from partners.models import Partner, User
from partners.sharing import OwnedManager


class Subscription(models.Model):
    """A feed and the address that is told of its changes. `seq` is its place in the log.

    `telling.looking` writes `place` and `look_at`, of feeds whose filter moves by itself.
    """

    class State(models.TextChoices):
        ACTIVE = "active", _("Active")
        DEAD = "dead", _("Given up")
        PAUSED = "paused", _("Paused")

    class Format(models.TextChoices):
        STANDARD = "standard", _("Standard Webhooks")
        SLACK = "slack", _("Slack")
        TEAMS = "teams", _("Microsoft Teams")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="subscriptions")
    feed = models.ForeignKey(Feed, on_delete=models.PROTECT, related_name="subscriptions", null=True)
    url = models.URLField(max_length=1000)
    secret = models.CharField(max_length=200, help_text="Signs the webhooks; the receiver holds the same.")
    old_secret = models.CharField(
        max_length=200, default="", db_default="", help_text="The one before it, which signs too, for a time."
    )
    old_secret_until = models.DateTimeField(null=True)
    state = models.CharField(max_length=8, choices=State, default=State.ACTIVE)
    seq = models.BigIntegerField(default=0)
    incarnation = models.CharField(
        max_length=16, default="", db_default="", help_text="Of the store, when it was last told to start over."
    )
    created_at = models.DateTimeField(default=clock.now)
    format = models.CharField(
        max_length=8,
        choices=Format,
        default=Format.STANDARD,
        db_default=Format.STANDARD,
        help_text="The shape of its messages.",
    )
    only_yours = models.BooleanField(
        default=False, db_default=False, help_text="It is told only what concerns its own partner (`concerning`)."
    )
    failures = models.IntegerField(
        default=0, db_default=0, help_text="Attempts that failed since the last one that arrived."
    )
    opened_at = models.DateTimeField(null=True, help_text="Since when its breaker is open; None while it is closed.")
    set_id = models.BigIntegerField(
        null=True, help_text="The FeedSet by which it is told, where the filter moves by itself; else the log tells."
    )
    place = models.BigIntegerField(default=0, db_default=0, help_text="Of that set: up to here it was told.")
    look_at = models.DateTimeField(null=True, help_text="When that set is brought up to date for it.")

    objects = OwnedManager["Subscription"]()
    unrestricted = models.Manager["Subscription"]()

    class Meta:
        base_manager_name = "unrestricted"
        indexes = [
            models.Index(fields=["look_at"], condition=Q(set_id__isnull=False), name="subscription_to_look_at"),
        ]


class Delivery(models.Model):
    """One message to one subscription, with its attempts. The row is the queue: `delivering` claims it.

    It names changes by their place in the log (`first_seq`..`last_seq`); the message is written when it is
    sent, after asking again what the partner may see. What a person asks for (`again`, `ping`, `replay`) is tried once,
    and costs the subscription none of its attempts. After the store was restored, `start-over` goes before all other
    changes. `refiltered` says that the feed selects something else by now.
    """

    class Kind(models.TextChoices):
        AGAIN = "again", _("Sent again")
        CHANGES = "changes", _("Changes")
        FEED_CHANGED = "refiltered", _("Feed changed")
        PING = "ping", _("Test")
        REPLAY = "replay", _("Replayed")
        START_OVER = "start-over", _("Start over")

    class State(models.TextChoices):
        DEAD = "dead", _("Given up")
        DELIVERED = "delivered", _("Delivered")
        DUE = "due", _("Due")
        SENDING = "sending", _("Sending")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+")
    subscription = models.ForeignKey(Subscription, on_delete=models.CASCADE, related_name="deliveries")
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.CHANGES, db_default=Kind.CHANGES)
    again_of = models.ForeignKey("self", on_delete=models.SET_NULL, related_name="+", null=True)
    first_seq = models.BigIntegerField()
    last_seq = models.BigIntegerField()
    first_place = models.BigIntegerField(
        null=True, help_text="Of the set of a feed that moves by itself, in place of the log."
    )
    last_place = models.BigIntegerField(null=True)
    changes = models.IntegerField(help_text="How many changes the message told of.")
    urgent = models.BooleanField(default=False, db_default=False, help_text="Whether it tells of a removal.")
    state = models.CharField(max_length=10, choices=State, default=State.DUE)
    attempts = models.SmallIntegerField(default=0)
    due_at = models.DateTimeField(default=clock.now)
    claimed_until = models.DateTimeField(null=True)
    planned_at = models.DateTimeField(null=True, help_text="When it would be due, had it not been brought forward.")
    rests_until = models.DateTimeField(null=True, help_text="Until when news does not bring it forward.")
    seen_seq = models.BigIntegerField(default=0, db_default=0, help_text="Up to here, news has been considered.")
    created_at = models.DateTimeField(default=clock.now)
    finished_at = models.DateTimeField(null=True)
    status_code = models.SmallIntegerField(null=True)
    outcome = models.CharField(max_length=200, default="", help_text="Of the last attempt, in words.")

    #: The store's when it was claimed; set by `delivering.claim`.
    incarnation: str

    objects = OwnedManager["Delivery"]()
    unrestricted = models.Manager["Delivery"]()

    class Meta:
        base_manager_name = "unrestricted"
        indexes = [
            models.Index(fields=["due_at"], condition=Q(state="due"), name="delivery_due"),
            models.Index(
                fields=["partner", "-urgent", "due_at", "id"], condition=Q(state="due"), name="delivery_due_to_partner"
            ),
            models.Index(fields=["claimed_until"], condition=Q(state="sending"), name="delivery_claimed"),
            models.Index(fields=["subscription", "-created_at"], name="delivery_by_subscription"),
            models.Index(fields=["partner", "-created_at"], name="delivery_by_partner"),
            models.Index(fields=["finished_at"], condition=Q(finished_at__isnull=False), name="delivery_by_end"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["subscription"],
                condition=Q(kind="changes", state__in=["due", "sending"]),
                name="one_delivery_of_changes_under_way_per_subscription",
            ),
            models.UniqueConstraint(
                fields=["subscription"],
                condition=Q(kind="start-over", state__in=["due", "sending"]),
                name="one_start_over_under_way_per_subscription",
            ),
        ]


class Digest(models.Model):
    """How a person is told by e-mail what concerns their partner, and up to where they were."""

    class Every(models.TextChoices):
        DAILY = "daily", _("Every day")
        HOURLY = "hourly", _("Every hour")
        OFF = "off", _("Never")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="+")
    every = models.CharField(max_length=6, choices=Every, default=Every.OFF)
    hour = models.SmallIntegerField(default=8, help_text="Of the daily one, by the person's own clock.")
    time_zone = models.CharField(max_length=64, default="UTC")
    quiet_from = models.SmallIntegerField(null=True, help_text="The first hour in which nothing is sent.")
    quiet_until = models.SmallIntegerField(null=True, help_text="The first hour after it.")
    feeds = models.JSONField(default=list, help_text="Ids of feeds; of those that are gone nothing is told.")
    told_at = models.DateTimeField(default=clock.now, help_text="What came later is not told yet.")
    seq = models.BigIntegerField(default=0, help_text="The same, as a place in the log.")
    places = models.JSONField(null=True, help_text="The same, of feeds that move by themselves: by id, set and place.")
    due_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="digest_due")]

    def __str__(self) -> str:
        return f"digest {self.pk}"
