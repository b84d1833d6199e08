"""Make a data directory of the newest base backup and the log: to the log's end, or to a moment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from exchange import env
from exchange.backup import programs, restoring


class Command(BaseCommand):
    """Restores, begins a new incarnation and proves it, on a server that nobody else reaches. Overwrites nothing."""

    help = __doc__ or ""
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Where to, and to when."""
        parser.add_argument("to", type=Path, help="The new data directory: absent or empty.")
        parser.add_argument("--at", type=restoring.moment, help="An RFC 3339 moment; default: all that was received.")
        parser.add_argument("--user", default="", help="For root: as whom PostgreSQL runs, and whose the files are.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Say what was restored and what to do next."""
        to = options["to"].absolute()
        try:
            with restoring.restored(
                settings.BACKUP_DATABASE_URL, settings.BACKUP_DIR, to=to, at=options["at"], user=options["user"]
            ) as server:
                self.stdout.write(f"{server.base.place.name} and the log since: answers after {server.seconds:.0f} s.")
                url = restoring.through(env.required("DATABASE_URL", why="a postgresql:// URL"), like=server.url)
                self.stdout.write(manage(url, "prepare", "--restored"))
                self.stdout.write(manage(url, "prove_restored"))
        except programs.Failed as failed:
            raise CommandError(str(failed)) from None
        self.stdout.write(f"{to} is ready: start PostgreSQL {server.base.version} with it, then web, workers and beat.")


#: With these (or their `_FILE`) a command would ask the living exchange, whatever its DATABASE_URL: a pooler's settings
#: send commands past it, to the server behind.
_OF_THE_LIVING = (
    *("BACKUP_DATABASE_URL", "CELERY_BROKER_URL"),
    *("DATABASE_DIRECT_URL", "DATABASE_POOLER", "DATABASE_REPLICA_URL"),
)


def manage(url: str, *arguments: str, more: dict[str, str] | None = None) -> str:
    """Run one of our commands against another store; what it said. Raises `programs.Failed`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OF_THE_LIVING)}
    done = subprocess.run(  # noqa: S603 - our own command, no shell
        [sys.executable, "-m", "exchange.management.line", *arguments],
        env=kept | {"DATABASE_URL": url} | (more or {}),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise programs.Failed(f"{arguments[0]}: {(done.stdout + done.stderr).strip()[-2_000:]}")
    return done.stdout.strip()
