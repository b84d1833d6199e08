"""Evidence, prevalence and what is told of them, for one group each. Read by the exchange alone.

One writer a table: `terms` writes Pool and Submission, `evidence` Suspect and Carried, `prevalence` EvidenceToken,
Prevalence and ToldSum. `ending` deletes of all of them.
There are millions of rows, so most of their keys have no constraint in the database: `ending` keeps them true.
"""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from exchange import clock
from partners.models import Group, Partner


class Pool(models.Model):
    """What a group's members pool. Its row is the lock under which places are given, in the order of commits."""

    group = models.OneToOneField(Group, on_delete=models.PROTECT, primary_key=True, related_name="+")
    place = models.BigIntegerField(default=0)


class Submission(models.Model):
    """How far a lab is with its evidence for a group; its row is the lock of the lab's own writes there."""

    group = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="+")
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+")
    round = models.IntegerField(default=0, help_text="The newest that a line came for.")
    finished = models.IntegerField(default=0)
    sent_at = models.DateTimeField(null=True)
    day = models.DateField(help_text="The day, UTC, that these are counted for.")
    lines = models.IntegerField(default=0)
    answers = models.IntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["group", "partner"], name="one_submission_per_group_and_partner")
        ]


class Suspect(models.Model):
    """An account that its lab takes for a part of a campaign, under the lab's pseudonym for it."""

    class Basis(models.TextChoices):
        OWN_FLAG = "own_flag", "Flagged by the lab itself"
        SCORED = "scored", "Found by its score"

    id = models.BigAutoField(primary_key=True)
    group = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="+", db_index=False)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+", db_index=False)
    account = models.UUIDField()
    basis = models.CharField(max_length=8, choices=Basis)
    publisher_action = models.CharField(max_length=10)
    until = models.DateTimeField()
    round = models.IntegerField()
    digest = models.BinaryField(max_length=16, help_text="Of what the lab said, to find what is unchanged.")
    since = models.DateTimeField(default=clock.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["group", "partner", "account"], name="one_row_per_account_and_group")
        ]
        indexes = [models.Index(fields=["until"], name="suspect_by_end")]


class EvidenceToken(models.Model):
    """A token that evidence of a group carries, or carried.

    `holders` and `suspects` are the sums of what the labs answered. `due`: when a change may be told that could not be
    told at once.
    """

    id = models.BigAutoField(primary_key=True)
    group = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="+", db_index=False)
    subkind = models.CharField(max_length=16)
    scheme = models.CharField(max_length=32)
    epoch = models.CharField(max_length=80)
    psp_scope = models.CharField(max_length=32, default="")
    value = models.BinaryField(max_length=32)
    wide = models.BooleanField(default=False, help_text="Of `net`: a network, not one address.")
    asked = models.BooleanField(default=False)
    place = models.BigIntegerField(default=0, help_text="In the list of what is asked.")
    ended_at = models.DateTimeField(null=True, help_text="Since when nobody asks, or from when on, where it is asked.")
    holders = models.BigIntegerField(default=0)
    suspects = models.BigIntegerField(default=0)
    due = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["group", "value", "subkind", "epoch", "scheme", "psp_scope"],
                name="one_row_per_token_and_group",
            )
        ]
        indexes = [
            models.Index(fields=["group", "place"], name="token_by_place"),
            models.Index(fields=["due"], condition=Q(due__isnull=False), name="token_due"),
            models.Index(fields=["ended_at"], condition=Q(ended_at__isnull=False), name="token_by_end"),
        ]


class Carried(models.Model):
    """That an account carries a token. Keys of Suspect and EvidenceToken."""

    suspect = models.BigIntegerField()
    token = models.BigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["suspect", "token"], name="an_account_carries_a_token_once")]
        indexes = [models.Index(fields=["token", "suspect"], name="carried_by_token")]


class Prevalence(models.Model):
    """Of a token at a lab: how many accounts of its evidence carry it, and what the lab answers (buckets)."""

    token = models.BigIntegerField()
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+", db_index=False)
    group = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="+", db_index=False)
    carried = models.IntegerField(default=0)
    holders = models.BigIntegerField(default=0)
    suspects = models.BigIntegerField(default=0)
    changed_at = models.DateTimeField(default=clock.now, help_text="When the answer changed last.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["token", "partner"], name="one_answer_per_token_and_partner"),
            models.CheckConstraint(
                condition=Q(suspects__lte=models.F("holders")), name="suspects_are_some_of_the_holders"
            ),
        ]
        indexes = [models.Index(fields=["group", "partner"], name="prevalence_by_partner")]


class ToldSum(models.Model):
    """What a lab was told of a token last: sums over the others, and whether one other lab alone published it.

    With neither, it was told that what it was told before has ended.
    """

    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+", db_index=False)
    group = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="+", db_index=False)
    token = models.BigIntegerField()
    holders = models.BigIntegerField(null=True)
    suspects = models.BigIntegerField(null=True)
    holders_less = models.BigIntegerField(null=True)
    suspects_less = models.BigIntegerField(null=True)
    word = models.BooleanField(default=False)
    told_at = models.DateTimeField()
    place = models.BigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["token", "partner"], name="one_row_told_per_token_and_partner")]
        indexes = [models.Index(fields=["group", "partner", "place"], name="told_by_place")]
