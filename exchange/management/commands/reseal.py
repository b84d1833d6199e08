"""Seal all that lies sealed in the store with the present SECRET_KEY, and say whether the old ones can be given up."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError

from exchange import proving, sealing
from exchange.management.at_store import StoreCommand


class Command(StoreCommand):
    """After SECRET_KEY was changed, the old one was put into SECRET_KEY_FALLBACKS, and all processes have both."""

    help = __doc__ or ""

    def handle(self, *args: Any, **options: Any) -> None:
        """Safe to repeat. Exit status 1 while anything opens by an old key alone."""
        for what, reseal in sorted(proving.RESEAL.items()):
            self.stdout.write(f"{what}: {reseal()} sealed anew")
        with sealing.present_alone():
            left = [f"{one.closed} of {one.opened + one.closed} {one.what}" for one in proving.tried() if one.closed]
        if left:
            raise CommandError(f"These do not open by the present key alone: {', '.join(left)}. Run it once more.")
        self.stdout.write(
            "All that is sealed opens by the present key alone: SECRET_KEY_FALLBACKS can go. Sessions of before end "
            "then (twelve hours are enough), and a cursor of before is none any more: its reader starts over."
        )
