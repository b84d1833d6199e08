"""From a table of raw columns to indicators: a CSV file, and a map that says what each column is.

# map.toml
group = "ring"                      # whose key makes tokens of phrases and sign-up templates
tlp = "amber"
days = 30

[says]                              # in every indicator
review = "one_analyst"
publisher_action = "suspended"
control = "actor_controlled"

[says_from]                         # from a column, in every indicator of the row
confidence = "score"

[[indicator]]
column = "email"
subkind = "email"
says = { entry_program = "api" }
"""

from __future__ import annotations

import csv
import io
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import zip_longest
from pathlib import Path
from typing import Any

from exchange.client import build, validating
from exchange.client.errors import Unusable, why
from exchange.client.tokenising import Token, Tokeniser
from exchange.stix import words
from exchange.tokens import forms

_NUMBERS = frozenset({"confidence"})
_LISTS = frozenset({"techniques", "languages"})


@dataclass(frozen=True, slots=True)
class Column:
    """What one column holds, and what its indicators say besides."""

    column: str
    subkind: str
    says: Mapping[str, Any] = field(default_factory=dict)
    says_from: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Map:
    """A whole map."""

    columns: tuple[Column, ...]
    frame: build.Frame = field(default_factory=build.Frame)
    group: str = ""
    says: Mapping[str, Any] = field(default_factory=dict)
    says_from: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Built:
    """One indicator with the line of the file that it came from, and the forms that its tokens were made of.

    `says_from` is which column said what, by the names of the vocabulary.
    """

    line: int
    column: str
    indicator: Any
    forms: tuple[str, ...] = ()
    says_from: Mapping[str, str] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class NotBuilt:
    """One value that gave no indicator; the value is not repeated. `field` is where a schema refused what was built.

    `source` is the column that said what is wrong, where that is another.
    """

    line: int
    column: str
    why: str
    code: str = ""
    field: str = ""
    source: str = ""

    @property
    def said(self) -> str:
        """In one line."""
        told = f"{self.code} at {self.field}: {self.why}" if self.code else self.why
        return f"{told} (from column {self.source})" if self.source else told

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        told: dict[str, Any] = {"line": self.line, "column": self.column, "problem": self.why}
        told |= {"from_column": self.source} if self.source else {}
        return told | ({"code": self.code, "field": self.field} if self.code else {})


def read_map(path: Path, *, with_columns: bool = True) -> Map:
    """Read a map; without columns, its entries say what is said of a subkind. Raises Unusable."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Unusable(f"{path}: {why(error)}") from error
    unknown = document.keys() - {"group", "tlp", "days", "says", "says_from", "indicator"}
    if unknown:
        raise Unusable(f"{path}: there is no {', '.join(sorted(unknown))} in a map")
    says, says_from = document.get("says", {}), document.get("says_from", {})
    try:
        columns = tuple(
            Column(
                one["column"] if with_columns else "",
                one["subkind"],
                says | one.get("says", {}),
                says_from | one.get("says_from", {}),
            )
            for one in document.get("indicator", [])
        )
        days = document.get("days")
        frame = build.Frame(document.get("tlp", "amber"), timedelta(days=days) if days is not None else None)
    except (KeyError, TypeError) as error:
        raise Unusable(f"{path}: each [[indicator]] has a column and a subkind") from error
    wrong = [one.subkind for one in columns if one.subkind not in words.KIND_OF]
    if wrong or (with_columns and not columns):
        raise Unusable(f"{path}: {wrong[0]} is no subkind" if wrong else f"{path}: has no [[indicator]]")
    for one in columns:
        _check_words(path, one, frame)
    if not with_columns:
        return Map(columns, frame, str(document.get("group", "")), says)
    if rules := [one.subkind for one in columns if one.subkind in words.RULES]:
        raise Unusable(f"{path}: {rules[0]} has no column: rules are built in Python")
    return Map(columns, frame, str(document.get("group", "")), says, says_from)


def _check_words(path: Path, column: Column, frame: build.Frame) -> None:
    """A word that the map itself says wrong would be told of each row of a table. Raises Unusable."""
    try:
        build.check_words(column.says, frame=frame)
    except build.NotBuilt as error:
        raise Unusable(f"{path}: {column.column or column.subkind}: {error}") from error


def build_all(path: Path, wanted: Map, tokeniser: Tokeniser) -> Iterator[Built | NotBuilt]:
    """Every indicator of a file, column by column, and a report for each value that gave none. Raises Unusable."""
    read = _rows(path, list(dict.fromkeys(_named(wanted))))
    yield from (NotBuilt(line, "", "more cells than the header has columns") for line, row in read if row is None)
    rows = [(line, row) for line, row in read if row is not None]
    for column in wanted.columns:
        filled = [(line, row) for line, row in rows if row[column.column].strip()]
        frame = _frame_of(column.subkind, wanted.frame)
        if column.subkind in words.TOKENISED:
            yield from _tokenised(column, filled, frame, tokeniser)
        else:
            yield from _in_clear(column, filled, frame)


def checked(every: Iterable[Built | NotBuilt]) -> Iterator[Built | NotBuilt]:
    """The same, but what the exchange's schemas refuse is not built: told with its place and the rule."""
    for one in every:
        fault = validating.fault_of(one.indicator.serialize().encode(), closed=True) if isinstance(one, Built) else None
        if isinstance(one, Built) and fault is not None:
            source = _source(one.says_from, fault.field)
            yield NotBuilt(one.line, one.column, fault.message, fault.code, fault.field, source)
        else:
            yield one


