"""Let a suspended partner take part again, with its groups, keys and people."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from exchange.errors import ExchangeError
from exchange.management.at_store import StoreCommand
from partners import operating
from partners.groups import life


class Command(StoreCommand):
    """For the operator; the counterpart of `suspend`."""

    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        """Whom."""
        parser.add_argument("partner", help="The slug of a partner.")

    def handle(self, *args: Any, **options: Any) -> None:
        """One transaction; the log names the command."""
        try:
            partner = operating.partner_named(options["partner"])
            life.reinstate(partner, by=operating.at_the_command_line())
        except ExchangeError as refused:
            raise CommandError(refused.detail) from None
        self.stdout.write(f"{partner.name} takes part again.")
