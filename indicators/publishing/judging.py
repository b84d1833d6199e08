"""What may enter of a batch, and why the rest may not: the door, what is held already, and where each object goes.

Nothing is written here. Called by `publishing`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Literal

from exchange.sql import ask
from exchange.stix.words import OF_GROUP_KEY
from exchange.tokens import forms, prompts
from indicators import detectors, stored
from indicators.benign import service_hosts
from indicators.door import closed, entries, gates
from indicators.ending import disarming
from indicators.publishing import awaiting, bounding, markings, moving, relaying
from indicators.publishing.addressing import BatchAudiences, Destination
from indicators.publishing.attributing import Voice
from indicators.publishing.reach import Reach
from indicators.publishing.results import NOT_HELD, Element, Result, Status, answered
from indicators.publishing.versions import Entering, History
from indicators.stix import tlp
from indicators.stix.drafts import Draft, Quarantine, Refusal, Revocation, Unreadable
from partners.attribution import Attribution
from partners.groups import naming
from partners.models import Group
from partners.tlp import Tlp
from partners.tokens import groupkeys
from partners.viewer import Viewer

_WITHDRAWN = Refusal("withdrawn", "/id", "You have withdrawn it; publish it with wake=true to bring it back.")
_WAS_WITHDRAWN = Refusal("withdrawn", "/id", "You had withdrawn it before.")
_NOT_ALONE = Refusal("needs-another-person", "", "It would go where you may not publish alone.")


class Doors:
    """The doors that a batch goes through, one for each policy."""

    def __init__(
        self, now: datetime, identities: frozenset[str], *, by: Viewer, audiences: BatchAudiences, tlp: Tlp | None
    ) -> None:
        self._now, self._identities, self._by = now, identities, by
        self._tlp = None if tlp is None else tlp.word
        self._groups = frozenset(group.slug for group in audiences.groups.values())
        self.benign = service_hosts.known()
        self._registered: frozenset[str] = frozenset()  # the publisher's detectors, once the batch names one
        self._looked_up = False  # whether they were read for this batch, and not remembered from before
        self._keys = groupkeys.OwnKeys(by)
        self._ended: frozenset[str] | None = None  # None until a template or phrase comes
        self._broad: dict[str, frozenset[str]] = {}  # by epoch; each door reads it as it grows
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
        self._learn_detector(draft.detector)
        self._learn_epochs(draft)
        if (policy, named) not in self._doors:
            self._doors[policy, named] = gates.Door(
                now=self._now,
                publisher_identity=self._by.identity_id,
                partner_identities=self._identities,
                policy=policy,
                known=self.benign,
                tlp=self._tlp,
                publisher_name=self._by.partner_name,
                groups=self._groups,
                detectors=self._registered,
                broad=self._broad,
                ended=self._ended or frozenset(),
                names_of_others=naming.taken_by_others(self._by.identity_id) if named else frozenset(),
            )
        return gates.examine(draft, self._doors[policy, named])

    def _learn_detector(self, name: str | None) -> None:
        """A name that is not among those remembered is looked up at once; what a batch invents costs one query."""
        if name is None or name in self._registered or self._looked_up:
            return
        self._registered = detectors.registered(self._by.partner_id, {name})
        self._looked_up = name not in self._registered
        self._doors.clear()

    def _learn_epochs(self, draft: Draft) -> None:
        """What is known of the keys that a template or phrase names. One query a batch, whatever it names."""
        if draft.subkind not in OF_GROUP_KEY:
            return
        if self._ended is None:
            self._ended = self._keys.ended
            self._doors.clear()
        if draft.subkind == "phrase":
            for epoch in {token.key_epoch for token in draft.tokens} - self._broad.keys():
                self._broad[epoch] = self._keys.tokens_of(epoch, _broad_inputs())


@cache
def _broad_inputs() -> tuple[bytes, ...]:
    """What a group's key makes tokens of, for phrases that ordinary prompts hold."""
    return tuple(forms.input_bytes("phrase", phrase) for phrase in prompts.broad())


