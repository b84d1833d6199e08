"""What a migration may not do while an exchange serves: the rules, for tests/test_online_migrations.py."""

from __future__ import annotations

import re
from collections.abc import Iterator
from uuid import UUID

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models
from django.db.models import Value
from django.db.models.functions import Now

from indicators.log.indexing import AddIndexOfLog

#: Tables of a few thousand rows at most, or of rows that live for minutes, on which a lock is short. Any other is large:
#: it may grow with what is published, read or told.
SMALL = {
    "exchange": {"heartbeat", "incarnation"},
    "partners": {
        *("agreement", "apikey", "auditkey", "group", "groupkey", "handover", "identity", "invitation", "keynetwork"),
        *("membership", "notice", "partner", "proposal", "pseudonym", "question", "recipientterms", "roleceiling"),
        *("session", "signon", "tokenkey", "user"),
    },
    "indicators": {
        *("campaignalias", "campaignevent", "campaignstatement", "campaign", "connection", "detector", "digest"),
        *("epoch", "feed", "feedset", "flood", "heldbatch", "judging", "logshare", "outflow", "peerhead", "pool"),
        *("preparation", "progress", "rangefile", "receipt", "release", "reportpackage", "reportschedule"),
        *("servicehost", "submission", "subscription", "telling"),
    },
}
#: The log, which an operator may have divided (ADR 0048).
DIVIDED = "change"
_GONE = "the code of before still asks for it"
_ROWS = "rows that it writes stay locked to the end: RunPython with atomic = False, in portions"
#: Of any table but one that the migration itself makes.
_OF_ANY = (
    (r"^alter\s+table\b.*\bdrop\s+(?!constraint|not\s|default|expression|identity)", _GONE),
    (r"^alter\s+table\b.*\brename\s+(?!constraint)", _GONE),
    (r"^drop\s+(table|view|materialized\s+view)\b", _GONE),
)
_OF_LARGE = (
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
    (r"\b(cluster|vacuum\s+full)\b", "rewrites the table"),
    (r"\block\s+table\b", "keeps everybody waiting"),
    (r"^truncate\b", "takes the rows away under a lock that keeps everybody waiting"),
    (r"\bon\s+conflict\b.*\bdo\s+update\b", _ROWS),
)
#: What is written, by the table that comes right after: not `AFTER UPDATE ON`, `FOR UPDATE` or `ON DELETE`.
_WRITTEN = r"\b(?:update|delete\s+from|merge\s+into)\s+(?:only\s+)?\"?(?:public\"?\.\"?)?"
_TABLE = re.compile(r"\b(exchange|partners|indicators)_(\w+)")
_MADE = re.compile(r"create\s+(?:temp(?:orary)?\s+|unlogged\s+)?table\s+(?:if\s+not\s+exists\s+)?\"?(\w+)")
#: What a function does it does when it is called: its text is no statement of the migration.
_FUNCTION = re.compile(r"(create\s+(?:or\s+replace\s+)?(?:function|procedure)\b[^$]*)(\$\w*\$).*?\2", re.DOTALL)
_VALIDATED = re.compile(r"validate\s+constraint")
#: A step that may be done again: of a migration that is not atomic, what was done before it gave up on a lock stays.
_AGAIN = re.compile(
    r"^\s*(create\s+index\s+concurrently\s+if\s+not|drop\s+index\s+concurrently\s+if)\s+exists\b", re.IGNORECASE
)
#: `prepare` says how long a migration waits for a lock; it is not for a migration to say otherwise.
_PATIENT = re.compile(r"(lock|statement)_timeout", re.IGNORECASE)
_BY_PARTS = "no index of a divided log is made or dropped so: AddIndexOfLog, part by part (ADR 0048)"


def faults(migration: migrations.Migration) -> list[str]:
    """What this migration does that an exchange would notice while it serves."""
    found: list[str] = []
    new = {each.name.lower() for each in migration.operations if isinstance(each, migrations.CreateModel)}
    for operation in _flat(migration.operations):
        name = getattr(operation, "model_name", getattr(operation, "name", "")).lower()
        if isinstance(operation, migrations.RunSQL):
            found += _of_sql(operation.sql, new={f"{migration.app_label}_{each}" for each in new})
        elif isinstance(operation, migrations.RunPython) and migration.atomic:
            found.append("RunPython: rows that it writes stay locked to the end: atomic = False, in portions")
        elif name not in new:
            found += _of_any(operation)
            if name not in SMALL[migration.app_label]:
                found += _of_large(operation)
    return found + _of_several(migration)


