"""Receive the server's log (WAL) into the archive, by `pg_receivewal`, all the time: what ends it is mended here."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import psycopg

from exchange.backup import keeping, programs

#: A segment's name: the line (timeline), and its place. One that is being received ends with `.partial`.
_SEGMENT = re.compile(r"[0-9A-F]{24}(\.partial)?")
_LINE, _SEGMENT_CHARACTERS = 8, 24
#: After the receiver has ended, which it does when the server is away, or keeps its log for us no more.
_AGAIN_S = 5.0
_ENDS = (signal.SIGTERM, signal.SIGINT)


def receive(url: str, directory: Path, *, slot: str = keeping.SLOT, again_s: float = _AGAIN_S) -> None:
    """Receive until we are asked to end (SIGTERM, SIGINT), from the main thread. Raises Failed where it cannot begin.

    Each write is flushed and confirmed at once, so that the slot says what the archive has. When the receiver ends, the
    slot is looked at before the next one begins: one that the server gave up (`max_slot_wal_keep_size`), or that
    somebody dropped, is made anew.
    """
    for number in _ENDS:
        signal.signal(number, _end)
    try:
        receiver = _made_ready(url, directory, slot=slot)
        while True:
            _run(receiver)
            receiver = _made_ready_again(url, directory, slot=slot, again_s=again_s)
    except _AskedToEnd:
        return


class _AskedToEnd(BaseException):
    """By a signal, wherever we are."""


def _end(number: int, frame: FrameType | None) -> None:
    for one in _ENDS:
        signal.signal(one, signal.SIG_IGN)
    raise _AskedToEnd


def _run(receiver: _Receiver) -> None:
    """Until it ends, or we are to: then it ends first."""
    with subprocess.Popen(receiver.words, env=dict(receiver.environment)) as process:  # noqa: S603 - PostgreSQL's own
        try:
            process.wait()
        finally:
            process.terminate()


def _made_ready_again(url: str, directory: Path, *, slot: str, again_s: float) -> _Receiver:
    """Once the server answers, and lets us."""
    while True:
        time.sleep(again_s)
        try:
            return _made_ready(url, directory, slot=slot)
        except (programs.Failed, psycopg.Error) as failed:
            sys.stderr.write(f"{str(failed).strip()}\n")


@dataclass(frozen=True, slots=True)
class _Receiver:
    """A program's line, and the environment that carries its password."""

    words: list[str]
    environment: Mapping[str, str]


def _made_ready(url: str, directory: Path, *, slot: str) -> _Receiver:
    """The receiver, once the slot is there and the archive goes on where the server can. Raises Failed."""
    receiver = programs.found("pg_receivewal", version=keeping.version_of(url))
    asked = programs.server(url)
    to = keeping.archive_of(directory)
    keeping.private(directory)
    base = [receiver, "--dbname", asked.words, "--slot", slot, "--no-password"]
    gap = not keeps(url, slot)
    programs.run([*base, "--create-slot", "--if-not-exists"], environment=asked.environment)
    with psycopg.connect(url, connect_timeout=10) as connection:
        (segment,) = connection.execute("SELECT redo_wal_file FROM pg_control_checkpoint()").fetchone() or ("",)
    turn_to(segment, to)
    if gap:
        pass_over_to(segment, to)
    return _Receiver([*base, "--directory", str(to), "--synchronous", "--no-loop"], asked.environment)


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
