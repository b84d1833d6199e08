"""One opinion on many objects: what was frozen, and what became of each. `opinions.many` is the only writer."""

from __future__ import annotations

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from exchange import clock
from partners.models import Partner
from partners.sharing import OwnedManager


class Judging(models.Model):
    """One opinion that a person gives on many of others' objects: their ids, frozen, and how far it is.

    Its row is the queue: a worker claims it until `claimed_until`, and does a few parts. `until` is the end of the
    time in which it can be taken back. What colleagues had said until `over_until` gives way to it, where that is set;
    what they said later, and where it is not set, stays.
    """

    class State(models.TextChoices):
        PREPARED = "prepared", _("Prepared")
        RUNNING = "running", _("Running")
        DONE = "done", _("Done")
        UNDOING = "undoing", _("Being taken back")
        UNDONE = "undone", _("Taken back")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+", db_index=False)
    actor = models.CharField(max_length=80)
    at = models.DateTimeField(default=clock.now)
    ids = ArrayField(models.TextField())
    opinion = models.CharField(max_length=20, default="")
    reason = models.CharField(max_length=24, default="")
    state = models.CharField(max_length=8, choices=State, default=State.PREPARED)
    begun_at = models.DateTimeField(null=True)
    over_until = models.DateTimeField(null=True)
    until = models.DateTimeField(null=True)
    undone_by = models.CharField(max_length=80, default="")
    undone_at = models.DateTimeField(null=True)
    claimed_until = models.DateTimeField(null=True)

    objects = OwnedManager["Judging"]()
    unrestricted = models.Manager["Judging"]()

    class Meta:
        base_manager_name = "unrestricted"
        constraints = [
            models.CheckConstraint(
                condition=Q(state="prepared") | Q(begun_at__isnull=False) & ~Q(opinion=""),
                name="what_is_begun_says_what",
            ),
        ]
        indexes = [
            models.Index(fields=["partner", "-at"], name="judging_by_partner_and_time"),
            models.Index(fields=["at"], condition=Q(state__in=["running", "undoing"]), name="judging_due"),
        ]

    def __str__(self) -> str:
        return f"judging {self.pk}"


class JudgingPart(models.Model):
    """One object of a judging: what became of the opinion on it.

    `place` is the version that said it, `before_*` what the partner had said until then; both are there for the undo.
    """

    class State(models.TextChoices):
        DUE = "due", _("Due")
        GIVING = "giving", _("Being given")
        GIVEN = "given", _("Given")
        SAME = "same", _("Said before")
        REFUSED = "refused", _("Refused")
        BACK = "back", _("Taken back")
        KEPT = "kept", _("Said anew since")

    id = models.BigAutoField(primary_key=True)
    judging = models.ForeignKey(Judging, on_delete=models.CASCADE, related_name="parts", db_index=False)
    position = models.IntegerField()
    stix_id = models.TextField()
    state = models.CharField(max_length=8, choices=State, default=State.DUE)
    detail = models.TextField(default="")
    place = models.BigIntegerField(null=True)
    before_opinion = models.CharField(max_length=20, default="")
    before_reason = models.CharField(max_length=24, default="")

    unrestricted = models.Manager["JudgingPart"]()

    class Meta:
        base_manager_name = "unrestricted"
        constraints = [
            models.UniqueConstraint(fields=["judging", "position"], name="one_part_per_judging_and_position"),
        ]
        indexes = [models.Index(fields=["judging", "state", "position"], name="judging_part_by_state")]

    def __str__(self) -> str:
        return f"{self.stix_id} of {self.judging_id}"
