"""The file that enforcement reads: written whole beside its place, made durable, then moved there at once."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from exchange.lists import formats
from exchange.lists.formats import Tally
from exchange.lists.lines import Said


@dataclass(frozen=True, slots=True)
class Rendered:
    """The content of a list, how many entries it has, and how many values were refused because they are not plain."""

    content: bytes
    entries: int
    refused: int


def render(said: Iterable[Said], *, form: str) -> Rendered:
    """The content, as the exchange writes the same list: equal sets are equal files. `said` comes sorted by value."""
    tally = Tally()
    content = b"".join(formats.write(said, form=form, tally=tally))
    return Rendered(content, tally.entries, tally.refused)


def replace(path: Path, content: bytes) -> bool:
    """Put `content` in the place of `path` so that a reader sees the old or the new file and never a part.

    Yields False, and writes nothing, where the file has this content already. Write, fsync, rename, fsync the
    directory: after a power cut one of the two is there, whole.
    """
    try:
        if path.read_bytes() == content:
            return False
    except FileNotFoundError:
        pass
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        Path(beside).replace(path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return True


def count(path: Path, *, form: str) -> int:
    """How many entries the file holds now; 0 where it is not there."""
    try:
        lines = path.read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0
    return max(0, lines - (form == "csv"))
