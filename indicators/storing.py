"""Rows of a batch into PostgreSQL: one round trip per table, whatever the batch's size. Called by `publishing` only."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection

from indicators.stix.drafts import Draft

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
    version: str | None


Holding = dict[datetime | None, Held]


def lock_publisher(publisher_id: UUID) -> None:
    """Let the batches of one publisher commit one after the other: versions are compared with what is held.

    Publishers do not wait for each other (but for a rare collision of 32-bit hashes, which only costs time).
    """
    key = int.from_bytes(hashlib.sha256(publisher_id.bytes).digest()[:4], signed=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_PUBLISHER_LOCK, key])


def holdings(publisher_id: UUID, stix_ids: Iterable[str]) -> dict[str, Holding]:
    """What the publisher holds under these ids, by id and version: one query."""
    held: dict[str, Holding] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT o.stix_id, o.modified, o.id, o.sha256, o.latest, o.revoked, o.audience_id, a.tlp, o.version"
            " FROM indicators_stixobject o JOIN partners_audience a ON a.id = o.audience_id"
            " WHERE o.publisher_id = %s AND o.stix_id = ANY(%s)",
            [publisher_id, list(stix_ids)],
        )
        for stix_id, modified, object_id, sha256, *rest in cursor.fetchall():
            held.setdefault(stix_id, {})[modified] = Held(object_id, bytes(sha256), *rest)
    return held


@dataclass(frozen=True, slots=True)
class NewObject:
    """A draft that enters, with what publishing decided about it."""

    draft: Draft
    audience_id: int
    sha256: bytes
    latest: bool


def store(publisher_id: UUID, objects: Sequence[NewObject], *, superseded: Sequence[int]) -> list[int]:
    """Write the objects and their tokens, and unset `latest` on what they supersede. Yields the new keys, in order."""
    with connection.cursor() as cursor:
        if superseded:
            cursor.execute("UPDATE indicators_stixobject SET latest = false WHERE id = ANY(%s)", [list(superseded)])
        cursor.execute(
            "SELECT nextval(pg_get_serial_sequence('indicators_stixobject', 'id')) FROM generate_series(1, %s)",
            [len(objects)],
        )
        keys = [row[0] for row in cursor.fetchall()]
        with cursor.copy(f"COPY indicators_stixobject ({_OBJECT_COLUMNS}) FROM STDIN") as copy:
            for key, new in zip(keys, objects, strict=True):
                copy.write_row(_object_row(key, publisher_id, new))
        if any(new.draft.tokens for new in objects):
            with cursor.copy(f"COPY indicators_token ({_TOKEN_COLUMNS}) FROM STDIN") as copy:
                for key, new in zip(keys, objects, strict=True):
                    for token in new.draft.tokens:
                        copy.write_row((key, publisher_id, token.domain, token.scheme, token.key_epoch, token.value))
    return keys


def hide_history(publisher_id: UUID, stix_ids: Sequence[str], *, audience_id: int, keep: Sequence[int]) -> None:
    """Leave the older versions of re-addressed holdings to their publisher alone."""
    if not stix_ids:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE indicators_stixobject SET audience_id = %s"
            " WHERE publisher_id = %s AND stix_id = ANY(%s) AND id <> ALL(%s)",
            [audience_id, publisher_id, list(stix_ids), list(keep)],
        )


_OBJECT_COLUMNS = (
    "id, publisher_id, audience_id, stix_id, stix_type, version, created, modified, revoked, latest, body, sha256,"
    " title, created_by_ref, pattern_type, kind, subkind, severity, confidence, valid_from, valid_until, spec_version,"
    " marks"
)
_TOKEN_COLUMNS = "object_id, publisher_id, domain, scheme, key_epoch, value"  # noqa: S105 - column names


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
        draft.revoked,
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
        _spec_version(draft),
        [f"{mark.code} {mark.field}" for mark in draft.marks] or None,
    )


def _spec_version(draft: Draft) -> str:
    """Where an object does not say it, 2.1 for a cyber-observable and 2.0 for all others (STIX 2.1 §3.2).

    A cyber-observable is what has no timestamps of its own. The parser lets 2.0 and 2.1 pass.
    """
    return str(draft.data.get("spec_version") or ("2.1" if draft.modified is None else "2.0"))
