"""Make and keep copies: a base backup now and then, and the server's log (WAL) all the time.

    BACKUP_DIR/base/20261129T020000Z/data         the server's files: pg_basebackup wrote, pg_verifybackup checked
    BACKUP_DIR/base/20261129T020000Z/backup.json  written last: a directory without it is no backup
    BACKUP_DIR/wal/                               segments as pg_receivewal received them
    BACKUP_DIR/wal/00000001/                      those of a line that ended with a restore, from there on

All of it is readable by its owner alone. It holds sealed secrets, and no key that opens them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from exchange.backup import programs

#: The replication slot by which the server keeps what has not been received yet.
SLOT = "exchange_backup"
_NAME = "%Y%m%dT%H%M%SZ"
_FACTS = "backup.json"
#: A segment's name: the line (timeline), and its place. One that is being received ends with `.partial`.
_SEGMENT = re.compile(r"[0-9A-F]{24}(\.partial)?")
_LINE, _SEGMENT_CHARACTERS = 8, 24


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


def copy(url: str, directory: Path, *, keys: Mapping[str, str]) -> Base:
    """Make a base backup and check it. `keys` names what opens the secrets in it, by fingerprints. Raises Failed."""
    began_at = datetime.now(UTC)
    version = _version_of(url)
    place = directory / "base" / began_at.strftime(_NAME)
    data = place / "data"
    _private(directory)
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


def receive(url: str, directory: Path, *, slot: str = SLOT) -> None:
    """Become pg_receivewal, which receives the log until it is stopped and begins again by itself. Raises Failed.

    Each write is flushed and confirmed at once, so that the slot says what the archive has. A slot that the server gave
    up (`max_slot_wal_keep_size`) is made anew.
    """
    version = _version_of(url)
    asked = programs.server(url)
    receiver = programs.found("pg_receivewal", version=version)
    to = archive_of(directory)
    _private(directory)
    base = [receiver, "--dbname", asked.words, "--slot", slot, "--no-password"]
    gap = not keeps(url, slot)
    programs.run([*base, "--create-slot", "--if-not-exists"], environment=asked.environment)
    with psycopg.connect(url, connect_timeout=10) as connection:
        (segment,) = connection.execute("SELECT redo_wal_file FROM pg_control_checkpoint()").fetchone() or ("",)
    turn_to(segment, to)
    if gap:
        pass_over_to(segment, to)
    os.execve(receiver, [*base, "--directory", str(to), "--synchronous"], dict(asked.environment))  # noqa: S606 - PostgreSQL's own program


def keeps(url: str, slot: str) -> bool:
    """Whether the server keeps its log for the slot. One for which it keeps none is dropped: it never heals."""
    with psycopg.connect(url, connect_timeout=10) as connection:
        asked = "SELECT restart_lsn IS NOT NULL FROM pg_replication_slots WHERE slot_name = %s"
        (kept,) = connection.execute(asked, [slot]).fetchone() or (None,)
        if kept is False:
            connection.execute("SELECT pg_drop_replication_slot(%s)", [slot])
    return bool(kept)


def pass_over_to(segment: str, archive: Path) -> None:
    """Have pg_receivewal go on with this segment, if what the archive has ends before it: for a slot that is new.

    It would ask for the end of the archive, which the server may have deleted, for ever. Between the two there is no
    point to restore to; a base backup from now on needs nothing of before.
    """
    there = [path.name[:_SEGMENT_CHARACTERS] for path in archive.iterdir() if _SEGMENT.fullmatch(path.name)]
    if there and max(there) < segment:
        (archive / f"{segment}.partial").touch(mode=0o600)


def turn_to(segment: str, archive: Path) -> None:
    """Have pg_receivewal go on with this segment, if the server has begun another line (timeline) than the archive's.

    A server that was restored has. It would be asked for the end of the line of before, which it does not have, for
    ever. What the old line has from that segment on goes aside into a directory named as the line, for whoever wants
    it; of the new one all is received that a base backup from now on needs.
    """
    there = [path for path in archive.iterdir() if _SEGMENT.fullmatch(path.name)]
    if not there or max(path.name[:_LINE] for path in there) >= segment[:_LINE]:
        return
    for path in there:
        if path.name[_LINE:_SEGMENT_CHARACTERS] >= segment[_LINE:]:
            aside = archive / path.name[:_LINE]
            aside.mkdir(mode=0o700, exist_ok=True)
            path.rename(aside / path.name)
    (archive / f"{segment}.partial").touch(mode=0o600)  # there it begins


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


def _version_of(url: str) -> int:
    try:
        with psycopg.connect(url, connect_timeout=10) as connection:
            return connection.info.server_version // 10_000
    except psycopg.OperationalError as error:
        raise programs.Failed(f"The server does not answer: {str(error).strip().splitlines()[0]}") from None


def _private(directory: Path) -> None:
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
