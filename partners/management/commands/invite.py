"""Invite an admin into a partner that has none, or register a new partner with its first admin; prints the link."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from exchange.errors import ExchangeError
from exchange.management.at_store import StoreCommand
from partners import operating
from partners.groups import life
from partners.identity import inviting
from partners.models import Partner


class Command(StoreCommand):
    """For the operator, at night: a partner whose last admin is gone, or the operator itself, is let in again."""

    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        """Into which partner, and whom."""
        parser.add_argument("partner", help="The slug of a partner; with --name, of one to be registered.")
        parser.add_argument("--email", required=True, help="Of the person who becomes admin.")
        parser.add_argument("--name", help="Register a new partner under this name.")
        parser.add_argument(
            "--kind",
            choices=[kind.value for kind in life.INVITED],
            help="Of the new one; default lab.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """One transaction; the link is shown here, this once, and mailed."""
        slug, email = options["partner"], options["email"]
        if options["kind"] and not options["name"]:
            raise CommandError("--kind goes with --name.")
        try:
            by = operating.at_the_command_line()
            if options["name"]:
                kind = Partner.Kind(options["kind"] or Partner.Kind.LAB)
                invited = inviting.invite_partner(by, name=options["name"], slug=slug, kind=kind, email=email)
            else:
                invited = inviting.invite_first_admin(by, operating.partner_named(slug).pk, email=email)
        except ExchangeError as refused:
            raise CommandError(refused.detail) from None
        partner, invitation, link = invited
        self.stdout.write(f"{invitation.email} is invited into {partner.name}; once, within seven days:\n{link}")
