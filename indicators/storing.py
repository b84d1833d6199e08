"""Rows of a batch into PostgreSQL: one round trip per table, whatever the batch's size. Called by `publishing` only."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection

from exchange.prepared import Message, Reply
from indicators.stix.drafts import Draft, Ref

#: Up to so many rows go along with the other statements; more are worth the round trips of a COPY.
_MOST_INSERTED = 5
#: Up to so many references go along as arrays; more would make the message too large.
_MOST_ALONG = 20_000
#: First half of the two-part advisory lock that lets a publisher's batches follow each other: "pubs".
_PUBLISHER_LOCK = 0x70756273


@dataclass(frozen=True, slots=True)
class Held:
    """One version that a publisher already holds."""

    object_id: int
    sha256: bytes
    latest: bool
    revoked: bool
    audience_id: int
    tlp: int
    withdrawn: bool = False
    attribution: int = 0
    groups: list[UUID] | None = None  # of what is held under a pseudonym
    version: str | None = None  # as written


Holding = dict[datetime | None, Held]


def lock_publisher(publisher_id: UUID) -> None:
    """Let the batches of one publisher commit one after the other: versions are compared with what is held.

    Publishers do not wait for each other (but for a rare collision of 32-bit hashes, which only costs time).
    """
    message = Message()
    locking_publisher(publisher_id, message)
    message.send()


def locking_publisher(publisher_id: UUID, message: Message) -> None:
    """The same once the message is sent."""
    key = int.from_bytes(hashlib.sha256(publisher_id.bytes).digest()[:4], signed=True)
    message.add("SELECT pg_advisory_xact_lock(%s, %s)", [_PUBLISHER_LOCK, key])


def holdings(publisher_id: UUID, stix_ids: Iterable[str]) -> dict[str, Holding]:
    """What the publisher holds under these ids, by id and version: one query."""
    message = Message()
    found = holdings_within(message, publisher_id, stix_ids)
    message.send()
    return found()


def holdings_within(message: Message, publisher_id: UUID, stix_ids: Iterable[str]) -> Callable[[], dict[str, Holding]]:
    """The same, to be called once the message is sent."""
    found = message.add_prepared(_HOLDINGS, [publisher_id, list(stix_ids)], called="holdings")

    def read() -> dict[str, Holding]:
        held: dict[str, Holding] = {}
        for stix_id, modified, object_id, sha256, *rest in found.rows:
            held.setdefault(stix_id, {})[modified] = Held(object_id, bytes(sha256), *rest)
        return held

    return read


_HOLDINGS = """
SELECT o.stix_id, o.modified, o.id, o.sha256, o.latest, o.revoked, o.audience_id, a.tlp, a.use = 'withdrawn',
       a.attribution, CASE WHEN a.attribution = 1 THEN a.groups END, o.version
FROM indicators_stixobject o JOIN partners_audience a ON a.id = o.audience_id
WHERE o.publisher_id = %s AND o.stix_id = ANY(%s)
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
    """So many keys of objects, in order, a row each; unused ones are lost."""
    return message.add("SELECT nextval('indicators_stixobject_id_seq') FROM generate_series(1, %s)", [count])


@dataclass(frozen=True, slots=True)
class NewObject:
    """A draft that enters, with what publishing decided about it."""

    draft: Draft
    audience_id: int
    sha256: bytes
    latest: bool
    ended: bool = False  # its holding ends with this batch, whatever its bytes say


def store(
    publisher_id: UUID, objects: Sequence[NewObject], *, keys: Sequence[int], superseded: Sequence[int], within: Message
) -> None:
    """Write the objects under these keys, with their tokens and references, and unset `latest` on what they supersede.

    Many are copied at once; a few are written when the message is sent.
    """
    if superseded:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE indicators_stixobject SET latest = false WHERE id = ANY(%s)", [list(superseded)])
    rows = [_object_row(key, publisher_id, new) for key, new in zip(keys, objects, strict=True)]
    tokens = [
        (key, publisher_id, token.domain, token.scheme, token.key_epoch, token.value, token.suppressed_by)
        for key, new in zip(keys, objects, strict=True)
        for token in new.draft.tokens
    ]
    for table, columns, written in (
        ("indicators_stixobject", _OBJECT_COLUMNS, rows),
        ("indicators_token", _TOKEN_COLUMNS, tokens),
    ):
        if len(written) > _MOST_INSERTED:
            _copy(table, columns, written)
        else:
            for row in written:
                places = ", ".join(["%s"] * len(row))
                within.add_prepared(f"INSERT INTO {table} ({columns}) VALUES ({places})", row, called="insert")
    refer(((key, new.draft.references) for key, new in zip(keys, objects, strict=True)), within=within)


