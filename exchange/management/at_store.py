"""Commands that need the store."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from exchange import starting


class StoreCommand(BaseCommand):
    """Says in a sentence, at once, that the store is away, before a pool waits for it.

    Django's checks are of the code, the same with each call: `prepare` runs them, and `make lint`. They would load all
    pages and routes.
    """

    requires_system_checks = ()

    def execute(self, *args: Any, **options: Any) -> str | None:
        """What Django calls once the arguments are read. Raises CommandError."""
        if why := starting.why_away():
            raise CommandError(f"DATABASE_URL: the store does not answer: {why}")
        return super().execute(*args, **options)
