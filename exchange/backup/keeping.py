"""Make and keep copies: a base backup now and then, beside the server's log (WAL), which `receiving` receives.

    BACKUP_DIR/base/20261129T020000Z/data         the server's files: pg_basebackup wrote, pg_verifybackup checked
    BACKUP_DIR/base/20261129T020000Z/backup.json  written last: a directory without it is no backup
    BACKUP_DIR/wal/                               segments as pg_receivewal received them
    BACKUP_DIR/wal/00000001/                      those of a line that ended with a restore, from there on
    BACKUP_DIR/backup.lock                        held by who makes a base backup

All of it is readable by its owner alone. It holds sealed secrets, and no key that opens them.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from exchange.backup import programs

#: The replication slot by which the server keeps what has not been received yet.
SLOT = "exchange_backup"
_NAME = "%Y%m%dT%H%M%SZ"
_FACTS = "backup.json"


@dataclass(frozen=True, slots=True)
class Base:
    """A base backup: where it lies, and what is known of it."""

    place: Path
    version: int
    began_at: datetime
    ended_at: datetime
    first_segment: str
    bytes: int
    keys: Mapping[str, str]

    @property
    def data(self) -> Path:
        """The files of the server."""
        return self.place / "data"


def archive_of(directory: Path) -> Path:
    """Where the segments of the log lie."""
    return directory / "wal"


@contextlib.contextmanager
def alone(directory: Path, name: str, *, what: str) -> Iterator[None]:
    """Be the only one that does this there, on this machine: until it ends, or is killed. Raises Failed."""
    place = directory / f"{name}.lock"
    place.touch(mode=0o600)
    with place.open("a") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise programs.Failed(f"Another {what} runs in {directory}.") from None
        yield


def copy(url: str, directory: Path, *, keys: Mapping[str, str]) -> Base:
    """Make a base backup and check it. `keys` names what opens the secrets in it, by fingerprints. Raises Failed.

    What one that was killed has left is deleted first.
    """
    version = version_of(url)
    private(directory)
    with alone(directory, "backup", what="backup"):
        for left in (directory / "base").iterdir():
            if not (left / _FACTS).exists():
                shutil.rmtree(left)
        return _copied(url, directory, version=version, keys=keys)


def _copied(url: str, directory: Path, *, version: int, keys: Mapping[str, str]) -> Base:
    began_at = datetime.now(UTC)
    place = directory / "base" / began_at.strftime(_NAME)
    data = place / "data"
    data.mkdir(mode=0o700, parents=True)
    asked = programs.server(url)
    try:
        programs.run(
            [
                programs.found("pg_basebackup", version=version),
                *("--dbname", asked.words, "--pgdata", str(data), "--format", "plain", "--wal-method", "stream"),
                *("--checkpoint", "fast", "--manifest-checksums", "SHA256", "--no-password"),
            ],
            environment=asked.environment,
        )
        programs.run([programs.found("pg_verifybackup", version=version), "--quiet", str(data)], environment=os.environ)
    except programs.Failed:
        shutil.rmtree(place)
        raise
    base = Base(
        place=place,
        version=version,
        began_at=began_at,
        ended_at=datetime.now(UTC),
        first_segment=_first_segment(data),
        bytes=sum(path.stat().st_size for path in data.rglob("*") if path.is_file()),
        keys=dict(keys),
    )
    _write_facts(base)
    return base


def bases(directory: Path) -> list[Base]:
    """The base backups that are whole, oldest first."""
    places = sorted((directory / "base").glob("*/" + _FACTS))
    return sorted((_read(path) for path in places), key=lambda base: base.began_at)


def forget(directory: Path, *, keep: int) -> list[Base]:
    """Delete all but the newest `keep`, and the segments that none of those needs; the deleted ones."""
    found = bases(directory)
    old, kept = found[:-keep], found[-keep:]
    for base in old:
        shutil.rmtree(base.place)
    if kept and archive_of(directory).is_dir():
        cleaner = programs.found("pg_archivecleanup", version=kept[0].version)
        programs.run([cleaner, str(archive_of(directory)), kept[0].first_segment], environment=os.environ)
    return old


def version_of(url: str) -> int:
    """Of the server, as 18. Raises Failed."""
    try:
        with psycopg.connect(url, connect_timeout=10) as connection:
            return connection.info.server_version // 10_000
    except psycopg.OperationalError as error:
        raise programs.Failed(f"The server does not answer: {str(error).strip().splitlines()[0]}") from None


def private(directory: Path) -> None:
    """Make it, for its owner alone. Root's is passed through, for a drill's server is another user's."""
    if not directory.exists():
        directory.mkdir(parents=True)
        directory.chmod(0o711 if os.geteuid() == 0 else 0o700)  # whatever the umask
    for each in (directory / "base", directory / "wal"):
        each.mkdir(mode=0o700, exist_ok=True)


def _first_segment(data: Path) -> str:
    """`START WAL LOCATION: 0/2000028 (file 000000010000000000000002)`: nothing older is needed."""
    line = (data / "backup_label").read_text().splitlines()[0]
    return line.rpartition("(file ")[2].rstrip(")")


def _write_facts(base: Base) -> None:
    told = asdict(base) | {"began_at": base.began_at.isoformat(), "ended_at": base.ended_at.isoformat()}
    del told["place"]
    beside = base.place / f"{_FACTS}.new"
    beside.write_text(json.dumps(told, indent=1) + "\n")
    beside.chmod(0o600)
    beside.replace(base.place / _FACTS)


def _read(path: Path) -> Base:
    told = json.loads(path.read_text())
    began_at, ended_at = (datetime.fromisoformat(told.pop(name)) for name in ("began_at", "ended_at"))
    return Base(place=path.parent, began_at=began_at, ended_at=ended_at, **told)
