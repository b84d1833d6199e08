"""Make a base backup, check it, and delete those that are too old, with the log that only they needed."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from exchange import clock, sealing
from exchange.backup import keeping, programs
from exchange.management.at_store import StoreCommand
from exchange.models import Heartbeat


class Command(StoreCommand):
    """Run it each night; `archive` beside it keeps what happened since. Needs a role with REPLICATION."""

    help = __doc__ or ""

    def handle(self, *args: Any, **options: Any) -> None:
        """Say where it lies, how large it is, and which keys open what is sealed in it."""
        try:
            made = keeping.copy(settings.BACKUP_DATABASE_URL, settings.BACKUP_DIR, keys=keys())
            gone = keeping.forget(settings.BACKUP_DIR, keep=settings.BACKUP_KEEP)
        except programs.Failed as failed:
            raise CommandError(str(failed)) from None
        Heartbeat.objects.update_or_create(name="backup", defaults={"at": clock.now()})
        took = (made.ended_at - made.began_at).total_seconds()
        self.stdout.write(f"{made.place}: {made.bytes / 2**20:,.0f} MiB in {took:.0f} s, checked. {len(gone)} deleted.")
        names = ", ".join(f"{name} {fingerprint}" for name, fingerprint in made.keys.items())
        self.stdout.write(f"Not in it, and needed to open it; keep them elsewhere: {names}.")


def keys() -> dict[str, str]:
    """The secrets without which a backup is of no use, by fingerprints; never the secrets."""
    found = {"SECRET_KEY": sealing.fingerprint(settings.SECRET_KEY)}
    for number, old in enumerate(settings.SECRET_KEY_FALLBACKS, start=1):
        found[f"SECRET_KEY_FALLBACKS[{number}]"] = sealing.fingerprint(old)
    if settings.AUDIT_SIGNING_KEY:
        found["AUDIT_SIGNING_KEY"] = sealing.fingerprint(settings.AUDIT_SIGNING_KEY.hex())
    return found
