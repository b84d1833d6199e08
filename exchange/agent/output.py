"""The file that enforcement reads: written whole beside its place, made durable, then moved there at once."""

from __future__ import annotations

import csv
import io
import json
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from exchange.agent.store import Line

_HEADER = ("kind", "subkind", "scheme", "key_epoch", "value", "publishers", "confidence", "valid_until", "ids")


def render(lines: Iterable[Line], *, form: str) -> bytes:
    """The content: `text` (a value a line), `csv` (with a header) or `jsonl`. Sorted: equal sets are equal files."""
    return _FORMS[form](lines)


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


def _text(lines: Iterable[Line]) -> bytes:
    return "".join(f"{value}\n" for value in sorted({line.value for line in lines})).encode()


def _csv(lines: Iterable[Line]) -> bytes:
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(_HEADER)
    for line in lines:
        writer.writerow(
            (
                line.kind,
                line.subkind,
                line.scheme,
                line.key_epoch,
                line.value,
                "|".join(line.publishers),
                "" if line.confidence is None else line.confidence,
                line.valid_until or "",
                "|".join(line.ids),
            )
        )
    return written.getvalue().encode()


def _jsonl(lines: Iterable[Line]) -> bytes:
    return "".join(
        json.dumps({name: getattr(line, name) for name in _HEADER}, ensure_ascii=False) + "\n" for line in lines
    ).encode()


_FORMS: dict[str, Callable[[Iterable[Line]], bytes]] = {"csv": _csv, "jsonl": _jsonl, "text": _text}
FORMS = tuple(sorted(_FORMS))
