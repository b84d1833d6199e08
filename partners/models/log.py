"""What was done, in a log that cannot be rewritten.

`audit` writes AuditRecord and AuditWaiting, `transparency` AuditLeaf, AuditNode, AuditKey and TreeHead, `reads`
ReadTally.
"""

from __future__ import annotations

from django.db import models

from exchange import clock
from partners.models.partners import Partner


class AuditRecord(models.Model):
    """One thing that was done, and the content of one leaf. Append-only: triggers refuse every UPDATE and DELETE.

    `leaf_hash` is over the canonical JSON of all else (`audit.canonical`); `nonce` is random, so that whoever sees the
    hash cannot confirm a guess of the contents.
    """

    at = models.DateTimeField(default=clock.now)
    verb = models.CharField(max_length=40)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="audit", null=True)
    actor = models.CharField(max_length=80)
    target = models.CharField(max_length=200)
    details = models.JSONField(default=dict)
    nonce = models.BinaryField(max_length=16)
    leaf_hash = models.BinaryField(max_length=32, unique=True)

    class Meta:
        indexes = [models.Index(fields=["partner", "-at"], name="audit_by_partner_and_time")]


class AuditWaiting(models.Model):
    """A record that has no place in the tree yet. Written with it, taken away with its leaf."""

    record = models.OneToOneField(AuditRecord, on_delete=models.PROTECT, primary_key=True, related_name="+")


class AuditLeaf(models.Model):
    """The place of a record in the tree, given after its commit. Append-only."""

    index = models.BigIntegerField(primary_key=True)
    record = models.OneToOneField(AuditRecord, on_delete=models.PROTECT, related_name="leaf")
    leaf_hash = models.BinaryField(max_length=32)


class AuditNode(models.Model):
    """The hash of one perfect subtree of `2**level` leaves, level 1 and above: proofs read a few. Append-only."""

    level = models.SmallIntegerField()
    index = models.BigIntegerField()
    hash = models.BinaryField(max_length=32)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["level", "index"], name="one_node_per_place")]


class AuditKey(models.Model):
    """A public key that has signed tree heads; kept for as long as its heads are. Append-only."""

    key_id = models.CharField(max_length=16, primary_key=True)
    public_key = models.BinaryField(max_length=32)
    since = models.DateTimeField(default=clock.now)


class TreeHead(models.Model):
    """The root of the first `size` leaves, signed and published. Append-only."""

    size = models.BigIntegerField(primary_key=True)
    root = models.BinaryField(max_length=32)
    at = models.DateTimeField()
    key = models.ForeignKey(AuditKey, on_delete=models.PROTECT, related_name="+")
    signature = models.BinaryField(max_length=64)


class ReadTally(models.Model):
    """What one key or person was handed in one hour through one surface; closed hours become AuditRecords."""

    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+")
    actor = models.CharField(max_length=80)
    surface = models.CharField(max_length=40)
    feed = models.CharField(max_length=80, default="")
    hour = models.DateTimeField()
    pages = models.BigIntegerField()
    objects_read = models.BigIntegerField()
    first_seq = models.BigIntegerField(null=True)
    last_seq = models.BigIntegerField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["partner", "actor", "surface", "feed", "hour"], name="one_tally_per_reader_and_hour"
            )
        ]
        indexes = [models.Index(fields=["hour"], name="tally_by_hour")]
