"""Bring the store up to date (migrations, cache, the broker's tables), and collect what the portal serves."""

import os
import time
from contextlib import nullcontext
from typing import Any

from django.conf import settings
from django.contrib.postgres.operations import AddIndexConcurrently
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.management.commands import migrate
from django.db import OperationalError, connection, transaction
from django.db.migrations import Migration
from django.db.migrations.executor import MigrationExecutor
from pgmq.install import get_embedded_install_sql
from psycopg.errors import LockNotAvailable

from exchange import assets, incarnation, starting

#: For so long a migration waits for a lock, and everyone who needs the table behind it.
LOCK_MS = 2_000
_PAUSE_S = 1.0
_TRIES = 60
# But for those that somebody makes at this moment, and that of a divided log, which goes on from the parts it has.
_HALF_MADE = """
SELECT i.indexrelid::regclass::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE NOT i.indisvalid AND c.relkind = 'i'
  AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = i.indexrelid)
"""
_UNRECORDED = "SELECT relname FROM pg_class WHERE relkind = 'i' AND relname = ANY(%s)"


class WholeOrNotAtAll(MigrationExecutor):
    """Records a migration in its own transaction.

    Django does so after it where indexes or foreign keys come last: a process that ends in between, or meets a lock,
    would leave a migration that was made and is made again, which fails for ever.
    """

    def apply_migration(self, state: Any, migration: Migration, fake: bool = False, fake_initial: bool = False) -> Any:  # noqa: FBT001, FBT002 - Django's
        """As Django does, in one transaction; a migration that is not atomic has none."""
        with transaction.atomic() if migration.atomic else nullcontext():
            return super().apply_migration(state, migration, fake=fake, fake_initial=fake_initial)


def _unrecorded_indexes() -> list[str]:
    """What migrations that are still to come make outside of a transaction."""
    executor = WholeOrNotAtAll(connection)
    to_come = executor.migration_plan(executor.loader.graph.leaf_nodes())
    made = [made for migration, _ in to_come for made in migration.operations]
    return [one.index.name for one in made if isinstance(one, AddIndexConcurrently)]


# Where the command looks for it.
migrate.MigrationExecutor = WholeOrNotAtAll  # type: ignore[attr-defined]


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
        self._say("Preparing the store; the first time takes a minute or more, on a slow machine several.")
        starting.wait_for_store()
        self._say("Migrations …")
        self._migrate()
        call_command("createcachetable", verbosity=0)
        call_command("reread", stdout=self.stdout)
        if options["restored"]:
            incarnation.begin()
            self.stdout.write("Who follows by a cursor made before this moment is told to start over.")
        if settings.DATABASE_POOLER == "transaction":
            self._plan_for_the_role()
        if settings.BROKER_IS_POSTGRESQL:
            self._say("The broker's tables …")
            self._install_broker()
        self._say("The files of the portal …")
        _collect_static_files()
        self.stdout.write(f"The store is up to date (process {os.getpid()}).")

    def _say(self, line: str) -> None:
        """At once, also where it goes to a file or a journal."""
        self.stdout.write(line)
        self.stdout.flush()

    def _migrate(self) -> None:
        """A migration that waits for a lock keeps all who come after it waiting: it gives up soon, and comes back."""
        for left in reversed(range(_TRIES)):
            self._drop_half_made()
            try:
                with connection.cursor() as cursor:
                    cursor.execute("SELECT set_config('lock_timeout', %s, false)", [f"{LOCK_MS}ms"])
                call_command("migrate", interactive=False, verbosity=0)
                return
            except OperationalError as error:
                if not isinstance(error.__cause__, LockNotAvailable) or not left:
                    raise
                self.stdout.write("A table is in use: once more in a moment.")
                time.sleep(_PAUSE_S)
            finally:
                with connection.cursor() as cursor:
                    cursor.execute("RESET lock_timeout")

    def _drop_half_made(self) -> None:
        """An index that is made without a lock, and broken off, stays behind, of no use and in the way.

        So does one whose migration could not be recorded: that is made once more.
        """
        with connection.cursor() as cursor:
            cursor.execute(_HALF_MADE)
            half_made = [name for (name,) in cursor.fetchall()]
            cursor.execute(_UNRECORDED, [_unrecorded_indexes()])
            half_made += [connection.ops.quote_name(name) for (name,) in cursor.fetchall()]
            for name in half_made:
                cursor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")

    def _plan_for_the_role(self) -> None:
        """A pooler hands no settings on, so they become the role's own, in this database."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT quote_ident(current_user), quote_ident(current_database())")
            role, database = cursor.fetchone()
            for name, value in settings.DATABASE_PLANNING.items():
                cursor.execute(f"ALTER ROLE {role} IN DATABASE {database} SET {name} = '{value}'")

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
