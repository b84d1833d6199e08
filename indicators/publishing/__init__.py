"""The one way in: a batch of drafts becomes objects, tokens, audience and changes in one transaction.

    read -> gates -> audience -> what is new -> rows -> audit -> the log (order lock, last) -> hints

Every element of a batch gets an answer. What was acknowledged is committed; a hint to whoever tells of it is sent after
the commit and may be lost, because telling follows the log by itself.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from django.db import transaction
from psycopg.types.json import Jsonb

from exchange import clock, counting
from exchange.errors import Conflict, ExchangeError
from exchange.sql import Message, columns, instance
from indicators.ending import disarming
from indicators.models import Batch
from indicators.opinions import recording
from indicators.publishing import (
    accounting,
    answering,
    awaiting,
    markings,
    moving,
    quarantine,
    rationing,
    rejudging,
    relaying,
    storing,
)
from indicators.publishing.addressing import Reach, Room
from indicators.publishing.attributing import Voice
from indicators.publishing.entering import store
from indicators.publishing.judging import (
    Doors,
    Met,
    compare_with_held,
    examine,
    partners_among,
    with_texts,
    without_ends,
)
from indicators.publishing.results import STATUSES, Element, Result, answered
from indicators.publishing.versions import Entering, Line
from indicators.stix.drafts import Draft, Quarantine
from indicators.telling import notifying
from partners.log import audit
from partners.proof import asked_again
from partners.scopes import Scope
from partners.sharing import AudienceSpec
from partners.standing import Standing, holding_still, remembered, standing
from partners.tlp import Tlp
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


def publish(
    elements: Sequence[Element],
    *,
    by: Viewer,
    reach: Reach,
    request: Request,
    confirmed: bool = False,
    wake: bool = False,
    for_good: bool = False,
) -> Answer:
    """Publish a batch on behalf of `by`; what one may not publish alone is held, unless it is `confirmed`.

    What is withdrawn comes back only with `wake`. More ends than the partner's cap are disarmed (`disarming`), unless
    that is decided: `for_good`.

    How the publisher stands is remembered, and asked for in the transaction: a group that was suspended since, or
    while the batch was still on its way, takes nothing of it. Then all is judged anew.

    Raises Forbidden or Refused where the batch as a whole may not be published (scope, audience), Conflict
    where its idempotency key was used for other content, proof.Changed where `by` is no longer who it was. All else is
    said per object.
    """
    by.require(Scope.PUBLISH)
    rationing.require_room(len(elements), reach, by=by)
    known = remembered(by)
    while True:
        try:
            stands = known or standing(by)
            how = _How(confirmed=confirmed, wake=wake, for_good=for_good)
            done = _publish(elements, stands, how, by=by, reach=reach, request=request)
        except _Overtaken:
            known = None
        except ExchangeError:
            if known is None or (now := standing(by)).stamp == known.stamp:
                raise
            known = now
        else:
            if not done.replayed:
                counting.note_pushed(done.counts, refused=done.refusals)
            return done


@dataclass(frozen=True, slots=True)
class _How:
    """What was decided before, and what is asked for: see `publish`."""

    confirmed: bool
    wake: bool
    for_good: bool


class _Overtaken(Exception):
    """The publisher's groups, or its definitions of markings, are not as they were when the batch was judged."""


