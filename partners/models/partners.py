"""The partners themselves: how far each shares, and who takes over when one leaves.

One writer a table: `registering` makes Partner; `life` and `steering` change Partner, RoleCeiling and HandOver.
"""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from exchange import clock
from partners.ceilings import Width
from partners.scopes import Role
from partners.tlp import Tlp


class Partners(models.Manager["Partner"]):
    """Everybody but the exchange itself, which is no member and is on no list."""

    def get_queryset(self) -> models.QuerySet[Partner]:
        """All others."""
        return super().get_queryset().exclude(kind="exchange")


class Partner(models.Model):
    """A member organisation: a lab, the operator, or a recipient that only reads.

    And the exchange itself, as the publisher of what it finds in evidence (`registering.the_exchange`): a member of
    nothing, with neither people nor keys, and in no list of partners.
    """

    class Kind(models.TextChoices):
        ALLY = "ally", _("Ally")
        EXCHANGE = "exchange", _("The exchange itself")
        LAB = "lab", _("Lab")
        OPERATOR = "operator", _("Operator")
        RECIPIENT = "recipient", _("Recipient")

    class State(models.TextChoices):
        ACTIVE = "active", _("Active")
        INVITED = "invited", _("Invited")
        LEFT = "left", _("Left")
        SUSPENDED = "suspended", _("Suspended")

    class SecondFactor(models.TextChoices):
        OPTIONAL = "optional", _("Left to each person")
        PASSKEY = "passkey", _("A passkey")
        REQUIRED = "required", _("A passkey or an authenticator app")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=120, unique=True)
    slug = models.SlugField(max_length=60, unique=True)
    kind = models.CharField(max_length=12, choices=Kind)
    state = models.CharField(max_length=12, choices=State, default=State.ACTIVE)
    identity_id = models.CharField(max_length=80, unique=True, help_text="The id of its STIX identity object.")
    collection_id = models.UUIDField(unique=True, default=uuid.uuid4, help_text="Its own TAXII collection.")
    clearance = models.SmallIntegerField(choices=Tlp, help_text="The strictest marking it may receive.")
    default_tlp = models.SmallIntegerField(choices=Tlp, default=Tlp.AMBER, help_text="For objects without a marking.")
    default_audience = models.JSONField(null=True, help_text="Of what is pushed without one; null where none is set.")
    default_audience_was_set = models.BooleanField(
        default=False, db_default=False, help_text="Whether one ever was: from then on a person alone sets it anew."
    )
    unnamed = models.BooleanField(default=False, help_text="Whether it has published anything without its name.")
    created_at = models.DateTimeField(default=clock.now)
    sight = models.IntegerField(default=0, help_text="How often what it may see has changed: a stale viewer is found.")
    second_factor = models.CharField(
        max_length=12,
        choices=SecondFactor,
        default=SecondFactor.OPTIONAL,
        help_text="What its people need besides a password.",
    )
    state_since = models.DateTimeField(default=clock.now)
    suspended_why = models.CharField(max_length=500, default="", help_text="Read by the partner and the operator only.")
    # How far it may share: as the operator says, and as it says itself. Empty is without bound.
    operator_ceiling_tlp = models.SmallIntegerField(choices=Tlp, null=True)
    operator_ceiling_width = models.SmallIntegerField(choices=Width, null=True)
    ceiling_tlp = models.SmallIntegerField(choices=Tlp, null=True)
    ceiling_width = models.SmallIntegerField(choices=Width, null=True)
    # What one person or key may publish alone; beyond it a second person confirms.
    alone_tlp = models.SmallIntegerField(choices=Tlp, null=True)
    alone_width = models.SmallIntegerField(choices=Width, null=True)
    alone_objects = models.IntegerField(null=True)
    # How much goes out in a day, and ends in an hour, before a second person looks (`caps.Caps`).
    caps = models.JSONField(default=dict, db_default={})
    operator_caps = models.JSONField(default=dict, db_default={})

    objects = Partners()
    everybody = models.Manager["Partner"]()

    class Meta:
        base_manager_name = "everybody"
        constraints = [
            models.UniqueConstraint("kind", condition=models.Q(kind="operator"), name="there_is_one_operator"),
            models.UniqueConstraint("kind", condition=models.Q(kind="exchange"), name="there_is_one_exchange"),
        ]

    def __str__(self) -> str:
        return self.name


class RoleCeiling(models.Model):
    """How far people of one role may share for their partner."""

    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="role_ceilings")
    role = models.CharField(max_length=12, choices=Role)
    tlp = models.SmallIntegerField(choices=Tlp, null=True)
    width = models.SmallIntegerField(choices=Width, null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["partner", "role"], name="one_ceiling_per_partner_and_role")]


class HandOver(models.Model):
    """That a partner offers another to take over its objects when it leaves, and the heir's answer."""

    class State(models.TextChoices):
        ACCEPTED = "accepted", _("Accepted")
        CLOSED = "closed", _("Closed")
        DONE = "done", _("Done")
        OFFERED = "offered", _("Offered")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="offers")
    heir = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="inheritances")
    offered_by = models.CharField(max_length=80)
    offered_at = models.DateTimeField(default=clock.now)
    answered_by = models.CharField(max_length=80, default="")
    answered_at = models.DateTimeField(null=True)
    state = models.CharField(max_length=8, choices=State, default=State.OFFERED)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["partner"],
                condition=Q(state__in=["offered", "accepted"]),
                name="one_open_hand_over_per_partner",
            )
        ]
