"""Receive PostgreSQL's log (WAL) into BACKUP_DIR/wal, each byte as it is written, until stopped."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from exchange import starting
from exchange.backup import keeping, programs


class Command(BaseCommand):
    """A service: exactly one. Becomes pg_receivewal, which goes on by itself when the server was away."""

    help = __doc__ or ""
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        """Does not return."""
        starting.wait_for_store()
        try:
            keeping.receive(settings.BACKUP_DATABASE_URL, settings.BACKUP_DIR)
        except programs.Failed as failed:
            raise CommandError(str(failed)) from None
