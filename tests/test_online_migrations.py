"""Migrations run while an exchange serves: what locks or rewrites a large table, or breaks the code of before, says why.

From 1.0 on they go forward only: back goes the code, on the new schema (tests/drills/test_upgrade.py).
"""

from __future__ import annotations

import importlib
import tomllib
from pathlib import Path

import pytest
from django.apps import apps
from django.contrib.postgres.functions import RandomUUID
from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.models.functions import Now

from indicators.log.indexing import AddIndexOfLog
from tests.online import SMALL, faults, ways_back

ROOT = Path(__file__).resolve().parent.parent
#: The last ones of the release for which everything is stopped (exchange/docs/operating.md, Upgrading); later ones are online.
STOPPED = {"exchange": 2, "partners": 14, "indicators": 39}
#: The last ones before 1.0, as in STOPPED; to be set with that release. What comes later has no way back.
BEFORE_1_0: dict[str, int] | None = None


def ours():
    loader = MigrationLoader(None)
    for (app, name), migration in sorted(loader.disk_migrations.items()):
        if app in STOPPED and int(name[:4]) > STOPPED[app]:
            yield migration


def test_what_an_exchange_would_notice_while_it_serves_says_why():
    for migration in ours():
        module = importlib.import_module(f"{migration.app_label}.migrations.{migration.name}")
        found = faults(migration)
        assert not found or getattr(module, "WHY", ""), (
            f"{migration.app_label}.{migration.name}: do it online, or say in WHY = '…' why it may be noticed",
            found,
        )


@pytest.mark.parametrize("app", SMALL)
def test_what_is_small_is_a_table(app):
    assert SMALL[app] <= {each._meta.model_name for each in apps.get_app_config(app).get_models()}


def test_from_1_0_on_migrations_go_forward_only():
    released = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"].partition(".")[0] != "0"
    assert released == (BEFORE_1_0 is not None), "with 1.0, BEFORE_1_0 says which migrations were before it"
    loader, before = MigrationLoader(None), BEFORE_1_0 or {}
    later = {
        key: ways_back(migration)
        for key, migration in loader.disk_migrations.items()
        if key[0] in before and int(key[1][:4]) > before[key[0]]
    }
    assert not any(later.values()), later
    there_and_back = migrations.Migration("x", "indicators")
    there_and_back.operations = [migrations.RunSQL("SELECT 1", reverse_sql="SELECT 2")]
    assert ways_back(there_and_back)


@pytest.mark.parametrize(
    ("operation", "why"),
    [
        (migrations.AddIndex("holding", models.Index(fields=["id"], name="i")), "under a lock"),
        (migrations.AddConstraint("Holding", models.CheckConstraint(condition=models.Q(id=1), name="c")), "NOT VALID"),
        (migrations.AlterField("change", "seq", models.IntegerField()), "may rewrite"),
        (migrations.AddField("change", "x", models.IntegerField(default=0)), "code of before"),
        (migrations.AddField("change", "x", models.IntegerField(null=True, db_index=True)), "index"),
        (migrations.RemoveField("partner", "name"), "code of before"),
        (migrations.RunSQL("CREATE INDEX i ON indicators_change (seq)"), "CONCURRENTLY"),
        (migrations.RunSQL("ALTER TABLE indicators_holding ALTER COLUMN state TYPE text"), "rewrites"),
        (migrations.RunSQL("ALTER TABLE indicators_holding ADD CONSTRAINT c CHECK (true)"), "NOT VALID"),
        (migrations.RunSQL("ALTER TABLE indicators_holding ALTER COLUMN state SET NOT NULL"), "validated before"),
        (
            migrations.RunSQL("ALTER TABLE indicators_holding ADD COLUMN x uuid NOT NULL DEFAULT gen_random_uuid()"),
            "of its own for each row",
        ),
        (migrations.AddField("change", "x", models.UUIDField(db_default=RandomUUID())), "of its own for each row"),
        (migrations.RunSQL("LOCK TABLE indicators_holding"), "waiting"),
        (migrations.RunSQL("SET lock_timeout = 0"), "`prepare` does"),
        (migrations.RunPython(migrations.RunPython.noop), "in portions"),
        (migrations.AlterModelTable("partner", "x"), "code of before"),
        (migrations.AlterUniqueTogether("holding", {("state", "id")}), "under a lock"),
        (migrations.RunSQL("UPDATE indicators_change c SET traits = '{}'"), "in portions"),
        (migrations.RunSQL([("UPDATE\nindicators_inforce f SET told_at = %s", ["now"])]), "in portions"),
        (migrations.RunSQL("WITH x AS (SELECT 1) DELETE FROM ONLY public.indicators_holding"), "in portions"),
        (migrations.RunSQL("DO $$ BEGIN UPDATE partners_auditrecord SET at = now(); END $$"), "in portions"),
        (
            migrations.RunSQL("INSERT INTO indicators_span SELECT 1 ON CONFLICT (place) DO UPDATE SET low = 1"),
            "in portions",
        ),
        (migrations.RunSQL("TRUNCATE indicators_inforce"), "waiting"),
        (migrations.AddIndex("inforce", models.Index(fields=["id"], name="i")), "under a lock"),
        (migrations.AddIndex("made_later", models.Index(fields=["id"], name="i")), "under a lock"),
        (migrations.RunSQL("ALTER TABLE partners_partner DROP COLUMN name"), "code of before"),
        (migrations.RunSQL("ALTER TABLE partners_partner DROP name"), "code of before"),
        (migrations.RunSQL("ALTER TABLE partners_partner RENAME COLUMN name TO title"), "code of before"),
        (migrations.RunSQL("ALTER TABLE partners_partner RENAME TO partners_member"), "code of before"),
        (migrations.RunSQL("/* old */ DROP TABLE IF EXISTS partners_question"), "code of before"),
        (migrations.RunSQL("DROP VIEW seen"), "code of before"),
        (AddIndexConcurrently("change", models.Index(fields=["id"], name="i")), "part by part"),
        (RemoveIndexConcurrently("Change", "i"), "part by part"),
        (migrations.RunSQL("CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON indicators_change (seq)"), "part by part"),
    ],
)
def test_it_finds(operation, why):
    migration = migrations.Migration("x", "indicators")
    migration.operations = [operation]
    assert why in " ".join(faults(migration))