@dataclass(frozen=True, slots=True)
class Met:
    """What a batch meets, as plain values that `gathering` reads behind the publisher's lock.

    `sees` alone asks, and only where a cap counts recipients.
    """

    held: dict[str, stored.Versions]  # what its publisher holds of its ids
    others: relaying.Others  # what others show there
    sees: awaiting.Sees
    waits: Mapping[int, Reach] = field(default_factory=dict)  # where what is held and waits for a definition is to go
    beyond: Mapping[str, Refusal] = field(default_factory=dict)  # ids that its key may not push, with why
    defined: Sequence[markings.Row] = ()  # the publisher's definitions of markings that it corrects
    lately: awaiting.Lately = awaiting.NOTHING_LATELY
    about: bounding.About = field(default_factory=dict)  # what its opinions and sightings are about


def examine(
    elements: Sequence[Element], known: markings.Known, *, audiences: BatchAudiences, doors: Doors
) -> tuple[list[Element], list[Result]]:
    """What is to be compared with what is held, and an answer for each element that cannot be.

    The gates look at each draft where it most likely goes, before anybody waits for it. Where it really goes is known
    once its holding is (`compare_with_held`).
    """
    asked: list[Element] = []
    results: list[Result] = []
    for element in markings.tightened(elements, markings.defined(known.rows, elements)):
        if isinstance(element, Unreadable) and not (element.revoked and element.stix_id):
            results.append(Result(element.index, element.stix_id, None, "refused", element.refusal))
            continue
        if isinstance(element, Draft):
            doors.of_batch(element, audiences.policy(element))
            element = entries.judged(element, doors.benign)  # noqa: PLW2901 - the same draft, its values judged
        asked.append(element)
    return asked, results


def partners_among(elements: Iterable[Element], *, by: Viewer) -> frozenset[str]:
    """The identities of other partners that are named or sent. One query, and none where nobody else is named.

    Of partners that are only invited nobody knows.
    """
    drafts = [element for element in elements if isinstance(element, Draft)]
    named = {draft.created_by_ref.lower() for draft in drafts if draft.created_by_ref is not None}
    named |= {draft.stix_id.lower() for draft in drafts if draft.stix_type == "identity"}
    named -= {by.identity_id}
    found = ask(_IDENTITIES, [sorted(named)]) if named else []
    return frozenset(identity for (identity,) in found)


_IDENTITIES = "SELECT identity_id FROM partners_partner WHERE identity_id = ANY(%s) AND state <> 'invited'"


def compare_with_held(
    asked: Sequence[Element],
    met: Met,
    voice: Voice,
    *,
    audiences: BatchAudiences,
    doors: Doors,
    wake: bool,
) -> tuple[list[Entering], list[moving.Moving], list[History], list[Result]]:
    """Which drafts are new versions, given what the publisher holds and what came earlier in the batch.

    Bytes that are held already and come with another audience move there; those that come without one stay. The
    histories are those that a revocation ends whose own bytes may not enter.
    """
    held = met.held
    seen: dict[str, History] = {}
    entering: list[Entering] = []
    moves: list[moving.Moving] = []
    results: list[Result] = []
    for draft in asked:
        stix_id = draft.stix_id or ""
        history = seen.get(stix_id)
        if history is None:
            history = seen[stix_id] = History(stix_id, held.get(stix_id, {}))
        if (said := _of_no_bytes(draft, history, met.beyond)) is not None or not isinstance(draft, Draft):
            results += [said] if said is not None else []
            continue
        sha256 = hashlib.sha256(draft.raw).digest()
        waited = met.waits.get(history.stored_latest.object_id) if history.stored_latest is not None else None
        at_the_door = doors.of_batch(draft, audiences.policy(draft, held=history.stored_latest, waited=waited))
        judged = _loosens(draft, history, met.defined) or history.judge(draft, sha256, wake=wake)
        verdict = _before_the_door(draft, judged, at_the_door)
        if verdict == "unchanged":
            move = _move(
                draft, met, audiences=audiences, history=history, waits=waited is not None or bool(draft.unresolved)
            )
            if move is None:
                results.append(_unchanged(draft))
                continue
            source = voice.judge(draft, history, held) if isinstance(move, moving.Moving) else move
            if isinstance(move, Refusal) or isinstance(source, Refusal):
                results.append(_refused(draft, source))
                continue
            moves.append(move)
            if move.stays:
                results.append(_unchanged(draft))
            history.moves = not move.stays
        elif verdict == "withdrawn":
            results.append(_stays_withdrawn(draft, history))
        elif isinstance(verdict, Refusal | Quarantine):
            results.append(_turned_away(draft, history, verdict))
        elif isinstance(source := voice.judge(draft, history, held), Refusal):
            results.append(_turned_away(draft, history, source))
        elif isinstance(
            destination := _destination(draft, met, audiences=audiences, history=history, source=source, waited=waited),
            Refusal,
        ):
            results.append(_turned_away(draft, history, destination))
        else:
            new = Entering(
                draft,
                sha256,
                destination.audience_id,
                history,
                first=history.newest is None,
                correction=history.correction(draft),
                source=source,
                spec=None if destination.withdraws else destination.spec,
                wakes=asleep.object_id if (asleep := history.asleep(draft)) else None,
                asked=destination.asked,
            )
            history.add(new)
            entering.append(new)
    ended = [history for history in seen.values() if history.closed]
    return entering, moves, ended, results


