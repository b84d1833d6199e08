"""On which terms a partner is given report packages. `terms` is the only writer."""

from __future__ import annotations

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from exchange import clock
from partners.models.partners import Partner
from partners.tlp import Tlp


class RecipientTerms(models.Model):
    """Under which law of which jurisdiction a partner takes report packages, from when to when, and which.

    What was agreed is never changed: it ends, and new terms are recorded. Every partner may read them.
    """

    class Form(models.TextChoices):
        CSV = "csv", _("Table (CSV)")
        FORM = "form", _("Form for an authority")
        STIX = "stix", _("STIX bundle")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    recipient = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="terms")
    jurisdiction = models.CharField(max_length=6, help_text="ISO 3166: `DE`, `US`, `US-CA`; `EU` and `UN`.")
    reference = models.CharField(max_length=300, help_text="Where it stands: a law, an agreement.")
    basis_from = models.DateField()
    basis_until = models.DateField(null=True)
    strictest = models.SmallIntegerField(choices=Tlp, help_text="The strictest marking that a package may hold.")
    forms = ArrayField(models.CharField(max_length=4, choices=Form), help_text="What it wants to be given.")
    recorded_by = models.CharField(max_length=80)
    recorded_at = models.DateTimeField(default=clock.now)
    ended_at = models.DateTimeField(null=True)
    ended_why = models.CharField(max_length=500, default="")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(basis_until=None) | Q(basis_until__gte=F("basis_from")), name="terms_end_after_they_begin"
            ),
            models.CheckConstraint(condition=~Q(forms=[]), name="terms_name_a_form"),
        ]
        indexes = [models.Index(fields=["recipient", "basis_from"], name="terms_by_recipient")]

    def __str__(self) -> str:
        return f"{self.jurisdiction}: {self.reference}"