def refer(found: Iterable[tuple[int, Sequence[Ref]]], *, within: Message) -> None:
    """Write what objects, by key, point to: along with the message, or copied at once where it is too much for it."""
    rows = [(key, place, *ref) for key, refs in found for place, ref in enumerate(refs)]
    if len(rows) > _MOST_ALONG:
        _copy("indicators_reference", _REFERENCE_COLUMNS, rows)
    elif rows:
        keys, places, paths, targets = zip(*rows, strict=True)
        within.add_prepared(_REFER, [list(keys), list(places), _array(paths), _array(targets)], called="refer")


def _array(texts: Iterable[str]) -> str:
    """Texts as the literal of an array: for a list of them psycopg takes several times as long."""
    quoted = (text.replace("\\", "\\\\").replace('"', '\\"') for text in texts)
    return f"{{{','.join([f'"{text}"' for text in quoted])}}}"


_REFERENCE_COLUMNS = "version_id, place, path, target_id"
_REFER = f"""
INSERT INTO indicators_reference ({_REFERENCE_COLUMNS})
SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::text[])
"""


def _copy(table: str, columns: str, rows: Sequence[tuple[object, ...]]) -> None:
    with connection.cursor() as cursor, cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


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


def settle(rows: Iterable[tuple[int, int, bool]]) -> None:
    """Give objects that are there, by key, another audience, and say whether they are the newest of their holding."""
    listed = list(rows)
    if not listed:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE indicators_stixobject o SET audience_id = new.audience, latest = new.latest,"
            " expired_at = CASE WHEN o.latest THEN o.expired_at END"
            " FROM unnest(%s::bigint[], %s::bigint[], %s::boolean[]) AS new(id, audience, latest) WHERE o.id = new.id",
            [list(column) for column in zip(*listed, strict=True)],
        )


def close(rows: Mapping[int, int]) -> None:
    """Have objects that are there, by key, count as revoked and be seen by these audiences: their holding has ended."""
    if not rows:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE indicators_stixobject o SET audience_id = new.audience, latest = false, revoked = true"
            " FROM unnest(%s::bigint[], %s::bigint[]) AS new(id, audience) WHERE o.id = new.id",
            [list(rows), list(rows.values())],
        )


def newest_of(publisher_id: UUID) -> list[str]:
    """The ids of all that a publisher holds and has not withdrawn."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT stix_id FROM indicators_stixobject WHERE publisher_id = %s AND latest AND audience_id = ANY("
            "ARRAY(SELECT id FROM partners_audience WHERE publisher_id = %s)) ORDER BY stix_id",
            [publisher_id, publisher_id],
        )
        return [stix_id for (stix_id,) in cursor.fetchall()]


def hand_over(heir_id: UUID, audiences: Mapping[int, int], object_ids: Sequence[int]) -> None:
    """Make another partner the publisher of these objects and their tokens; `audiences` says which becomes which."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE indicators_stixobject o SET publisher_id = %s, audience_id = new.after"
            " FROM unnest(%s::bigint[], %s::bigint[]) AS new(before, after)"
            " WHERE o.id = ANY(%s) AND o.audience_id = new.before",
            [heir_id, list(audiences), list(audiences.values()), list(object_ids)],
        )
        cursor.execute(
            "UPDATE indicators_token SET publisher_id = %s WHERE object_id = ANY(%s)", [heir_id, list(object_ids)]
        )
        cursor.execute(
            "UPDATE indicators_marked SET partner_id = %s WHERE object_id = ANY(%s)", [heir_id, list(object_ids)]
        )


def hide_history(publisher_id: UUID, stix_ids: Sequence[str], *, audience_id: int, keep: Sequence[int]) -> None:
    """Leave the older versions of re-addressed holdings to their publisher alone."""
    if not stix_ids:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE indicators_stixobject SET audience_id = %s"
            " WHERE publisher_id = %s AND stix_id = ANY(%s) AND id <> ALL(%s)"
            " AND audience_id NOT IN (SELECT id FROM partners_audience WHERE use = 'withdrawn')",
            [audience_id, publisher_id, list(stix_ids), list(keep)],
        )


_OBJECT_COLUMNS = (
    "id, publisher_id, audience_id, stix_id, stix_type, version, created, modified, revoked, latest, body, sha256,"
    " title, created_by_ref, pattern_type, kind, subkind, severity, confidence, valid_from, valid_until, spec_version,"
    " marks"
)
_TOKEN_COLUMNS = "object_id, publisher_id, domain, scheme, key_epoch, value, suppressed_by"  # noqa: S105 - column names


def _object_row(key: int, publisher_id: UUID, new: NewObject) -> tuple[object, ...]:
    draft = new.draft
    return (
        key,
        publisher_id,
        new.audience_id,
        draft.stix_id,
        draft.stix_type,
        draft.version,
        draft.created,
        draft.modified,
        draft.revoked or new.ended,
        new.latest,
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
    )
