"""Keys of partners. `keys` writes ApiKey and KeyNetwork, `lockout` RefusedCredentials."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from exchange import clock
from partners.ceilings import Width
from partners.models.partners import Partner
from partners.scopes import KEY_SCOPES
from partners.tlp import Tlp


class ApiKey(models.Model):
    """A machine credential of a partner; only the digest of its secret is stored."""

    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="keys")
    name = models.CharField(max_length=80)
    public_id = models.CharField(max_length=16, unique=True)
    digest = models.BinaryField(max_length=32, help_text="SHA-256 of the whole key, which holds 160 random bits.")
    scopes = ArrayField(models.CharField(max_length=12, choices=[(s.value, s.value) for s in sorted(KEY_SCOPES)]))
    only = models.CharField(
        max_length=80,
        blank=True,
        default="",
        db_default="",
        help_text="The one thing that it opens, in the word of the room that asked for it; empty: what its scopes say.",
    )
    groups = ArrayField(models.UUIDField(), null=True, blank=True, help_text="Null: all groups of its partner.")
    networks = ArrayField(models.CharField(max_length=43), default=list, help_text="Empty: from anywhere.")
    certificate_subject = models.CharField(max_length=400, blank=True, help_text="Distinguished name, exactly.")
    certificate_sha256 = models.CharField(max_length=64, blank=True)
    parent = models.ForeignKey("self", on_delete=models.PROTECT, null=True, blank=True, related_name="children")
    created_by = models.CharField(max_length=80, default="system")
    created_at = models.DateTimeField(default=clock.now)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    ceiling_tlp = models.SmallIntegerField(choices=Tlp, null=True)
    ceiling_width = models.SmallIntegerField(choices=Width, null=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=~Q(groups=[]), name="a_limited_key_names_its_groups")]

    def __str__(self) -> str:
        return f"{self.name} ({self.public_id})"


class KeyNetwork(models.Model):
    """That a key was used from a network (/24 or /48), first and last; the newest few of each key."""

    key = models.ForeignKey(ApiKey, on_delete=models.CASCADE, related_name="networks_seen")
    prefix = models.CharField(max_length=43)
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["key", "prefix"], name="one_row_per_key_and_network")]


class RefusedCredentials(models.Model):
    """How often invalid keys came from one network, or naming one public id, of late. Written by `lockout`."""

    name = models.CharField(max_length=60, primary_key=True)
    refused = models.IntegerField()
    since = models.DateTimeField(db_index=True)
    until = models.DateTimeField(null=True, help_text="Locked out until then.")