def _of_no_bytes(element: Element, history: History, beyond: Mapping[str, Refusal]) -> Result | None:
    """The answer to an element whose bytes are not looked at; None for a draft that is judged."""
    if (why := beyond.get(element.stix_id or "")) is not None:
        return _refused(element, why)
    if element.revoked and history.is_disarmed:
        version = element.version if isinstance(element, Draft) else None
        return Result(element.index, element.stix_id, version, "unchanged", disarming.ALREADY)
    return None if isinstance(element, Draft) else _ended(element, history)


def _loosens(draft: Draft, history: History, defined: Sequence[markings.Row]) -> Refusal | None:
    """Why the correction of a marking's definition may not enter: it would be weaker than what is `defined`."""
    if draft.stix_type != "marking-definition" or not history.correction(draft):
        return None
    earlier = [new.draft for new in history.entering]
    held = markings.defined(defined, earlier).words.get(draft.stix_id)
    said = tlp.word_in(draft.data)
    if held is None or (said is not None and Tlp.from_word(said) >= Tlp.from_word(held)):
        return None
    return Refusal("marking-loosened", "/id", f"You defined this marking as {held}: a correction may only tighten it.")


def _destination(
    draft: Draft, met: Met, *, audiences: BatchAudiences, history: History, source: Attribution, waited: Reach | None
) -> Destination | Refusal:
    """Where a draft goes, or why it may not: for its audience, or for what others say who mark it more strictly."""
    about = bounding.of_others(draft, met.about) if met.about else ()
    held = history.stored_latest
    destination = audiences.destination(draft, held=held, source=source, waited=waited, about=about)
    if isinstance(destination, Refusal):
        return destination
    return _below_source(draft, destination.spec.tlp, met) or destination


def _below_source(draft: Draft, tlp: Tlp, met: Met) -> Refusal | None:
    """Why a draft may not be shown under this marking, for what others say; a revocation ends it all the same."""
    if draft.stix_id.lower() not in met.others:
        return None
    held, sha256 = met.held.get(draft.stix_id, {}), hashlib.sha256(draft.raw).digest()
    return relaying.below_source(draft, sha256, tlp, held=held, others=met.others)


def _before_the_door(
    draft: Draft, judged: Refusal | Literal["unchanged", "withdrawn"] | None, at_the_door: gates.Verdict
) -> Refusal | Quarantine | Literal["unchanged", "withdrawn"] | None:
    """The verdict of the door, but for what stays withdrawn, whatever the door says: it goes nowhere."""
    stays = judged == "withdrawn" and not draft.revoked
    return judged if at_the_door is None or stays else at_the_door


def _unchanged(draft: Draft) -> Result:
    return answered([draft], "unchanged")[0]


def _refused(element: Element, why: Attribution | Refusal | Quarantine) -> Result:
    version = element.version if isinstance(element, Draft) else None
    status: Status = "quarantined" if isinstance(why, Quarantine) else "refused"
    return Result(element.index, element.stix_id, version, status, None if isinstance(why, Attribution) else why)


