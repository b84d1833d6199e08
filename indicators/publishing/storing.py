"""Rows of a batch into PostgreSQL: one round trip per table, whatever the batch's size. Called by `publishing` only."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import UUID

import msgspec
from django.db import connection
from psycopg import Copy

from exchange.sql import Message, Reply, array_of, array_of_numbers
from indicators.benign import service_hosts
from indicators.door.benign import Known
from indicators.models import Hidden, Holding
from indicators.stix.drafts import Draft, Ref
from indicators.stored import Version, Versions
from indicators.values import carrying

#: Up to so many rows go along with the other statements; more are worth the round trips of a COPY.
_MOST_INSERTED = 5
#: Up to so many references go along as arrays; more would make the message too large.
_MOST_ALONG = 20_000
#: First half of the two-part advisory lock that lets a publisher's batches follow each other: "pubs".
_PUBLISHER_LOCK = 0x70756273


def lock_publisher(publisher_id: UUID) -> None:
    """Let the batches of one publisher commit one after the other: versions are compared with what is held.

    Publishers do not wait for each other (but for a rare collision of 32-bit hashes, which only costs time).
    """
    message = Message()
    locking_publisher(publisher_id, message)
    message.send()


def locking_publisher(publisher_id: UUID, message: Message) -> None:
    """The same once the message is sent. Behind the partner's own locks, where they are taken (`partners.locks`)."""
    key = int.from_bytes(hashlib.sha256(publisher_id.bytes).digest()[:4], signed=True)
    message.add("SELECT pg_advisory_xact_lock(%s::int, %s::int)", [_PUBLISHER_LOCK, key])


def versions(publisher_id: UUID, stix_ids: Iterable[str]) -> dict[str, Versions]:
    """What the publisher has stored under these ids, by id and version: one query."""
    message = Message()
    found = versions_within(message, publisher_id, stix_ids)
    message.send()
    return found()


def versions_within(message: Message, publisher_id: UUID, stix_ids: Iterable[str]) -> Callable[[], dict[str, Versions]]:
    """The same, to be called once the message is sent."""
    found = message.add(_VERSIONS, [publisher_id, array_of(stix_ids)])

    def read() -> dict[str, Versions]:
        stored: dict[str, Versions] = {}
        for stix_id, modified, holding_id, object_id, sha256, *rest in found.rows:
            stored.setdefault(stix_id, {})[modified] = Version(holding_id, object_id, bytes(sha256), *rest)
        return stored

    return read


# A row for each version; walks the unique index by id, then the versions of each holding (OFFSET 0).
_VERSIONS = """
SELECT h.stix_id, o.modified, h.id, o.id, o.sha256, h.state, o.id IS NOT DISTINCT FROM h.newest_id, o.revoked,
       h.audience_id, a.tlp, a.use = 'withdrawn' OR coalesce(x.hidden_from = 'all', false),
       coalesce(x.hidden_from = 'others', false), a.attribution, CASE WHEN a.attribution = 1 THEN a.groups END,
       o.version, o.correction
FROM (SELECT h.* FROM indicators_holding h WHERE h.publisher_id = %s AND h.stix_id = ANY(%s::text[]) OFFSET 0) h
CROSS JOIN LATERAL (SELECT a.* FROM partners_audience a WHERE a.id = h.audience_id LIMIT 1) a
CROSS JOIN LATERAL (SELECT o.* FROM indicators_stixobject o WHERE o.holding_id = h.id OFFSET 0) o
LEFT JOIN LATERAL (SELECT x.hidden_from FROM indicators_hidden x WHERE x.version_id = o.id LIMIT 1) x ON true
ORDER BY o.correction
"""


def bodies(object_ids: Sequence[int], *, max_bytes: int) -> dict[int, str]:
    """The bytes of objects by key; of those that have at most so many. One query, and none for none."""
    if not object_ids:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, body FROM indicators_stixobject WHERE id = ANY(%s) AND octet_length(body) <= %s",
            [list(object_ids), max_bytes],
        )
        return dict(cursor.fetchall())


def keys_within(message: Message, count: int) -> Reply:
    """So many keys of versions and of holdings, in order, a row each; unused ones are lost."""
    return message.add(
        "SELECT nextval('indicators_stixobject_id_seq'), nextval('indicators_holding_id_seq')"
        " FROM generate_series(1, %s)",
        [count],
    )


