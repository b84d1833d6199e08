"""Bundles for one recipient. `reports.reporting` writes."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q, Value

from exchange import clock
from partners.models import AuditRecord, Partner
from partners.sharing import OwnedManager

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from partners.viewer import Viewer


class ReportManager(OwnedManager["ReportPackage"]):
    """Packages belong to the partner that prepares them; once released, their recipient reads them, too."""

    def released_to(self, viewer: Viewer) -> QuerySet[ReportPackage]:
        """Those that were released to the viewer's partner."""
        released = models.Manager.get_queryset(self).filter(recipient=viewer.partner_id, state="released")
        return released.select_related("partner", "recipient", "release__leaf")


class ReportPackage(models.Model):
    """A bundle for one recipient, prepared by one person and released by another. Written by `reporting`.

    It names the stored versions that it holds; whoever opens it is asked again what the recipient may see.
    """

    class State(models.TextChoices):
        DISCARDED = "discarded", "Discarded"
        PREPARED = "prepared", "Waits for release"
        RELEASED = "released", "Released"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="reports")
    recipient = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="reports_received")
    state = models.CharField(max_length=10, choices=State, default=State.PREPARED)
    title = models.CharField(max_length=300)
    root = models.CharField(max_length=300, help_text="The STIX id that it begins with.")
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
