"""Make a server of a base backup and the log: to its end, or to a moment. Until it is handed over, only we reach it."""

from __future__ import annotations

import contextlib
import os
import pwd
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg

from exchange.backup import keeping, programs

_ANSWER_S = 0.2
_STOP_S = "120"
_OUR_FILES = ("postgres.conf", "pg_hba.conf", "pg_ident.conf")


@dataclass(frozen=True, slots=True)
class Restored:
    """A running server that only this process and its children find."""

    url: str
    base: keeping.Base
    seconds: float


def moment(text: str) -> datetime:
    """To when, with its zone: 2026-11-29T02:15:00Z. Raises ValueError."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError("say the zone, too: 2026-11-29T02:15:00Z")
    return found


def chosen(directory: Path, *, at: datetime | None) -> keeping.Base:
    """The newest base backup that ended before the moment. Raises Failed."""
    found = [base for base in keeping.bases(directory) if at is None or base.ended_at <= at]
    if not found:
        raise programs.Failed(f"{directory} has no base backup{f' that ended before {at.isoformat()}' if at else ''}.")
    return found[-1]


@contextlib.contextmanager
def restored(
    url: str, directory: Path, *, to: Path, at: datetime | None = None, user: str = "", ready_s: float = 86_400
) -> Iterator[Restored]:
    """Restore into `to`, which is absent or empty, and keep the server running inside the block. Raises Failed.

    `url` says which database and role are asked; its host is replaced. After the block the server is stopped with a
    checkpoint, and `to` is a data directory that the same version of PostgreSQL starts from.
    """
    began = time.monotonic()
    base = chosen(directory, at=at)
    owner = programs.user_to_be(user)
    if to.exists() and any(to.iterdir()):
        raise programs.Failed(f"{to} is not empty: a restore overwrites nothing.")
    with contextlib.ExitStack() as stack:
        beside = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="exchange-restore-")))
        filled = stack.enter_context(_emptied_unless_kept(to))
        with _said_in_a_sentence():
            _fill(base, to)
            archive = stack.enter_context(readable(keeping.archive_of(directory), base, near=to, owner=owner))
            for path in _OUR_FILES:
                (beside / path).write_text("local all all trust\n" if path == "pg_hba.conf" else "")
            _give([to, beside], owner)
        command = [programs.found("postgres", version=base.version), "-D", str(to), *_options(beside, archive, at)]
        with _serving(command, log=beside / "log", to=to, owner=owner, version=base.version) as server:
            local = _through(url, socket=beside)
            _wait(server, local, log=beside / "log", ready_s=ready_s)
            filled.pop_all()
            yield Restored(local, base, time.monotonic() - began)


@contextlib.contextmanager
def _serving(
    command: list[str], *, log: Path, to: Path, owner: str | None, version: int
) -> Iterator[subprocess.Popen[bytes]]:
    """The server, which is stopped with a checkpoint after the block."""
    with log.open("wb") as said:
        server = subprocess.Popen(  # noqa: S603 - PostgreSQL's own program
            command,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            user=owner,
            group=programs.group_of(owner),
            extra_groups=[] if owner else None,
            start_new_session=True,
        )
    try:
        yield server
    finally:
        if server.poll() is None:
            asked = ("-D", str(to), "-m", "fast", "-t", _STOP_S)
            programs.run(
                [programs.found("pg_ctl", version=version), "stop", *asked], environment=os.environ, user=owner
            )
        server.wait()


@contextlib.contextmanager
def _emptied_unless_kept(to: Path) -> Iterator[contextlib.ExitStack]:
    """Have `to` as it was after the block, unless what is to be done then was taken out (`pop_all`)."""
    with contextlib.ExitStack() as after:
        after.callback(_empty, to, away=not to.exists())
        yield after


def _empty(place: Path, *, away: bool) -> None:
    """Delete what is in it, and itself where it is to be `away`."""
    for path in place.iterdir() if place.exists() else ():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    if away and place.exists():
        place.rmdir()


@contextlib.contextmanager
def _said_in_a_sentence() -> Iterator[None]:
    """A full disk, or a place that is not ours: raises Failed in the place of OSError."""
    try:
        yield
    except shutil.Error as several:  # of copies: (from, to, why) each
        first = several.args[0][0]
        raise programs.Failed(f"{first[1]}: {first[2]}") from None
    except OSError as error:
        raise programs.Failed(str(error)) from None


def _fill(base: keeping.Base, to: Path) -> None:
    if any((base.data / "pg_tblspc").iterdir()):
        raise programs.Failed("The backup has tablespaces, which this command does not place: restore it by hand.")
    existed = to.exists()
    shutil.copytree(base.data, to, symlinks=True, dirs_exist_ok=existed)
    to.chmod(0o700)
    (to / "recovery.signal").touch(mode=0o600)
    for left in ("postmaster.pid", "standby.signal"):
        (to / left).unlink(missing_ok=True)


@contextlib.contextmanager
def readable(archive: Path, base: keeping.Base, *, near: Path, owner: str | None) -> Iterator[Path]:
    """Where the server reads the log. Root hands it a copy of what it needs, for the archive is not its to read.

    The copy lies beside `near`, where there is room for a server's files, and is deleted after the block.
    """
    if owner is None or not archive.is_dir():
        yield archive
        return
    with tempfile.TemporaryDirectory(prefix=f".{near.name}-wal-", dir=near.parent) as made:
        to = Path(made)
        for path in archive.iterdir():
            if path.is_file() and (path.suffix == ".history" or path.name[8:24] >= base.first_segment[8:24]):
                shutil.copy2(path, to)
        _give([to], owner)
        yield to


def _options(beside: Path, archive: Path, at: datetime | None) -> list[str]:
    """Said on the line, where they count for more than `postgresql.auto.conf` of the backup."""
    one, other = shlex.quote(f"{archive}/"), ".partial"
    settings = {
        "config_file": str(beside / "postgres.conf"),
        "hba_file": str(beside / "pg_hba.conf"),
        "ident_file": str(beside / "pg_ident.conf"),
        "listen_addresses": "",
        "unix_socket_directories": str(beside),
        "unix_socket_permissions": "0700",
        "ssl": "off",
        "archive_mode": "off",
        "logging_collector": "off",
        "shared_preload_libraries": "",
        "synchronous_standby_names": "",
        "primary_conninfo": "",
        # Nobody is answered before the end of recovery; else its settings must be those of the old server.
        "hot_standby": "off",
        "fsync": "on",
        "full_page_writes": "on",
        # The last segment is still being received: what is in it counts.
        "restore_command": f'cp {one}"%f" "%p" 2>/dev/null || cp {one}"%f{other}" "%p" 2>/dev/null',
        "recovery_target_action": "promote",
        "recovery_target_timeline": "latest",
        **({"recovery_target_time": at.isoformat()} if at else {}),
    }
    return [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]


def _give(places: list[Path], owner: str | None) -> None:
    if owner is None:
        return
    named = pwd.getpwnam(owner)
    for place in places:
        for path in (place, *place.rglob("*")):
            os.chown(path, named.pw_uid, named.pw_gid, follow_symlinks=False)


def through(url: str, *, like: str) -> str:
    """Another role's URL, asked at the same private server."""
    return urlunsplit(urlsplit(_through(url, socket=Path("/")))._replace(query=urlsplit(like).query))