class NewVersion(msgspec.Struct, frozen=True):
    """A draft that enters below a holding, with what publishing decided about it."""

    draft: Draft
    key: int
    holding_id: int
    sha256: bytes
    correction: int = 0


@dataclass(frozen=True, slots=True)
class Turned:
    """What a holding is from now on; its newest version is stored, or is to be."""

    holding_id: int
    audience_id: int
    state: Holding.State
    newest_id: int | None


class Begun(msgspec.Struct, frozen=True):
    """A holding that is new."""

    holding_id: int
    audience_id: int
    state: Holding.State
    newest_id: int | None
    stix_id: str
    stix_type: str
    creator: str | None
    kind: str | None  # of its newest version, as is its end
    valid_until: datetime | None


def store(
    publisher_id: UUID,
    new: Sequence[NewVersion],
    *,
    woken: Mapping[int, Draft],
    begun: Sequence[Begun],
    turned: Sequence[Turned],
    within: Message,
) -> None:
    """Write versions, their references, the holdings that begin with them, what becomes of others, and their values.

    `woken` are drafts of versions that are stored already, by their keys. Many versions are copied at once; a few are
    written when the message is sent, and so is all else, which is made ready while PostgreSQL takes in the copied.
    """
    refer(((one.key, one.draft.references) for one in new), within=within)
    drafts = {one.key: one.draft for one in new} | dict(woken)
    unproven = service_hosts.unproven()
    hold = partial(
        _hold, publisher_id, drafts, begun=begun, turned=turned, woken=woken, unproven=unproven, within=within
    )
    if len(new) <= _MOST_INSERTED:
        for one in new:
            within.add(_VERSION, _version_row(one))
        hold()
        return
    with _copying("indicators_stixobject", _VERSION_COLUMNS) as copy:
        for one in new:
            copy.write_row(_version_row(one))
        hold()


def _hold(
    publisher_id: UUID,
    drafts: Mapping[int, Draft],
    *,
    begun: Sequence[Begun],
    turned: Sequence[Turned],
    woken: Mapping[int, Draft],
    unproven: Mapping[UUID, Known],
    within: Message,
) -> None:
    """Have the message say what holdings are from now on, and what they carry. Asks nothing itself."""
    if begun:
        within.add(_BEGIN, [publisher_id, *_columns(begun)])
    _turn(turned, within)
    holdings: list[Begun | Turned] = [*begun, *turned]
    said = [
        carrying.Carrying(one.holding_id, one.audience_id, drafts[key].tokens, anew=isinstance(one, Turned))
        for one in holdings
        if (key := one.newest_id) is not None
    ]
    carrying.write(said, within=within, unproven=unproven)
    carrying.relist(woken, within=within)


def refer(found: Iterable[tuple[int, Sequence[Ref]]], *, within: Message) -> None:
    """Write what objects, by key, point to: along with the message, or copied at once where it is too much for it."""
    rows = [(key, place, *ref) for key, refs in found for place, ref in enumerate(refs)]
    if len(rows) > _MOST_ALONG:
        with _copying("indicators_reference", _REFERENCE_COLUMNS) as copy:
            for row in rows:
                copy.write_row(row)
    elif rows:
        keys, places, paths, targets = zip(*rows, strict=True)
        within.add(_REFER, [array_of_numbers(keys), array_of_numbers(places), array_of(paths), array_of(targets)])


_REFERENCE_COLUMNS = {"version_id": "int8", "place": "int2", "path": "text", "target_id": "text"}
_REFER = f"""
INSERT INTO indicators_reference ({", ".join(_REFERENCE_COLUMNS)})
SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::text[])
"""


def turn(turned: Sequence[Turned], *, within: Message | None = None) -> None:
    """Say what holdings are from now on, at once or when the message is sent.

    The newest versions, where there are any, are stored: what these carry is written at once.
    """
    if newest := {one.holding_id: one.newest_id for one in turned if one.newest_id is not None}:
        carrying.read_again(newest)
    message = within or Message()
    _turn(turned, message)
    if within is None:
        message.send()


def _turn(turned: Sequence[Turned], within: Message) -> None:
    if turned:
        rows = [(one.holding_id, one.audience_id, one.state.value, one.newest_id) for one in turned]
        within.add(_TURN, [list(column) for column in zip(*rows, strict=True)])


