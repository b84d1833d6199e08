"""A package as an authority files it: counts in buckets, techniques, time line, measures; and its objects as a table.

Made of the objects of the package alone, so it says nothing that its bundle does not, and is the same at each download.
A count is told as a power of ten, as everywhere. Publishers are those that are named, at least one (vocabulary,
"Independent publishers"): their number would else tell who hides. Measures are what publishers say that they did; none
is recommended.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from exchange import clock
from exchange.lists.lines import shown
from indicators.models import StixObject
from indicators.stix import vocabulary
from partners.attribution import Attribution
from partners.tlp import Tlp

FORMAT = "exchange-report-form/1"
_COLUMNS = (
    *("type", "id", "version", "title", "kind", "subkind", "tlp", "publisher", "confidence", "valid_from"),
    *("valid_until", "pattern"),
)
#: Where in STIX a technique, or what was done, is an object of its own.
_TECHNIQUE, _MEASURE = "attack-pattern", "course-of-action"
_FIRST, _LAST = ("first_seen", "first_observed"), ("last_seen", "last_observed")


def document(held: Sequence[StixObject], *, cover: Mapping[str, Any]) -> dict[str, Any]:
    """The form of a package whose cover says from whom to whom, and under which bases."""
    read = [(one, orjson.loads(one.body)) for one in held]
    return {
        "format": FORMAT,
        **{name: cover[name] for name in ("package", "title", "tlp", "from", "to", "bases")},
        "counts": _counts(held),
        "techniques": {
            "named": _named(data for _, data in read),
            "described": [_described(data) for _, data in read if data["type"] == _TECHNIQUE],
        },
        "time_line": _time_line(read),
        "measures": _measures(read),
    }


def bucket(count: int) -> str:
    """`0`, or the power of ten that the count reaches: `10^0` for 1 to 9, `10^1` for 10 to 99."""
    return f"10^{len(str(count)) - 1}" if count else "0"


def table(held: Sequence[StixObject], *, cover: Mapping[str, Any]) -> bytes:
    """A line for each object, in the order of the bundle (RFC 4180); none begins a formula, nor after a `;`."""
    written = io.StringIO()
    line = csv.writer(written, lineterminator="\r\n")
    line.writerow(_COLUMNS)
    for one, said in zip(held, cover["objects"], strict=True):
        pattern = orjson.loads(one.body).get("pattern", "")
        cells = (
            *(
                one.stix_type,
                one.stix_id,
                one.version,
                said["title"],
                one.kind,
                one.subkind,
                said["tlp"],
                said["publisher"],
            ),
            *(one.confidence, _written(one.valid_from), _written(one.valid_until), pattern),
        )
        line.writerow(["" if cell is None else shown(str(cell)) for cell in cells])
    return written.getvalue().encode()


def _counts(held: Sequence[StixObject]) -> dict[str, Any]:
    kinds = Counter(one.kind or one.stix_type for one in held)
    markings = Counter(Tlp(one.audience.tlp).word for one in held)
    return {
        "objects": bucket(len(held)),
        "publishers": bucket(max(1, len({one.publisher_id for one in held if _is_named(one)}))),
        "by_kind": {kind: bucket(count) for kind, count in sorted(kinds.items())},
        "by_tlp": {word: bucket(count) for word, count in sorted(markings.items())},
    }


def _is_named(one: StixObject) -> bool:
    return one.audience.attribution == Attribution.NAMED


def _named(objects: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The techniques that indicators name by the numbers of MITRE, each with how many indicators name it."""
    said = Counter(one for data in objects for one in _texts(_extension(data).get("techniques")))
    return {technique: bucket(count) for technique, count in sorted(said.items())}


def _described(data: Mapping[str, Any]) -> dict[str, Any]:
    """A technique that is an object of its own, with what others call it, as its publisher wrote it."""
    return {"name": str(data.get("name", "")), "known_as": sorted(_external(data)), "id": data["id"]}


def _extension(data: Mapping[str, Any]) -> Mapping[str, Any]:
    return vocabulary.extension_of(data) or {}


def _texts(listed: Any) -> list[str]:
    return [one for one in listed if isinstance(one, str)] if isinstance(listed, list) else []


def _external(data: Mapping[str, Any]) -> set[str]:
    references = data.get("external_references")
    listed = references if isinstance(references, list) else []
    pairs = [(one.get("source_name"), one.get("external_id")) for one in listed if isinstance(one, dict)]
    return {f"{source}: {known}" for source, known in pairs if isinstance(source, str) and isinstance(known, str)}


def _time_line(read: Sequence[tuple[StixObject, Mapping[str, Any]]]) -> dict[str, Any]:
    """From when to when what is described was seen, if anybody says so; and on which days how much was published."""
    firsts = [moment for _, data in read for moment in _said(data, _FIRST)]
    lasts = [moment for _, data in read for moment in _said(data, _LAST)]
    days = Counter(one.modified.date().isoformat() for one, _ in read if one.modified is not None)
    return {
        "first_seen": _written(min(firsts, default=None)),
        "last_seen": _written(max(lasts, default=None)),
        "published": [{"day": day, "objects": bucket(count)} for day, count in sorted(days.items())],
    }


def _said(data: Mapping[str, Any], names: Sequence[str]) -> list[datetime]:
    """The moments that an object says itself or by our extension; what is no moment is no text for the form either."""
    written = [one.get(name) for one in (data, _extension(data)) for name in names]
    return [moment for each in written if isinstance(each, str) and (moment := clock.moment_of(each)) is not None]


def _measures(read: Sequence[tuple[StixObject, Mapping[str, Any]]]) -> dict[str, Any]:
    """What publishers did about what they saw, in the words of the vocabulary, and what they describe as done."""
    said = [_extension(data).get("publisher_action") for _, data in read]
    acts = Counter(act for act in said if isinstance(act, str))
    return {
        "taken": {act: bucket(count) for act, count in sorted(acts.items())},
        "described": [
            {"name": str(data.get("name", "")), "id": data["id"]} for _, data in read if data["type"] == _MEASURE
        ],
    }


def _written(moment: datetime | None) -> str | None:
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%SZ")
