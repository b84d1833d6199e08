"""Ask a restored store: does the log verify, does what is sealed open, is all there that was acknowledged before."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import CommandError, CommandParser

from exchange import proving
from exchange.management.at_store import StoreCommand


class Command(StoreCommand):
    """Run by `restore` and `restore_drill`; exit status 1, and a line for each finding, where anything is wrong."""

    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        """What a drill saw before the point."""
        parser.add_argument(
            "--witness", type=json.loads, default={}, help="Numbers that must have been reached, as JSON."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Say what was looked at."""
        found = 0
        for finding in proving.findings(options["witness"]):
            found += 1
            self.stdout.write(finding)
        if found:
            raise CommandError(f"The restored store is not what it was: {found} findings.")
        opened = ", ".join(f"{one.opened} {one.what}" for one in proving.tried())
        reached = ", ".join(f"{number} {what}" for what, number in proving.witness().items())
        self.stdout.write(f"The log verifies ({reached}). Opened: {opened}.")
