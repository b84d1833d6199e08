"""Suspend a partner at once: nothing new in or out for it, on every surface; what it shared stays, marked."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from exchange.errors import ExchangeError
from exchange.management.at_store import StoreCommand
from partners import operating
from partners.groups import life


class Command(StoreCommand):
    """For the operator, when a partner's keys or people cannot be trusted and no admin is at hand."""

    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        """Whom, and why."""
        parser.add_argument("partner", help="The slug of a partner.")
        parser.add_argument("--why", required=True, help="Read by the partner and the operator.")

    def handle(self, *args: Any, **options: Any) -> None:
        """One transaction; the log names the command."""
        try:
            partner = operating.partner_named(options["partner"])
            life.suspend(partner, by=operating.at_the_command_line(), why=options["why"])
        except ExchangeError as refused:
            raise CommandError(refused.detail) from None
        self.stdout.write(f"{partner.name} is suspended.")
