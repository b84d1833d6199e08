"""Migrations run while an exchange serves: what locks or rewrites a large table, or breaks the code of before, says why.

From 1.0 on they go forward only: back goes the code, on the new schema (tests/drills/test_upgrade.py).
"""

from __future__ import annotations

import importlib
import re
import tomllib
from pathlib import Path
from uuid import UUID

import pytest
from django.contrib.postgres.functions import RandomUUID
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.models import Value
from django.db.models.functions import Now

ROOT = Path(__file__).resolve().parent.parent
#: The last ones of the release for which everything is stopped (exchange/docs/operating.md, Upgrading); later ones are online.
STOPPED = {"exchange": 2, "partners": 14, "indicators": 39}
#: The last ones before 1.0, as in STOPPED; to be set with that release. What comes later has no way back.
BEFORE_1_0: dict[str, int] | None = None
#: Tables that grow with what is published, read or told; on any other, a lock is short.
LARGE = {
    "auditleaf",
    "auditnode",
    "auditrecord",
    "auditwaiting",
    "carries",
    "change",
    "delivery",
    "evidence",
    "holding",
    "opinion",
    "passed",
    "placed",
    "puretoken",
    "reference",
    "sighting",
    "stir",
    "stixobject",
    "tokenvalue",
}
_SQL = (
    (
        r"create\s+(unique\s+)?index\s+(?!concurrently)",
        "makes an index under a lock: CONCURRENTLY, in a migration that is not atomic",
    ),
    (
        r"add\s+constraint(?!.*(not\s+valid|using\s+index))",
        "reads the whole table under a lock: NOT VALID, then VALIDATE CONSTRAINT",
    ),
    (r"alter\s+(column\s+)?\w+\s+(set\s+data\s+)?type\b", "rewrites the table"),
    (
        r"set\s+not\s+null",
        "reads the whole table under a lock, unless a CHECK (… IS NOT NULL) was validated before",
    ),
    (
        r"add\s+column\b.*\bdefault\s+(?!now\(\))[\w.]+\(",
        "rewrites the table: a default of its own for each row",
    ),
    (r"\b(drop|rename)\s+(column|to)\b", "the code of before still asks for it"),
    (r"\b(cluster|vacuum\s+full)\b", "rewrites the table"),
    (r"\block\s+table\b", "keeps everybody waiting"),
)
_VALIDATED = re.compile(r"validate\s+constraint")
#: A step that may be done again: of a migration that is not atomic, what was done before it gave up on a lock stays.
_AGAIN = re.compile(
    r"^\s*(create\s+index\s+concurrently\s+if\s+not|drop\s+index\s+concurrently\s+if)\s+exists\b", re.IGNORECASE
)
#: `prepare` says how long a migration waits for a lock; it is not for a migration to say otherwise.
_PATIENT = re.compile(r"(lock|statement)_timeout", re.IGNORECASE)


def faults(migration: migrations.Migration) -> list[str]:
    """What this migration does that an exchange would notice while it serves."""
    found: list[str] = []
    new = {each.name.lower() for each in migration.operations if isinstance(each, migrations.CreateModel)}
    for operation in _flat(migration.operations):
        name = getattr(operation, "model_name", "").lower()
        if isinstance(operation, migrations.RunSQL):
            found += _of_sql(operation.sql)
        elif isinstance(operation, migrations.RunPython) and migration.atomic:
            found.append("RunPython: rows that it writes stay locked to the end: atomic = False, in portions")
        elif isinstance(operation, migrations.DeleteModel | migrations.RenameModel):
            found.append(f"{operation.describe()}: the code of before still asks for it")
        elif isinstance(operation, migrations.RemoveField | migrations.RenameField) and name not in new:
            found.append(f"{operation.describe()}: the code of before still asks for it")
        elif name in LARGE - new:
            found += _of_large(operation)
    return found + _of_several(migration)


def _of_several(migration) -> list[str]:
    """Where one gave up on a lock after its first step, `prepare` begins it again: no step may find that it is done."""
    steps = list(_flat(migration.operations))
    if migration.atomic or len(steps) < 2:
        return []
    again = (isinstance(each, migrations.RunSQL) and _AGAIN.match(str(each.sql)) for each in steps)
    return (
        []
        if all(again)
        else ["several steps of one that is not atomic: each in a migration of its own, or IF (NOT) EXISTS"]
    )


def _flat(operations):
    for each in operations:
        if isinstance(each, migrations.SeparateDatabaseAndState):
            yield from _flat(each.database_operations)
        else:
            yield each


def _of_large(operation) -> list[str]:
    told = operation.describe()
    if isinstance(operation, migrations.AddIndex) and not isinstance(operation, AddIndexConcurrently):
        return [f"{told}: makes an index under a lock: AddIndexConcurrently, in a migration that is not atomic"]
    if isinstance(operation, migrations.AddConstraint):
        return [f"{told}: reads the whole table under a lock: NOT VALID by RunSQL, then VALIDATE CONSTRAINT"]
    if isinstance(operation, migrations.AlterField):
        return [f"{told}: may rewrite the table, or read it under a lock"]
    if isinstance(operation, migrations.AddField):
        field = operation.field
        if isinstance(field, models.GeneratedField):
            return [f"{told}: rewrites the table"]
        if field.db_index or field.unique or field.is_relation:
            return [f"{told}: makes an index or a constraint under a lock"]
        if not field.null and not field.has_db_default():
            return [f"{told}: the code of before writes rows without it: null=True or a constant db_default"]
        if field.has_db_default() and not isinstance(field.db_default, str | int | float | bool | UUID | Value | Now):
            return [f"{told}: may rewrite the table: a default of its own for each row"]
    return []


def _of_sql(sql) -> list[str]:
    text = " ".join(str(each) for each in sql) if isinstance(sql, list | tuple) else str(sql)
    lines = [re.sub(r"--.*", "", statement).strip().lower() for statement in text.split(";")]
    touched = [line for line in lines if any(re.search(rf"_{name}\b", line) for name in LARGE)]
    found = [(line, why) for line in touched for wanted, why in _SQL if re.search(wanted, line, re.DOTALL)]
    if any(_VALIDATED.search(line) for line in touched):
        found = [(line, why) for line, why in found if "set not null" not in " ".join(line.split())]
    patient = ["sets a timeout: `prepare` does"] if _PATIENT.search(text) else []
    return [f"{line[:60]}: {why}" for line, why in found] + patient


def ways_back(migration: migrations.Migration) -> list[str]:
    """What of it could be undone by a hand-written step: nobody tries that, until the night on which it fails."""
    return [
        f"{operation.describe()}: forward only"
        for operation in _flat(migration.operations)
        if getattr(operation, "reverse_sql", None) or getattr(operation, "reverse_code", None)
    ]


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
        migrations.AddField("partner", "x", models.IntegerField(default=0)),
        migrations.RunSQL("CREATE INDEX CONCURRENTLY i ON indicators_change (seq)"),
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
