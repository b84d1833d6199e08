"""Messages that wait to be sent. `mailing` writes Mail."""

from __future__ import annotations

import uuid

from django.db import models

from exchange import clock
from partners.models.partners import Partner


class Mail(models.Model):
    """A message that waits to be sent, or something asked for that ends in messages. Gone once it is done."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    partner = models.ForeignKey(
        Partner, on_delete=models.CASCADE, related_name="+", null=True, help_text="On whose behalf: whose share it is."
    )
    purpose = models.CharField(max_length=30)
    content = models.BinaryField(help_text="Sealed, bound to this row.")
    created_at = models.DateTimeField(default=clock.now)
    due_at = models.DateTimeField(default=clock.now)
    until = models.DateTimeField(help_text="After this it is of no use to anybody.")
    claimed_until = models.DateTimeField(null=True)
    attempts = models.SmallIntegerField(default=0)

    class Meta:
        indexes = [models.Index(fields=["due_at"], name="mail_due")]
