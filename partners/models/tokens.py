"""Keys under which tokens are made. `oblivious` writes TokenKey, `groupkeys` GroupKey."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from exchange import clock
from partners.models.groups import Group
from partners.models.log import AuditRecord


class TokenKey(models.Model):
    """The public key of one kind and epoch, as it was first seen from the key service. Append-only.

    Its record is a leaf of the log, so that two partners cannot be shown two keys.
    """

    kind = models.CharField(max_length=24)
    epoch = models.CharField(max_length=16)
    public_key = models.BinaryField(max_length=32)
    record = models.OneToOneField(AuditRecord, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["kind", "epoch"], name="one_public_key_per_kind_and_epoch")]


class GroupKey(models.Model):
    """A key under which the members of one group make tokens; sealed at rest.

    `replaced_at`: a member left; those who stayed publish under it and its successor for 14 days.
    """

    group = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="token_keys")
    quarter = models.CharField(max_length=8)
    number = models.PositiveIntegerField(help_text="Grows with each member that leaves.")
    sealed = models.BinaryField()
    made_at = models.DateTimeField(default=clock.now)
    replaced_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["group", "quarter", "number"], name="one_key_per_group_quarter_and_number"),
            models.UniqueConstraint(
                fields=["group", "quarter"],
                condition=Q(replaced_at=None),
                name="one_live_key_per_group_and_quarter",
            ),
        ]