def readdress(audiences: Mapping[int, int]) -> None:
    """Give holdings, by key, other audiences; whether they live stays as it is."""
    if not audiences:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE indicators_holding h SET audience_id = new.audience"
            " FROM unnest(%s::bigint[], %s::bigint[]) AS new(id, audience) WHERE h.id = new.id",
            [list(audiences), list(audiences.values())],
        )


def _columns(begun: Sequence[Begun]) -> list[object]:
    """The columns of holdings that begin, as arrays."""
    return [
        array_of_numbers(one.holding_id for one in begun),
        array_of_numbers(one.audience_id for one in begun),
        array_of(one.state.value for one in begun),
        array_of_numbers(one.newest_id for one in begun),
        array_of(one.stix_id for one in begun),
        array_of(one.stix_type for one in begun),
        array_of(one.creator for one in begun),
        array_of(one.kind for one in begun),
        array_of(None if one.valid_until is None else one.valid_until.isoformat() for one in begun),
    ]


_BEGIN = """
INSERT INTO indicators_holding (publisher_id, id, audience_id, state, newest_id, stix_id, stix_type, creator, kind,
                                valid_until)
SELECT %s, * FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::bigint[], %s::text[], %s::text[], %s::text[],
                         %s::text[], %s::timestamptz[])
"""
_TURN = """
UPDATE indicators_holding h SET audience_id = new.audience, state = new.state, newest_id = new.newest,
                                kind = o.kind, valid_until = o.valid_until
FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::bigint[]) AS new(id, audience, state, newest)
LEFT JOIN indicators_stixobject o ON o.id = new.newest
WHERE h.id = new.id
"""


def hide(hidden: Mapping[int, Hidden.From | None]) -> None:
    """Hide versions, by key, or show those that are hidden to whom their holding is shown. One statement for each."""
    shown = [key for key, whom in hidden.items() if whom is None]
    others = {key: whom.value for key, whom in hidden.items() if whom is not None}
    with connection.cursor() as cursor:
        if others:
            cursor.execute(_HIDE, [list(others), list(others.values())])
        if shown:
            cursor.execute("DELETE FROM indicators_hidden WHERE version_id = ANY(%s)", [shown])


def hide_history(holding_ids: Sequence[int], whom: Hidden.From, *, keep: Sequence[int]) -> None:
    """Hide the versions of these holdings, but for those with the keys `keep`; what is hidden from all stays so."""
    if holding_ids:
        with connection.cursor() as cursor:
            cursor.execute(_HIDE_HISTORY, [whom.value, list(holding_ids), list(keep)])


_HIDING = """
ON CONFLICT (version_id) DO UPDATE SET hidden_from = excluded.hidden_from
WHERE indicators_hidden.hidden_from <> excluded.hidden_from
"""
_HIDE = f"""
INSERT INTO indicators_hidden (version_id, hidden_from) SELECT * FROM unnest(%s::bigint[], %s::text[]) {_HIDING}
"""
_HIDE_HISTORY = f"""
INSERT INTO indicators_hidden (version_id, hidden_from)
SELECT o.id, %s FROM indicators_stixobject o WHERE o.holding_id = ANY(%s) AND o.id <> ALL(%s)
{_HIDING} AND indicators_hidden.hidden_from <> 'all'
"""


@contextmanager
def _copying(table: str, columns: Mapping[str, str]) -> Iterator[Copy]:
    """Copy the rows that are written in the block; `columns` are their names and types, for they go as binary.

    Whole buffers are on their way while the next is filled, and until the block ends PostgreSQL answers nothing else.
    """
    sql = f"COPY {table} ({', '.join(columns)}) FROM STDIN (FORMAT BINARY)"
    with connection.cursor() as cursor, cursor.copy(sql) as copy:
        copy.set_types(list(columns.values()))
        yield copy


@dataclass(frozen=True, slots=True)
class NewMarked:
    """That an object names a marking which is not the standard's; `asked`, as JSON, while its definition is unknown."""

    object_id: int
    marking: str
    asked: str | None


