"""An index of the log for a migration: made beside who writes, also where the log is divided.

PostgreSQL makes no index of a divided table concurrently (ADR 0048): it is declared on the whole, made concurrently on
each part, and attached.
"""

from __future__ import annotations

from typing import Any

from django.contrib.postgres.operations import AddIndexConcurrently

from indicators.log import dividing

#: Bytes of a name.
_NAME = 63


class AddIndexOfLog(AddIndexConcurrently):
    """As `AddIndexConcurrently`: the only step of a migration that is not atomic.

    Broken off on a divided log, it may be done again: what is there stays, and `prepare` drops what is half made of a
    part.
    """

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        """Make the index on the log as it lies. Raises NotSupportedError in a transaction."""
        if not dividing.is_divided():
            super().database_forwards(app_label, schema_editor, from_state, to_state)
            return
        self._ensure_not_in_transaction(schema_editor)
        model = to_state.apps.get_model(app_label, self.model_name)
        text = str(self.index.create_sql(model, schema_editor))
        _by_parts(self.index.name, text.partition(f" ON {schema_editor.quote_name(dividing.LOG)} ")[2])


def _by_parts(name: str, what: str) -> None:
    """Make the index of this name, of what is said in SQL after the table's name."""
    dividing.run(f"CREATE INDEX IF NOT EXISTS {name} ON ONLY {dividing.LOG} {what}")
    for part in dividing.parts():
        of_part = f"{part.name}_{name}"[:_NAME]
        dividing.run(f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {of_part} ON {part.name} {what}")
        dividing.run(f"ALTER INDEX {name} ATTACH PARTITION {of_part}")
