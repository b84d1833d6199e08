"""An index of the log, made by a migration beside who writes (ADR 0048)."""

import pytest
from django.db import connection, migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.utils import NotSupportedError

from exchange.management.commands import prepare
from indicators.log import dividing
from indicators.log.indexing import AddIndexOfLog
from tests import templates
from tests.stores import another_store

INDEX = models.Index(fields=["version_id", "seq"], condition=models.Q(again=False), name="by_version_once")


class Indexed(migrations.Migration):
    atomic = False
    operations = [AddIndexOfLog("change", INDEX)]


def migrate():
    before = MigrationLoader(connection).project_state()
    prepare.WholeOrNotAtAll(connection).apply_migration(before, Indexed("9999_indexed", "indicators"))


def made():
    """Table and text of each index that is whole, by name."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT indrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index"
            " WHERE indisvalid AND indexrelid::regclass::text LIKE %s",
            [f"%{INDEX.name}"],
        )
        return {table: text.partition(" USING ")[2] for table, text in cursor.fetchall()}


@pytest.mark.django_db(transaction=True)
def test_an_index_is_made_of_a_log_that_is_divided_and_goes_on_where_it_was_broken_off(monkeypatch):
    with another_store(like=templates.name()):
        migrate()
        whole = made()
        assert list(whole) == ["indicators_change"]
        dividing.run(f"DROP INDEX {INDEX.name}")
        dividing.cut(1_000_000)
        dividing.cut(2_000_000)

        run = dividing.run
        monkeypatch.setattr(dividing, "run", lambda sql: run(sql) if "newest" not in sql else 1 / 0)
        with pytest.raises(ZeroDivisionError):
            migrate()
        monkeypatch.undo()
        with connection.cursor() as cursor:  # as a kill leaves it
            cursor.execute(f"CREATE INDEX change_newest_{INDEX.name} ON change_newest (version_id)")
            cursor.execute(
                f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'change_newest_{INDEX.name}'::regclass"
            )
        prepare.Command()._drop_half_made()
        migrate()
        assert made() == dict.fromkeys(
            ["indicators_change", *(part.name for part in dividing.parts())], whole["indicators_change"]
        )
        prepare.Command()._drop_half_made()
        assert len(made()) == 4


@pytest.mark.django_db
def test_it_is_for_a_migration_that_is_not_atomic(monkeypatch):
    monkeypatch.setattr(dividing, "is_divided", lambda: True)
    with pytest.raises(NotSupportedError):
        migrate()
