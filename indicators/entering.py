"""What was let in becomes rows, and then places in the log. Called by `publishing`, last in its transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from exchange.prepared import Message
from indicators import changes, moving, rejudging, storing
from indicators.models import Change
from indicators.versions import Entering, Line
from partners.attribution import Attribution
from partners.sharing import AudienceSpec, Viewer, intern_audience, intern_withdrawn
from partners.tlp import Tlp


def store(
    entering: Sequence[Entering],
    moves: Sequence[moving.Moving],
    closed: Sequence[Line],
    *,
    said: Mapping[str, Tlp],
    by: Viewer,
    keys: Sequence[int],
    within: Message,
) -> None:
    """Objects and tokens, then, last and under the order lock, their places in the log; `said`: see `rejudging.Anew`.

    Every row is altered before that lock is taken, for all publishers wait for it.
    """
    if not entering and not moves and not closed:
        rejudging.hide_history(said, by=by)
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
    rejudging.hide_history(said, by=by)
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
