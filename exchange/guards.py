"""The triggers of the store: rules that PostgreSQL keeps whoever writes, and whether each is there and on.

Migrations make them. Who makes a table anew by hand (divides it, loads it from a file) may leave them behind, and
nothing would say so: `doctor` compares the store with this list.
"""

from __future__ import annotations

from django.db import connection

#: By table; `tests/exchange/test_guards.py` compares them with what the migrations make.
TRIGGERS = {
    "indicators_carries": (
        "listed_is_forgotten",
        "spans_follow_what_changes",
        "spans_follow_what_goes",
        "spans_follow_what_is_carried",
    ),
    "indicators_change": ("log_is_append_only", "log_is_pruned_by_rule", "shared_ids_are_noted"),
    "indicators_holding": ("carries_follow_their_holding", "listed_is_forgotten_of_older"),
    "indicators_stixobject": ("bytes_are_written_once",),
    "partners_auditkey": ("log_keys_are_append_only",),
    "partners_auditleaf": ("leaves_are_append_only",),
    "partners_auditnode": ("nodes_are_append_only",),
    "partners_auditrecord": ("audit_is_append_only",),
    "partners_tokenkey": ("public_keys_are_append_only",),
    "partners_treehead": ("heads_are_append_only",),
}

# The triggers of tables as queries find them, but those of foreign keys and those that somebody has switched off.
_FOUND = """
SELECT c.relname, t.tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' AND pg_table_is_visible(c.oid)
"""

# Of a table that is divided: its parts, with the guards that refuse to rewrite it, which each part has besides.
_OF_PARTS = """
SELECT part.relname, t.tgname
FROM pg_trigger t JOIN pg_proc refuses ON refuses.oid = t.tgfoid AND refuses.proname = 'exchange_refuse_rewrite'
JOIN pg_inherits i ON i.inhparent = t.tgrelid JOIN pg_class part ON part.oid = i.inhrelid
WHERE NOT t.tgisinternal AND pg_table_is_visible(t.tgrelid)
"""
_CUT = """
SELECT conrelid::regclass::text FROM pg_constraint
WHERE conname = 'log_is_being_cut' AND NOT EXISTS (
    SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database
    WHERE d.datname = current_database() AND l.relation = conrelid AND l.mode = 'ShareUpdateExclusiveLock')
"""


def found() -> set[tuple[str, str]]:
    """Tables and triggers of the store."""
    with connection.cursor() as cursor:
        cursor.execute(_FOUND)
        return set(cursor.fetchall())


def missing() -> list[str]:
    """Those that are not there, or are switched off, as `trigger on table`."""
    there = found()
    wanted = {(table, name) for table, names in TRIGGERS.items() for name in names}
    with connection.cursor() as cursor:
        cursor.execute(_OF_PARTS)
        wanted.update(cursor.fetchall())
    return sorted(f"{name} on {table}" for table, name in wanted - there)


def half_cut() -> list[str]:
    """Tables on which a broken cut of the log left its bound: from there on nothing can be written."""
    with connection.cursor() as cursor:
        cursor.execute(_CUT)
        return [name for (name,) in cursor.fetchall()]
