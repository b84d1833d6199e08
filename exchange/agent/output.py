"""The file that enforcement reads: written whole beside its place, made durable, then moved there at once."""

from __future__ import annotations

import csv
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from exchange.lists import devices, formats
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


def replace(path: Path, content: bytes) -> None:
    """Put `content` in the place of `path` so that a reader sees the old or the new file and never a part.

    Write, fsync, rename, fsync the directory: after a power cut one of the two is there, whole.
    """
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask()
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


def holds(path: Path, content: bytes) -> bool:
    """Whether the file has this content already."""
    try:
        return path.read_bytes() == content
    except FileNotFoundError:
        return False


def _umask() -> int:
    """The process's file mode mask; it can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def count(path: Path, *, form: str) -> int:
    """How many entries the file holds now; 0 where it is not there."""
    return sum(1 for _ in read(path, form=form))


def read(path: Path, *, form: str) -> Iterator[Said]:
    """The entries of a file as `replace` wrote it; what is none is left out. Nothing where the file is not there."""
    try:
        file = path.open(encoding="utf-8", errors="replace", newline="")
    except FileNotFoundError:
        return
    with file:
        for row in _READERS[form](file):
            if isinstance(row, dict) and (value := row.get("value")) and isinstance(value, str):
                yield _said(value, row)


def _said(value: str, row: Mapping[str, Any]) -> Said:
    words = {name: str(row.get(name) or "") for name in ("subkind", "scheme", "key_epoch", "kind")}
    confidence, until = str(row.get("confidence") or ""), str(row.get("valid_until") or "")
    try:
        end = datetime.fromisoformat(until) if until else None
    except ValueError:
        end = None
    level = int(confidence) if confidence.isascii() and confidence.isdigit() else None
    return Said(value, **words, sources=(), named=(), confidence=level, valid_until=end, ids=())


def _objects(file: Iterable[str]) -> Iterator[Any]:
    for line in file:
        with suppress(ValueError):
            yield json.loads(line)


_READERS: dict[str, Callable[[Iterable[str]], Iterable[Any]]] = {
    "csv": csv.DictReader,
    "jsonl": _objects,
    "text": lambda file: ({"value": line.rstrip("\n")} for line in file),
    **{name: partial(devices.read, device=device) for name, device in devices.DEVICES.items()},
}
