"""What partners think of each other's objects, and what they met of them.

`opinions.recording` writes Opinion, `opinions.tallying` Tally, `opinions.flooding` Flood, `opinions.weighing` Told,
`opinions.appealing` Appeal and Ticket, `opinions.bounding` Bounded and BoundDue.
"""

from __future__ import annotations

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from exchange import clock
from indicators.models.objects import Holding
from partners.models import Audience, Partner
from partners.sharing import OwnedManager, SharedManager


class Opinion(models.Model):
    """What one partner thinks of one holding: of the opinions that it published, the last. `opinions.recording` writes.

    `said_by` is the holding of the opinion, which decides who hears it and whether it is in force; `audience` is the
    one that was told of it last. `place` orders opinions. A dissent that does not count `alone` is beyond the cap of a
    day, until a second person of the partner confirms it.
    """

    holding = models.ForeignKey(Holding, on_delete=models.PROTECT, related_name="opinions", db_index=False)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+", db_index=False)
    said_by = models.ForeignKey(Holding, on_delete=models.PROTECT, related_name="says")
    audience = models.ForeignKey(Audience, on_delete=models.PROTECT, related_name="+", db_index=False)
    says = models.SmallIntegerField(help_text="1: confirms, -1: dissents, 0: neither.")
    reason = models.CharField(max_length=24)
    place = models.BigIntegerField()
    alone = models.BooleanField(default=True)
    actor = models.CharField(max_length=80, default="")
    at = models.DateTimeField(default=clock.now)

    objects = SharedManager["Opinion"]("said_by__audience", "holding__audience")
    unrestricted = models.Manager["Opinion"]()

    class Meta:
        base_manager_name = "unrestricted"
        constraints = [
            models.UniqueConstraint(fields=["holding", "partner"], name="one_opinion_per_partner_and_holding"),
            models.CheckConstraint(condition=Q(says__in=[-1, 0, 1]), name="it_confirms_dissents_or_neither"),
        ]
        indexes = [
            models.Index(fields=["partner", "-at"], name="opinion_by_partner_and_time"),
            models.Index(fields=["at"], condition=Q(says__lt=0), name="dissent_by_time"),
        ]


class Bounded(models.Model):
    """That an opinion or sighting goes no further than others' objects that it is about. `opinions.bounding` writes.

    `asked` is where its giver sent it, `given` where that went then; a holding that is elsewhere was sent there since.
    """

    said_by = models.OneToOneField(Holding, on_delete=models.PROTECT, related_name="+", primary_key=True)
    asked = models.ForeignKey(Audience, on_delete=models.PROTECT, related_name="+", db_index=False)
    given = models.ForeignKey(Audience, on_delete=models.PROTECT, related_name="+", db_index=False)
    about = ArrayField(models.BigIntegerField(), help_text="The holdings of others that its giver saw under its ids.")

    unrestricted = models.Manager["Bounded"]()

    class Meta:
        base_manager_name = "unrestricted"

    def __str__(self) -> str:
        return f"bounds of {self.said_by_id}"


class BoundDue(models.Model):
    """That somebody looks where an opinion or sighting may be: what it is about changed. `opinions.bounding` writes."""

    said_by = models.OneToOneField(Holding, on_delete=models.PROTECT, related_name="+", primary_key=True)
    giver = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+", db_index=False)

    unrestricted = models.Manager["BoundDue"]()

    class Meta:
        base_manager_name = "unrestricted"
        indexes = [models.Index(fields=["giver", "said_by"], name="bound_due_by_giver")]

    def __str__(self) -> str:
        return f"bounds of {self.said_by_id} are due"


class Silence(models.Model):
    """How far those who hear a partner were told that its opinions do not count, or count again.

    `reached` is the last of its opinions that was told of, null where all were. `opinions.silencing` writes.
    """

    partner = models.OneToOneField(Partner, on_delete=models.PROTECT, related_name="+", primary_key=True)
    silent = models.BooleanField()
    since = models.DateTimeField(null=True, help_text="When the partner came into the state that was told of.")
    reached = models.BigIntegerField(null=True)

    objects = OwnedManager["Silence"]()
    unrestricted = models.Manager["Silence"]()

    class Meta:
        base_manager_name = "unrestricted"


