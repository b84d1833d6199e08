"""Who takes part: partners, their people and keys, the groups they share in, and who may see what.

One writer a table: `registering` and `membership` write Partner, Group, Membership and User, `keys` writes
ApiKey, `sharing` writes Audience, `sources` writes Pseudonym, `audit` writes AuditRecord.
"""

from __future__ import annotations

import uuid

from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from exchange import clock
from partners.attribution import Attribution
from partners.scopes import KEY_SCOPES, Role
from partners.tlp import Tlp


class Partner(models.Model):
    """A member organisation: a lab, the operator, or a recipient that only reads."""

    class Kind(models.TextChoices):
        LAB = "lab", "Lab"
        OPERATOR = "operator", "Operator"
        RECIPIENT = "recipient", "Recipient"

    class State(models.TextChoices):
        ACTIVE = "active", "Active"
        INVITED = "invited", "Invited"
        LEFT = "left", "Left"
        SUSPENDED = "suspended", "Suspended"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=120, unique=True)
    slug = models.SlugField(max_length=60, unique=True)
    kind = models.CharField(max_length=12, choices=Kind)
    state = models.CharField(max_length=12, choices=State, default=State.ACTIVE)
    identity_id = models.CharField(max_length=80, unique=True, help_text="The id of its STIX identity object.")
    collection_id = models.UUIDField(unique=True, default=uuid.uuid4, help_text="Its own TAXII collection.")
    clearance = models.SmallIntegerField(choices=Tlp, help_text="The strictest marking it may receive.")
    default_tlp = models.SmallIntegerField(choices=Tlp, default=Tlp.AMBER, help_text="For objects without a marking.")
    default_attribution = models.SmallIntegerField(choices=Attribution, default=Attribution.NAMED)
    unnamed = models.BooleanField(default=False, help_text="Whether it has published anything without its name.")
    created_at = models.DateTimeField(default=clock.now)
    sight = models.IntegerField(default=0, help_text="How often what it may see has changed: a stale viewer is found.")

    def __str__(self) -> str:
        return self.name


class Group(models.Model):
    """A named set of partners who agreed to share, with a dated legal basis."""

    class Policy(models.TextChoices):
        CLOSED_FACTS = "closed-facts", "Closed facts"
        OPEN_CTI = "open-cti", "Open CTI"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=120, unique=True)
    slug = models.SlugField(max_length=60, unique=True)
    purpose = models.TextField()
    legal_basis = models.TextField()
    basis_from = models.DateField()
    basis_until = models.DateField(null=True, blank=True)
    policy = models.CharField(max_length=16, choices=Policy, default=Policy.CLOSED_FACTS)
    collection_id = models.UUIDField(unique=True, default=uuid.uuid4, help_text="Its TAXII collection.")
    partners = models.ManyToManyField(Partner, through="Membership", related_name="groups")

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """That a partner belongs to a group, since when and, once it has left, until when."""

    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="memberships")
    group = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="memberships")
    since = models.DateTimeField(default=clock.now)
    until = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["partner", "group"], condition=Q(until=None), name="one_open_membership_per_partner_and_group"
            )
        ]


class User(AbstractUser):
    """A person of a partner."""

    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="users", null=True)
    role = models.CharField(max_length=12, choices=Role, default=Role.ANALYST)


class ApiKey(models.Model):
    """A machine credential of a partner; only the digest of its secret is stored."""

    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="keys")
    name = models.CharField(max_length=80)
    public_id = models.CharField(max_length=16, unique=True)
    digest = models.BinaryField(max_length=32, help_text="SHA-256 of the whole key, which holds 160 random bits.")
    scopes = ArrayField(models.CharField(max_length=12, choices=[(s.value, s.value) for s in sorted(KEY_SCOPES)]))
    created_at = models.DateTimeField(default=clock.now)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.name} ({self.public_id})"


class Audience(models.Model):
    """Who may see one object. Interned: objects with the same audience share one row.

    There are as many rows as there are distinct ways of sharing in use (tens to hundreds), so the rule is
    asked of this small table, and content is found by `audience_id` alone (ADR 0006).
    `groups` and `partners` are sorted arrays of their ids; neither is ever deleted. Nothing that is withdrawn is
    seen by anybody, and what is told to some partners only (that they gained or lost sight) is not seen by its
    publisher (ADR 0008).
    """

    class Use(models.TextChoices):
        OBJECTS = "objects", "Of objects"
        TELLING = "telling", "Of changes alone"
        WITHDRAWN = "withdrawn", "Of what its publisher took back"

    use = models.CharField(max_length=9, choices=Use, default=Use.OBJECTS)
    publisher = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+")
    tlp = models.SmallIntegerField(choices=Tlp)
    everyone = models.BooleanField(default=False)
    groups = ArrayField(models.UUIDField(), default=list)
    partners = ArrayField(models.UUIDField(), default=list)
    attribution = models.SmallIntegerField(choices=Attribution, default=Attribution.NAMED)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["publisher", "tlp", "everyone", "groups", "partners", "use", "attribution"],
                name="one_row_per_distinct_audience",
            ),
            models.CheckConstraint(
                condition=~Q(tlp=Tlp.RED) | Q(everyone=False, groups=[]), name="red_reaches_named_partners_only"
            ),
            models.CheckConstraint(
                condition=Q(everyone=False) | Q(groups=[], partners=[]), name="everyone_needs_no_names"
            ),
        ]


class Pseudonym(models.Model):
    """What a partner is called in one group, or outside of any, where it does not give its name."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+")
    group = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="+", null=True)
    code = models.CharField(max_length=6)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["partner", "group"], nulls_distinct=False, name="one_pseudonym_per_partner_and_group"
            ),
            models.UniqueConstraint(fields=["group", "code"], nulls_distinct=False, name="one_partner_per_pseudonym"),
        ]


class AuditRecord(models.Model):
    """One thing that was done. Append-only: triggers refuse every UPDATE and DELETE."""

    at = models.DateTimeField(default=clock.now)
    verb = models.CharField(max_length=40)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="audit", null=True)
    actor = models.CharField(max_length=80)
    target = models.CharField(max_length=200)
    details = models.JSONField(default=dict)

    class Meta:
        indexes = [models.Index(fields=["partner", "-at"], name="audit_by_partner_and_time")]
