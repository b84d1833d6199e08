"""What one person or key may not publish alone waits, as it was sent, for a second person.

With `confirming` the only writer of HeldBatch, and of Outflow the only one.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from django.db import connection
from django.db.models import QuerySet, Sum

from exchange import clock
from exchange.errors import NotFound
from exchange.sql import Message
from indicators.door.breadth import broad
from indicators.models import Batch, HeldBatch, Outflow
from indicators.publishing import answering
from indicators.publishing.reach import Reach
from indicators.stix import parsing, slicing
from indicators.stix.drafts import Draft
from partners.audiences import AudienceSpec
from partners.log import audit
from partners.models import Group, Partner
from partners.scopes import Scope
from partners.viewer import Viewer

#: Why an object waits that holds a text, where facts are closed.
TEXT = "It holds a text that no list can close (a regex or a NOVA rule)."
_LISTED = 100
#: The time over which objects are counted that go out without a second person.
_WINDOW = timedelta(hours=1)
#: And over which they are held against the caps of a day, hour by hour: the present one and those before it.
_DAY_HOURS = 24


@dataclass(frozen=True, slots=True)
class Flow:
    """What goes out, as caps count it: objects, the partners that see each of them added up, and broad values."""

    objects: int = 0
    recipients: int = 0
    broad: int = 0

    def __add__(self, other: Flow) -> Flow:
        return Flow(self.objects + other.objects, self.recipients + other.recipients, self.broad + other.broad)


NOTHING = Flow()


@dataclass(frozen=True, slots=True)
class Lately:
    """What of the partner counts against its limits already, where it has such limits.

    `alone` is how many objects went out without a second person within an hour, `flow` what did within a day, `ended`
    how many holdings ended within an hour.
    """

    alone: int = 0
    flow: Flow = NOTHING
    ended: int = 0


NOTHING_LATELY = Lately()
#: How many partners besides its publisher see what is shared like this.
Sees = Callable[[AudienceSpec], int]


def flow_of(going: Sequence[tuple[AudienceSpec, Draft | None]], *, by: Viewer, sees: Sees) -> Flow:
    """What a batch would send out; nothing where its partner has no cap of a day. `sees` is asked once an audience."""
    if not by.caps.of_a_day:
        return NOTHING
    counted = Counter(spec for spec, _ in going)
    recipients = sum(
        count * sees(spec) for spec, count in counted.items()
    ) if by.caps.recipients is not None else 0  # fmt: skip
    return Flow(len(going), recipients, sum(broad(draft) for _, draft in going if draft is not None))


def beyond(by: Viewer, specs: Sequence[AudienceSpec], flow: Flow, lately: Lately) -> str:
    """Why a batch for these audiences needs a second person, in words; empty if it does not.

    What goes out is counted over an hour and over a day, whoever of the partner sent it: many small batches, or many
    keys, are no way around a limit. Pure: what is counted `lately` was read behind the publisher's lock.
    """
    if not specs:
        return ""
    if by.alone_objects is not None and len(specs) + lately.alone > by.alone_objects:
        return f"More than {by.alone_objects} objects within an hour."
    if why := _beyond_caps(by, flow, lately.flow):
        return why
    for spec in specs:
        if spec.tlp < by.alone.tlp:
            return f"More open than {by.alone.tlp.label}."
        if spec.width < by.alone.width:
            return "For every partner." if spec.everyone else "For a group."
    return ""


def _beyond_caps(by: Viewer, flow: Flow, sent: Flow) -> str:
    """Which cap of a day a batch is beyond, in words; empty if none. A cap that it does not touch holds up nothing."""
    if not by.caps.of_a_day:
        return ""
    would = flow + sent
    for most, adds, sum_, words in (
        (by.caps.objects, flow.objects, would.objects, "objects"),
        (by.caps.recipients, flow.recipients, would.recipients, "recipients of objects"),
        (by.caps.broad, flow.broad, would.broad, "broad values"),
    ):
        if most is not None and adds and sum_ > most:
            return f"More than {most:,} {words} within a day."
    return ""


def sent_lately(by: Viewer) -> Flow:
    """What went out without a second person in this hour and the 23 before it. One query."""
    since = _hour() - timedelta(hours=_DAY_HOURS - 1)
    sums = Outflow.objects.of(by).filter(hour__gte=since).aggregate(
        objects=Sum("objects_sent"), recipients=Sum("recipients"), broad=Sum("broad")
    )  # fmt: skip
    return Flow(**{name: value or 0 for name, value in sums.items()})


def count(by: Viewer, flow: Flow, *, within: Message) -> None:
    """Write down what goes out without a second person, when the message is sent; nothing of nothing."""
    if flow != NOTHING:
        within.add(_COUNT, [by.partner_id, _hour(), flow.objects, flow.recipients, flow.broad])


def _hour() -> datetime:
    return clock.now().replace(minute=0, second=0, microsecond=0)


_COUNT = """
INSERT INTO indicators_outflow AS o (partner_id, hour, objects_sent, recipients, broad) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (partner_id, hour) DO UPDATE SET objects_sent = o.objects_sent + excluded.objects_sent,
    recipients = o.recipients + excluded.recipients, broad = o.broad + excluded.broad
