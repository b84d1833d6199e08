"""The answer to a batch, as it is written, given again, and read again. Writes Batch.

A key for some groups reads no answer that tells of other groups: every face asks here for batches, for what waits for a
second person, and for what is in quarantine.
"""

from __future__ import annotations

import hashlib
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import orjson
from django.db.models import Model, Q, QuerySet
from psycopg.types.json import Jsonb

from exchange.errors import Conflict, NotFound
from exchange.sql import Message, columns, instance
from indicators.models import Batch
from indicators.publishing.reach import Reach
from indicators.publishing.results import STATUSES, Result
from partners.viewer import Viewer


@dataclass(frozen=True, slots=True)
class Request:
    """What makes a push repeatable: its key, if it has one, and the digest of what was sent."""

    digest: bytes
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a batch; `results` is the JSON array as it was and will be answered."""

    batch_id: UUID
    received_at: datetime
    counts: Mapping[str, int]
    results: bytes
    replayed: bool = False
    refusals: Mapping[str, int] = field(default_factory=dict)  # by code; of a batch that was judged just now


def batch(viewer: Viewer, batch_id: UUID) -> Batch:
    """One batch that the viewer may read. Raises NotFound."""
    found = within(viewer, Batch.objects.of(viewer), path="").filter(pk=batch_id).first()
    if found is None:
        raise NotFound
    return found


def within[M: Model](viewer: Viewer, rows: QuerySet[M], *, path: str) -> QuerySet[M]:
    """Of rows that a batch led to, those that the viewer may read; `path` leads to the batch, such as `batch__`."""
    if not viewer.limited:
        return rows
    return rows.filter(Q(**{f"{path}groups__contained_by": sorted(viewer.group_ids)}))


def groups_of(reach: Reach, *, by: Viewer) -> list[UUID]:
    """The groups that a batch may have gone to: those that it names, else all of its sender's."""
    return sorted(reach.groups if reach.named else by.group_ids)


def idempotency_key_of(by: Viewer, key: str | None) -> str | None:
    """Under what an Idempotency-Key is kept: keys for some groups have theirs for themselves.

    Else such a key would be given the answer to what another of its partner's keys has sent, or told that there is one.
    """
    if key is None or not by.limited:
        return key
    groups = ",".join(str(group) for group in sorted(by.group_ids))
    return f"limited-{hashlib.sha256(f'{groups} {key}'.encode()).hexdigest()}"


def before(by: Viewer, request: Request, message: Message) -> Callable[[], Answer | None]:
    """The first answer to this idempotency key, once the message is sent.

    Raises Conflict if it answered other content.
    """
    if request.idempotency_key is None:
        return lambda: None
    found = message.add(_ANSWERED, [by.partner_id, idempotency_key_of(by, request.idempotency_key)])

    def read() -> Answer | None:
        if not found.rows:
            return None
        batch = instance(Batch, found.rows[0])
        if bytes(batch.request_digest) != request.digest:
            raise Conflict(
                "This Idempotency-Key was used for another request.",
                code="idempotency-key-reused",
                at="/Idempotency-Key",
            )
        return answer_of(batch, replayed=True)

    return read


_ANSWERED = f"""
SELECT {columns(Batch, "b")} FROM indicators_batch b WHERE b.partner_id = %s AND b.idempotency_key = %s
"""


def _counts(batch: Batch) -> dict[str, int]:
    return {"waiting" if status == "held" else status: count for status, count in batch.counts.items()}


def results_of(batch: Batch) -> str:
    """The results of a batch, as they are told now: what waits was called `held` once."""
    return batch.results.replace('"status":"held"', '"status":"waiting"') if batch.counts.get("held") else batch.results


def answer_of(batch: Batch, *, replayed: bool = False) -> Answer:
    """The answer that a stored batch was given."""
    return Answer(batch.pk, batch.received_at, _counts(batch), results_of(batch).encode(), replayed)


def write(
    results: Sequence[Result],
    *,
    by: Viewer,
    request: Request,
    groups: list[UUID],
    received_at: datetime,
    alone: int = 0,
    within: Message,
) -> Answer:
    """A batch with its answer, written when the message is sent; `groups` are those that it may have gone to.

    `alone` is how many of its objects went out without a second person.
    """
    tally = Counter(result.status for result in results)
    counts: dict[str, int] = {status: tally[status] for status in STATUSES}
    body = orjson.dumps([result.to_json() for result in results])
    batch_id = uuid.uuid4()
    within.add(
        _BATCH,
        [
            *(batch_id, by.partner_id, by.actor, idempotency_key_of(by, request.idempotency_key)),
            *(request.digest, received_at, Jsonb(counts), body.decode(), groups, alone),
        ],
    )
    refusals = Counter(one.verdict.code for one in results if one.status == "refused" and one.verdict is not None)
    return Answer(batch_id, received_at, counts, body, refusals=refusals)


_BATCH = """
INSERT INTO indicators_batch (id, partner_id, actor, idempotency_key, request_digest, received_at, counts, results,
                              groups, alone)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
