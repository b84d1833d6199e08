"""Groups, who belongs to them, and what their members are asked.

`registering` makes Group; `membership` writes Group, Membership, Proposal and Agreement, `warning` Notice.
"""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from exchange import clock
from exchange.tokens import epochs
from partners.models.partners import Partner


class Group(models.Model):
    """A named set of partners who agreed to share, with a dated legal basis."""

    class Policy(models.TextChoices):
        CLOSED_FACTS = "closed-facts", _("Closed facts")
        OPEN_CTI = "open-cti", _("Open CTI")

    class JoinRule(models.TextChoices):
        ALL_PARTNERS = "all-partners", _("All partners agree")
        ANY_ADMIN = "any-admin", _("Any admin invites")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # Not unique: whoever could not take a name would learn that a group has it.
    name = models.CharField(max_length=120)
    slug = models.SlugField(max_length=60, unique=True)
    purpose = models.TextField()
    legal_basis = models.TextField()
    basis_reference = models.CharField(
        max_length=300, default="", help_text="Where the basis is found: a contract, a statute."
    )
    basis_from = models.DateField()
    basis_until = models.DateField(null=True, blank=True, help_text="The last day on which it holds.")
    policy = models.CharField(max_length=16, choices=Policy, default=Policy.CLOSED_FACTS)
    collection_id = models.UUIDField(unique=True, default=uuid.uuid4, help_text="Its TAXII collection.")
    join_rule = models.CharField(max_length=12, choices=JoinRule, default=JoinRule.ANY_ADMIN)
    evidence = models.BooleanField(
        default=False, db_default=False, help_text="Whether its terms allow evidence and prevalence, and their sums."
    )
    interval_s = models.IntegerField(
        null=True,
        help_text="A number that is told changes at most once in so many seconds; null: as the exchange is set.",
    )
    created_at = models.DateTimeField(default=clock.now)
    suspended_at = models.DateTimeField(null=True, help_text="Nothing new goes in; what is there stays.")
    suspended_why = models.CharField(max_length=500, default="")
    closed_at = models.DateTimeField(null=True, help_text="Dissolved: it has no members any more, for good.")
    partners = models.ManyToManyField(Partner, through="Membership", related_name="groups")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(slug__regex=f"^{epochs.GROUP}$"), name="a_groups_short_name_begins_the_epochs_of_its_keys"
            )
        ]

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


class Proposal(models.Model):
    """What a group is asked: to take a partner in, to part with one, to renew its basis, to dissolve."""

    class Kind(models.TextChoices):
        DISSOLUTION = "dissolution", _("Dissolution")
        INVITATION = "invitation", _("Invitation")
        REMOVAL = "removal", _("Removal")
        RENEWAL = "renewal", _("Renewal")

    class State(models.TextChoices):
        DECLINED = "declined", _("Declined")
        DONE = "done", _("Done")
        OPEN = "open", _("Open")
        OVERTAKEN = "overtaken", _("Overtaken")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    group = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="proposals")
    kind = models.CharField(max_length=12, choices=Kind)
    partner = models.ForeignKey(
        Partner, on_delete=models.PROTECT, related_name="+", null=True, help_text="Whom it is about."
    )
    proposer = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+")
    by_operator = models.BooleanField(default=False)
    legal_basis = models.TextField(default="")
    basis_reference = models.CharField(max_length=300, default="")
    basis_from = models.DateField(null=True)
    basis_until = models.DateField(null=True)
    evidence = models.BooleanField(null=True, help_text="Whether it allows evidence; null: as before.")
    made_at = models.DateTimeField(default=clock.now)
    state = models.CharField(max_length=9, choices=State, default=State.OPEN)
    decided_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["group", "kind", "partner"],
                condition=Q(state="open"),
                nulls_distinct=False,
                name="one_open_proposal_per_group_and_matter",
            )
        ]


class Agreement(models.Model):
    """That a partner agreed to a proposal, or did not, by whom and when."""

    proposal = models.ForeignKey(Proposal, on_delete=models.PROTECT, related_name="agreements")
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+")
    agreed = models.BooleanField()
    actor = models.CharField(max_length=80)
    at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["proposal", "partner"], name="one_word_per_partner_and_proposal")
        ]


class Notice(models.Model):
    """That a partner was warned of the end of a group's basis: once for each end and number of days."""

    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="notices")
    group = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="+")
    basis_until = models.DateField()
    days = models.SmallIntegerField(help_text="60, 30 or 7: how many days before the end it is due.")
    made_at = models.DateTimeField(default=clock.now)
    mailed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["partner", "group", "basis_until", "days"], name="one_notice_per_partner_end_and_days"
            )
        ]
