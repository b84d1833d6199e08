"""How the REST face writes what reading returns: metadata beside the publisher's bytes, which are never rebuilt."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from drf_spectacular.utils import OpenApiParameter

from exchange import clock
from indicators import reading
from indicators.door import corpus
from indicators.feeds import spelling
from indicators.feeds.fields import FIELDS
from indicators.log.changes import Told
from indicators.matching import End, Match
from indicators.reading import BriefStatement, Statement
from partners.api.base import fragment
from partners.attribution import Attribution
from partners.tlp import word_of

#: The parameters of a filter, on every surface that filters; the last is the former word for a comparison.
FILTER_NAMES = (*spelling.parameter_names(), "min_confidence")
_MORE = {
    "kind": "Kinds of indicators, separated by commas.",
    "subkind": "Their subkinds, separated by commas.",
    "type": "STIX types, separated by commas.",
    "publisher": "Slugs or ids of publishers.",
}
FILTER_PARAMETERS = [
    OpenApiParameter(
        spelling.REST,
        description="A filter in one line, such as `kind:payment-fingerprint -control:compromised_victim`"
        " (see feeds.md). Each field is a parameter, too, and with `-` before its name it is turned round.",
    ),
    *(
        OpenApiParameter(field.name, description=_MORE.get(field.name, f"{field.says[0].upper()}{field.says[1:]}."))
        for field in FIELDS.values()
    ),
    *(OpenApiParameter(f"-{field.name}", description=f"Not: {field.says}.") for field in FIELDS.values()),
]


def statement(said: BriefStatement | Statement, *, by: Sequence[BriefStatement] = ()) -> dict[str, Any]:
    """One statement; with `by`, all who say the same bytes."""
    document: dict[str, Any] = {
        "publisher": _publisher(said),
        "publisher_suspended": said.publisher_suspended,
        "tlp": word_of(said.tlp),
        "date_added": clock.rfc3339(said.date_added),
        "object": fragment(said.body),
    }
    if said.marks:
        document["marks"] = [_mark(mark) for mark in said.marks]
    if said.benign_hits is not None:
        document["measured"] = {"benign_hits": said.benign_hits, "sample_size": len(corpus.prompts())}
    if said.claimed is not None:
        document["creator"] = {"id": said.claimed, "according_to": _publisher(said)}
    if by:
        document["publishers"] = [_publisher(each) for each in by]
    return document


def _mark(stored: str) -> dict[str, str]:
    code, _, field = stored.partition(" ")
    return {"code": code, "field": field}


def merged(said: Sequence[BriefStatement]) -> list[dict[str, Any]]:
    """Statements under one id, equal bytes once with all who say them."""
    return [statement(first, by=same) for first, same in reading.merged(said)]


def found(stix_id: str, said: Sequence[BriefStatement]) -> dict[str, Any]:
    """What was found under one of many ids."""
    return {"id": stix_id, "statements": merged(said)}


class _Publisher(msgspec.Struct, gc=False):
    """Whom a change comes from, as its reader is told."""

    id: UUID
    name: str
    named: bool


class _Change(msgspec.Struct, gc=False):
    """One change, in the order in which its fields are written; what an answer leaves out is unset."""

    op: str
    reason: str
    id: str
    type: str
    kind: str | None
    publisher: _Publisher
    tlp: str
    date_added: datetime | str
    confidence: int | None
    valid_from: datetime | None
    valid_until: datetime | None
    entries: msgspec.Raw
    object: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    matches: list[dict[str, Any]] | msgspec.UnsetType = msgspec.UNSET


class _Changes(msgspec.Struct):
    """A page of them."""

    changes: list[_Change]
    cursor: str
    more: bool


def changes(told: Sequence[Told], *, cursor: str, more: bool) -> bytes:
    """A page of changes. Of structs: a thousand documents of dictionaries take more than twice as long (ADR 0031)."""
    return _ENCODER.encode(_Changes([_change(one) for one in told], cursor, more))


def _change(told: Told) -> _Change:
    """One change. Places in the log are not shown: they would tell how much others publish."""
    added = told.date_added  # which is written in a tenth of the time, but without six digits where there are none
    return _Change(
        told.op,
        told.reason,
        told.stix_id,
        told.stix_type,
        told.kind,
        _Publisher(told.publisher_id, told.publisher_name, told.attribution == _NAMED),
        word_of(told.tlp),
        added if added.microsecond else clock.rfc3339(added),
        told.confidence,
        told.valid_from,
        told.valid_until,
        msgspec.Raw(told.entries),
        msgspec.UNSET if told.body is None else msgspec.Raw(told.body),
        [match(found) for found in told.matches] if told.matches else msgspec.UNSET,
    )


_ENCODER = msgspec.json.Encoder()
#: As a number: comparing with the enumeration's member costs as much as three fields.
_NAMED = int(Attribution.NAMED)
#: Bytes of the objects of one page: it ends with the object that reaches this, whatever number was asked for.
MAX_PAGE_BYTES = 8 * 1024 * 1024


def match(found: Match) -> dict[str, Any]:
    """One match with objects of each source. Its id is the value's own, for as long as it is matched."""
    return {
        "id": found.value_id,
        "basis": "overlap" if found.overlaps else "token",
        "domain": found.domain,
        "scheme": found.scheme,
        "key_epoch": found.key_epoch,
        "value": found.value,
        "found_at": clock.rfc3339(found.found_at),
        "objects": [_end(end) for end in found.ends],
    }


def _end(end: End) -> dict[str, Any]:
    return {
        "id": end.stix_id,
        "title": end.title,
        "publisher": {"id": end.source.id, "name": end.source.name, "slug": end.source.slug},
    } | ({"value": end.overlapping} if end.overlapping else {})


def _publisher(said: BriefStatement | Statement) -> dict[str, Any]:
    document = {"id": said.publisher_id, "name": said.publisher_name, "slug": said.publisher_slug}
    return document | ({"suspended": True} if said.publisher_suspended else {})
