"""Restore the newest backup to this moment beside the living store, prove that nothing is missing, and delete it."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import textwrap
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.db import connection

from exchange import clock, env, proving
from exchange.backup import keeping, programs, restoring
from exchange.management.at_store import StoreCommand
from exchange.management.commands.restore import manage
from exchange.models import Heartbeat

_RECEIVED_S = 60.0
_NAME = "drill-"


class Command(StoreCommand):
    """Run it each week, and after every change to how backups are made. Takes as much disk as the database."""

    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        """Where there is room."""
        parser.add_argument("--scratch", type=Path, help="A directory with room for the database; default: BACKUP_DIR.")
        parser.add_argument("--user", default="", help="For root: as whom PostgreSQL runs.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Say what was restored, to when, what was proved and how long it took."""
        began = time.monotonic()
        room = options["scratch"] or settings.BACKUP_DIR
        try:
            room.mkdir(mode=0o700, parents=True, exist_ok=True)
            with keeping.alone(room, "drill", what="drill"):
                for left in room.glob(f"{_NAME}*"):  # by a drill that was killed
                    shutil.rmtree(left)
                seen, at = self._point()
                with tempfile.TemporaryDirectory(prefix=_NAME, dir=room) as place:
                    _open_for_the_server(Path(place))
                    self._rehearse(Path(place) / "data", at, seen, user=options["user"])
        except programs.Failed as failed:
            raise CommandError(str(failed)) from None
        Heartbeat.objects.update_or_create(name="restore drill", defaults={"at": clock.now()})
        self.stdout.write(f"The drill went well, in {time.monotonic() - began:.0f} s.")

    def _point(self) -> tuple[dict[str, int], datetime]:
        """What is acknowledged now, a moment after it, and a transaction after that moment, received by the archive."""
        seen = proving.witness() | proving.mark()
        with connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            (at,) = cursor.fetchone()
            Heartbeat.objects.update_or_create(name="drill", defaults={"at": clock.now()})
            cursor.execute("SELECT pg_current_wal_lsn()")
            (end,) = cursor.fetchone()
            deadline = time.monotonic() + _RECEIVED_S
            while True:
                cursor.execute(_RECEIVED, [end, keeping.SLOT])
                row = cursor.fetchone()
                if row is None:
                    raise programs.Failed("Nobody receives the log: run `archive` as a service, then this again.")
                if row[0]:
                    return seen, at
                if time.monotonic() > deadline:
                    raise programs.Failed(
                        f"The archive is behind: it did not receive this minute within {_RECEIVED_S:.0f} s."
                    )
                time.sleep(0.2)

    def _rehearse(self, to: Path, at: datetime, seen: dict[str, int], *, user: str) -> None:
        url, directory = settings.BACKUP_DATABASE_URL, settings.BACKUP_DIR
        with restoring.restored(url, directory, to=to, at=at, user=user) as server:
            self.stdout.write(f"{server.base.place.name} to {at.isoformat()}: answers after {server.seconds:.0f} s.")
            own = restoring.through(env.required("DATABASE_URL", why="a postgresql:// URL"), like=server.url)
            self.stdout.write(_in_the_copy(manage(own, "prepare", "--restored")))
            self.stdout.write(_in_the_copy(manage(own, "prove_restored", "--witness", json.dumps(seen))))


_RECEIVED = "SELECT restart_lsn >= %s::pg_lsn FROM pg_replication_slots WHERE slot_name = %s AND active"


def _in_the_copy(said: str) -> str:
    """What a command said of the restored store, so that nobody takes it for the living one."""
    return textwrap.indent(said, "in the copy: ")


def _open_for_the_server(place: Path) -> None:
    """Let root's other user reach what is theirs."""
    if os.geteuid() == 0:
        place.chmod(0o711)
