"""Compute the log anew from its records and compare it with every signed head."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError

from exchange import clock
from exchange.health import LOG_VERIFIED, LOG_WRONG
from exchange.management.at_store import StoreCommand
from exchange.models import Heartbeat
from partners.log import transparency
from partners.models import AuditWaiting, TreeHead


class Command(StoreCommand):
    """Exit status 1, and a line for each finding, where anything is not as it was written. `/metrics` says it, too."""

    help = __doc__ or ""

    def handle(self, *args: Any, **options: Any) -> None:
        """Verify, and say what was found and which keys have signed."""
        findings = 0
        for finding in transparency.verify():
            findings += 1
            self.stdout.write(finding)
        told, over = (LOG_WRONG, LOG_VERIFIED) if findings else (LOG_VERIFIED, LOG_WRONG)
        Heartbeat.objects.update_or_create(name=told, defaults={"at": clock.now()})
        Heartbeat.objects.filter(name=over).delete()
        if findings:
            raise CommandError(f"The log is not what was written: {findings} findings.")
        heads, waiting = TreeHead.objects.count(), AuditWaiting.objects.count()
        self.stdout.write(
            f"{transparency.tree_size()} records agree with {heads} signed heads; {waiting} wait for a place."
        )
        for key in transparency.key_documents():
            self.stdout.write(f"key {key['id']} since {key['since']}: {key['public_key']}")
