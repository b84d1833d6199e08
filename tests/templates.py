"""The store of each worker is a copy of one that was migrated once: migrating takes six seconds, copying a part of one.

The template stays between runs, under a name that says what it was made of. `make lint` makes it (`python -m
tests.templates`) while types are checked; else the first worker does, and the others wait for it.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import django
from django.core.management import call_command
from django.db import connection

ROOT = Path(__file__).resolve().parent.parent
_MADE_OF = (
    "*/migrations/*.py",
    "*/management/commands/prepare.py",
    "exchange/settings.py",
    "deploy/requirements-dev.lock",
)
_PREFIX = "exchange_template_"
#: For the advisory lock: of two workers one makes it.
_LOCK = 2_026_112_801


def name() -> str:
    """The template's, which is made if it is not there. The connection has no database of its own yet."""
    wanted = _PREFIX + digest()
    with connection.creation._nodb_cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        cursor.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [_PREFIX])
        there = {name for (name,) in cursor.fetchall()}
        if wanted not in there:
            for old in there:
                cursor.execute(f'DROP DATABASE "{old}"')
            _make(cursor, wanted)
    return wanted


def digest(*more: str) -> str:
    """Of all that a store that was made ready is made of, and of more files."""
    found = sorted(path for pattern in (*_MADE_OF, *more) for path in ROOT.glob(pattern))
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in found)).hexdigest()[:16]


def _make(cursor, wanted: str) -> None:
    unfinished = f"{_PREFIX}unfinished"
    cursor.execute(f'CREATE DATABASE "{unfinished}"')
    own = connection.settings_dict["NAME"]
    connection.settings_dict["NAME"] = unfinished
    try:
        call_command("prepare", stdout=io.StringIO())
    finally:
        connection.close()
        connection.close_pool()
        connection.settings_dict["NAME"] = own
    cursor.execute(f'ALTER DATABASE "{unfinished}" RENAME TO "{wanted}"')


if __name__ == "__main__":
    django.setup()
    name()
