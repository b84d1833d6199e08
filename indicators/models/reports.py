"""Bundles for one recipient, and when they are prepared.

`reports.reporting` writes ReportPackage, `reports.scheduling` ReportSchedule.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q, Value
from django.utils.translation import gettext_lazy as _

from exchange import clock
from indicators.models.feeds import Feed
from partners.models import AuditRecord, Partner, RecipientTerms
from partners.sharing import OwnedManager

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from partners.viewer import Viewer


class ReportManager(OwnedManager["ReportPackage"]):
    """Packages belong to the partner that prepares them; once released, their recipient reads them, too."""

    def released_to(self, viewer: Viewer) -> QuerySet[ReportPackage]:
        """Those that were released to the viewer's partner."""
        released = models.Manager.get_queryset(self).filter(recipient=viewer.partner_id, state="released")
        return released.select_related("partner", "recipient", "terms", "release__leaf")


class ReportSchedule(models.Model):
    """When a draft is put together, of what, and for whom. The row is the queue. Written by `scheduling`."""

    class Every(models.TextChoices):
        MONTH = "month", _("Every month")
        WEEK = "week", _("Every week")

    class State(models.TextChoices):
        ACTIVE = "active", _("Active")
        ENDED = "ended", _("Ended")
        PAUSED = "paused", _("Paused")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="report_schedules")
    name = models.CharField(max_length=120)
    recipient = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+")
    root = models.CharField(max_length=300, default="", help_text="The STIX id that each begins with.")
    feed = models.ForeignKey(
        Feed, on_delete=models.PROTECT, related_name="+", null=True, help_text="Else: what this feed lets through."
    )
    forms = ArrayField(models.CharField(max_length=4), default=list, help_text="Empty: what the recipient wants.")
    every = models.CharField(max_length=5, choices=Every)
    day = models.SmallIntegerField(help_text="Of the week, 1 is Monday; of the month.")
    hour = models.SmallIntegerField(help_text="By the clock of the time zone.")
    time_zone = models.CharField(max_length=64, default="UTC")
    state = models.CharField(max_length=6, choices=State, default=State.ACTIVE)
    actor = models.CharField(max_length=80, help_text="Who made it: it ends when they do.")
    created_at = models.DateTimeField(default=clock.now)
    due_at = models.DateTimeField()
    last_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=300, default="")
    gave_up_at = models.DateTimeField(null=True, help_text="When it ended by itself; `outcome` says why.")

    objects = OwnedManager["ReportSchedule"]()
    unrestricted = models.Manager["ReportSchedule"]()

    class Meta:
        base_manager_name = "unrestricted"
        constraints = [
            models.UniqueConstraint(
                fields=["partner", "name"], condition=~Q(state="ended"), name="one_report_schedule_per_partner_and_name"
            ),
            models.CheckConstraint(
                condition=Q(state="ended") | (Q(root="") & Q(feed__isnull=False)) | (~Q(root="") & Q(feed=None)),
                name="a_report_schedule_is_of_a_root_or_a_feed",
            ),
        ]
        indexes = [models.Index(fields=["due_at"], condition=Q(state="active"), name="report_schedule_by_due")]

    def __str__(self) -> str:
        return self.name


class ReportPackage(models.Model):
    """A bundle for one recipient, prepared by one person and released by another. Written by `reporting`.

    It names the stored versions that it holds; whoever opens it is asked again what the recipient may see. One that a
    schedule put together is a draft until a person has checked it and so has prepared it.
    """

    class State(models.TextChoices):
        DISCARDED = "discarded", _("Discarded")
        DRAFTED = "drafted", _("Draft")
        PREPARED = "prepared", _("Waits for release")
        RELEASED = "released", _("Released")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="reports")
    recipient = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="reports_received")
    state = models.CharField(max_length=10, choices=State, default=State.PREPARED)
    title = models.CharField(max_length=300)
    root = models.CharField(max_length=300, help_text="The STIX id that it begins with; empty where it is of a feed.")
    forms = ArrayField(
        models.CharField(max_length=4),
        default=list,
        db_default=Value([], ArrayField(models.CharField(max_length=4))),
        help_text="As what it is given (`RecipientTerms.Form`); empty: as all.",
    )
    terms = models.ForeignKey(RecipientTerms, on_delete=models.PROTECT, related_name="reports", null=True)
    schedule = models.ForeignKey(ReportSchedule, on_delete=models.PROTECT, related_name="packages", null=True)
    gathered_at = models.DateTimeField(null=True, help_text="When a schedule put it together.")
    reached = models.BigIntegerField(null=True, help_text="Of a feed: up to which place in the log it was gathered.")
    object_ids = ArrayField(models.BigIntegerField(), help_text="The versions that it holds, the root first.")
    bundle_sha256 = models.BinaryField(max_length=32)
    tlp = models.SmallIntegerField(help_text="The strictest of its objects.")
    bases = models.JSONField(default=list, help_text="Of the groups concerned, as they stood.")
    ways = ArrayField(models.CharField(max_length=8), default=list, help_text="How the recipient sees the objects.")
    left_out = models.IntegerField(
        help_text="What the preparer sees and the recipient does not; for the preparer only."
    )
    appeals = models.JSONField(
        default=dict,
        db_default=Value({}, models.JSONField()),
        help_text="How its partner answered appeals, as it stood.",
    )
    cut = models.BooleanField(default=False, help_text="Whether more was connected than a package may hold.")
    prepared_by = models.CharField(max_length=80)
    prepared_name = models.CharField(max_length=150)
    prepared_at = models.DateTimeField(default=clock.now)
    released_by = models.CharField(max_length=80, default="")
    released_name = models.CharField(max_length=150, default="")
    released_at = models.DateTimeField(null=True)
    release = models.ForeignKey(AuditRecord, on_delete=models.PROTECT, related_name="+", null=True)

    objects = ReportManager()
    unrestricted = models.Manager["ReportPackage"]()

    class Meta:
        base_manager_name = "unrestricted"
        constraints = [
            models.CheckConstraint(
                condition=~Q(state="released") | (~Q(released_by=F("prepared_by")) & ~Q(released_by="")),
                name="another_person_releases",
            )
        ]
        indexes = [models.Index(fields=["recipient", "-released_at"], name="report_by_recipient")]

    def __str__(self) -> str:
        return self.title
