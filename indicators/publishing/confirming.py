"""The second pair of eyes: another person confirms what is held, and it is published, or declines, and it is not.

Never the person who sent it, nor the one who made the key that did, and never a key.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any
from uuid import UUID

import orjson
from django.db import transaction

from exchange import clock
from exchange.errors import Conflict, Forbidden
from indicators import publishing
from indicators.models import Batch, HeldBatch
from indicators.publishing import answering, awaiting
from indicators.publishing.reach import Reach
from indicators.publishing.results import STATUSES
from indicators.stix import parsing
from partners import keys
from partners.log import audit
from partners.scopes import Scope
from partners.viewer import Viewer

_DECLINED = {"code": "declined", "field": "", "message": "A second person of your partner declined it."}


def confirm(by: Viewer, held_id: UUID) -> publishing.Answer:
    """Publish what is held, to the audience that was named, under the rules of today; returns the batch's final answer.

    Raises Forbidden, NotFound, Conflict, and Refused where the audience is no longer possible: then it waits on.
    """
    with transaction.atomic():
        held = _taken_up(by, held_id)
        body = held.body.encode()
        if hashlib.sha256(body).digest() != bytes(held.digest):
            raise Conflict("What is held is not what was sent.", code="held-altered")
        published = publishing.publish(
            parsing.read_batch(body),
            by=by,
            reach=Reach.from_json(held.reach),
            request=publishing.Request(bytes(held.digest)),
            confirmed=True,
            wake=awaiting.wakes(held),
        )
        answers = {
            held.places[result["index"]]: result | {"index": held.places[result["index"]]}
            for result in orjson.loads(published.results)
        }
        audit.record(
            audit.Verb.BATCH_CONFIRMED,
            by=by,
            target=f"batch:{held.batch_id}",
            sent_by=held.actor,
            published_as=f"batch:{published.batch_id}",
        )
        return _decide(held, HeldBatch.State.CONFIRMED, answers, by=by)


def decline(by: Viewer, held_id: UUID) -> publishing.Answer:
    """Do not publish it; returns the batch's final answer. Raises Forbidden, NotFound, Conflict."""
    with transaction.atomic():
        held = _taken_up(by, held_id)
        batch = Batch.unrestricted.get(pk=held.batch_id)
        answers = {
            result["index"]: result | {"status": "refused"} | _DECLINED
            for result in orjson.loads(batch.results)
            if result["index"] in held.places
        }
        audit.record(audit.Verb.BATCH_DECLINED, by=by, target=f"batch:{held.batch_id}", sent_by=held.actor)
        return _decide(held, HeldBatch.State.DECLINED, answers, by=by)


def may_decide(by: Viewer, held: HeldBatch) -> bool:
    """Whether the viewer is a second person."""
    return by.is_person and Scope.PUBLISH in by.scopes and by.actor != keys.maker_of(held.actor)


def _taken_up(by: Viewer, held_id: UUID) -> HeldBatch:
    """The row, locked until it is decided."""
    awaiting.find(by, held_id)
    held = HeldBatch.objects.of(by).select_for_update().get(pk=held_id)
    if not by.is_person:
        raise Forbidden("A person does this, not a key.", code="needs-a-person")
    if not may_decide(by, held):
        raise Forbidden("Another person than the one who sent it confirms or declines.", code="needs-another-person")
    if held.state != HeldBatch.State.WAITING:
        raise Conflict("This is decided already.", code="already-decided")
    return held


def _decide(
    held: HeldBatch, state: HeldBatch.State, answers: dict[int, dict[str, Any]], *, by: Viewer
) -> publishing.Answer:
    """Write the final answer of the batch; the body is in the store now, or was declined: it is kept no longer."""
    batch = Batch.unrestricted.get(pk=held.batch_id)
    results = awaiting.results_with(batch.results, answers)
    tally = Counter(result["status"] for result in results)
    batch.counts = {status: tally[status] for status in STATUSES}
    batch.results = orjson.dumps(results).decode()
    batch.save(update_fields=["counts", "results"])
    HeldBatch.unrestricted.filter(pk=held.pk).update(state=state, body="", decided_by=by.actor, decided_at=clock.now())
    return answering.answer_of(batch)