"""


def alone_lately(by: Viewer) -> int:
    """How many objects went out without a second person in the last hour. One query."""
    batches = Batch.objects.of(by).filter(received_at__gt=clock.now() - _WINDOW)
    return batches.aggregate(count=Sum("alone"))["count"] or 0


def keep(
    drafts: Sequence[Draft],
    *,
    by: Viewer,
    batch_id: UUID,
    reach: Reach,
    why: str,
    wake: bool = False,
    within: Message | None = None,
) -> HeldBatch:
    """Keep the drafts byte for byte; called in the transaction that answers the batch."""
    body = b'{"objects":[' + b",".join(draft.raw for draft in drafts) + b"]}"
    held = HeldBatch.unrestricted.create(
        partner_id=by.partner_id,
        batch_id=batch_id,
        body=body.decode(),
        digest=hashlib.sha256(body).digest(),
        places=[draft.index for draft in drafts],
        reach=reach.to_json() | {"wake": wake},
        why=why,
        actor=by.actor,
    )
    audit.record(audit.Verb.BATCH_HELD, by=by, target=f"batch:{batch_id}", within=within, objects=len(drafts), why=why)
    return held


def held_so_far() -> int:
    """How many were ever kept, decided or not: it only grows."""
    return HeldBatch.unrestricted.count()


def waiting(viewer: Viewer) -> list[HeldBatch]:
    """What waits for a second person of the viewer's partner, oldest first."""
    viewer.require(Scope.PUBLISH)
    found = _of(viewer).filter(state=HeldBatch.State.WAITING)
    return list(found.select_related("batch").defer("body").order_by("at", "pk")[:_LISTED])


def find(viewer: Viewer, held_id: UUID) -> HeldBatch:
    """One that is the viewer's partner's, decided or not. Raises NotFound."""
    viewer.require(Scope.PUBLISH)
    held = _of(viewer).filter(pk=held_id).first()
    if held is None:
        raise NotFound
    return held


def _of(viewer: Viewer) -> QuerySet[HeldBatch]:
    return answering.within(viewer, HeldBatch.objects.of(viewer), path="batch__")


def waits_already(request: answering.Request, *, by: Viewer) -> answering.Answer | None:
    """The answer of the batch that waits for a second person and was asked for by the same request.

    Who asks for the same at the same time waits for this transaction to end.
    """
    with connection.cursor() as cursor:
        cursor.execute(_ONE_AT_A_TIME, [f"waits {by.partner_id} {request.digest.hex()}"])
    found = _of(by).filter(state=HeldBatch.State.WAITING, batch__request_digest=request.digest)
    held = found.select_related("batch").defer("body").order_by("at", "pk").first()
    return None if held is None else answering.answer_of(held.batch)


_ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"


def first_objects(held: HeldBatch, *, at_most: int) -> tuple[list[Draft], list[Draft]]:
    """The first of what is held, read again, and the definitions of markings among all of it; empty once decided."""
    if not held.body:
        return [], []
    raw = slicing.of_document(held.body.encode(), at_most=parsing.LIMITS.objects).objects
    defining = [one for one in raw if b"marking-definition" in one or b"\\u" in one]
    definitions = [one for one in _read(defining) if one.stix_type == "marking-definition"]
    return _read(raw[:at_most]), definitions


def _read(raw: Sequence[bytes]) -> list[Draft]:
    elements = parsing.read_batch(b'{"objects":[' + b",".join(raw) + b"]}")
    return [element for element in elements if isinstance(element, Draft)]


def ids_of(held: HeldBatch) -> list[str]:
    """The ids of what waits, as the batch was answered."""
    return [result["id"] for result in orjson.loads(answering.results_of(held.batch)) if result["status"] == "waiting"]


def audience_of(held: HeldBatch) -> dict[str, Any]:
    """The audience that the batch named, by short names; `named` is false for the default audience of then."""
    reach = Reach.from_json(held.reach)
    return {"named": reach.named, **words_of(reach)}


def words_of(reach: Reach) -> dict[str, Any]:
    """An audience by short names. Two queries."""
    groups = Group.objects.filter(pk__in=reach.groups).order_by("slug").values_list("slug", flat=True)
    partners = Partner.objects.filter(pk__in=reach.partners).order_by("slug").values_list("slug", flat=True)
    return {
        "everyone": reach.everyone,
        "groups": list(groups),
        "partners": list(partners),
        "tlp": None if reach.tlp is None else reach.tlp.word,
    }


def wakes(held: HeldBatch) -> bool:
    """Whether the batch asked for what is withdrawn to come back."""
    return bool(held.reach.get("wake"))


def results_with(batch_results: str, answers: dict[int, dict[str, Any]]) -> list[dict[str, Any]]:
    """The results of a batch, with these in the places of those that waited."""
    return [answers.get(result["index"], result) for result in orjson.loads(batch_results)]
