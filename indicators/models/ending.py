"""What ends holdings, and what can still be undone.

`ending.disarming` and `ending.deciding` write Ending and Disarmed, `ending.recalling` Recall.
"""

from __future__ import annotations

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from exchange import clock
from indicators.models.objects import Holding, StixObject
from partners.models import Audience, Partner
from partners.sharing import OwnedManager


class Ending(models.Model):
    """That a partner ended living holdings by one act: for good at once, or, beyond its cap, to be decided.

    What is disarmed can be undone `until` then, and is final after that. What the flood breaker disarmed stays so until
    its publisher decides.
    """

    class State(models.TextChoices):
        DISARMED = "disarmed", _("Disarmed")
        FINAL = "final", _("Final")
        UNDONE = "undone", _("Undone")

    class Verb(models.TextChoices):
        FLOOD = "flood", _("Stopped")
        RECALL = "recall", _("Recalled")
        REVOKE = "revoke", _("Revoked")
        WITHDRAW = "withdraw", _("Withdrawn")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+", db_index=False)
    actor = models.CharField(max_length=80)
    verb = models.CharField(max_length=8, choices=Verb)
    objects_ended = models.IntegerField()
    at = models.DateTimeField(default=clock.now)
    state = models.CharField(max_length=8, choices=State)
    until = models.DateTimeField(null=True, help_text="Of what was disarmed: when it is final.")
    reach = models.JSONField(null=True, help_text="The audience that the batch of a revocation named.")
    alone = models.BooleanField(
        default=False, db_default=False, help_text="Whether who ended them may make it final alone."
    )
    decided_by = models.CharField(max_length=80, default="")
    decided_at = models.DateTimeField(null=True)
    brought_back = models.IntegerField(default=0)

    objects = OwnedManager["Ending"]()
    unrestricted = models.Manager["Ending"]()

    class Meta:
        base_manager_name = "unrestricted"
        constraints = [
            models.CheckConstraint(
                condition=~Q(state="disarmed") | ~Q(until=None) | Q(verb="flood"), name="what_is_disarmed_has_an_end"
            )
        ]
        indexes = [
            models.Index(fields=["partner", "at"], name="ending_by_partner_and_time"),
            models.Index(fields=["until"], condition=Q(state="disarmed"), name="ending_due"),
        ]


class Disarmed(models.Model):
    """A holding that is disarmed: the audience and version that it had, and the bytes that are to end it for good."""

    id = models.BigAutoField(primary_key=True)
    ending = models.ForeignKey(Ending, on_delete=models.CASCADE, related_name="+")
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+", db_index=False)
    holding = models.OneToOneField(Holding, on_delete=models.PROTECT, related_name="+")
    audience = models.ForeignKey(Audience, on_delete=models.PROTECT, related_name="+", db_index=False)
    newest = models.ForeignKey(StixObject, on_delete=models.PROTECT, related_name="+", db_index=False)
    body = models.TextField(help_text="The versions that came with its end, byte for byte; empty without any.")

    objects = OwnedManager["Disarmed"]()
    unrestricted = models.Manager["Disarmed"]()

    class Meta:
        base_manager_name = "unrestricted"


class Recall(models.Model):
    """What a partner recalls: the holdings that its question found, frozen, until it is carried out as an Ending.

    `ending.recalling` is the only writer. Without an ending it is only prepared: nobody was told of anything.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+")
    actor = models.CharField(max_length=80)
    at = models.DateTimeField(default=clock.now)
    asked = models.JSONField(help_text="What was asked for, as it was sent.")
    holdings = ArrayField(models.BigIntegerField())
    ending = models.OneToOneField(Ending, on_delete=models.PROTECT, related_name="recall", null=True)

    objects = OwnedManager["Recall"]()
    unrestricted = models.Manager["Recall"]()

    class Meta:
        base_manager_name = "unrestricted"
        indexes = [models.Index(fields=["at"], name="recall_by_time")]

    def __str__(self) -> str:
        return f"recall {self.pk}"