def _source(says_from: Mapping[str, str], place: str) -> str:
    """The column that says what stands at a place (a JSON Pointer); empty where the map says it, or the value is it."""
    return next((says_from[name] for name in place.split("/") if name in says_from), "")


def _frame_of(subkind: str, frame: build.Frame) -> build.Frame:
    """The days of a map are for all columns; where a subkind lives less, it is that."""
    wished = frame.valid_for
    return frame if wished is None else replace(frame, valid_for=min(wished, build.LONGEST[subkind]))


def _tokenised(
    column: Column, rows: Sequence[tuple[int, dict[str, str]]], frame: build.Frame, tokeniser: Tokeniser
) -> Iterator[Built | NotBuilt]:
    found = tokeniser.tokenise(column.subkind, [row[column.column] for _, row in rows])
    for (line, row), one in zip(rows, found, strict=True):
        if one.problem:
            yield NotBuilt(line, column.column, one.problem)
            continue
        if not one.tokens:
            yield NotBuilt(line, column.column, "a prompt without a phrase that is tokenised")
        sets: list[tuple[tuple[str, ...], tuple[Token, ...]]] = [(one.forms, one.tokens)] if one.tokens else []
        if column.subkind == "phrase":
            sets = [((form,), tokens) for form, tokens in zip(one.forms, one.by_form, strict=True)]
        for made_of, tokens in sets:
            try:
                made = build.of_tokens(column.subkind, tokens, frame=frame, **_said(column, row))
                yield Built(line, column.column, made, made_of, column.says_from)
            except build.NotBuilt as error:
                yield _not_built(line, column, error)


def _in_clear(
    column: Column, rows: Sequence[tuple[int, dict[str, str]]], frame: build.Frame
) -> Iterator[Built | NotBuilt]:
    for line, row in rows:
        value = row[column.column].strip()
        try:
            if column.subkind in words.SIGNATURES:
                carried: Mapping[str, Any] = {"signature": {words.SIGNATURES[column.subkind]: value}}
            else:
                carried = {"value": build.clear_form(column.subkind, value)}
            made = build.indicator(column.subkind, carried, frame=frame, **_said(column, row))
            yield Built(line, column.column, made, says_from=column.says_from)
        except build.NotBuilt as error:
            yield _not_built(line, column, error)


def _not_built(line: int, column: Column, error: build.NotBuilt) -> NotBuilt:
    return NotBuilt(line, column.column, str(error), source=_source(column.says_from, error.at))


def _said(column: Column, row: Mapping[str, str]) -> dict[str, Any]:
    said = dict(column.says)
    for name, source in column.says_from.items():
        written = (row.get(source) or "").strip()
        if written:
            said[name] = _read(name, written)
    return said


#: `80.0` is how tables write 80 whose column has an empty cell (pandas).
_WHOLE = re.compile(r"[0-9]{1,9}(?:\.0+)?")


def _read(name: str, written: str) -> Any:
    if name in _LISTS:
        return [one.strip() for one in written.split(";") if one.strip()]
    if name in _NUMBERS:
        if _WHOLE.fullmatch(written) is None:
            raise build.NotBuilt(f"{name}: a whole number", at=f"/{name}")
        return int(written.partition(".")[0])
    return written


def _named(wanted: Map) -> Iterator[str]:
    """The columns that a map names."""
    for one in wanted.columns:
        yield one.column
        yield from one.says_from.values()


def unmapped(path: Path, wanted: Map) -> list[int]:
    """The columns that a map does not name, counted from 1: a header may be somebody's values."""
    header = next(csv.reader(io.StringIO(text_of(path), newline="")), [])
    named = set(_named(wanted))
    return [place for place, name in enumerate(header, 1) if name not in named]


def text_of(path: Path) -> str:
    """A file as text; `-` is standard input. Raises Unusable."""
    try:
        raw = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
        return raw.decode("utf-8-sig")
    except OSError as error:
        raise Unusable(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Unusable(f"{path}: {why(error)}") from error


def _rows(path: Path, wanted: Sequence[str]) -> list[tuple[int, dict[str, str] | None]]:
    """The rows with the lines that they end on; None for one that has more cells than the header. Raises Unusable.

    A quotation mark that is never closed would else make one cell of all that follows.
    """
    line = 1
    try:
        reader = csv.reader(io.StringIO(text_of(path), newline=""), strict=True)
        header = next(reader, [])
        if fault := _fault_of(header, wanted):
            raise Unusable(f"{path}: {fault}")
        rows: list[tuple[int, dict[str, str] | None]] = []
        for cells in reader:
            line = reader.line_num
            if cells:
                rows.append((line, _row(header, cells)))
        return rows
    except csv.Error as error:
        raise Unusable(f"{path}: after line {line}: {error}") from error


def _row(header: Sequence[str], cells: Sequence[str]) -> dict[str, str] | None:
    if len(cells) > len(header):
        return None
    return {name: text for name, text in zip_longest(header, cells, fillvalue="") if name}


def _fault_of(header: Sequence[str], wanted: Sequence[str]) -> str:
    """Why a table with this header is not read; only names that the map says are repeated."""
    missing = [name for name in wanted if name not in header]
    if missing and len(header) == 1 and any(mark in header[0] for mark in ";\t"):
        return "its columns are separated by another mark than a comma"
    if missing:
        return f"has no column {missing[0]}"
    twice = [name for name in wanted if header.count(name) > 1]
    return f"has two columns {twice[0]}" if twice else ""


__all__ = ["Built", "Column", "Map", "NotBuilt", "build_all", "forms", "read_map"]
