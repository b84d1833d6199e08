"""One page: what is wrong with this exchange, and what to do about it."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from exchange import ailing


class Command(BaseCommand):
    """Asks the store, the broker, the key service and the archive; exit status 1 where anything is wrong."""

    help = __doc__ or ""
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        """A line for each look; under what is wrong, what to do."""
        wrong = 0
        for found in ailing.looked():
            self.stdout.write(f"{'ok   ' if found.well else 'WRONG'} {found.what}: {found.says}")
            if not found.well:
                wrong += 1
                self.stdout.write(f"      {found.do}")
        if wrong:
            things = "1 thing is" if wrong == 1 else f"{wrong} things are"
            raise CommandError(f"{things} wrong; more of each: exchange/docs/operating.md#is-it-well")
