"""Write down what was done, in the transaction that does it. The only writer of AuditRecord."""

from __future__ import annotations

import secrets
from enum import StrEnum
from typing import Any
from uuid import UUID

import orjson
import rfc8785
from django.db import connection
from psycopg.types.json import Jsonb

from exchange import clock
from exchange.client import merkle
from partners.models import AuditRecord, Partner
from partners.sharing import Viewer

_NONCE_BYTES = 16


class Verb(StrEnum):
    """What can be done, as the log names it."""

    BATCH_PUBLISHED = "batch.published"
    FEED_DELETED = "feed.deleted"
    FEED_SAVED = "feed.saved"
    GROUP_REGISTERED = "group.registered"
    KEY_ISSUED = "key.issued"
    KEY_REVOKED = "key.revoked"
    LOG_KEY_USED = "log-key.used"
    PARTNER_REGISTERED = "partner.registered"
    READ_AGGREGATED = "read.aggregated"
    REPORT_DISCARDED = "report.discarded"
    REPORT_PREPARED = "report.prepared"
    REPORT_RELEASED = "report.released"
    SUBSCRIPTION_CHANGED = "subscription.changed"
    SUBSCRIPTION_CREATED = "subscription.created"
    SUBSCRIPTION_DELETED = "subscription.deleted"
    USER_REGISTERED = "user.registered"


def record(verb: Verb, *, by: Viewer | None, target: str, about: UUID | None = None, **details: Any) -> AuditRecord:
    """Append one record; `details` are counts and names, never content, tokens or keys.

    It belongs to the log of `by`'s partner, or, where somebody else acts on a partner, of the one that it is
    `about`: there the actor is named by what it is ("operator", "partner"), never by name.
    """
    if by is None:
        return write(verb, partner_id=about, actor="system", target=target, details=details)
    if about is None or about == by.partner_id:
        return write(verb, partner_id=by.partner_id, actor=by.actor, target=target, details=details)
    actor = "operator" if by.kind == Partner.Kind.OPERATOR else "partner"
    return write(verb, partner_id=about, actor=actor, target=target, details=details)


def write(verb: Verb, *, partner_id: UUID | None, actor: str, target: str, details: dict[str, Any]) -> AuditRecord:
    """Append one record, without a place in the tree yet: one statement, and nobody waits for anybody."""
    made = AuditRecord(
        at=clock.now(),
        verb=verb.value,
        partner_id=partner_id,
        actor=actor,
        target=target,
        details=orjson.loads(orjson.dumps(details)),
        nonce=secrets.token_bytes(_NONCE_BYTES),
    )
    made.leaf_hash = merkle.leaf_hash(canonical(made))
    values: dict[str, Any] = {
        "at": made.at,
        "verb": made.verb,
        "partner": partner_id,
        "actor": actor,
        "target": target,
        "details": Jsonb(made.details),
        "nonce": made.nonce,
        "leaf_hash": made.leaf_hash,
    }
    with connection.cursor() as cursor:
        cursor.execute(_WRITE, values)
        (made.pk,) = cursor.fetchone()
    return made


def canonical(record: AuditRecord) -> bytes:
    """The record as its leaf has it: RFC 8785 canonical JSON, nonce included."""
    return rfc8785.dumps(
        {
            "v": 1,
            "at": clock.rfc3339(record.at),
            "verb": record.verb,
            "partner": str(record.partner_id) if record.partner_id else None,
            "actor": record.actor,
            "target": record.target,
            "details": record.details,
            "nonce": bytes(record.nonce).hex(),
        }
    )


_WRITE = """
WITH written AS (
    INSERT INTO partners_auditrecord (at, verb, partner_id, actor, target, details, nonce, leaf_hash)
    VALUES (%(at)s, %(verb)s, %(partner)s, %(actor)s, %(target)s, %(details)s, %(nonce)s, %(leaf_hash)s)
    RETURNING id
)
INSERT INTO partners_auditwaiting (record_id) SELECT id FROM written RETURNING record_id
"""
