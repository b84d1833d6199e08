"""What a push leaves beside its objects.

`publishing` writes Batch, `preparing` Preparation, `quarantine` Quarantined; `awaiting` and `confirming` write
HeldBatch, `awaiting` Outflow; `detectors` writes Detector, `excerpts` Excerpt. `retiring` deletes old Batches and
Outflows.
"""

from __future__ import annotations

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from exchange import clock
from exchange.stix.schemas import DETECTOR
from indicators.models.objects import Holding
from partners.models import Partner
from partners.sharing import OwnedManager, SharedManager


class Batch(models.Model):
    """One push and its answer: what a retry is answered with, and a TAXII status resource reads."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="batches")
    actor = models.CharField(max_length=80)
    idempotency_key = models.CharField(max_length=128, null=True)
    request_digest = models.BinaryField(max_length=32)
    received_at = models.DateTimeField(default=clock.now)
    counts = models.JSONField()
    alone = models.IntegerField(default=0, db_default=0, help_text="How many objects went out without a second person.")
    results = models.TextField(help_text="The JSON array of per-object results, as it was answered.")
    groups = ArrayField(models.UUIDField(), null=True, help_text="Where it may have gone; none: not known any more.")

    objects = OwnedManager["Batch"]()
    unrestricted = models.Manager["Batch"]()

    class Meta:
        base_manager_name = "unrestricted"
        constraints = [
            models.UniqueConstraint(fields=["partner", "idempotency_key"], name="one_batch_per_idempotency_key")
        ]
        indexes = [models.Index(fields=["partner", "-received_at"], name="batch_by_partner_and_time")]


class Outflow(models.Model):
    """What of a partner went out in one hour without a second person; counted while it has a cap (`awaiting`)."""

    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+", db_index=False)
    hour = models.DateTimeField()
    objects_sent = models.BigIntegerField()
    recipients = models.BigIntegerField(help_text="The partners that see each object, added up.")
    broad = models.BigIntegerField(help_text="Values that stand for many accounts (`door.breadth`).")

    objects = OwnedManager["Outflow"]()
    unrestricted = models.Manager["Outflow"]()

    class Meta:
        base_manager_name = "unrestricted"
        constraints = [models.UniqueConstraint(fields=["partner", "hour"], name="one_outflow_per_partner_and_hour")]


class Quarantined(models.Model):
    """An object that waits for its own partner to mend or delete it; nobody else sees it. `quarantine` writes it."""

    entry = models.UUIDField(unique=True, default=uuid.uuid4, editable=False, help_text="Names it; the key counts.")
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="quarantined")
    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="quarantined")
    stix_id = models.CharField(max_length=300)
    sealed = models.BinaryField(help_text="The bytes as sent, sealed (`exchange.sealing`), bound to partner and entry.")
    code = models.CharField(max_length=60)
    field = models.CharField(max_length=300)
    message = models.TextField()
    at = models.DateTimeField(default=clock.now)

    objects = OwnedManager["Quarantined"]()
    unrestricted = models.Manager["Quarantined"]()

    class Meta:
        base_manager_name = "unrestricted"
        constraints = [
            models.UniqueConstraint(fields=["partner", "stix_id"], name="one_quarantined_object_per_partner_and_id")
        ]
        indexes = [models.Index(fields=["partner", "-at", "-entry"], name="quarantined_by_partner_and_at")]


class HeldBatch(models.Model):
    """What one person or key may not publish alone, as it was sent; it waits for a second person of its partner."""

    class State(models.TextChoices):
        CONFIRMED = "confirmed", _("Confirmed")
        DECLINED = "declined", _("Declined")
        WAITING = "waiting", _("Waiting")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+")
    batch = models.OneToOneField(Batch, on_delete=models.PROTECT, related_name="held")
    body = models.TextField(help_text="The held objects, byte for byte, in an envelope; empty once it is decided.")
    digest = models.BinaryField(max_length=32, help_text="SHA-256 of the body.")
    places = models.JSONField(help_text="Which elements of the batch they are.")
    reach = models.JSONField(help_text="The audience that the batch named.")
    why = models.CharField(max_length=300)
    actor = models.CharField(max_length=80)
    at = models.DateTimeField(default=clock.now)
    state = models.CharField(max_length=9, choices=State, default=State.WAITING)
    decided_by = models.CharField(max_length=80, default="")
    decided_at = models.DateTimeField(null=True)

    objects = OwnedManager["HeldBatch"]()
    unrestricted = models.Manager["HeldBatch"]()

    class Meta:
        base_manager_name = "unrestricted"
        indexes = [models.Index(fields=["partner", "-at"], name="held_by_partner_and_time")]


class Detector(models.Model):
    """A detector of a partner's, by the id that its indicators name; what it is called, its partner alone reads."""

    id = models.BigAutoField(primary_key=True)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+", db_index=False)
    code = models.CharField(max_length=10, help_text="d- and 8 hexadecimal digits; unique for its partner only.")
    name = models.CharField(max_length=80)
    version = models.CharField(max_length=20, default="")
    sha256 = models.CharField(max_length=64, default="")
    actor = models.CharField(max_length=80)
    registered_at = models.DateTimeField(default=clock.now)
    retired_at = models.DateTimeField(null=True)

    objects = OwnedManager["Detector"]()
    unrestricted = models.Manager["Detector"]()

    class Meta:
        base_manager_name = "unrestricted"
        constraints = [
            models.UniqueConstraint(fields=["partner", "code"], name="a_partner_registers_a_detector_once"),
            models.CheckConstraint(condition=Q(code__regex=DETECTOR), name="a_detector_has_an_id_of_its_form"),
        ]

    def __str__(self) -> str:
        return self.code


