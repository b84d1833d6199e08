"""Bring the store up to date (migrations, cache, the broker's tables), and collect what the portal serves."""

import os
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection
from pgmq.install import get_embedded_install_sql

from exchange import assets, incarnation, starting


class Command(BaseCommand):
    """Safe to repeat; run it before the first start and after every upgrade."""

    help = __doc__ or ""
    requires_system_checks = ()  # they ask the store, which may not be there yet; `migrate` runs them

    def add_arguments(self, parser: CommandParser) -> None:
        """One option, for the day after a restore."""
        parser.add_argument(
            "--restored",
            action="store_true",
            help="The database was restored to an earlier point: every cursor of before is answered with start-over.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Wait for the store, migrate, then what migrations do not cover."""
        starting.wait_for_store()
        call_command("migrate", interactive=False, verbosity=0)
        call_command("createcachetable", verbosity=0)
        call_command("reread", stdout=self.stdout)
        if options["restored"]:
            incarnation.begin()
            self.stdout.write("Who follows by a cursor made before this moment is told to start over.")
        if settings.BROKER_IS_POSTGRESQL:
            self._install_broker()
        _collect_static_files()
        self.stdout.write(f"The store is up to date (process {os.getpid()}).")

    def _install_broker(self) -> None:
        """The SQL-only install of pgmq: no extension is needed, so any PostgreSQL will do."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass('pgmq.meta') IS NOT NULL")
            if not cursor.fetchone()[0]:
                cursor.execute(get_embedded_install_sql())
            cursor.execute("SELECT queue_name FROM pgmq.notify_insert_throttle")
            made = {name for (name,) in cursor.fetchall()}
            for name in sorted({queue.name for queue in settings.CELERY_TASK_QUEUES} - made):
                cursor.execute("SELECT pgmq.create_unlogged(%s)", [name])  # hints may be lost; writing less is faster
                cursor.execute("SELECT pgmq.enable_notify_insert(%s, 0)", [name])


def _collect_static_files() -> None:
    """Into STATIC_ROOT; where that may not be written, as in an image, they must be there already."""
    try:
        call_command("collectstatic", interactive=False, verbosity=0)
    except OSError:
        if absent := assets.absent():
            raise CommandError(f"STATIC_ROOT: cannot be written, and lacks {', '.join(absent)}") from None