def mark(publisher_id: UUID, marked: Sequence[NewMarked], *, within: Message | None = None) -> None:
    """Write which markings objects name, in place of what was written of them before."""
    if not marked:
        return
    message = within or Message()
    columns = zip(*((one.object_id, one.marking, one.asked) for one in marked), strict=True)
    message.add(_MARK, [publisher_id, *(list(column) for column in columns)])
    if within is None:
        message.send()


_MARK = """
INSERT INTO indicators_marked (partner_id, object_id, marking, asked)
SELECT %s, * FROM unnest(%s::bigint[], %s::text[], %s::jsonb[])
ON CONFLICT (object_id, marking) DO UPDATE SET asked = excluded.asked
"""


def held_by(publisher_id: UUID) -> list[str]:
    """The ids of all that a publisher holds and has not withdrawn."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT stix_id FROM indicators_holding WHERE newest_id IS NOT NULL AND audience_id = ANY("
            "ARRAY(SELECT id FROM partners_audience WHERE publisher_id = %s)) ORDER BY stix_id",
            [publisher_id],
        )
        return [stix_id for (stix_id,) in cursor.fetchall()]


def hand_over(heir_id: UUID, audience_of: Mapping[int, int], version_ids: Sequence[int]) -> dict[int, int]:
    """Begin a holding of another partner for each of these, with these audiences, and give it those versions.

    Returns the keys of the new ones, by those of the old: which have no version left but what is withdrawn.
    """
    before, after = list(audience_of), list(audience_of.values())
    with connection.cursor() as cursor:
        cursor.execute(_HEIRS, [before, after, heir_id])
        became: dict[int, int] = dict(cursor.fetchall())
        moved = [list(became), list(became.values()), list(version_ids)]
        cursor.execute(
            "UPDATE indicators_stixobject o SET holding_id = new.heirs"
            " FROM unnest(%s::bigint[], %s::bigint[]) AS new(id, heirs)"
            " WHERE o.holding_id = new.id AND o.id = ANY(%s)",
            moved,
        )
        cursor.execute(
            "UPDATE indicators_marked SET partner_id = %s WHERE object_id = ANY(%s)", [heir_id, list(version_ids)]
        )
    carrying.hand_over(became)
    return became


# A row for each: the old key and the new one.
_HEIRS = """
WITH old AS MATERIALIZED (
    SELECT h.*, new.audience, nextval('indicators_holding_id_seq') AS heirs
    FROM unnest(%s::bigint[], %s::bigint[]) AS new(id, audience) JOIN indicators_holding h ON h.id = new.id
), begun AS (
    INSERT INTO indicators_holding (id, publisher_id, audience_id, state, newest_id, stix_id, stix_type, creator,
                                    kind, valid_until)
    SELECT heirs, %s, audience, state, newest_id, stix_id, stix_type, creator, kind, valid_until FROM old
)
SELECT id, heirs FROM old
"""


_VERSION_COLUMNS = {
    "id": "int8",
    "holding_id": "int8",
    "version": "text",
    "created": "timestamptz",
    "modified": "timestamptz",
    "correction": "int2",
    "revoked": "bool",
    "body": "text",
    "sha256": "bytea",
    "title": "text",
    "created_by_ref": "text",
    "pattern_type": "text",
    "kind": "text",
    "subkind": "text",
    "severity": "text",
    "confidence": "int2",
    "valid_from": "timestamptz",
    "valid_until": "timestamptz",
    "spec_version": "text",
    "marks": "varchar[]",
    "facets": "text[]",
    "listed": "text",
}
_VERSION = f"""
INSERT INTO indicators_stixobject ({", ".join(_VERSION_COLUMNS)}) VALUES ({", ".join(["%s"] * len(_VERSION_COLUMNS))})
"""


def _version_row(new: NewVersion) -> tuple[object, ...]:
    draft = new.draft
    return (
        new.key,
        new.holding_id,
        draft.version,
        draft.created,
        draft.modified,
        new.correction,
        draft.revoked,
        draft.raw.decode(),
        new.sha256,
        draft.title,
        draft.created_by_ref,
        draft.pattern_type,
        draft.kind,
        draft.subkind,
        draft.severity,
        draft.confidence,
        draft.valid_from,
        draft.valid_until,
        draft.spec_version,
        [f"{mark.code} {mark.field}" for mark in draft.marks] or None,
        list(draft.facets) or None,
        carrying.listed(draft),
    )
