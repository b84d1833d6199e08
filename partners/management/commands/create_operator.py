"""Make the operator of an empty exchange, and print a link with which its first admin enters."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from exchange.errors import ExchangeError
from exchange.management import line
from exchange.management.at_store import StoreCommand
from partners.identity import inviting


class Command(StoreCommand):
    """The first command on a new installation, after `prepare`. Repeated before the admin came, it makes a new link."""

    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        """Who operates, and who comes first."""
        parser.add_argument("--email", required=True, help="Of the operator's first admin.")
        parser.add_argument("--name", default="Exchange Operator", help="As partners read it.")
        parser.add_argument("--slug", default="operator", help="Its short name in addresses.")

    def handle(self, *args: Any, **options: Any) -> None:
        """One transaction; the link is shown here, this once."""
        try:
            operator, invitation, link = inviting.invite_operator(
                name=options["name"], slug=options["slug"], email=options["email"]
            )
        except ExchangeError as refused:
            more = (
                f" To let one of its people in again: `{line.named('invite')}`."
                if refused.code == "operator-exists"
                else ""
            )
            raise CommandError(refused.detail + more) from None
        self.stdout.write(f"{operator.name} is the operator. For {invitation.email}, once, within seven days:\n{link}")
