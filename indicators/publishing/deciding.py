"""Decide what becomes of a batch: what enters, moves and ends, what waits, and what each object is answered.

Pure where no audience is new and no marking is defined: plain values in (`Met`, which `gathering` reads), and a `Plan`
of plain values out, which `acting` writes. What stands behind its objects may ask: `BatchAudiences` finds or makes the
row of an audience, by what it says, and never alters one; `Doors` looks names up; `rejudging` reads what waits for a
definition that the batch brings.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from indicators.ending import disarming
from indicators.publishing import accounting, awaiting, judging, moving, rejudging, storing
from indicators.publishing.addressing import BatchAudiences
from indicators.publishing.attributing import Voice
from indicators.publishing.judging import Doors, Met
from indicators.publishing.reach import Reach
from indicators.publishing.results import Element, How, Result, answered
from indicators.publishing.versions import Entering, History
from indicators.stix.drafts import Draft
from partners.audiences import AudienceSpec
from partners.tlp import Tlp
from partners.viewer import Viewer


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be written of a batch: `results` are the answers, in order."""

    results: Sequence[Result]
    entering: Sequence[Entering]  # versions
    moves: Sequence[moving.Moving]  # holdings that go to another audience without new bytes
    closed: Sequence[History]  # holdings that end without a version
    ends: disarming.Ends  # of these, what is disarmed instead, beyond the cap of ends
    waiting: Sequence[Draft]  # for a second person, because of `why`, to be sent to `reach` then
    why: str
    reach: Reach
    alone: int  # how many objects go out without a second person, and the same as caps count it
    flow: awaiting.Flow
    settled: Sequence[int]  # versions whose markings are all known now
    marked: Sequence[storing.NewMarked]
    said: Mapping[str, Tlp]  # see `rejudging.Anew`
    told: Mapping[str, Any]  # to the audit log


def decide(
    asked: Sequence[Element],
    turned_away: Sequence[Result],
    met: Met,
    voice: Voice,
    how: How,
    *,
    audiences: BatchAudiences,
    doors: Doors,
    by: Viewer,
) -> Plan:
    """The plan for a batch, given what it meets. `turned_away` are the answers to what is not even compared."""
    drafts = [each for each in asked if isinstance(each, Draft)]
    entering, moved, closed, settled = judging.compare_with_held(
        asked, met, voice, audiences=audiences, doors=doors, wake=how.wake
    )
    anew = _judge_anew(drafts, entering, moved, settled, met, audiences=audiences, by=by, doors=doors)
    look = _Look([], "", entering, moved)
    if not how.confirmed:
        look = _looked(drafts, entering, moved, closed, settled, anew, met, audiences=audiences, by=by)
    ends = disarming.Ends.of(look.entering, closed, settled, by=by, for_good=how.for_good, lately=met.lately.ended)
    asked_anew = [(move.held.object_id, move.draft, move.asked) for move in look.moved if move.draft is not None]
    moves = _moves(look.moved, anew)
    return Plan(
        results=_results(turned_away, look, ends),
        entering=ends.entering,
        moves=moves,
        closed=ends.closed,
        ends=ends,
        waiting=look.waiting,
        why=look.why,
        reach=audiences.lasting,
        alone=look.alone,
        flow=look.flow,
        settled=[*anew.settled, *(move.held.object_id for move in anew.wider)],
        marked=[one for move in asked_anew for one in rejudging.marked(*move)],
        said=anew.said,
        told=accounting.shared(
            ends.entering, moves, closed=ends.closed, specs=audiences.specs, groups=audiences.groups
        ),
    )


def _results(turned_away: Sequence[Result], look: _Look, ends: disarming.Ends) -> list[Result]:
    """The answer to each element, in their order."""
    places = {draft.index for draft in look.waiting}
    moving_on = [move.draft for move in look.moved if not move.stays]
    results = [
        *turned_away,
        *(result for result in ends.settled if result.index not in places),
        *answered(look.waiting, "waiting"),
        *answered([*(new.draft for new in ends.entering), *moving_on], "accepted"),
    ]
    return sorted(results, key=lambda result: result.index)


def _moves(moved: Sequence[moving.Moving], anew: rejudging.Anew) -> list[moving.Moving]:
    """Of what moves, what neither stays where it is nor gets a new version or its end in the same batch."""
    moves = [
        move
        for move in moved
        if not move.stays and (move.history is None or not (move.history.entering_latest or move.history.closed))
    ]
    return [*moves, *anew.stricter, *anew.wider]


