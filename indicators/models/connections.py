"""Other exchanges: servers that a partner pulls from or pushes to, and what went through.

`connections.keeping` writes Connection, `connections.running` its place and how it goes; `connections.taking` and
`connections.pushing` write Passed, `connections.checking` when it was last met; `connections.heads` writes PeerHead,
and how the other exchange's log stands.
"""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from exchange import clock
from indicators.models.feeds import Feed
from partners.models import Partner
from partners.sharing import OwnedManager
from partners.tlp import Tlp


class Connection(models.Model):
    """A server of somebody else, and which way objects go. The row is the queue: `due_at` is when it is asked next."""

    class Kind(models.TextChoices):
        MISP = "misp", _("MISP")
        TAXII = "taxii", _("TAXII 2.1")

    class Direction(models.TextChoices):
        PULL = "pull", _("Pull from it")
        PUSH = "push", _("Push to it")

    class State(models.TextChoices):
        ACTIVE = "active", _("Active")
        ENDED = "ended", _("Ended")
        PAUSED = "paused", _("Paused")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="connections")
    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=8, choices=Kind)
    direction = models.CharField(max_length=8, choices=Direction)
    url = models.CharField(max_length=1000, help_text="Of a TAXII collection, or of a MISP.")
    credential = models.TextField(
        default="", help_text="The Authorization header, sealed, bound to the connection and its address."
    )
    state = models.CharField(max_length=8, choices=State, default=State.ACTIVE)
    actor = models.CharField(max_length=80, help_text="Who made it.")
    created_at = models.DateTimeField(default=clock.now)
    strictest = models.SmallIntegerField(choices=Tlp, default=Tlp.GREEN, help_text="What is stricter does not pass.")
    reach = models.JSONField(default=dict, help_text="Of a pull: the audience of what comes in (`publishing.Reach`).")
    says = models.JSONField(default=dict, db_default={}, help_text="Of a pull from MISP: what is said of all.")
    feed = models.ForeignKey(Feed, on_delete=models.PROTECT, related_name="+", null=True, help_text="Of a push.")
    every_s = models.IntegerField(default=60, help_text="Seconds between two runs.")
    log_key = models.CharField(
        max_length=64, default="", db_default="", help_text="The public key of the other exchange's log, in hex."
    )
    # How it goes.
    log_alarm = models.CharField(
        max_length=12,
        default="",
        db_default="",
        help_text="What is wrong with that log (`heads.Alarm`): nothing passes.",
    )
    log_seen_at = models.DateTimeField(null=True, help_text="When that log was looked at last.")
    log_owed_at = models.DateTimeField(
        null=True, help_text="When objects came first of which the newest head of that log cannot know."
    )
    place = models.JSONField(default=dict, help_text="How far it has come, in the words of its kind.")
    due_at = models.DateTimeField(default=clock.now)
    claimed_until = models.DateTimeField(null=True)
    generation = models.IntegerField(default=0, db_default=0, help_text="How often it was changed: a run is of one.")
    failures = models.IntegerField(default=0, help_text="Runs that failed since the last that did not.")
    failing_since = models.DateTimeField(null=True)
    last_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=300, default="")
    counts = models.JSONField(default=dict, help_text="By answer, how many objects since it was made.")
    last_batch = models.UUIDField(null=True, help_text="The last push that something was refused of.")

    objects = OwnedManager["Connection"]()
    unrestricted = models.Manager["Connection"]()

    class Meta:
        base_manager_name = "unrestricted"
        constraints = [
            models.UniqueConstraint(
                fields=["partner", "name"], condition=~Q(state="ended"), name="one_connection_per_partner_and_name"
            ),
            models.CheckConstraint(condition=Q(strictest__lt=Tlp.RED), name="red_passes_no_connection"),
        ]
        indexes = [models.Index(fields=["due_at"], condition=Q(state="active"), name="connection_by_due")]


class PeerHead(models.Model):
    """A signed head of the log of another exchange, and the proof that it goes on from the one before (`heads`)."""

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="+", db_index=False)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+", db_index=False)
    size = models.BigIntegerField()
    root = models.BinaryField(max_length=32)
    at = models.DateTimeField(help_text="When it was signed, by its own clock.")
    key_id = models.CharField(max_length=16)
    signature = models.CharField(max_length=100)
    proof = models.JSONField(default=list, help_text="Hashes, from the head that was kept before it.")
    seen_at = models.DateTimeField(default=clock.now)

    objects = OwnedManager["PeerHead"]()
    unrestricted = models.Manager["PeerHead"]()

    class Meta:
        base_manager_name = "unrestricted"
        constraints = [models.UniqueConstraint(fields=["connection", "size"], name="one_head_per_connection_and_size")]


class Passed(models.Model):
    """An object that came in by a connection, or that the other server was given."""

    connection = models.ForeignKey(Connection, on_delete=models.PROTECT, related_name="passed", db_index=False)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+", db_index=False)
    stix_id = models.CharField(max_length=300)
    source = models.CharField(max_length=80, default="", db_default="", help_text="Of MISP: the event that says it.")
    digest = models.BinaryField(null=True, max_length=32, help_text="Of MISP: SHA-256 of what was said of it.")
    at = models.DateTimeField(default=clock.now, help_text="When it passed, or was found there, last.")
    gone = models.BooleanField(default=False, help_text="Taken back because it is not there any more, or too strict.")

    objects = OwnedManager["Passed"]()
    unrestricted = models.Manager["Passed"]()

    class Meta:
        base_manager_name = "unrestricted"
        constraints = [
            models.UniqueConstraint(fields=["connection", "stix_id"], name="an_object_passes_a_connection_once")
        ]
        indexes = [
            models.Index(fields=["partner", "stix_id"], name="passed_by_partner_and_id"),
            models.Index(fields=["connection", "source"], condition=~Q(source=""), name="passed_by_source"),
        ]
