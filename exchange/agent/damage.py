"""A file that keeps the agent's state and is damaged, and that one at a time makes anew."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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


@contextmanager
def alone_in(directory: Path) -> Iterator[None]:
    """Of all threads and processes one at a time opens or makes something in a directory, or deletes it. Brief.

    Otherwise one finds the tables that another is about to make, takes them for damage, and deletes them under it.
    """
    opened = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)
