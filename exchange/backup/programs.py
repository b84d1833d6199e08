"""PostgreSQL's own programs: where they are, and how they are told of a server without its password on their line."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from psycopg import conninfo

from exchange import embedded

#: Where Debian and Red Hat put the programs of each version.
_PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin")
#: Roles that a PostgreSQL runs as, for a caller who is root: PostgreSQL itself refuses to.
_OF_THE_SERVER = frozenset({"pg_archivecleanup", "pg_ctl", "postgres"})
_USERS = ("postgres", "embedded_postgres")


class Failed(RuntimeError):
    """A program ended badly; the message is what it said, for a person."""


@dataclass(frozen=True, slots=True)
class Server:
    """Whom to ask: the words of a connection without the password, and the environment that carries it."""

    words: str
    environment: Mapping[str, str]


def server(url: str) -> Server:
    """Split a `postgresql://` URL, so that `ps` shows no password."""
    parts = conninfo.conninfo_to_dict(url)
    password = parts.pop("password", None)
    secret = {"PGPASSWORD": str(password)} if password else {}
    return Server(conninfo.make_conninfo("", **parts), os.environ | secret)


def found(name: str, *, version: int) -> str:
    """The path of a program of PostgreSQL `version` or newer. `POSTGRES_BIN` names a directory. Raises Failed."""
    for directory in _directories():
        path = directory / name
        if path.is_file() and _version(path) >= version:
            return str(path)
    package = f"postgresql-{'' if name in _OF_THE_SERVER else 'client-'}{version}"
    raise Failed(f"{name} of PostgreSQL {version} is not here: install it (Debian: {package}), or set POSTGRES_BIN.")


def _directories() -> list[Path]:
    named = os.environ.get("POSTGRES_BIN")
    if named:
        return [Path(named)]
    installed = [path for pattern in _PLACES for path in Path("/").glob(pattern[1:])]
    newest = sorted(installed, key=lambda path: _number(str(path)), reverse=True)
    on_path = shutil.which("pg_basebackup")
    bundled = embedded.programs()
    return [*newest, *([Path(on_path).parent] if on_path else []), *([bundled] if bundled else [])]


def _number(text: str) -> int:
    match = re.search(r"(\d+)", text)
    return int(match[1]) if match else 0


def _version(path: Path) -> int:
    said = subprocess.run([str(path), "--version"], capture_output=True, text=True, check=False)  # noqa: S603 - PostgreSQL's own
    return _number(said.stdout.partition(")")[2])


def run(command: Sequence[str], *, environment: Mapping[str, str], user: str | None = None) -> str:
    """Run one to its end; what it said on standard output. Raises Failed."""
    done = subprocess.run(  # noqa: S603 - PostgreSQL's own programs, no shell
        list(command),
        env=dict(environment),
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        stdin=subprocess.DEVNULL,
        user=user,
        group=group_of(user),
        extra_groups=[] if user else None,
    )
    if done.returncode:
        raise Failed(f"{Path(command[0]).name}: {(done.stderr or done.stdout).strip()[-2_000:]}")
    return done.stdout


def group_of(user: str | None) -> int | None:
    """The group of a user of this machine."""
    return pwd.getpwnam(user).pw_gid if user else None


def user_to_be(named: str = "") -> str | None:
    """As whom a server runs: ourselves (None), or for root the named user or the first that there is. Raises Failed."""
    if os.geteuid() != 0:
        return None
    for name in [named] if named else _USERS:
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise Failed("PostgreSQL refuses to run as root: name another user of this machine (--user).")
