"""A file that keeps the agent's state and is damaged."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

#: SQLite's result codes for a file that is no whole database (sqlite.org/rescode.html).
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class Damaged(Exception):
    """The file is no whole store of this form; it can only be filled anew."""


@contextmanager
def damage() -> Iterator[None]:
    """Raise Damaged where SQLite finds that the file is no whole database; a full disk or a lock is another matter."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
            raise Damaged(str(error)) from error
        raise
