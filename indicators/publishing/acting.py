"""Write the plan of a batch: the answer, the rows, the audit record, and last, under the order lock, the log."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from django.db import transaction

from exchange import tracing
from exchange.sql import Message
from indicators.opinions import recording
from indicators.publishing import answering, awaiting, quarantine, rationing, rejudging, storing
from indicators.publishing.answering import Answer, Request
from indicators.publishing.deciding import Plan
from indicators.publishing.entering import store
from indicators.publishing.reach import Reach
from indicators.publishing.results import Element, How
from indicators.stix.drafts import Draft, Quarantine
from indicators.telling import notifying
from partners.log import audit
from partners.viewer import Viewer


def act(
    plan: Plan,
    elements: Sequence[Element],
    how: How,
    *,
    by: Viewer,
    reach: Reach,
    request: Request,
    received_at: datetime,
    keys: Sequence[tuple[int, int]],
) -> Answer:
    """Write it, in the transaction that is open. `keys` are those of versions and holdings that may be used."""
    last = Message()
    answer = _answered(plan, elements, by=by, reach=reach, request=request, received_at=received_at, within=last)
    awaiting.count(by, plan.flow, within=last)
    if plan.waiting:
        awaiting.keep(
            plan.waiting,
            by=by,
            batch_id=answer.batch_id,
            reach=plan.reach,
            why=plan.why,
            wake=how.wake,
            within=last,
        )
    if plan.moves:
        ids = [move.stix_id for move in plan.moves]
        audit.record(audit.Verb.OBJECTS_READDRESSED, by=by, target=f"batch:{answer.batch_id}", within=last, ids=ids)
    disarmed = plan.ends.write(by=by, reach=reach, within=last)
    rejudging.settle(plan.settled)
    store(plan.entering, plan.moves, plan.closed, said=plan.said, by=by, keys=keys, within=last)
    storing.mark(by.partner_id, plan.marked, within=last)
    rationing.tell(by, disarmed, within=last)
    if plan.entering or plan.moves or plan.closed or disarmed:
        judges = any((each.stix_id or "").startswith("opinion--") for each in (*elements, *plan.moves))
        # Committed is committed, whatever the broker says.
        transaction.on_commit(partial(_hint, judges=judges), robust=True)
    with tracing.span("log.append"):
        last.send()
    return answer


def _answered(
    plan: Plan,
    elements: Sequence[Element],
    *,
    by: Viewer,
    reach: Reach,
    request: Request,
    received_at: datetime,
    within: Message,
) -> Answer:
    """The batch with its answer, what it left in quarantine, and the audit record."""
    results, groups = plan.results, answering.groups_of(reach, by=by)
    answer = answering.write(
        results, by=by, request=request, groups=groups, received_at=received_at, alone=plan.alone, within=within
    )
    quarantined = {result.index: result for result in results if result.status == "quarantined"}
    kept = [
        (element, verdict)
        for element in elements
        if isinstance(element, Draft)
        and (result := quarantined.get(element.index)) is not None
        and isinstance(verdict := result.verdict, Quarantine)
    ]
    quarantine.keep(kept, by=by, batch_id=answer.batch_id)
    entered = [result.stix_id for result in results if result.status == "accepted" and result.stix_id is not None]
    quarantine.mended(entered, by=by, within=within)
    target, counts = f"batch:{answer.batch_id}", answer.counts
    audit.record(audit.Verb.BATCH_PUBLISHED, by=by, target=target, within=within, counts=counts, **plan.told)
    return answer


def _hint(*, judges: bool) -> None:
    """Wake who follows the log, for opinions only where there is one; what is lost is made good by their own sweep."""
    if judges:
        recording.hint()
    notifying.hint()
