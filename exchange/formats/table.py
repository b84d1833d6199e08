"""A CSV table to and from indicators: one row for each token or value, with every property in a column of its own.

Cells that a spreadsheet would take for formulas have an apostrophe before them (OWASP, "CSV injection"), which is taken
away again on the way in. Raw tables of a lab's own have other columns and a map (`exchange.client.tables`).
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

from exchange.formats import flat, reading
from exchange.formats.found import Found
from exchange.formats.losses import Loss
from exchange.formats.reading import Ours, Tell
from exchange.stix import words
from exchange.stix.patterns import pattern_of

MEDIA_TYPE = "text/csv; charset=utf-8; header=present"
_OF_STIX = ("id", "created", "modified", "valid_from", "valid_until", "tlp", "confidence")
_CARRIED = ("kind", "subkind", "scheme", "key_epoch", "norm_version", "value")
HEADER = (*_OF_STIX, *_CARRIED, *flat.NAMES)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_QUOTE = "'"
#: Where the spreadsheet's language splits lines at `;`, what comes after one begins a cell.
_AFTER_SEMICOLON = re.compile(r"(; *'*)(?=[=+\-@\t\r])")
_QUOTED_AFTER_SEMICOLON = re.compile(r"(; *'*)'(?=[=+\-@\t\r])")


def write(objects: Iterable[Mapping[str, Any]], tell: Tell) -> Iterator[bytes]:
    """The indicators among objects as CSV (RFC 4180, but LF), in pieces; the first is the header."""
    yield _line(HEADER)
    for document in objects:
        one = reading.of_ours(document, tell)
        if one is None:
            continue
        reading.tell_common(one, tell)
        yield b"".join(_line(_cells(row, one, tell)) for row in _rows(one))


def _rows(one: Ours) -> Iterator[dict[str, str]]:
    document = one.document
    common = {name: str(document.get(name, "")) for name in _OF_STIX if name != "tlp"}
    common |= {"tlp": flat.tlp_of(document), "kind": words.KIND_OF[one.subkind], "subkind": one.subkind}
    common |= flat.said(one.extension)
    texts = flat.carried_texts(one.extension)
    if one.subkind in words.RULES:
        texts = [{"value": pattern_of(one.extension)[0]}]
    for carried in texts:
        yield common | carried


def _cells(row: Mapping[str, str], one: Ours, tell: Tell) -> Iterator[str]:
    for name in HEADER:
        cell = row.get(name, "")
        if cell.startswith((*_FORMULA, _QUOTE)):
            tell(Loss(f"{one.id}/{name}", "quoted"))
            cell = f"{_QUOTE}{cell}"
        if ";" in cell and (split := _AFTER_SEMICOLON.sub(rf"\1{_QUOTE}", cell)) != cell:
            tell(Loss(f"{one.id}/{name}", "quoted"))
            cell = split
        yield cell


def _line(cells: Iterable[str]) -> bytes:
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerow(cells)
    return written.getvalue().encode()


def is_ours(header: Iterable[str]) -> bool:
    """Whether a table has the columns that `write` writes; then it needs no map."""
    return {"id", *_CARRIED} <= set(header)


def read(text: str) -> Iterator[Found | Loss]:
    """What a table of ours holds; rows of one id that follow each other are one indicator. Paths are lines.

    Raises csv.Error, as for a quotation mark that is never closed.
    """
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline=""), restkey=_BEYOND, strict=True)
    rows = ((reader.line_num, {name: _plain(cell or "") for name, cell in _told(row) if name}) for row in reader)
    for _, some in groupby(rows, key=lambda one: one[1].get("id") or one[0]):
        lines = list(some)
        if any(_BEYOND in row for _, row in lines):
            yield Loss(f"/{lines[0][0]}", "unreadable")
        else:
            yield _found(*lines[0], [row for _, row in lines])


#: Under it stand cells that no column of the header has.
_BEYOND = "\0"


def _told(row: Mapping[str, Any]) -> Iterator[tuple[str, str | None]]:
    return ((name, cell if name != _BEYOND else "") for name, cell in row.items())


def _plain(cell: str) -> str:
    cell = _QUOTED_AFTER_SEMICOLON.sub(r"\1", cell) if ";" in cell else cell
    return cell[1:] if cell.startswith(_QUOTE) and cell[1:].startswith((*_FORMULA, _QUOTE)) else cell


def _found(line: int, row: Mapping[str, str], rows: list[Mapping[str, str]]) -> Found | Loss:
    subkind = row.get("subkind", "")
    if subkind not in words.KIND_OF:
        return Loss(f"/{line}/subkind", "no-subkind")
    try:
        carried = _carried(subkind, rows)
        confidence = {"confidence": int(row["confidence"])} if row.get("confidence") else {}
    except ValueError:
        return Loss(f"/{line}", "unreadable")
    says = flat.unsaid({name: row[name] for name in flat.NAMES if row.get(name)}) | confidence
    return Found(
        path=f"/{line}",
        subkind=subkind,
        carried=carried,
        says=says,
        tlp=row.get("tlp", ""),
        valid_until=row.get("valid_until", ""),
        source_id=row.get("id", "").partition("--")[2],
    )


def _carried(subkind: str, rows: list[Mapping[str, str]]) -> dict[str, Any]:
    """What an indicator carries. Raises ValueError."""
    name, value = words.CARRIED_BY[subkind], rows[0].get("value", "")
    if name == "tokens":
        parts = ("scheme", "key_epoch", "norm_version", "value")
        return {"tokens": [{part: row.get(part, "") for part in parts} for row in rows]}
    if name == "rule":
        return {"rule": json.loads(value)}
    return {"signature": {words.SIGNATURES[subkind]: value}} if name == "signature" else {"value": value}