@dataclass(frozen=True, slots=True)
class _Look:
    """What of a batch a second person looks at first, and why; and what goes on: rows and moves.

    `alone` is how many objects go out without that, and `flow` the same as caps count it.
    """

    waiting: list[Draft]
    why: str
    entering: list[Entering]
    moved: list[moving.Moving]
    alone: int = 0
    flow: awaiting.Flow = awaiting.NOTHING


def _looked(
    drafts: Sequence[Draft],
    entering: list[Entering],
    moved: list[moving.Moving],
    closed: list[History],
    settled: list[Result],
    anew: rejudging.Anew,
    met: Met,
    *,
    audiences: BatchAudiences,
    by: Viewer,
) -> _Look:
    """What waits for a second person: all that shows anything, beyond a limit; else what holds a text.

    What it ends ends at once: `closed`, `settled` and `anew` are told of it.
    """
    going = _going(entering, [*moved, *anew.wider], audiences=audiences)
    flow = awaiting.flow_of(going, by=by, sees=met.sees)
    if why := awaiting.beyond(by, [spec for spec, _ in going], flow, met.lately):
        entering = judging.without_ends(entering, closed, settled)
        held = [*(new.draft for new in entering if new.spec), *(move.draft for move in moved if move.draft)]
        held += _unchanged_definitions(drafts, settled) if anew.wider else []
        anew.wider = []
        return _Look(held, why, [new for new in entering if new.spec is None], [])
    texts = judging.with_texts(entering, moved, audiences=audiences, waits=met.waits)
    if not texts:
        return _Look([], "", entering, moved, len(going), flow)
    held, entering, moved = _apart(entering, moved, texts, closed, settled)
    going = _going(entering, [*moved, *anew.wider], audiences=audiences)
    return _Look(held, awaiting.TEXT, entering, moved, len(going), awaiting.flow_of(going, by=by, sees=met.sees))


def _judge_anew(
    drafts: Sequence[Draft],
    entering: Sequence[Entering],
    moves: Sequence[moving.Moving],
    settled: Sequence[Result],
    met: Met,
    *,
    audiences: BatchAudiences,
    by: Viewer,
    doors: Doors,
) -> rejudging.Anew:
    """What the definitions of this batch change for what is held, and what waited and is sent again."""
    unchanged = {result.stix_id for result in settled if result.status == "unchanged"}
    refused = {result.index for result in settled if result.status != "unchanged"}
    again = [
        one.object_id
        for stix_id, versions in met.held.items()
        for one in versions.values()
        if stix_id in unchanged and one.object_id in met.waits and not audiences.names
    ]
    return rejudging.judged_anew(
        [draft for draft in drafts if draft.index not in refused and rejudging.defines(draft)],
        by=by,
        audiences=audiences,
        again=again,
        apart={new.draft.stix_id for new in entering} | {move.stix_id for move in moves},
        admits=lambda draft, policy: doors.examine(draft, policy) is None,
    )


def _apart(
    entering: list[Entering],
    moved: list[moving.Moving],
    texts: Collection[History],
    closed: list[History],
    settled: list[Result],
) -> tuple[list[Draft], list[Entering], list[moving.Moving]]:
    """What of a batch waits for a second person for its texts, and what goes on: rows and moves."""
    stay = judging.without_ends([new for new in entering if new.history in texts], closed, settled)
    held = [new.draft for new in stay if new.spec]
    held += [move.draft for move in moved if move.draft is not None and move.history in texts]
    on = [new for new in entering if new.history not in texts] + [new for new in stay if new.spec is None]
    return held, on, [move for move in moved if move.history not in texts]


def _unchanged_definitions(drafts: Sequence[Draft], settled: Sequence[Result]) -> list[Draft]:
    """Definitions that are held already: what waits for them waits for a second person, and so do they."""
    unchanged = {result.index for result in settled if result.status == "unchanged"}
    return [draft for draft in drafts if rejudging.defines(draft) and draft.index in unchanged]


def _going(
    entering: Sequence[Entering], moves: Sequence[moving.Moving], *, audiences: BatchAudiences
) -> list[tuple[AudienceSpec, Draft | None]]:
    """Where each draft goes that shows anything to anybody; what only withdraws needs no second person.

    Of what waits for a definition it is where it is to go then.
    """
    going: list[tuple[AudienceSpec, Draft | None]] = []
    for spec, asked, draft in (
        *((new.spec, new.asked, new.draft) for new in entering),
        *((move.spec, move.asked, move.draft) for move in moves),
    ):
        then = audiences.once_known(draft, asked) if asked is not None and draft is not None else None
        if spec is not None:
            going.append((then if isinstance(then, AudienceSpec) else spec, draft))
    return going
