"""The formats of a list: `text` (a value a line), `csv` (with a header), `jsonl` (an object a line), and of `devices`.

UTF-8, LF.

The last gate stands here: a value that is not plain is never written, in no format, and is counted.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from exchange.lists import devices, lines, nets
from exchange.lists.devices import DEVICES
from exchange.lists.lines import Line, Said

HEADER = (
    *("kind", "subkind", "scheme", "key_epoch", "value", "publishers", "sources", "confidence", "valid_until"),
    "ids",
)
FORMS = ("csv", "jsonl", "text", *DEVICES)
#: Other names of forms.
ALIASES = {"txt": "text"}
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


@dataclass(slots=True)
class Tally:
    """How many entries were written, and how many values were refused because they are not plain."""

    entries: int = 0
    refused: int = 0


def write(said: Iterable[Said], *, form: str, tally: Tally) -> Iterator[bytes]:
    """The list in pieces, a line each; `said` comes sorted by value. The tally is complete when the last piece is."""
    if form in DEVICES:
        yield from _for_device(said, DEVICES[form], tally)
        return
    if form == "csv":
        yield _csv_line(HEADER)
    writer = _WRITERS[ALIASES.get(form, form)]
    before: bytes | None = None
    for line in lines.of(said):
        if not is_plain(line):
            tally.refused += 1
            continue
        piece = writer(line)
        if piece != before:  # as text, a value of two meanings is written once
            tally.entries += 1
            yield piece
        before = piece


def _for_device(said: Iterable[Said], device: devices.Device, tally: Tally) -> Iterator[bytes]:
    before: str | None = None
    for line in devices.chosen(_plain(said, tally), device):
        piece = device.piece(line)
        if piece is None or piece == before:
            continue
        yield (device.between if tally.entries else device.head).encode() + piece.encode()
        tally.entries += 1
        before = piece
    if tally.entries:
        yield device.tail.encode()
    else:
        yield (device.head + device.tail if device.empty is None else device.empty).encode()


def _plain(said: Iterable[Said], tally: Tally) -> Iterator[Line]:
    for line in lines.of(said):
        if is_plain(line):
            yield line
        else:
            tally.refused += 1


def is_plain(line: Line) -> bool:
    """Whether a line may stand in a list."""
    words = (line.kind, line.subkind, line.scheme, line.key_epoch, *line.ids)
    plain = lines.is_plain(line.value) and not nets.is_zoned(line.value)
    return plain and all(word.isprintable() for word in words)


def _text(line: Line) -> bytes:
    return f"{line.value}\n".encode()


def _csv(line: Line) -> bytes:
    return _csv_line(
        (
            line.kind,
            line.subkind,
            line.scheme,
            line.key_epoch,
            line.value,
            line.publishers,
            "|".join(line.sources),
            "" if line.confidence is None else line.confidence,
            _moment(line.valid_until) or "",
            "|".join(line.ids),
        )
    )


def _csv_line(values: Iterable[object]) -> bytes:
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerow(values)
    return written.getvalue().encode()


def _jsonl(line: Line) -> bytes:
    document = {name: getattr(line, name) for name in HEADER} | {"valid_until": _moment(line.valid_until)}
    return f"{_ENCODER.encode(document)}\n".encode()


def _moment(moment: datetime | None) -> str | None:
    """RFC 3339 with six digits and `Z`, as everywhere in the exchange."""
    return None if moment is None else f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"


_WRITERS: dict[str, Callable[[Line], bytes]] = {"csv": _csv, "jsonl": _jsonl, "text": _text}
