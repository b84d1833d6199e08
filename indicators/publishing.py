"""The one way in: a batch of drafts becomes objects, tokens, audience and changes in one transaction.

    read -> gates -> audience -> what is new -> rows -> audit -> the log (order lock, last) -> hints

Every element of a batch gets an answer. What was acknowledged is committed; hints to matching and telling are
sent after the commit and may be lost, because both follow the log by themselves.
"""

from __future__ import annotations

import hashlib
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import orjson
from django.db import transaction
from psycopg.types.json import Jsonb

from exchange import clock, counting, prepared, rows
from exchange.errors import Conflict, ExchangeError
from exchange.prepared import Message
from indicators import (
    accounting,
    answering,
    changes,
    conflicting,
    holding,
    markings,
    matching,
    moving,
    notifying,
    quarantine,
    rejudging,
    relaying,
    service_hosts,
    storing,
)
from indicators.addressing import Place, Reach, Room
from indicators.attributing import Voice
from indicators.barring import beyond_the_key
from indicators.door import entries, gates
from indicators.models import Batch, Change
from indicators.stix.drafts import Draft, Quarantine, Refusal, Revocation, Unreadable
from indicators.versions import Entering, Line
from partners import audit, naming
from partners.attribution import Attribution
from partners.claims import settling
from partners.scopes import Scope
from partners.sharing import AudienceSpec, Viewer, intern_audience, intern_withdrawn
from partners.standing import Standing, holding_still, remembered, standing
from partners.tlp import Tlp

Status = Literal["accepted", "unchanged", "withdrawn", "held", "quarantined", "refused"]
STATUSES: tuple[Status, ...] = ("accepted", "unchanged", "withdrawn", "held", "quarantined", "refused")
Element = Draft | Unreadable | Revocation
NOT_HELD = Refusal("not-found", "", "You hold no such object.")
_WITHDRAWN = Refusal("withdrawn", "/id", "You have withdrawn it; publish it with wake=true to bring it back.")
_WAS_WITHDRAWN = Refusal("withdrawn", "/id", "You had withdrawn it before.")
_NOT_ALONE = Refusal("needs-another-person", "", "It would go where you may not publish alone.")
OF_OTHER_GROUPS = Refusal("key-limited-to-groups", "/id", "It is shared with groups that this key is not for.")


@dataclass(frozen=True, slots=True)
class Request:
    """What makes a push repeatable: its key, if it has one, and the digest of what was sent."""

    digest: bytes
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """The answer to one element of a batch."""

    index: int
    stix_id: str | None
    version: str | None
    status: Status
    verdict: Refusal | Quarantine | None = None
    marks: tuple[Refusal, ...] = ()
    suppressed_by: tuple[str, ...] = ()  # what keeps values of it out of lists

    def to_json(self) -> dict[str, Any]:
        """As the API answers it; a verdict names the rule and the field, never the value."""
        answer: dict[str, Any] = {
            "index": self.index,
            "id": self.stix_id,
            "version": self.version,
            "status": self.status,
        }
        if self.verdict is not None:
            answer |= _told(self.verdict)
        if self.marks:
            answer["marks"] = [_told(mark) for mark in self.marks]
        if self.suppressed_by:
            answer["suppressed_by"] = self.suppressed_by
        return answer


def _told(verdict: Refusal | Quarantine) -> dict[str, str]:
    return {"code": verdict.code, "field": verdict.field, "message": verdict.message}


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
) -> Answer:
    """Publish a batch on behalf of `by`; what one may not publish alone is held, unless it is `confirmed`.

    What is withdrawn comes back only with `wake`.

    How the publisher stands is remembered, and asked for in the transaction: a group that was suspended since, or
    while the batch was still on its way, takes nothing of it. Then all is judged anew.

    Raises Forbidden or Refused where the batch as a whole may not be published (scope, audience), Conflict
    where its idempotency key was used for other content, Doubtful where `by` is not who it was taken for. All else is
    said per object.
    """
    by.require(Scope.PUBLISH)
    known = remembered(by)
    while True:
        try:
            stands = known or standing(by)
            done = _publish(elements, stands, by=by, reach=reach, request=request, confirmed=confirmed, wake=wake)
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