def _publish(
    elements: Sequence[Element],
    stands: Standing,
    how: _How,
    *,
    by: Viewer,
    reach: Reach,
    request: Request,
) -> Answer:
    identities = partners_among(elements, by=by)
    room = Room(by, reach, stands=stands, withdrawing=any(each.revoked for each in elements))
    received_at = clock.now()
    known = markings.Known(by.partner_id, markings.named(elements))
    doors = Doors(received_at, identities, by=by, room=room, tlp=reach.tlp)
    asked, results = examine(elements, known, room=room, doors=doors)
    drafts = [each for each in asked if isinstance(each, Draft)]
    voice = Voice(by, room.attribution, drafts)
    with transaction.atomic():
        begun = _begin(asked, voice, stands, known, by=by, request=request)
        if begun.earlier is not None:
            return begun.earlier
        waits = rejudging.waiting(_red(begun.met.held))
        entering, moved, closed, settled = compare_with_held(
            asked, begun.met, voice, room=room, doors=doors, by=by, waits=waits, wake=how.wake
        )
        anew = _judge_anew(drafts, entering, moved, settled, begun.met.held, waits, room=room, by=by, doors=doors)
        look = _Look([], "", entering, moved)
        if not how.confirmed:
            look = _looked(drafts, entering, moved, closed, settled, anew, room=room, by=by, waits=waits)
        held, moved = look.held, look.moved
        ends = disarming.Ends.of(look.entering, closed, settled, by=by, for_good=how.for_good)
        entering, closed, settled = ends.entering, ends.closed, ends.settled
        moves = [move for move in moved if not move.stays]
        places = {draft.index for draft in held}
        results += [*(result for result in settled if result.index not in places), *answered(held, "held")]
        results += answered([*(new.draft for new in entering), *(move.draft for move in moves)], "accepted")
        results.sort(key=lambda result: result.index)
        moves = [move for move in moves if move.line is None or not (move.line.entering_latest or move.line.closed)]
        moves += anew.stricter + anew.wider
        told = accounting.shared(entering, moves, closed=closed, specs=room.specs, groups=room.groups)
        last = Message()
        groups = answering.groups_of(reach, by=by)
        answer = _write_down(
            results,
            elements,
            told,
            by=by,
            request=request,
            groups=groups,
            received_at=received_at,
            alone=look.alone,
            within=last,
        )
        awaiting.count(by, look.flow, within=last)
        if held:
            awaiting.keep(
                held, by=by, batch_id=answer.batch_id, reach=room.lasting, why=look.why, wake=how.wake, within=last
            )
        if moves:
            ids = [move.stix_id for move in moves]
            audit.record(audit.Verb.OBJECTS_READDRESSED, by=by, target=f"batch:{answer.batch_id}", within=last, ids=ids)
        disarmed = ends.disarm(by=by, reach=reach, within=last)
        rejudging.settle([*anew.settled, *(move.held.object_id for move in anew.wider)])
        store(entering, moves, closed, said=anew.said, by=by, keys=begun.keys, within=last)
        asked_anew = [(move.held.object_id, move.draft, move.asked) for move in moved if move.draft is not None]
        storing.mark(by.partner_id, [one for move in asked_anew for one in rejudging.marked(*move)], within=last)
        rationing.tell(by, disarmed, within=last)
        if entering or moves or closed or disarmed:
            transaction.on_commit(_hint, robust=True)  # committed is committed, whatever the broker says
        last.send()
    return answer


@dataclass(frozen=True, slots=True)
class _Look:
    """What of a batch a second person looks at first, and why; and what goes on: rows and moves.

    `alone` is how many objects go out without that, and `flow` the same as caps count it.
    """

    held: list[Draft]
    why: str
    entering: list[Entering]
    moved: list[moving.Moving]
    alone: int = 0
    flow: awaiting.Flow = awaiting.NOTHING


def _looked(
    drafts: Sequence[Draft],
    entering: list[Entering],
    moved: list[moving.Moving],
    closed: list[Line],
    settled: list[Result],
    anew: rejudging.Anew,
    *,
    room: Room,
    by: Viewer,
    waits: Mapping[int, Reach],
) -> _Look:
    """What waits for a second person: all that shows anything, beyond a limit; else what holds a text.

    What it ends ends at once: `closed`, `settled` and `anew` are told of it.
    """
    going = _going(entering, [*moved, *anew.wider], room=room)
    flow = awaiting.flow_of(going, by=by)
    if why := awaiting.beyond(by, [spec for spec, _ in going], flow):
        entering = without_ends(entering, closed, settled)
        held = [*(new.draft for new in entering if new.spec), *(move.draft for move in moved if move.draft)]
        held += _unchanged_definitions(drafts, settled) if anew.wider else []
        anew.wider = []
        return _Look(held, why, [new for new in entering if new.spec is None], [])
    texts = with_texts(entering, moved, room=room, waits=waits)
    if not texts:
        return _Look([], "", entering, moved, len(going), flow)
    held, entering, moved = _apart(entering, moved, texts, closed, settled)
    going = _going(entering, [*moved, *anew.wider], room=room)
    return _Look(held, awaiting.TEXT, entering, moved, len(going), awaiting.flow_of(going, by=by))


@dataclass(frozen=True, slots=True)
class _Begun:
    """What is found once the publisher's batches wait for this one: the answer it had before, or what it meets."""

    earlier: Answer | None
    met: Met
    keys: list[tuple[int, int]]  # of versions and holdings


def _begin(
    asked: Sequence[Element], voice: Voice, stands: Standing, known: markings.Known, *, by: Viewer, request: Request
) -> _Begun:
    """Hold still whom it concerns, and look at what is there. One query. Raises proof.Changed, _Overtaken."""
    message = Message()
    still_stands = holding_still(by, stands, message, alone=voice.first)
    storing.locking_publisher(by.partner_id, message)
    require_still = asked_again(by, message)
    require_share = rationing.left_within(message, by)
    earlier = answering_before(by, request, message)
    drafts = [each for each in asked if isinstance(each, Draft)]
    ids = {each.stix_id for each in asked if each.stix_id is not None}
    held = storing.versions_within(message, by.partner_id, ids | voice.references(drafts))
    voice.look_back(drafts, message)
    keys = storing.keys_within(message, len(drafts))
    still_defined = known.still(message)
    others = relaying.others_within(message, by, {draft.stix_id for draft in drafts})
    message.send()
    require_still()
    if not still_stands() or not still_defined():
        raise _Overtaken
    answered_before = earlier()
    if answered_before is None:
        require_share()
    return _Begun(answered_before, Met(held(), others()), keys.rows)


