"""What the machines and people of a partner were handed, hour by hour, with the places in the change log in clear."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from exchange.management.at_store import StoreCommand
from partners.log import reads
from partners.models import Partner


class Command(StoreCommand):
    """For the operator, after a key has leaked: which changes has it been handed?"""

    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        """Whose."""
        parser.add_argument("partner", help="The slug of a partner.")

    def handle(self, *args: Any, **options: Any) -> None:
        """One line for each record: hour, reader, surface, feed, pages, objects, first and last place."""
        partner = Partner.objects.filter(slug=options["partner"]).first()
        if partner is None:
            raise CommandError("There is no partner of this slug.")
        for one in reads.opened(partner):
            told = one.record.details
            span = "-" if one.first is None else f"{one.first}..{one.last}"
            self.stdout.write(
                f"{told['hour'][:13]}h {one.record.actor} {one.record.target} feed={told['feed'] or '-'}"
                f" pages={told['pages']} objects={told['objects']} seq={span}"
            )
