"""A publisher takes a holding back: whoever held it is told to drop it, and nobody sees it any more.

Nothing is deleted, for the log and the audit record stand. More than a partner's cap within an hour is disarmed first
(`disarming`), and so is what a person takes back: it can be undone for an hour. The holding goes to an audience that
the rule shows to nobody, and a version that is taken back alone is hidden; the same bytes, pushed again by somebody
who asks for that, wake them (`versions`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import transaction

from exchange import clock
from exchange.errors import NotFound
from exchange.sql import Message
from indicators import living, publishing, stored
from indicators.ending import disarming
from indicators.log import changes
from indicators.models import Change, Ending, Hidden, Holding
from indicators.publishing import answering, rationing, storing
from indicators.publishing.barring import beyond_the_key, require_within
from indicators.publishing.reach import Reach
from indicators.publishing.results import NOT_HELD, OF_OTHER_GROUPS, Result, Status
from indicators.publishing.storing import Turned
from indicators.stix import identifiers
from indicators.telling import notifying
from partners import locks
from partners.attribution import Attribution
from partners.audiences import AudienceSpec
from partners.log import audit
from partners.proof import asked_again
from partners.scopes import Scope
from partners.sharing import intern_audience
from partners.tlp import Tlp
from partners.viewer import Viewer

_EARLIEST = datetime.min.replace(tzinfo=UTC)


def withdraw(viewer: Viewer, stix_ids: Sequence[str], *, undoable: bool = False) -> bool:
    """Take back all versions of the viewer's own holdings of these ids; returns whether that disarmed them.

    Above the partner's cap of ends what lives is disarmed, and where it is to be `undoable` in any case. Raises
    Forbidden without the scope to publish, NotFound if one of the ids is not held: then none is taken back.
    """
    viewer.require(Scope.PUBLISH)
    return _take_back(viewer, stix_ids, only=None, undoable=undoable)


def withdraw_each(viewer: Viewer, stix_ids: Sequence[str], *, request: publishing.Request) -> publishing.Answer:
    """Take back what is held of these ids, and answer each as a push is answered: a retry is given the first answer.

    `accepted` is what was taken back, `unchanged` what had been before, `refused` what is not held or beyond the key.
    Raises Forbidden without the scope to publish, Conflict where the idempotency key was used for another request.
    """
    viewer.require(Scope.PUBLISH)
    received_at, ids = clock.now(), [identifiers.folded(stix_id) for stix_id in stix_ids]
    with transaction.atomic():
        first = Message()
        locks.share(viewer.partner_id, first)
        storing.locking_publisher(viewer.partner_id, first)
        require_still = asked_again(viewer, first)
        earlier = answering.before(viewer, request, first)
        holdings = storing.versions_within(first, viewer.partner_id, set(ids))
        first.send()
        require_still()
        if (answered := earlier()) is not None:
            return answered
        found = holdings()
        results = _answers(viewer, ids, found)
        taken = [result.stix_id for result in results if result.status == "accepted" and result.stix_id]
        parts = {stix_id: _part(found[stix_id], only=None) for stix_id in taken}
        mass = _is_mass(viewer, parts)
        if mass:
            results = disarming.reworded(results, _living(parts))
        last = Message()
        groups = answering.groups_of(Reach(), by=viewer)
        answer = answering.write(
            results, by=viewer, request=request, groups=groups, received_at=received_at, within=last
        )
        if taken:
            told = _let_go(viewer, parts, mass=mass, within=last)
            target = f"batch:{answer.batch_id}"
            audit.record(audit.Verb.OBJECTS_WITHDRAWN, by=viewer, target=target, within=last, ids=taken)
            rationing.tell(viewer, told, within=last)
            transaction.on_commit(notifying.hint, robust=True)
        last.send()
    return answer


def _answers(viewer: Viewer, stix_ids: Sequence[str], found: Mapping[str, stored.Versions]) -> list[Result]:
    barred = beyond_the_key(found, by=viewer)
    awake = {stix_id for stix_id, holding in found.items() if any(not one.withdrawn for one in holding.values())}
    results = []
    for index, stix_id in enumerate(stix_ids):
        why = NOT_HELD if stix_id not in found else OF_OTHER_GROUPS if stix_id in barred else None
        status: Status = "refused" if why is not None else "accepted" if stix_id in awake else "unchanged"
        results.append(Result(index, stix_id, None, status, why))
        awake -= {stix_id} if why is None else set()
    return results


def withdraw_on_behalf(viewer: Viewer, stix_ids: Sequence[str]) -> None:
    """The same where it is not the publisher who decides: for a partner that leaves. It is final, however many."""
    _take_back(viewer, stix_ids, only=None, for_good=True)


def withdraw_versions(viewer: Viewer, stix_id: str, object_ids: Collection[int]) -> None:
    """Take back some versions of a holding, by their keys; the newest that is left takes the place of the newest.

    A revocation is not taken back alone, for revoked is final: with it goes the whole holding. Raises as `withdraw`.
    """
    viewer.require(Scope.PUBLISH)
    _take_back(viewer, [stix_id], only=frozenset(object_ids))


@transaction.atomic
def _take_back(
    viewer: Viewer,
    stix_ids: Sequence[str],
    *,
    only: frozenset[int] | None,
    for_good: bool = False,
    undoable: bool = False,
) -> bool:
    """Take back; returns whether that disarmed them: they were more than the partner's cap, or it is `undoable`."""
    wanted = identifiers.canonical(stix_ids)
    storing.lock_publisher(viewer.partner_id)
    found = storing.versions(viewer.partner_id, wanted)
    require_within(found, by=viewer, ids=wanted)
    parts = {stix_id: _part(found.get(stix_id, {}), only=only) for stix_id in wanted}
    ended = len(_living(parts))
    alone = undoable and bool(ended) and not disarming.is_mass(viewer, ended)
    mass = alone or (not for_good and _is_mass(viewer, parts))
    last = Message()
    told = _let_go(viewer, parts, mass=mass, alone=alone, within=last)
    audit.record(audit.Verb.OBJECTS_WITHDRAWN, by=viewer, target=f"objects:{len(wanted)}", within=last, ids=wanted)
    rationing.tell(viewer, told, within=last)
    last.send()
    transaction.on_commit(notifying.hint, robust=True)
    return mass


