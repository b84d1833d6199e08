"""Cut a file of STIX objects into its objects without touching a byte of them.

A producer's bytes are what other partners read, so nothing here parses an object to write it again. Python's own
JSON scanner tells where each element ends; what lies between is sent as it stood in the file.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

from exchange.client.errors import Unusable

_SPACE = re.compile(r"[ \t\r\n]*")
_SCAN = json.JSONDecoder().raw_decode


def objects_in(path: Path) -> Iterator[bytes]:
    """The exact bytes of each object of a bundle, envelope, object or NDJSON file; gzip is undone, `-` is stdin."""
    raw = sys.stdin.buffer.read() if str(path) == "-" else _read(path)
    if raw[:2] == b"\x1f\x8b":
        raw = _gunzip(raw, path)
    name = str(path).removesuffix(".gz")
    yield from slices(raw, ndjson=name.endswith((".ndjson", ".jsonl")))


def slices(raw: bytes, *, ndjson: bool = False) -> Iterator[bytes]:
    """The same for bytes at hand. Raises Unusable where the outline is not that of a STIX file."""
    if ndjson or _looks_like_lines(raw):
        yield from (line for line in (line.strip() for line in raw.split(b"\n")) if line)
        return
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise Unusable("The file is not UTF-8.") from error
    start = _objects_array(text)
    if start is None:
        yield raw.strip()
        return
    yield from (element.encode() for element in _elements(text, start))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Unusable(f"{path}: {error.strerror}") from error


def _gunzip(raw: bytes, path: Path) -> bytes:
    """Undo gzip. `gzip.decompress` copies the rest once for each member, so that many members take minutes."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(raw)) as packed:
            return packed.read()
    except (OSError, EOFError, zlib.error) as error:
        raise Unusable(f"{path}: not a whole gzip file") from error


def _looks_like_lines(raw: bytes) -> bool:
    """Whether each of the first two lines is a JSON object of its own."""
    lines = [line for line in raw[:2_000_000].split(b"\n", 2)[:2] if line.strip()]
    if len(lines) < 2:
        return False
    try:
        return all(isinstance(json.loads(line), dict) for line in lines)
    except ValueError:
        return False


def _objects_array(text: str) -> int | None:
    """The place behind the `[` of the outermost "objects", or None where there is none."""
    place = _skip(text, 0)
    if text[place : place + 1] != "{":
        raise Unusable("The file must hold a JSON object.")
    place = _skip(text, place + 1)
    while text[place : place + 1] == '"':
        key, place = _scan(text, place)
        place = _skip(text, place)
        if text[place : place + 1] != ":":
            raise Unusable(f"Not JSON near character {place}.")
        place = _skip(text, place + 1)
        if key == "objects" and text[place : place + 1] == "[":
            return place + 1
        _, place = _scan(text, place)
        place = _skip(text, place)
        if text[place : place + 1] == ",":
            place = _skip(text, place + 1)
    return None


def _elements(text: str, place: int) -> Iterator[str]:
    place = _skip(text, place)
    while text[place : place + 1] != "]":
        _, end = _scan(text, place)
        yield text[place:end]
        place = _skip(text, end)
        if text[place : place + 1] == ",":
            place = _skip(text, place + 1)
        elif text[place : place + 1] != "]":
            raise Unusable(f"Not JSON near character {place}.")


def _scan(text: str, place: int) -> tuple[object, int]:
    try:
        return _SCAN(text, place)
    except (ValueError, RecursionError) as error:
        raise Unusable(f"Not JSON near character {place}.") from error


def _skip(text: str, place: int) -> int:
    found = _SPACE.match(text, place)
    return found.end() if found else place
