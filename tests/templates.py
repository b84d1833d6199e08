"""The store of each worker is a copy of one that was migrated once: migrating takes half a minute, copying a part of a second.

The template stays between runs, under a name that says what it was made of. `make lint` makes it (`python -m
tests.templates`, which says its name) while types are checked; else the first worker does, and the others wait for it.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
from pathlib import Path

import django
from django.core.management import call_command
from django.db import connection
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from exchange import embedded
from tests import postgres

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


def address(template: str) -> str:
    """Of a template, for PostgreSQL's own programs."""
    return make_conninfo(**(conninfo_to_dict(postgres.environment()["DATABASE_URL"]) | {"dbname": template}))


def restore(template: str, url: str) -> None:
    """Make the empty database at `url`, of any server, a copy of the one at the address `template`."""
    programs = embedded.programs()
    dumped = subprocess.run([programs / "pg_dump", template], check=True, capture_output=True).stdout
    into = [programs / "psql", "--quiet", "--set", "ON_ERROR_STOP=1", url]
    subprocess.run(into, input=dumped, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    django.setup()
    sys.stdout.write(f"{name()}\n")