def _through(url: str, *, socket: Path) -> str:
    """The same role and database, asked by the private socket."""
    parts = urlsplit(url)
    role = parts.netloc.rpartition("@")[0].partition(":")[0] or "postgres"
    return urlunsplit((parts.scheme, f"{role}@", parts.path, f"host={quote(str(socket), safe='')}", ""))


def _wait(server: subprocess.Popen[bytes], url: str, *, log: Path, ready_s: float) -> None:
    deadline = time.monotonic() + ready_s
    while True:
        try:
            with psycopg.connect(url, connect_timeout=5) as connection:
                row = connection.execute("SELECT pg_is_in_recovery()").fetchone()
                if row == (False,):
                    return
        except psycopg.OperationalError:
            pass
        if server.poll() is not None or time.monotonic() > deadline:
            raise programs.Failed(_why(log.read_text(errors="replace")))
        time.sleep(_ANSWER_S)


def _why(said: str) -> str:
    if "recovery ended before configured recovery target was reached" in said:
        last = next((line for line in reversed(said.splitlines()) if "last completed transaction" in line), "")
        moment = last.rpartition("log time ")[2]
        return f"The log ends before that moment{f': its last transaction is of {moment}' if moment else ''}."
    fatal = [line for line in said.splitlines() if "FATAL" in line or "PANIC" in line]
    return "PostgreSQL did not come up: " + (fatal[-1] if fatal else said[-500:])