def _red(held: Mapping[str, storing.Versions]) -> list[int]:
    """The holdings that are marked RED: one of them may wait for the definition of a marking."""
    return [
        one.object_id for versions in held.values() for one in versions.values() if one.latest and one.tlp == Tlp.RED
    ]


def _judge_anew(
    drafts: Sequence[Draft],
    entering: Sequence[Entering],
    moves: Sequence[moving.Moving],
    settled: Sequence[Result],
    held: Mapping[str, storing.Versions],
    waits: Mapping[int, Reach],
    *,
    room: Room,
    by: Viewer,
    doors: Doors,
) -> rejudging.Anew:
    """What the definitions of this batch change for what is held, and what waited and is sent again."""
    unchanged = {result.stix_id for result in settled if result.status == "unchanged"}
    refused = {result.index for result in settled if result.status != "unchanged"}
    again = [
        one.object_id
        for stix_id, versions in held.items()
        for one in versions.values()
        if stix_id in unchanged and one.object_id in waits and not room.names
    ]
    return rejudging.judged_anew(
        [draft for draft in drafts if draft.index not in refused and rejudging.defines(draft)],
        by=by,
        room=room,
        again=again,
        apart={new.draft.stix_id for new in entering} | {move.stix_id for move in moves},
        admits=lambda draft, policy: doors.examine(draft, policy) is None,
    )


def _apart(
    entering: list[Entering],
    moved: list[moving.Moving],
    texts: Collection[Line],
    closed: list[Line],
    settled: list[Result],
) -> tuple[list[Draft], list[Entering], list[moving.Moving]]:
    """What of a batch waits for a second person for its texts, and what goes on: rows and moves."""
    stay = without_ends([new for new in entering if new.line in texts], closed, settled)
    held = [new.draft for new in stay if new.spec]
    held += [move.draft for move in moved if move.draft is not None and move.line in texts]
    on = [new for new in entering if new.line not in texts] + [new for new in stay if new.spec is None]
    return held, on, [move for move in moved if move.line not in texts]


def _unchanged_definitions(drafts: Sequence[Draft], settled: Sequence[Result]) -> list[Draft]:
    """Definitions that are held already: what waits for them waits for a second person, and so do they."""
    unchanged = {result.index for result in settled if result.status == "unchanged"}
    return [draft for draft in drafts if rejudging.defines(draft) and draft.index in unchanged]


def _going(
    entering: Sequence[Entering], moves: Sequence[moving.Moving], *, room: Room
) -> list[tuple[AudienceSpec, Draft | None]]:
    """Where each draft goes that shows anything to anybody; what only withdraws needs no second person.

    Of what waits for a definition it is where it is to go then.
    """
    going: list[tuple[AudienceSpec, Draft | None]] = []
    for spec, asked, draft in (
        *((new.spec, new.asked, new.draft) for new in entering),
        *((move.spec, move.asked, move.draft) for move in moves),
    ):
        then = room.once_known(draft, asked) if asked is not None and draft is not None else None
        if spec is not None:
            going.append((then if isinstance(then, AudienceSpec) else spec, draft))
    return going


def answering_before(by: Viewer, request: Request, message: Message) -> Callable[[], Answer | None]:
    """The first answer to this idempotency key, once the message is sent.

    Raises Conflict if it answered other content.
    """
    if request.idempotency_key is None:
        return lambda: None
    found = message.add(_ANSWERED, [by.partner_id, answering.idempotency_key_of(by, request.idempotency_key)])

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


def answer_of(batch: Batch, *, replayed: bool = False) -> Answer:
    """The answer that a stored batch was given."""
    return Answer(batch.pk, batch.received_at, batch.counts, batch.results.encode(), replayed)


def _write_down(
    results: Sequence[Result],
    elements: Sequence[Element],
    told: Mapping[str, Any],
    *,
    by: Viewer,
    request: Request,
    groups: list[UUID],
    received_at: datetime,
    alone: int,
    within: Message,
) -> Answer:
    """The batch with its answer, what it left in quarantine, and the audit record."""
    answer = write_batch(
        results, by=by, request=request, groups=groups, received_at=received_at, alone=alone, within=within
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
    audit.record(audit.Verb.BATCH_PUBLISHED, by=by, target=target, within=within, counts=counts, **told)
    return answer


def write_batch(
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
            *(batch_id, by.partner_id, by.actor, answering.idempotency_key_of(by, request.idempotency_key)),
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


def _hint() -> None:
    """Wake who follows the log; a hint that is lost is made good by their own sweep."""
    recording.hint()
    notifying.hint()
