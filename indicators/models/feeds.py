"""Saved filters, and what is in force for whom.

`telling.subscribing` writes Feed, `feeds.proving` FeedSet and InForce, `feeds.receipts` Receipt and Release,
`feeds.snapshots` Snapshot, `feeds.ranging` RangeFile.
"""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from exchange import clock
from indicators.models.objects import Holding, StixObject
from partners.models import Partner
from partners.sharing import OwnedManager, SharedManager


class Feed(models.Model):
    """A saved filter over what its owner may see."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="feeds")
    name = models.CharField(max_length=120)
    filter = models.JSONField(default=dict, help_text="A filter, as JSON (`feeds.spelling`).")
    created_at = models.DateTimeField(default=clock.now)
    changed_at = models.DateTimeField(null=True, help_text="When its filter was last changed.")

    objects = OwnedManager["Feed"]()
    unrestricted = models.Manager["Feed"]()

    class Meta:
        base_manager_name = "unrestricted"
        constraints = [models.UniqueConstraint(fields=["partner", "name"], name="one_feed_per_name_and_partner")]

    def __str__(self) -> str:
        return self.name


class FeedSet(models.Model):
    """What is in force for one subscriber of a feed, by its own log: count and keyed hash over the rows of `InForce`.

    `after` and `fresh` are its place in the log; `place` is its own, which grows with each row that comes, changes or
    goes: cursors of the delta are places of it. Removals up to `pruned` are forgotten. `feeds.proving` is the only
    writer.
    """

    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+")
    feed = models.ForeignKey(Feed, on_delete=models.CASCADE, related_name="+", null=True)
    scope = models.TextField(help_text="The feed, and the groups that the key may see.")
    filter = models.TextField(default="", db_default="", help_text="The scope of the filter that it was asked under.")
    incarnation = models.CharField(max_length=40)
    set_key = models.BinaryField(max_length=32)
    after = models.BigIntegerField(default=0)
    fresh = models.BigIntegerField(default=0)
    complete = models.BooleanField(default=False, help_text="Whether it has followed the log to its end.")
    place = models.BigIntegerField(default=0)
    pruned = models.BigIntegerField(default=0)
    lost = models.BigIntegerField(
        default=0, db_default=0, help_text="Up to here a holding may have been lost for which another one stands."
    )
    count = models.BigIntegerField(default=0)
    total = models.BinaryField(max_length=32, default=bytes(32))
    looked_at = models.DateTimeField(
        null=True,
        help_text="When a filter that moves by itself was last asked whole; later by as much as it is to rest.",
    )
    asked_at = models.DateTimeField(default=clock.now)

    objects = OwnedManager["FeedSet"]()
    unrestricted = models.Manager["FeedSet"]()

    class Meta:
        base_manager_name = "unrestricted"
        constraints = [models.UniqueConstraint(fields=["partner", "scope"], name="one_set_per_subscriber_and_filter")]

    def __str__(self) -> str:
        return f"set {self.pk}"


class InForce(models.Model):
    """One object of a `FeedSet`, or what is told of its removal; `feeds.proving` is the only writer."""

    feed_set = models.ForeignKey(FeedSet, on_delete=models.CASCADE, related_name="rows", db_index=False)
    holding = models.ForeignKey(Holding, on_delete=models.PROTECT, related_name="+", db_index=False)
    version = models.ForeignKey(StixObject, on_delete=models.PROTECT, related_name="+", db_index=False)
    source = models.UUIDField(help_text="The shown source.")
    source_name = models.CharField(max_length=200)
    named = models.BooleanField()
    tlp = models.SmallIntegerField(null=True, help_text="The shown marking; null of what came before this was kept.")
    place = models.BigIntegerField()
    came = models.BigIntegerField(
        null=True, help_text="The place at which it came, or came back; null of what came before this was kept."
    )
    removed = models.CharField(max_length=10, blank=True, help_text="Why it went; empty while it is in force.")
    date_added = models.DateTimeField(help_text="Of the change in the log.")
    told_at = models.DateTimeField()

    objects = SharedManager["InForce"]("version__holding__audience")
    unrestricted = models.Manager["InForce"]()

    class Meta:
        base_manager_name = "unrestricted"
        constraints = [models.UniqueConstraint(fields=["feed_set", "holding"], name="one_row_per_set_and_holding")]
        indexes = [
            models.Index(fields=["feed_set", "place"], name="in_force_by_place"),
            models.Index(fields=["told_at"], condition=~Q(removed=""), name="in_force_that_went"),
        ]

    def __str__(self) -> str:
        return f"{self.holding_id} at {self.place}"


class RangeFile(models.Model):
    """The list of a `FeedSet` cut into ranges, at one place; without a name, it is still to be made.

    `feeds.ranging` writes.
    """

    feed_set = models.OneToOneField(FeedSet, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=32, blank=True, help_text="Of its file, without how it ends.")
    place = models.BigIntegerField(default=0)
    entries = models.BigIntegerField(default=0)
    made_at = models.DateTimeField(null=True)
    asked_at = models.DateTimeField(default=clock.now)
    claimed_until = models.DateTimeField(null=True, help_text="Until when nobody but one worker makes it.")

    objects = OwnedManager["RangeFile"]()
    unrestricted = models.Manager["RangeFile"]()

    class Meta:
        base_manager_name = "unrestricted"

    def __str__(self) -> str:
        return f"ranges of set {self.feed_set_id}"


class Receipt(models.Model):
    """What one instance of a subscriber said it has applied of a feed; `feeds.receipts` is the only writer."""

    feed_set = models.ForeignKey(FeedSet, on_delete=models.CASCADE, related_name="receipts", db_index=False)
    instance = models.CharField(max_length=64)
    version = models.CharField(max_length=40, blank=True)
    place = models.BigIntegerField(help_text="Of the set: what was told up to it is applied.")
    equal = models.BooleanField(
        null=True, help_text="Whether its set hash was the exchange's; null where it was ahead."
    )
    counts = models.JSONField(default=dict)
    late = models.JSONField(null=True, help_text="Kinds of its parts that lack something, how many, for how long.")
    lag_s = models.FloatField(null=True)
    at = models.DateTimeField()
    since = models.DateTimeField(default=clock.now, db_default=Now(), help_text="When it said so for the first time.")

    objects = OwnedManager["Receipt"]()
    unrestricted = models.Manager["Receipt"]()

    class Meta:
        base_manager_name = "unrestricted"
        constraints = [
            models.UniqueConstraint(fields=["feed_set", "instance"], name="one_receipt_per_instance_and_set")
        ]

    def __str__(self) -> str:
        return f"{self.instance} at {self.place}"


class Release(models.Model):
    """When an instance had applied a stretch of its set that holds a recall; `feeds.receipts` writes it."""

    id = models.BigAutoField(primary_key=True)
    feed_set = models.ForeignKey(FeedSet, on_delete=models.CASCADE, related_name="+", db_index=False)
    instance = models.CharField(max_length=64)
    place = models.BigIntegerField(help_text="Of the set: what was told up to it is applied.")
    at = models.DateTimeField(default=clock.now)

    unrestricted = models.Manager["Release"]()

    class Meta:
        base_manager_name = "unrestricted"
        indexes = [
            models.Index(fields=["feed_set", "instance", "place"], name="release_by_place"),
            models.Index(fields=["at"], name="release_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.instance} at {self.place}"


class Snapshot(models.Model):
    """The file of a `FeedSet` at one place; without a name, it is still to be made. `feeds.snapshots` writes."""

    feed_set = models.OneToOneField(FeedSet, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=32, blank=True, help_text="Of its files, without how they end.")
    place = models.BigIntegerField(default=0)
    rows = models.BigIntegerField(default=0)
    made_at = models.DateTimeField(null=True)
    asked_at = models.DateTimeField(default=clock.now)
    claimed_until = models.DateTimeField(null=True, help_text="Until when nobody but one worker makes it.")

    objects = OwnedManager["Snapshot"]()
    unrestricted = models.Manager["Snapshot"]()

    class Meta:
        base_manager_name = "unrestricted"

    def __str__(self) -> str:
        return f"snapshot of set {self.feed_set_id}"