def _living(parts: Mapping[str, _Part]) -> dict[str, disarming.Ended]:
    """The living holdings of which all is taken, by id, with their newest versions."""
    return {
        stix_id: disarming.Ended(held)
        for stix_id, part in parts.items()
        for held in part.taken
        if part.whole and held.latest and living.lives(held.state)
    }


def _is_mass(viewer: Viewer, parts: Mapping[str, _Part]) -> bool:
    """Whether this ends more than the partner's cap; what ends for good is counted."""
    ended = len(_living(parts))
    if disarming.is_mass(viewer, ended):
        return True
    disarming.note(viewer, ended, Ending.Verb.WITHDRAW)
    return False


@dataclass(frozen=True, slots=True)
class _Part:
    """What is taken of a holding, whether that is all of it, and the version that becomes its newest, if one does."""

    taken: list[stored.Version]
    whole: bool
    heir: stored.Version | None


def _let_go(
    viewer: Viewer, parts: Mapping[str, _Part], *, mass: bool, within: Message, alone: bool = False
) -> list[changes.NewChange]:
    """Hide what is taken back of each holding, make the heirs the newest, and return what is to be told.

    What lives is disarmed where it is a `mass`; `alone`: no second person is needed to make that final.
    """
    disarmed = _living(parts) if mass else {}
    others = [part for stix_id, part in parts.items() if stix_id not in disarmed]
    heirs = [(part.heir, _seen_by(part.heir, by=viewer)) for part in others if part.heir is not None]
    withdrawn = [part.taken[0] for part in others if part.whole]
    newest = [held for part in others for held in part.taken if held.latest]
    storing.turn(
        [
            *disarming.asleep(withdrawn, publisher_id=viewer.partner_id, state=Holding.State.WITHDRAWN),
            *(Turned(heir.holding_id, audience, Holding.State.LIVE, heir.object_id) for heir, audience in heirs),
        ]
    )
    storing.hide(
        {held.object_id: Hidden.From.ALL for part in others if not part.whole for held in part.taken}
        | {heir.object_id: None for heir, _ in heirs if heir.alone}
    )
    ending = disarming.an_ending(viewer, len(disarmed), Ending.Verb.WITHDRAW, alone=alone)
    told = disarming.disarm_as(ending, disarmed, by=viewer, within=within) if disarmed else []
    return [
        *told,
        *changes.removes(newest, Change.Reason.WITHDRAWN),
        *(_takes_its_place(viewer, heir, audience) for heir, audience in heirs),
    ]


def _seen_by(heir: stored.Version, *, by: Viewer) -> int:
    """The audience that a holding has once this version is its newest: whoever saw the version."""
    if not heir.alone:
        return heir.audience_id
    return intern_audience(by, AudienceSpec(Tlp.RED, attribution=Attribution(heir.attribution)))


def _part(holding: stored.Versions, *, only: frozenset[int] | None) -> _Part:
    """What is taken of a holding. Raises NotFound."""
    awake = sorted(
        ((modified or _EARLIEST, held) for modified, held in holding.items() if not held.withdrawn),
        key=lambda version: version[0],
    )
    taken = [held for _, held in awake if only is None or held.object_id in only]
    if not taken:
        raise NotFound
    if any(held.latest and held.revoked for held in taken):
        taken = [held for _, held in awake]
    left = [held for _, held in awake if held not in taken]
    loses_newest = any(held.latest for held in taken)
    return _Part(taken, whole=not left, heir=left[-1] if left and loses_newest else None)


def _takes_its_place(viewer: Viewer, heir: stored.Version, audience_id: int) -> changes.NewChange:
    """An older version is the newest from now on."""
    return changes.NewChange(
        holding_id=heir.holding_id,
        version_id=heir.object_id,
        audience_id=audience_id,
        op=Change.Op.UPSERT,
        reason=Change.Reason.REVISED,
        again=True,
    )