def _turned_away(element: Draft | Unreadable, history: History, why: Refusal | Quarantine) -> Result:
    """The answer to what may not enter. A revocation ends its holding all the same; only its bytes are not kept."""
    if element.revoked and history.is_closed:
        return _dropped(element, "unchanged", why)
    ends = element.revoked and history.close(_kind(element))
    return _dropped(element, "accepted", why) if ends else _refused(element, why)


def _stays_withdrawn(draft: Draft, history: History) -> Result:
    """The answer to what would bring back a withdrawn holding. A revocation ends it, so that nothing ever does."""
    if draft.revoked and history.is_closed and history.asleep(draft) is None:
        return _dropped(draft, "unchanged", _WAS_WITHDRAWN)
    if draft.revoked and history.close(_kind(draft)):
        return _dropped(draft, "accepted", _WAS_WITHDRAWN)
    return Result(draft.index, draft.stix_id, draft.version, "withdrawn", _WITHDRAWN)


def _dropped(element: Draft | Unreadable, status: Status, why: Refusal | Quarantine) -> Result:
    words = f"The object has ended; this revoked version of it is not kept: {why.message} ({why.code})"
    version = element.version if isinstance(element, Draft) else None
    return Result(
        element.index, element.stix_id, version, status, Refusal("content-dropped", why.field, words.rstrip())
    )


def _ended(element: Unreadable | Revocation, history: History) -> Result:
    """The answer to a revocation that brings no bytes which could be kept."""
    if isinstance(element, Unreadable):
        return _turned_away(element, history, element.refusal)
    if not history.holds:
        return _refused(element, NOT_HELD)
    status: Status = "accepted" if history.close(_kind(element)) else "unchanged"
    return Result(element.index, element.stix_id, None, status)


def _kind(element: Element) -> str:
    kind = (element.kind or element.stix_type) if isinstance(element, Draft) else None
    return kind or (element.stix_id or "").partition("--")[0]


def without_ends(entering: list[Entering], closed: list[History], results: list[Result]) -> list[Entering]:
    """Of a batch that waits for a second person, what does: the holdings that it revokes end at once.

    Where a revoked version is to go to others than those who hold the object, it is not kept.
    """
    stay: list[Entering] = []
    for new in entering:
        held = new.history.stored_latest
        if new.draft.revoked and new.spec is not None and held is not None and not held.revoked:
            if not new.history.closed:
                new.history.close(_kind(new.draft), instead_of=new)
                closed.append(new.history)
            results.append(_dropped(new.draft, "accepted", _NOT_ALONE))
        else:
            stay.append(new)
    return stay


def with_texts(
    entering: Sequence[Entering],
    moves: Sequence[moving.Moving],
    *,
    audiences: BatchAudiences,
    waits: Mapping[int, Reach],
) -> set[History]:
    """The holdings that a second person looks at first: they hold a text that no list closes, where facts are closed.

    What only withdraws shows nothing to anybody.
    """
    found = set()
    for draft, history, shows in (
        *((new.draft, new.history, new.spec is not None) for new in entering),
        *((move.draft, move.history, not move.stays) for move in moves),
    ):
        if draft is None or history is None or not shows or not closed.holds_text(draft):
            continue
        held = history.stored_latest
        waited = waits.get(held.object_id) if held is not None else None
        if audiences.policy(draft, held=held, waited=waited) == Group.Policy.CLOSED_FACTS:
            found.add(history)
    return found


def _move(
    draft: Draft, met: Met, *, audiences: BatchAudiences, history: History, waits: bool
) -> moving.Moving | Refusal | None:
    """The way of the newest version that is held to the audience that its batch names, if it names another.

    What waits for a definition is asked for anew even where it stays.
    """
    held = history.stored_latest
    settled = (
        history.moves or history.entering_latest is not None or history.newest != (draft.modified or "unversioned")
    )
    if held is None or settled or not audiences.names:
        return None
    destination = _destination(
        draft, met, audiences=audiences, history=history, source=Attribution(held.attribution), waited=None
    )
    if isinstance(destination, Refusal):
        return destination
    if destination.audience_id == held.audience_id and not waits:
        return None
    marking = audiences.marking(draft)
    return moving.Moving(
        draft.stix_id, held, destination.audience_id, marking, history, draft, destination.spec, destination.asked
    )
