"""From what an importer found to indicators: raw values become tokens here, and never leave.

What is said besides comes from the source, from the map and from `--say`; nothing is invented: where the vocabulary
requires more than was said, there is no indicator, and the report names the property.
"""

from __future__ import annotations

import csv
import json
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from exchange.client import build, tables, validating
from exchange.client.errors import Unusable
from exchange.client.tables import Built
from exchange.client.tokenising import Tokeniser, documents
from exchange.formats import flat, misp, nova, table
from exchange.formats.found import Found
from exchange.formats.losses import Loss
from exchange.stix import words

FORMS = ("misp", "nova", "csv")
#: Ids of what is imported follow from the importer and the source's own id, never from a value.
_IDS = uuid.UUID("0c2f2a2c-0df5-5b0e-8a5e-0b8f3f6f7d11")


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is said of everything that is imported: by subkind, and of all; who imports, as an identity's id."""

    identity: str = ""
    says: Mapping[str, Any] = field(default_factory=dict)
    by_subkind: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    frame: build.Frame = field(default_factory=build.Frame)
    tlp: str = ""
    validate: bool = True

    def said_of(self, found: Found) -> dict[str, Any]:
        """What is said of one; its source's word before the map's, as far as its subkind takes it."""
        takes = flat.takes(found.subkind) | {"confidence"}
        common = {**self.says, **self.by_subkind.get(found.subkind, {})}
        return {name: value for name, value in common.items() if name in takes} | dict(found.says)


def of_map(path: Path) -> Wishes:
    """The wishes of a map whose `[[indicator]]` entries name subkinds, and no columns. Raises Unusable."""
    wanted = tables.read_map(path, with_columns=False)
    by_subkind = {one.subkind: dict(one.says) for one in wanted.columns}
    return Wishes(says=dict(wanted.says), by_subkind=by_subkind, frame=wanted.frame)


def read(path: Path, form: str) -> list[Found | Loss]:
    """What a file of a format holds. Raises Unusable."""
    text = tables.text_of(path)
    try:
        if form == "misp":
            return list(misp.read(json.loads(text)))
        if form == "nova":
            return list(nova.read(text))
        if not table.is_ours(next(csv.reader(text.splitlines()), [])):
            raise Unusable(f"{path}: has other columns than our export: say what they are, with --map.")
        return list(table.read(text))
    except (ValueError, RecursionError, csv.Error) as error:
        raise Unusable(f"{path}: is no file of {form.upper()}: {_why(error)}") from error


def _why(error: Exception) -> str:
    """Without what stands there."""
    return f"line {error.lineno}" if isinstance(error, json.JSONDecodeError) else "it cannot be read"


def built(items: Iterable[Found | Loss], wishes: Wishes, tokeniser: Tokeniser | None) -> Iterator[Built | Loss]:
    """The indicators and the losses; values of one subkind are tokenised together.

    Without a tokeniser, no raw value that needs one may be among them.
    """
    by_subkind: dict[str, list[Found]] = {}
    for item in items:
        if isinstance(item, Loss):
            yield item
            continue
        found = item
        if "detector" in found.says:  # the name of another's is nobody else's to use
            yield Loss(found.path, "detector-dropped")
            found = replace(found, says={name: said for name, said in found.says.items() if name != "detector"})
        by_subkind.setdefault(found.subkind if found.carried is None else "", []).append(found)
    for subkind, some in by_subkind.items():
        if tokeniser is not None and subkind in words.TOKENISED:
            made = _tokenised(subkind, some, tokeniser)
        else:
            made = _carried(some)
        for found, carried, forms in made:
            yield carried if isinstance(carried, Loss) else _indicator(found, carried, forms, wishes)


type _Made = tuple[Found, Mapping[str, Any] | Loss, tuple[str, ...]]


def _carried(some: Iterable[Found]) -> Iterator[_Made]:
    for found in some:
        if found.carried is not None:
            yield found, found.carried, ()
            continue
        try:
            yield found, {"value": build.clear_form(found.subkind, found.raw)}, ()
        except build.NotBuilt as error:
            yield found, Loss(found.path, "not-of-its-form", why=f"{str(error).capitalize()}."), ()


def _tokenised(subkind: str, some: list[Found], tokeniser: Tokeniser) -> Iterator[_Made]:
    tokenised = tokeniser.tokenise(subkind, [one.raw for one in some])
    for found, one in zip(some, tokenised, strict=True):
        if one.problem:
            yield found, Loss(found.path, "not-of-its-form", why=f"{one.problem.capitalize()}."), ()
        elif not one.tokens:
            yield found, Loss(found.path, "no-phrase"), ()
        elif subkind == "phrase":
            for form, tokens in zip(one.forms, one.by_form, strict=True):
                yield found, {"tokens": documents(tokens)}, (form,)
        else:
            yield found, {"tokens": documents(one.tokens)}, one.forms


def _indicator(found: Found, carried: Mapping[str, Any], forms: tuple[str, ...], wishes: Wishes) -> Built | Loss:
    said = wishes.said_of(found)
    if found.source_id and found.subkind != "phrase":  # a prompt has several
        named = f"{wishes.identity} {found.source_id} {found.subkind}"
        said["id"] = f"indicator--{uuid.uuid5(_IDS, named)}"
    try:
        frame = _frame(found, wishes)
        if frame is None:
            return Loss(found.path, "ended")
        made = build.indicator(found.subkind, carried, frame=frame, **said)
    except build.NotBuilt as error:
        return Loss(found.path, "refused", at=error.at, why=str(error))
    fault = validating.fault_of(made.serialize().encode(), closed=True) if wishes.validate else None
    if fault is not None:
        return Loss(found.path, "refused", at=fault.field, why=fault.message)
    return Built(0, found.path, made, forms)


def _frame(found: Found, wishes: Wishes) -> build.Frame | None:
    """Marking and life; None where its source says that it has ended."""
    frame = replace(wishes.frame, tlp=wishes.tlp or found.tlp or wishes.frame.tlp)
    longest = build.LONGEST[found.subkind]
    wished = frame.valid_for
    if found.valid_until:
        try:
            until = datetime.fromisoformat(found.valid_until)
        except ValueError:
            raise build.NotBuilt("valid_until: a time such as 2026-12-31T00:00:00Z", at="/valid_until") from None
        wished = until.replace(tzinfo=until.tzinfo or UTC) - (frame.now or datetime.now(UTC))
        if wished.total_seconds() <= 0:
            return None
    return frame if wished is None else replace(frame, valid_for=min(wished, longest))


def of_table(path: Path, map_file: Path, tokeniser: Tokeniser, *, validate: bool) -> Iterator[Built | Loss]:
    """A raw table by its map, with its losses in the words of all formats."""
    wanted = tables.read_map(map_file)
    tokeniser.group = tokeniser.group or wanted.group
    for place in tables.unmapped(path, wanted):
        yield Loss(f"/1/{place}", "column-dropped")
    every = tables.build_all(path, wanted, tokeniser)
    for one in tables.checked(every) if validate else every:
        if isinstance(one, Built):
            yield one
        else:
            at = f"/{one.line}/{one.column}" if one.column else f"/{one.line}"
            yield Loss(at, "refused" if one.code else "not-of-its-form", at=one.field, why=one.why)