class _Overtaken(Exception):
    """The publisher's groups, or its definitions of markings, are not as they were when the batch was judged."""


class _Doors:
    """The doors that a batch goes through, one for each policy."""

    def __init__(self, now: datetime, identities: frozenset[str], *, by: Viewer, tlp: Tlp | None) -> None:
        self._now, self._identities, self._by = now, identities, by
        self._tlp = None if tlp is None else tlp.word
        self.benign = service_hosts.known()
        self._doors: dict[tuple[str, bool], gates.Door] = {}
        self._verdicts: dict[tuple[int, str], gates.Verdict] = {}

    def of_batch(self, draft: Draft, policy: str) -> gates.Verdict:
        """The same of a draft of the batch; it is examined once at each door."""
        if (draft.index, policy) not in self._verdicts:
            self._verdicts[draft.index, policy] = self.examine(draft, policy)
        return self._verdicts[draft.index, policy]

    def examine(self, draft: Draft, policy: str) -> gates.Verdict:
        """What the gates of a place with this policy say. One query for the first identity: whose names are taken."""
        named = draft.stix_type == "identity"
        if (policy, named) not in self._doors:
            self._doors[policy, named] = gates.Door(
                now=self._now,
                publisher_identity=self._by.identity_id,
                partner_identities=self._identities,
                policy=policy,
                known=self.benign,
                tlp=self._tlp,
                names_of_others=naming.taken_by_others(self._by.identity_id) if named else frozenset(),
            )
        return gates.examine(draft, self._doors[policy, named])


def _publish(
    elements: Sequence[Element],
    stands: Standing,
    *,
    by: Viewer,
    reach: Reach,
    request: Request,
    confirmed: bool,
    wake: bool,
) -> Answer:
    identities = _partners_among(elements, by=by)
    room = Room(by, reach, stands=stands, withdrawing=any(each.revoked for each in elements))
    received_at = clock.now()
    known = markings.Known(by.partner_id, markings.named(elements))
    doors = _Doors(received_at, identities, by=by, tlp=reach.tlp)
    asked, results = _examine(elements, known, room=room, doors=doors)
    drafts = [each for each in asked if isinstance(each, Draft)]
    voice = Voice(by, room.attribution, drafts)
    with transaction.atomic():
        begun = _begin(asked, voice, stands, known, by=by, request=request)
        if begun.earlier is not None:
            return begun.earlier
        waits = rejudging.waiting(_red(begun.held))
        entering, moved, closed, settled = _compare_with_held(
            asked, begun, voice, room=room, doors=doors, by=by, waits=waits, wake=wake
        )
        anew = _judge_anew(drafts, entering, moved, settled, begun.held, waits, room=room, by=by, doors=doors)
        specs = _specs(entering, [*moved, *anew.wider], room=room)
        why = "" if confirmed else holding.beyond(by, specs)
        if why:
            entering = _without_ends(entering, closed, settled)
        held = [
            *(new.draft for new in entering if why and new.spec),
            *(move.draft for move in moved if why and move.draft),
        ]
        if why:
            held += _unchanged_definitions(drafts, settled) if anew.wider else []
            entering, moved, anew.wider = [new for new in entering if new.spec is None], [], []
        moves = [move for move in moved if not move.stays]
        places = {draft.index for draft in held}
        results += [*(result for result in settled if result.index not in places), *_answered(held, "held")]
        results += _answered([*(new.draft for new in entering), *(move.draft for move in moves)], "accepted")
        results.sort(key=lambda result: result.index)
        moves = [move for move in moves if move.line is None or not (move.line.entering_latest or move.line.closed)]
        moves += anew.stricter + anew.wider
        told = accounting.shared(entering, moves, closed=closed, specs=room.specs, groups=room.groups)
        last = Message()
        groups = answering.groups_of(reach, by=by)
        alone = 0 if confirmed or why else len(specs)
        answer = _write_down(
            results,
            elements,
            told,
            by=by,
            request=request,
            groups=groups,
            received_at=received_at,
            alone=alone,
            within=last,
        )
        if held:
            holding.keep(held, by=by, batch_id=answer.batch_id, reach=room.lasting, why=why, wake=wake, within=last)
        if moves:
            ids = [move.stix_id for move in moves]
            audit.record(audit.Verb.OBJECTS_READDRESSED, by=by, target=f"batch:{answer.batch_id}", within=last, ids=ids)
        _store(entering, moves, closed, by=by, keys=begun.keys, within=last)
        rejudging.hide_history(anew.said, by=by)
        rejudging.settle([*anew.settled, *(move.held.object_id for move in anew.wider)])
        asked_anew = [(move.held.object_id, move.draft, move.asked) for move in moved if move.draft is not None]
        storing.mark(by.partner_id, [one for move in asked_anew for one in rejudging.marked(*move)], within=last)
        if entering or moves or closed:
            transaction.on_commit(_hint, robust=True)  # committed is committed, whatever the broker says
        last.send(commits=True)
    return answer


