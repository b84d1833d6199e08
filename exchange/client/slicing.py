"""Cut a file of STIX objects into its objects without touching a byte of them.

A producer's bytes are what other partners read, so nothing here parses an object to write it again. Python's own
JSON scanner tells where each element ends; what lies between is sent as it stood in the file.
"""

from __future__ import annotations

import codecs
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
_Span = tuple[int, int]
_SCAN = json.JSONDecoder().raw_decode


def objects_in(path: Path) -> Iterator[bytes]:
    """The exact bytes of each object of a bundle, envelope, object or NDJSON file; gzip is undone, `-` is stdin."""
    raw = sys.stdin.buffer.read() if str(path) == "-" else _read(path)
    if raw[:2] == b"\x1f\x8b":
        raw = _gunzip(raw, path)
    name = str(path).removesuffix(".gz")
    yield from slices(raw, ndjson=name.endswith((".ndjson", ".jsonl")))


def ids_in(path: Path) -> Iterator[str]:
    """The ids that a file names: those of its objects, or one a line; blank lines and `# …` are passed over.

    Raises Unusable where an object has none.
    """
    raw = sys.stdin.buffer.read() if str(path) == "-" else _read(path)
    if raw[:2] == b"\x1f\x8b":
        raw = _gunzip(raw, path)
    raw = raw.removeprefix(codecs.BOM_UTF8)
    if not raw.lstrip().startswith((b"{", b"[")):
        lines = (line.strip() for line in raw.decode(errors="replace").splitlines())
        yield from (line for line in lines if line and not line.startswith("#"))
        return
    for place, one in enumerate(slices(raw, ndjson=str(path).removesuffix(".gz").endswith((".ndjson", ".jsonl")))):
        try:
            found = json.loads(one).get("id")
        except (ValueError, AttributeError, RecursionError) as error:
            raise Unusable(f"{path}: object {place} is not a STIX object.") from error
        if not isinstance(found, str):
            raise Unusable(f"{path}: object {place} has no id.")
        yield found


def slices(raw: bytes, *, ndjson: bool = False) -> Iterator[bytes]:
    """The same for bytes at hand; a bundle without `objects` has none. A byte order mark is passed over.

    Raises Unusable, before the first object, where the outline is not that of a STIX file: more than one document in
    it, a property named twice, text that is not JSON.
    """
    raw = raw.removeprefix(codecs.BOM_UTF8)
    if ndjson or _looks_like_lines(raw):
        for line in raw.split(b"\n"):
            if line.strip():
                yield from _of_line(line.strip())
        return
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise Unusable("The file is not UTF-8.") from error
    spans = _spans(text)
    if spans is None:
        yield raw.strip()
        return
    yield from (text[start:end].encode() for start, end in spans)


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


def _of_line(line: bytes) -> list[bytes]:
    """The object of a line, or those of the bundle that stands there; what cannot be read, the server will name."""
    if b'"objects"' not in line:
        return [line]
    try:
        text = line.decode()
        spans = _spans(text)
    except (UnicodeDecodeError, Unusable):
        return [line]
    return [line] if spans is None else [text[start:end].encode() for start, end in spans]


def _spans(text: str) -> list[_Span] | None:
    """Where the objects of a bundle or envelope stand, once its whole outline was read; None for a single object."""
    place = _skip(text, 0)
    if text[place : place + 1] != "{":
        raise Unusable("The file must hold a JSON object.")
    place = _skip(text, place + 1)
    listed: list[_Span] | None = None
    properties: dict[str, object] = {}
    while text[place : place + 1] == '"':
        key, place = _scan(text, place)
        if key in properties:
            raise Unusable("The bundle names a property twice (duplicate-key); which is meant is not guessed.")
        place = _skip(text, _expect(text, _skip(text, place), ":"))
        if key == "objects" and text[place : place + 1] == "[":
            listed, place = _elements(text, place + 1)
            properties["objects"] = None
        else:
            properties[str(key)], place = _scan(text, place)
        place = _skip(text, place)
        if text[place : place + 1] != ",":
            break
        place = _skip(text, place + 1)
        if text[place : place + 1] != '"':
            raise Unusable(f"Not JSON near character {place}.")
    place = _skip(text, _expect(text, place, "}"))
    if place < len(text):
        raise Unusable(
            f"Something follows the JSON document at character {place}: a file holds one document, or an object a line."
        )
    return _of_envelope(listed, properties)


def _of_envelope(listed: list[_Span] | None, properties: dict[str, object]) -> list[_Span] | None:
    """An object with a type of its own is no envelope, even if it has a property named `objects`."""
    if properties.get("type", "bundle") != "bundle" or ("type" not in properties and "objects" not in properties):
        return None
    if "objects" not in properties and any(isinstance(value, dict | list) for value in properties.values()):
        raise Unusable("The bundle has no `objects`, though it holds something.")
    return None if listed is None and "objects" in properties else listed or []


def _elements(text: str, place: int) -> tuple[list[_Span], int]:
    """Where the elements of the list stand whose `[` is before `place`, and the place behind its `]`."""
    found: list[_Span] = []
    place = _skip(text, place)
    if text[place : place + 1] == "]":
        return found, place + 1
    while True:
        _, end = _scan(text, place)
        found.append((place, end))
        place = _skip(text, end)
        if text[place : place + 1] != ",":
            return found, _expect(text, place, "]")
        place = _skip(text, place + 1)


def _expect(text: str, place: int, sign: str) -> int:
    if text[place : place + 1] != sign:
        raise Unusable(f"Not JSON near character {place}.")
    return place + 1


def _scan(text: str, place: int) -> tuple[object, int]:
    try:
        return _SCAN(text, place)
    except (ValueError, RecursionError) as error:
        raise Unusable(f"Not JSON near character {place}.") from error


def _skip(text: str, place: int) -> int:
    found = _SPACE.match(text, place)
    return found.end() if found else place