class Tally(models.Model):
    """What one partner met of one holding in one hour, by one agent or sighting: powers of ten, or 0.

    Read by the exchange alone. `opinions.tallying` writes.
    """

    id = models.BigAutoField(primary_key=True)
    holding = models.ForeignKey(Holding, on_delete=models.PROTECT, related_name="+", db_index=False)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+", db_index=False)
    said_by = models.CharField(max_length=80)
    hour = models.DateTimeField()
    matched = models.BigIntegerField()
    blocked = models.BigIntegerField()
    at = models.DateTimeField(default=clock.now)

    objects = OwnedManager["Tally"]()
    unrestricted = models.Manager["Tally"]()

    class Meta:
        base_manager_name = "unrestricted"
        constraints = [
            models.UniqueConstraint(
                fields=["holding", "partner", "said_by", "hour"], name="one_tally_per_holding_partner_speaker_and_hour"
            )
        ]
        indexes = [
            models.Index(fields=["hour"], name="met_by_hour"),
            models.Index(fields=["partner", "hour"], name="met_by_partner_and_hour"),
        ]

    def __str__(self) -> str:
        return f"{self.holding_id} at {self.hour}"


class Flood(models.Model):
    """That a holding was disarmed as a flood: the level that was met, which its publisher may let stand.

    `opinions.flooding` writes.
    """

    holding = models.OneToOneField(Holding, on_delete=models.PROTECT, related_name="+", primary_key=True)
    level = models.BigIntegerField(help_text="The most that a subscriber met in an hour; told to nobody.")
    at = models.DateTimeField()

    unrestricted = models.Manager["Flood"]()

    class Meta:
        base_manager_name = "unrestricted"

    def __str__(self) -> str:
        return f"flood of {self.holding_id}"


class Told(models.Model):
    """What a publisher was last told of the usefulness of its objects. `opinions.weighing` writes.

    `subject` is `all`, or `holding:` and a key.
    """

    id = models.BigAutoField(primary_key=True)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+", db_index=False)
    subject = models.CharField(max_length=40)
    at = models.DateTimeField()
    said = models.JSONField()

    objects = OwnedManager["Told"]()
    unrestricted = models.Manager["Told"]()

    class Meta:
        base_manager_name = "unrestricted"
        constraints = [models.UniqueConstraint(fields=["partner", "subject"], name="one_number_told_per_subject")]
        indexes = [models.Index(fields=["at"], name="told_by_time")]

    def __str__(self) -> str:
        return self.subject


class Appeal(models.Model):
    """That a partner's support asked, by tokens that are not kept, to look again. `opinions.appealing` writes."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+", db_index=False)
    actor = models.CharField(max_length=80)
    at = models.DateTimeField()
    reason = models.CharField(max_length=24)
    tokens = models.SmallIntegerField(help_text="How many.")

    objects = OwnedManager["Appeal"]()
    unrestricted = models.Manager["Appeal"]()

    class Meta:
        base_manager_name = "unrestricted"
        indexes = [
            models.Index(fields=["partner", "-at"], name="appeal_by_partner_and_time"),
            models.Index(fields=["at"], name="appeal_by_time"),
        ]

    def __str__(self) -> str:
        return f"appeal {self.pk}"


class Ticket(models.Model):
    """An appeal on one holding, for its publisher to answer; who filed it is not told. `opinions.appealing` writes.

    `seen`: the filer saw the holding then; of any other it is told nothing.
    """

    class Outcome(models.TextChoices):
        KEPT = "kept", _("Kept")
        REVOKED = "revoked", _("Revoked")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    appeal = models.ForeignKey(Appeal, on_delete=models.CASCADE, related_name="tickets")
    publisher = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+", db_index=False)
    holding = models.ForeignKey(Holding, on_delete=models.PROTECT, related_name="+")
    seen = models.BooleanField()
    due_at = models.DateTimeField()
    outcome = models.CharField(max_length=8, choices=Outcome, blank=True, default="")
    decided_at = models.DateTimeField(null=True)
    decided_by = models.CharField(max_length=80, default="")
    told = models.BooleanField(default=False, help_text="That it is overdue.")

    unrestricted = models.Manager["Ticket"]()

    class Meta:
        base_manager_name = "unrestricted"
        constraints = [
            models.UniqueConstraint(fields=["appeal", "holding"], name="one_ticket_per_appeal_and_holding"),
            models.CheckConstraint(
                condition=Q(outcome="", decided_at=None) | ~Q(outcome="") & Q(decided_at__isnull=False),
                name="what_is_answered_was_answered_at_some_time",
            ),
        ]
        indexes = [
            models.Index(fields=["publisher", "due_at"], name="ticket_by_publisher"),
            models.Index(fields=["due_at"], condition=~Q(outcome="kept") & Q(told=False), name="ticket_untold"),
        ]

    def __str__(self) -> str:
        return f"ticket {self.pk}"