class Excerpt(models.Model):
    """An excerpt of an attacker's prompt, beside the indicator that it belongs to; for people alone (`excerpts`)."""

    class State(models.TextChoices):
        SHOWN = "shown", _("Shown")
        WAITING = "waiting", _("Waiting")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+", db_index=False)
    holding = models.ForeignKey(Holding, on_delete=models.PROTECT, related_name="excerpts")
    excerpt_id = models.CharField(max_length=60)
    sha256 = models.BinaryField(max_length=32)
    text = models.CharField(max_length=280)
    state = models.CharField(max_length=7, choices=State, default=State.WAITING)
    actor = models.CharField(max_length=80)
    at = models.DateTimeField(default=clock.now)
    valid_until = models.DateTimeField()
    decided_by = models.CharField(max_length=80, default="")

    objects = SharedManager["Excerpt"]("holding__audience")
    unrestricted = models.Manager["Excerpt"]()

    class Meta:
        base_manager_name = "unrestricted"
        constraints = [
            models.UniqueConstraint(fields=["partner", "excerpt_id"], name="a_partner_sends_an_excerpt_once"),
            models.CheckConstraint(
                condition=~Q(state="shown") | ~Q(decided_by=""), name="what_is_shown_was_seen_by_a_second_person"
            ),
        ]
        indexes = [models.Index(fields=["valid_until"], name="excerpt_by_end")]

    def __str__(self) -> str:
        return self.excerpt_id


class Preparation(models.Model):
    """What somebody is about to publish in the portal: objects that were built, line by line. Written by `preparing`.

    `rows` are {n, line, shown, subkind, object, fault, sent, stayed}: `n` is a row's own number, `line` its place in
    the file. Of a line that the door refuses place and fault alone; of one that stayed in the browser its place
    and `stayed`, a word of `preparing.STAYED`.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+")
    actor = models.CharField(max_length=120)
    name = models.CharField(max_length=120)
    tlp = models.SmallIntegerField()
    rows = models.JSONField(default=list)
    created_at = models.DateTimeField(default=clock.now)
    changed_at = models.DateTimeField(default=clock.now)

    objects = OwnedManager["Preparation"]()
    unrestricted = models.Manager["Preparation"]()

    class Meta:
        base_manager_name = "unrestricted"
        indexes = [models.Index(fields=["partner", "-changed_at"], name="preparation_by_partner")]