@dataclass(frozen=True, slots=True)
class _Begun:
    """What is found once the publisher's batches wait for this one: the answer it had before, or what it meets."""

    earlier: Answer | None
    held: dict[str, storing.Holding]
    others: relaying.Others
    keys: list[int]


def _begin(
    asked: Sequence[Element], voice: Voice, stands: Standing, known: markings.Known, *, by: Viewer, request: Request
) -> _Begun:
    """Hold still whom it concerns, and look at what is there. One query. Raises Doubtful, _Overtaken."""
    message = Message()
    still_stands = holding_still(by, stands, message)
    storing.locking_publisher(by.partner_id, message)
    settle = settling(by, message)
    earlier = answering_before(by, request, message)
    drafts = [each for each in asked if isinstance(each, Draft)]
    ids = {each.stix_id for each in asked if each.stix_id is not None}
    held = storing.holdings_within(message, by.partner_id, ids | voice.references(drafts))
    keys = storing.keys_within(message, len(drafts))
    still_defined = known.still(message)
    others = relaying.others_within(message, by, {draft.stix_id for draft in drafts})
    message.send()
    settle()
    if not still_stands() or not still_defined():
        raise _Overtaken
    return _Begun(earlier(), held(), others(), [key for (key,) in keys.rows])


def _red(held: Mapping[str, storing.Holding]) -> list[int]:
    """The holdings that are marked RED: one of them may wait for the definition of a marking."""
    return [
        one.object_id for versions in held.values() for one in versions.values() if one.latest and one.tlp == Tlp.RED
    ]