def _of_several(migration: migrations.Migration) -> list[str]:
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


def _flat(operations) -> Iterator:
    for each in operations:
        if isinstance(each, migrations.SeparateDatabaseAndState):
            yield from _flat(each.database_operations)
        else:
            yield each


def _of_any(operation) -> list[str]:
    going = migrations.DeleteModel | migrations.RenameModel | migrations.AlterModelTable
    if isinstance(operation, going | migrations.RemoveField | migrations.RenameField):
        return [f"{operation.describe()}: {_GONE}"]
    return []


def _of_large(operation) -> list[str]:
    told = operation.describe()
    if isinstance(operation, AddIndexConcurrently | RemoveIndexConcurrently):
        by_parts = operation.model_name.lower() != DIVIDED or isinstance(operation, AddIndexOfLog)
        return [] if by_parts else [f"{told}: {_BY_PARTS}"]
    if isinstance(operation, migrations.AddIndex):
        return [f"{told}: makes an index under a lock: AddIndexConcurrently, in a migration that is not atomic"]
    if isinstance(operation, migrations.AddConstraint):
        return [f"{told}: reads the whole table under a lock: NOT VALID by RunSQL, then VALIDATE CONSTRAINT"]
    if isinstance(operation, migrations.AlterUniqueTogether):
        return [f"{told}: makes an index under a lock"]
    if isinstance(operation, migrations.AlterField):
        return [f"{told}: may rewrite the table, or read it under a lock"]
    if isinstance(operation, migrations.AddField):
        return [f"{told}: {why}" for why in _of_field(operation.field)]
    return []


def _of_field(field: models.Field) -> list[str]:
    """What adding it to a large table would do."""
    if isinstance(field, models.GeneratedField):
        return ["rewrites the table"]
    if field.db_index or field.unique or field.is_relation:
        return ["makes an index or a constraint under a lock"]
    if not field.null and not field.has_db_default():
        return ["the code of before writes rows without it: null=True or a constant db_default"]
    if field.has_db_default() and not isinstance(field.db_default, str | int | float | bool | UUID | Value | Now):
        return ["may rewrite the table: a default of its own for each row"]
    return []


def _of_sql(sql, *, new: set[str]) -> list[str]:
    """Of a text, or of a list of texts or of pairs of a text and what is put into it; `new`: tables that are made here."""
    several = sql if isinstance(sql, list | tuple) else [sql]
    text = ";".join(str(each[0] if isinstance(each, list | tuple) else each) for each in several)
    plain = re.sub(r"/\*.*?\*/", "", re.sub(r"--.*", "", text), flags=re.DOTALL).lower()
    made = new | set(_MADE.findall(plain))
    lines = [line.strip() for line in _FUNCTION.sub(r"\1", plain).split(";")]
    validated = any(_VALIDATED.search(line) for line in lines)
    found = [(line, why) for line in lines for why in _of_statement(line, made=made, validated=validated)]
    patient = ["sets a timeout: `prepare` does"] if _PATIENT.search(text) else []
    return [f"{line[:60]}: {why}" for line, why in found] + patient


def _of_statement(line: str, *, made: set[str], validated: bool) -> list[str]:
    named = {f"{app}_{name}": name not in SMALL[app] for app, name in _TABLE.findall(line)}
    large = {table for table, is_large in named.items() if is_large} - made
    found = []
    if not made & set(re.findall(r"\w+", line)):
        found += [why for wanted, why in _OF_ANY if re.search(wanted, line, re.DOTALL)]
    if large:
        found += [why for wanted, why in _OF_LARGE if re.search(wanted, line, re.DOTALL)]
    if any(re.search(rf"{_WRITTEN}{table}\b", line) for table in large):
        found.append(_ROWS)
    if f"indicators_{DIVIDED}" in large and re.search(r"^create\s+(unique\s+)?index\s+concurrently\b", line):
        found.append(_BY_PARTS)
    return [why for why in found if not (validated and "validated before" in why)]


def ways_back(migration: migrations.Migration) -> list[str]:
    """What of it could be undone by a hand-written step: nobody tries that, until the night on which it fails."""
    return [
        f"{operation.describe()}: forward only"
        for operation in _flat(migration.operations)
        if getattr(operation, "reverse_sql", None) or getattr(operation, "reverse_code", None)
    ]
