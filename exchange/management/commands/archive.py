"""Receive PostgreSQL's log (WAL) into BACKUP_DIR/wal, each byte as it is written, until stopped."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from exchange import starting
from exchange.backup import programs, receiving


class Command(BaseCommand):
    """A service: exactly one. Goes on by itself when the server was away, or gave up keeping its log for us."""

    help = __doc__ or ""
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        """Until it is asked to end."""
        starting.wait_for_store()
        try:
            receiving.receive(settings.BACKUP_DATABASE_URL, settings.BACKUP_DIR)
        except programs.Failed as failed:
            raise CommandError(str(failed)) from None
