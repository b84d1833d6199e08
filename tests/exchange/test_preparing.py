"""`prepare` migrates while the exchange serves: it keeps nobody waiting for a lock, and comes back for it."""

from __future__ import annotations

import io

import psycopg
import pytest
from django.core.management import call_command
from django.core.management.commands import migrate
from django.db import connection, migrations, models, transaction
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.db.migrations.state import ProjectState

from exchange.management.commands import prepare, restore_drill

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_migration_that_meets_a_lock_gives_up_soon_and_comes_back(monkeypatch):
    parameters = connection.get_connection_params()
    known = {name: parameters[name] for name in ("host", "port", "dbname", "user") if name in parameters}
    tries, said = [], io.StringIO()

    def migrate(name, **options):
        tries.append(name)
        if len(tries) == 2:
            reader.rollback()
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("LOCK TABLE exchange_heartbeat IN ACCESS EXCLUSIVE MODE")

    monkeypatch.setattr(prepare, "call_command", migrate)
    monkeypatch.setattr(prepare, "LOCK_MS", 50)
    monkeypatch.setattr(prepare, "_PAUSE_S", 0.0)
    with psycopg.connect(**known) as reader:
        reader.execute("SELECT count(*) FROM exchange_heartbeat")  # and its transaction stays open
        prepare.Command(stdout=said)._migrate()
    assert tries == ["migrate", "migrate"]
    assert "once more" in said.getvalue()
    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone() == ("0",)


def test_a_migration_that_ends_before_it_is_recorded_was_not_made(monkeypatch):
    """One whose index comes last, which Django records in a transaction after it."""

    class Indexed(migrations.Migration):
        operations = [
            migrations.CreateModel(
                "HalfMade",
                [("id", models.BigAutoField(primary_key=True)), ("at", models.DateTimeField(db_index=True))],
            )
        ]

    def die(*what):
        raise KeyboardInterrupt

    executor = prepare.WholeOrNotAtAll(connection)
    monkeypatch.setattr(executor, "record_migration", die)
    with pytest.raises(KeyboardInterrupt):
        executor.apply_migration(ProjectState(), Indexed("9999_indexed", "exchange"))
    assert "exchange_halfmade" not in connection.introspection.table_names()
    assert migrate.MigrationExecutor is prepare.WholeOrNotAtAll


def test_an_index_that_was_broken_off_is_in_nobodys_way():
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE exchange_brokenoff (n int); CREATE INDEX broken_off ON exchange_brokenoff (n)")
        cursor.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'broken_off'::regclass")
    try:
        prepare.Command()._migrate()
        assert "broken_off" not in connection.introspection.get_constraints(connection.cursor(), "exchange_brokenoff")
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE exchange_brokenoff")


def test_an_index_whose_migration_was_not_recorded_is_made_once_more(monkeypatch):
    """It has no transaction: whoever holds the table of migrations, or a kill, can come between."""
    name = "0082_dissents_by_time"
    newest = MigrationRecorder.Migration.objects.filter(app="indicators", name=name)
    load = MigrationLoader.load_disk

    def of_that_release(loader):
        load(loader)
        known = loader.disk_migrations.items()
        loader.disk_migrations = {key: one for key, one in known if key[0] != "indicators" or key[1] <= name}

    monkeypatch.setattr(MigrationLoader, "load_disk", of_that_release)
    assert newest.delete()[0] == 1
    prepare.Command()._migrate()
    assert newest.count() == 1
    assert "dissent_by_time" in connection.introspection.get_constraints(connection.cursor(), "indicators_opinion")


def test_it_says_what_it_does_at_each_stage():
    said = io.StringIO()
    call_command("prepare", stdout=said)
    stages = ["Preparing", "Migrations", "The broker's tables", "The files of the portal", "The store is up to date"]
    lines = said.getvalue().splitlines()
    assert [stage for stage in stages if any(line.startswith(stage) for line in lines)] == stages, lines


def test_what_a_drill_says_of_its_copy_names_the_copy():
    said = restore_drill._in_the_copy("Preparing.\nThe store is up to date (process 7).")
    assert said == "in the copy: Preparing.\nin the copy: The store is up to date (process 7)."
