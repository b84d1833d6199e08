"""The cast of most tests, made once per process and written again as rows: the real verbs take a hundred times as long.

`record` has the verbs make it, in a transaction that is rolled back, and keeps the rows that came; `replay` writes
them. So each test begins with rows that production could hold, and none sees what another did.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

from exchange import clock

#: A test that lives in another time gets a cast of that time.
_AS_GOOD_AS_NEW = timedelta(hours=1)


@dataclass(frozen=True)
class Recording:
    """What the verbs made and the rows that came of it, as statements."""

    made: bytes  # pickled: each test has its own
    at: datetime
    statements: str

    @property
    def fits(self) -> bool:
        """Whether the clock stands about where it stood."""
        return abs(clock.now() - self.at) < _AS_GOOD_AS_NEW


def record(make: Callable[[], Any]) -> Recording:
    """Have `make` write its rows, keep them, and take them back. Raises AssertionError if it altered a row of before."""
    with transaction.atomic():
        before = _rows()
        made, at = make(), clock.now()
        after = _rows()
        transaction.set_rollback(True)
    statements, parameters = [], []
    for table, rows in after.items():
        assert before[table] <= rows, f"{table}: the cast alters what is there"
        if new := rows - before[table]:
            columns = ", ".join(f'"{name}"' for name in _columns(table))
            statements.append(
                f'INSERT INTO "{table}" ({columns}) OVERRIDING SYSTEM VALUE'
                f' SELECT {columns} FROM jsonb_populate_recordset(NULL::"{table}", %s::jsonb)'
            )
            parameters.append(f"[{','.join(sorted(new))}]")
    with connection.cursor() as cursor:
        # As text: several statements go in one message without parameters only.
        return Recording(pickle.dumps(made), at, cursor.mogrify(";\n".join(statements), parameters))


def replay(recording: Recording) -> Any:
    """Write the rows, and give what `make` gave. One round trip."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(recording.statements)
    return pickle.loads(recording.made)


def once[Made](make: Callable[[], Made]) -> Callable[[], Made]:
    """The same as `make`, called in an empty store: from the second time on only the rows of the first are written."""
    recordings: list[Recording] = []

    def made() -> Made:
        if not recordings or not recordings[-1].fits:
            recordings.append(record(make))
        replayed: Made = replay(recordings[-1])
        return replayed

    return made


def _rows() -> dict[str, set[str]]:
    with connection.cursor() as cursor:
        found = {}
        for table in connection.introspection.django_table_names(only_existing=True):
            cursor.execute(f'SELECT to_jsonb(t)::text FROM "{table}" t')
            found[table] = {row for (row,) in cursor.fetchall()}
    return found


def _columns(table: str) -> list[str]:
    """Those that can be written."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped"
            " AND attgenerated = '' ORDER BY attnum",
            [table],
        )
        return [name for (name,) in cursor.fetchall()]