def _judge_anew(
    drafts: Sequence[Draft],
    entering: Sequence[Entering],
    moves: Sequence[moving.Moving],
    settled: Sequence[Result],
    held: Mapping[str, storing.Holding],
    waits: Mapping[int, Reach],
    *,
    room: Room,
    by: Viewer,
    doors: _Doors,
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


def _unchanged_definitions(drafts: Sequence[Draft], settled: Sequence[Result]) -> list[Draft]:
    """Definitions that are held already: what waits for them waits for a second person, and so do they."""
    unchanged = {result.index for result in settled if result.status == "unchanged"}
    return [draft for draft in drafts if rejudging.defines(draft) and draft.index in unchanged]


def _specs(entering: Sequence[Entering], moves: Sequence[moving.Moving], *, room: Room) -> list[AudienceSpec]:
    """Where all goes that shows anything to anybody; what only withdraws needs no second person.

    Of what waits for a definition it is where it is to go then.
    """
    specs = []
    for spec, asked, draft in (
        *((new.spec, new.asked, new.draft) for new in entering),
        *((move.spec, move.asked, move.draft) for move in moves),
    ):
        then = room.once_known(draft, asked) if asked is not None and draft is not None else None
        if spec is not None:
            specs.append(then if isinstance(then, AudienceSpec) else spec)
    return specs


def _answered(drafts: Iterable[Draft | None], status: Status) -> list[Result]:
    return [
        Result(
            draft.index,
            draft.stix_id,
            draft.version,
            status,
            marks=draft.marks + markings.note(draft),
            suppressed_by=entries.told(draft),
        )
        for draft in drafts
        if draft is not None
    ]


def _examine(
    elements: Sequence[Element], known: markings.Known, *, room: Room, doors: _Doors
) -> tuple[list[Element], list[Result]]:
    """What is to be compared with what is held, and an answer for each element that cannot be.

    The gates look at each draft where it most likely goes, before anybody waits for it. Where it really goes is known
    once its holding is (`_compare_with_held`).
    """
    asked: list[Element] = []
    results: list[Result] = []
    for element in markings.tightened(elements, markings.defined(known.rows, elements)):
        if isinstance(element, Unreadable) and not (element.revoked and element.stix_id):
            results.append(Result(element.index, element.stix_id, None, "refused", element.refusal))
            continue
        if isinstance(element, Draft):
            doors.of_batch(element, room.policy(element))
            element = entries.judged(element, doors.benign)  # noqa: PLW2901 - the same draft, its values judged
        asked.append(element)
    return asked, results


def _partners_among(elements: Iterable[Element], *, by: Viewer) -> frozenset[str]:
    """The identities of other partners that are named or sent. One query, and none where nobody else is named."""
    drafts = [element for element in elements if isinstance(element, Draft)]
    named = {draft.created_by_ref.lower() for draft in drafts if draft.created_by_ref is not None}
    named |= {draft.stix_id.lower() for draft in drafts if draft.stix_type == "identity"}
    named -= {by.identity_id}
    found = prepared.rows(_IDENTITIES, [sorted(named)], called="identities") if named else []
    return frozenset(identity for (identity,) in found)


_IDENTITIES = "SELECT identity_id FROM partners_partner WHERE identity_id = ANY(%s)"


def _compare_with_held(
    asked: Sequence[Element],
    begun: _Begun,
    voice: Voice,
    *,
    room: Room,
    doors: _Doors,
    by: Viewer,
    waits: Mapping[int, Reach],
    wake: bool,
) -> tuple[list[Entering], list[moving.Moving], list[Line], list[Result]]:
    """Which drafts are new versions, given what the publisher holds and what came earlier in the batch.

    Bytes that are held already and come with another audience move there; those that come without one stay. The lines
    are those that a revocation ends whose own bytes may not enter.
    """
    held = begun.held
    barred = beyond_the_key(held, by=by)
    seen: dict[str, Line] = {}
    entering: list[Entering] = []
    moves: list[moving.Moving] = []
    results: list[Result] = []
    for draft in asked:
        stix_id = draft.stix_id or ""
        line = seen.get(stix_id)
        if line is None:
            line = seen[stix_id] = Line(held.get(stix_id, {}))
        if stix_id in barred:
            results.append(_refused(draft, OF_OTHER_GROUPS))
            continue
        if not isinstance(draft, Draft):
            results.append(_ended(draft, line))
            continue
        sha256 = hashlib.sha256(draft.raw).digest()
        waited = waits.get(line.stored_latest.object_id) if line.stored_latest is not None else None
        at_the_door = doors.of_batch(draft, room.policy(draft, held=line.stored_latest, waited=waited))
        verdict = _before_the_door(draft, line.judge(draft, sha256, wake=wake), at_the_door)
        if verdict == "unchanged":
            move = _move(draft, begun, room=room, line=line, waits=waited is not None or bool(draft.unresolved))
            if move is None:
                results.append(_unchanged(draft))
                continue
            source = voice.judge(draft, line, held) if isinstance(move, moving.Moving) else move
            if isinstance(move, Refusal) or isinstance(source, Refusal):
                results.append(_refused(draft, source))
                continue
            moves.append(move)
            if move.stays:
                results.append(_unchanged(draft))
            line.moves = not move.stays
        elif verdict == "withdrawn":
            results.append(_stays_withdrawn(draft, line))
        elif isinstance(verdict, Refusal | Quarantine):
            results.append(_turned_away(draft, line, verdict))
        elif isinstance(source := voice.judge(draft, line, held), Refusal):
            results.append(_turned_away(draft, line, source))
        elif isinstance(place := _place(draft, begun, room=room, line=line, source=source, waited=waited), Refusal):
            results.append(_turned_away(draft, line, place))
        else:
            new = Entering(
                draft,
                sha256,
                place.audience_id,
                line,
                first=line.newest is None,
                source=source,
                spec=None if place.withdraws else place.spec,
                wakes=asleep.object_id if (asleep := line.asleep(draft)) else None,
                asked=place.asked,
            )
            line.add(new)
            entering.append(new)
    closed = [line for line in seen.values() if line.closed]
    return entering, moves, closed, _reworded(results, asked, held)


def _reworded(results: list[Result], asked: Sequence[Element], held: dict[str, storing.Holding]) -> list[Result]:
    """The results, where a version conflict is one of spelling alone with better words."""
    refused = {result.index: result.verdict for result in results if isinstance(result.verdict, Refusal)}
    better = conflicting.respelt(refused, [each for each in asked if isinstance(each, Draft)], held) if refused else {}
    return [replace(each, verdict=better.get(each.index, each.verdict)) for each in results] if better else results


def _place(
    draft: Draft, begun: _Begun, *, room: Room, line: Line, source: Attribution, waited: Reach | None
) -> Place | Refusal:
    """Where a draft goes, or why it may not: for its audience, or for what others say who mark it more strictly."""
    place = room.place(draft, held=line.stored_latest, source=source, waited=waited)
    if isinstance(place, Refusal):
        return place
    return _below_source(draft, place.spec.tlp, begun) or place


def _below_source(draft: Draft, tlp: Tlp, begun: _Begun) -> Refusal | None:
    """Why a draft may not be shown under this marking, for what others say; what ends a holding is never in the way."""
    if draft.revoked or draft.stix_id.lower() not in begun.others:
        return None
    held, sha256 = begun.held.get(draft.stix_id, {}), hashlib.sha256(draft.raw).digest()
    return relaying.below_source(draft, sha256, tlp, held=held, others=begun.others)


def _before_the_door(
    draft: Draft, judged: Refusal | Literal["unchanged", "withdrawn"] | None, at_the_door: gates.Verdict
) -> Refusal | Quarantine | Literal["unchanged", "withdrawn"] | None:
    """The verdict of the door, but for what stays withdrawn, whatever the door says: it is in no place."""
    stays = judged == "withdrawn" and not draft.revoked
    return judged if at_the_door is None or stays else at_the_door


def _unchanged(draft: Draft) -> Result:
    return _answered([draft], "unchanged")[0]


def _refused(element: Element, why: Attribution | Refusal | Quarantine) -> Result:
    version = element.version if isinstance(element, Draft) else None
    status: Status = "quarantined" if isinstance(why, Quarantine) else "refused"
    return Result(element.index, element.stix_id, version, status, None if isinstance(why, Attribution) else why)


def _turned_away(element: Draft | Unreadable, line: Line, why: Refusal | Quarantine) -> Result:
    """The answer to what may not enter. A revocation ends its holding all the same; only its bytes are not kept."""
    if element.revoked and line.is_closed:
        return _dropped(element, "unchanged", why)
    ends = element.revoked and line.close(_kind(element))
    return _dropped(element, "accepted", why) if ends else _refused(element, why)


def _stays_withdrawn(draft: Draft, line: Line) -> Result:
    """The answer to what would bring back a withdrawn holding. A revocation ends it, so that nothing ever does."""
    if draft.revoked and line.is_closed and line.asleep(draft) is None:
        return _dropped(draft, "unchanged", _WAS_WITHDRAWN)
    if draft.revoked and line.close(_kind(draft)):
        return _dropped(draft, "accepted", _WAS_WITHDRAWN)
    return Result(draft.index, draft.stix_id, draft.version, "withdrawn", _WITHDRAWN)


def _dropped(element: Draft | Unreadable, status: Status, why: Refusal | Quarantine) -> Result:
    words = f"The object has ended; this revoked version of it is not kept: {why.message} ({why.code})"
    version = element.version if isinstance(element, Draft) else None
    return Result(
        element.index, element.stix_id, version, status, Refusal("content-dropped", why.field, words.rstrip())
    )


def _ended(element: Unreadable | Revocation, line: Line) -> Result:
    """The answer to a revocation that brings no bytes which could be kept."""
    if isinstance(element, Unreadable):
        return _turned_away(element, line, element.refusal)
    if not line.holds:
        return _refused(element, NOT_HELD)
    status: Status = "accepted" if line.close(_kind(element)) else "unchanged"
    return Result(element.index, element.stix_id, None, status)


def _kind(element: Element) -> str:
    kind = (element.kind or element.stix_type) if isinstance(element, Draft) else None
    return kind or (element.stix_id or "").partition("--")[0]


def _without_ends(entering: list[Entering], closed: list[Line], results: list[Result]) -> list[Entering]:
    """Of a batch that waits for a second person, what does: the holdings that it revokes end at once.

    Where a revoked version is to go to others than those who hold the object, it is not kept.
    """
    stay: list[Entering] = []
    for new in entering:
        held = new.line.stored_latest
        if new.draft.revoked and new.spec is not None and held is not None and not held.revoked:
            if not new.line.closed:
                new.line.close(_kind(new.draft), instead_of=new)
                closed.append(new.line)
            results.append(_dropped(new.draft, "accepted", _NOT_ALONE))
        else:
            stay.append(new)
    return stay


def _move(draft: Draft, begun: _Begun, *, room: Room, line: Line, waits: bool) -> moving.Moving | Refusal | None:
    """The way of the newest version that is held to the audience that its batch names, if it names another.

    What waits for a definition is asked for anew even where it stays.
    """
    held = line.stored_latest
    settled = line.moves or line.entering_latest is not None or line.newest != (draft.modified or "unversioned")
    if held is None or settled or not room.names:
        return None
    place = _place(draft, begun, room=room, line=line, source=Attribution(held.attribution), waited=None)
    if isinstance(place, Refusal):
        return place
    if place.audience_id == held.audience_id and not waits:
        return None
    marking = room.marking(draft)
    return moving.Moving(draft.stix_id, held, place.audience_id, marking, line, draft, place.spec, place.asked)


def _store(
    entering: Sequence[Entering],
    moves: Sequence[moving.Moving],
    closed: Sequence[Line],
    *,
    by: Viewer,
    keys: Sequence[int],
    within: Message,
) -> None:
    """Objects and tokens, then, last and under the order lock, their places in the log."""
    if not entering and not moves and not closed:
        return
    fresh = [new for new in entering if new.wakes is None]
    woken = [(new, new.wakes) for new in entering if new.wakes is not None]
    entering = [*fresh, *(new for new, _ in woken)]
    moved = [new for new in entering if new.latest and new.moves_from is not None]
    source = Attribution(max((new.source for new in entering), default=Attribution.NAMED))
    spec = AudienceSpec(Tlp.RED, attribution=source)
    alone = intern_audience(by, spec) if any(not new.latest for new in entering) or moved else 0
    over = [held for line in {new.line for new in entering if new.draft.revoked} for held in line.overtaken]
    gone = [*over, *(held for line in closed for held in line.closed_rows)]
    nobody = _nobody({*(held.attribution for held in gone), *(new.source for new in entering if new.overtaken)}, by=by)
    seen_by = [new.seen_by(alone, nobody=nobody.get(new.source, 0)) for new in entering]
    stored = list(keys[: len(fresh)])
    storing.store(
        by.partner_id,
        [
            storing.NewObject(new.draft, audience_id, new.sha256, new.latest, ended=bool(new.line.closed))
            for new, audience_id in zip(fresh, seen_by[: len(fresh)], strict=True)
        ],
        keys=stored,
        superseded=[new.line.stored_latest.object_id for new in entering if new.latest and new.line.stored_latest],
        within=within,
    )
    waking = zip(woken, seen_by[len(fresh) :], strict=True)
    storing.settle((key, audience_id, new.latest) for (new, key), audience_id in waking)
    storing.settle((held.object_id, nobody[held.attribution], False) for held in over)
    storing.close({held.object_id: nobody[held.attribution] for line in closed for held in line.closed_rows})
    stored += [key for _, key in woken]
    marked = [
        one
        for new, key in zip(entering, stored, strict=True)
        if new.draft.markings
        for one in rejudging.marked(key, new.draft, new.asked)
    ]
    storing.mark(by.partner_id, marked, within=within)
    storing.hide_history(by.partner_id, [new.draft.stix_id for new in moved], audience_id=alone, keep=stored)
    moving.rewrite(moves, by=by, keep=stored)
    left = [*_lost_sight(moved, by=by), *_closed(closed, by=by), *moving.told(moves, by=by)]
    changes.append([*left, *_entered(stored, entering, seen_by, by=by)], within=within)


def _nobody(attributions: Iterable[int], *, by: Viewer) -> dict[int, int]:
    """The audience of what nobody sees, by how its source was shown."""
    return {kind: intern_withdrawn(by.partner_id, attribution=kind) for kind in attributions}


def _lost_sight(moved: Sequence[Entering], *, by: Viewer) -> list[changes.NewChange]:
    """A remove for the audience that each re-addressed holding had; whoever sees the new version is told of it next."""
    return [
        changes.NewChange(
            object_id=held.object_id,
            publisher_id=by.partner_id,
            audience_id=held.audience_id,
            op=Change.Op.REMOVE,
            reason=Change.Reason.NARROWED,
        )
        for new in moved
        if (held := new.line.stored_latest) is not None
    ]


def _closed(closed: Sequence[Line], *, by: Viewer) -> list[changes.NewChange]:
    """A remove for the readers of each holding that has ended without a version that says so."""
    return [
        changes.NewChange(
            object_id=held.object_id,
            publisher_id=by.partner_id,
            audience_id=held.audience_id,
            op=Change.Op.REMOVE,
            reason=Change.Reason.REVOKED,
        )
        for line in closed
        if (held := line.stored_latest) is not None and not held.revoked
    ]


def _entered(
    keys: Sequence[int], entering: Sequence[Entering], seen_by: Sequence[int], *, by: Viewer
) -> list[changes.NewChange]:
    return [
        changes.NewChange(
            object_id=key,
            publisher_id=by.partner_id,
            audience_id=audience_id,
            op=Change.Op.REMOVE if new.draft.revoked and new.latest else Change.Op.UPSERT,
            reason=_reason(new),
            again=new.wakes is not None,
        )
        for key, new, audience_id in zip(keys, entering, seen_by, strict=True)
    ]


def _reason(new: Entering) -> Change.Reason:
    if new.draft.revoked and new.latest:  # an earlier revocation than the one that is held changes nothing
        return Change.Reason.REVOKED
    return Change.Reason.PUBLISHED if new.first else Change.Reason.REVISED


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
        batch = rows.instance(Batch, found.rows[0])
        if bytes(batch.request_digest) != request.digest:
            raise Conflict(
                "This Idempotency-Key was used for another request.",
                code="idempotency-key-reused",
                at="/Idempotency-Key",
            )
        return answer_of(batch, replayed=True)

    return read


_ANSWERED = f"""
SELECT {rows.columns(Batch, "b")} FROM indicators_batch b WHERE b.partner_id = %s AND b.idempotency_key = %s
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
    within.add_prepared(
        _BATCH,
        [
            *(batch_id, by.partner_id, by.actor, answering.idempotency_key_of(by, request.idempotency_key)),
            *(request.digest, received_at, Jsonb(counts), body.decode(), groups, alone),
        ],
        called="batch",
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
    matching.hint()
    notifying.hint()
