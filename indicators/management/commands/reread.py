"""Read stored objects again by the rules of this release, and write anew what an older one read otherwise."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from exchange.management.at_store import StoreCommand
from indicators.campaigns import asking
from indicators.publishing import rereading

_SAID_EVERY = 50_000


class Command(StoreCommand):
    """Run by `prepare`. May be broken off and repeated at any time; one query where nothing is to be done."""

    help = __doc__ or ""
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """One option, for the day after an upgrade."""
        parser.add_argument(
            "--anyway",
            action="store_true",
            help="Also what was stored since it was done last: processes of the older release went on for a while."
            " Accounts of evidence are asked again which campaign they belong to.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Say how far it is now and then, and at the end what was done, if anything was."""
        anyway = options.get("anyway", False)
        if anyway:
            asking.ask_everybody()
        said = 0

        def tell(so_far: rereading.Reread) -> None:
            nonlocal said
            if so_far.read - said >= _SAID_EVERY:
                said = so_far.read
                self.stdout.write(f"{said} stored objects read again so far.")

        done = rereading.reread(anyway=anyway, on_page=tell)
        if done.read:
            self.stdout.write(
                f"{done.read} stored objects read again: {done.changed} written anew, {done.ended} ended that had been"
                f" revoked, {done.unreadable} left as they were, for today's rules do not read them."
            )
