"""Seal what lies in quarantine anew with the present SECRET_KEY, so that an old one can be given up."""

from __future__ import annotations

from typing import Any

from exchange.management.at_store import StoreCommand
from indicators.publishing import quarantine


class Command(StoreCommand):
    """After SECRET_KEY was changed and the old one was put into SECRET_KEY_FALLBACKS."""

    help = __doc__ or ""

    def handle(self, *args: Any, **options: Any) -> None:
        """Say how many objects were sealed anew."""
        self.stdout.write(f"{quarantine.reseal()} objects in quarantine are sealed with the present key.")