@pytest.mark.parametrize(
    "operation",
    [
        AddIndexConcurrently("holding", models.Index(fields=["id"], name="i")),
        migrations.AddField("change", "x", models.IntegerField(null=True)),
        migrations.AddField("change", "x", models.BooleanField(db_default=False)),
        migrations.AddField("feed", "x", models.IntegerField(default=0)),
        AddIndexOfLog("change", models.Index(fields=["id"], name="i")),
        migrations.RunSQL("CREATE INDEX CONCURRENTLY i ON indicators_holding (state)"),
        migrations.RunSQL("UPDATE partners_partner SET name = name"),
        migrations.RunSQL("CREATE TRIGGER t AFTER UPDATE ON indicators_carries FOR EACH ROW EXECUTE FUNCTION f()"),
        migrations.RunSQL("CREATE FUNCTION f() AS $$ BEGIN DELETE FROM indicators_span; TRUNCATE x; END $$; SELECT 1"),
        migrations.RunSQL("ALTER TABLE indicators_holding DROP CONSTRAINT c; ALTER TABLE x ALTER y DROP NOT NULL"),
        migrations.RunSQL("CREATE TEMP TABLE once AS SELECT 1; DROP TABLE once"),
        migrations.RunSQL("ALTER INDEX i RENAME TO j; ALTER TABLE partners_partner RENAME CONSTRAINT c TO d"),
        migrations.RunSQL("ALTER TABLE indicators_holding ADD CONSTRAINT c CHECK (true) NOT VALID"),
        migrations.RunSQL(
            "ALTER TABLE indicators_holding VALIDATE CONSTRAINT c; ALTER TABLE indicators_holding ALTER COLUMN x SET NOT NULL"
        ),
        migrations.RunSQL("ALTER TABLE indicators_holding ADD COLUMN x timestamptz DEFAULT now()"),
        migrations.AddField("change", "x", models.DateTimeField(db_default=Now())),
        migrations.CreateModel("y", [("id", models.BigAutoField(primary_key=True))]),
    ],
)
def test_it_lets_pass(operation):
    migration = migrations.Migration("x", "indicators")
    migration.operations = [operation]
    assert faults(migration) == []


def test_what_is_not_atomic_can_be_begun_again():
    migration = migrations.Migration("x", "indicators")
    migration.atomic = False
    add = AddIndexConcurrently("holding", models.Index(fields=["id"], name="i"))
    migration.operations = [migrations.AddField("partner", "x", models.IntegerField(null=True)), add]
    assert "several steps" in " ".join(faults(migration))
    migration.operations = [add]
    assert faults(migration) == []
    make, drop = "CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON x (y)", "DROP INDEX CONCURRENTLY IF EXISTS j"
    migration.operations = [migrations.RunSQL(make), migrations.RunSQL(drop)]
    assert faults(migration) == []
