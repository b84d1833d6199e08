"""What was let in becomes rows, and then places in the log. Called by `publishing`, last in its transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from exchange.sql import Message
from indicators.log import changes
from indicators.models import Change, Hidden, Holding
from indicators.publishing import moving, rationing, rejudging, storing
from indicators.publishing.storing import Begun, NewVersion, Turned
from indicators.publishing.versions import Entering, History
from indicators.reading import lines
from partners.attribution import Attribution
from partners.audiences import AudienceSpec
from partners.sharing import intern_audience, intern_withdrawn
from partners.tlp import Tlp
from partners.viewer import Viewer


def store(
    entering: Sequence[Entering],
    moves: Sequence[moving.Moving],
    closed: Sequence[History],
    *,
    said: Mapping[str, Tlp],
    by: Viewer,
    keys: Sequence[tuple[int, int]],
    within: Message,
) -> None:
    """Versions, their holdings and values, and last and under the order lock their places in the log.

    `keys` are those of versions and holdings that may be used; `said`: see `rejudging.Anew`. Every row is altered
    before that lock is taken, for all publishers wait for it.
    """
    if not entering and not moves and not closed:
        rejudging.hide_history(said, by=by, within=within)
        return
    placed = _Placed(entering, closed, keys)
    moved = [new for new in entering if new.latest and new.moves_from is not None]
    alone = _alone(entering, by=by) if moved or any(not new.latest for new in entering) else 0
    nobody = _nobody(
        {
            *(history.attribution or Attribution.NAMED for history in closed),
            *(new.source for new in entering if new.overtaken or new.history.closed),
        },
        by=by,
    )
    begun, turned = _turned(placed, nobody)
    woken = {new.wakes: new.draft for new in placed.entering if new.wakes is not None}
    storing.store(by.partner_id, placed.fresh, woken=woken, begun=begun, turned=turned, within=within)
    storing.mark(by.partner_id, placed.marked, within=within)
    storing.hide(_hidden(placed))
    storing.hide_history(
        [placed.holdings[new.history] for new in moved], Hidden.From.OTHERS, keep=list(placed.versions.values())
    )
    slept = [history.holding_id for history in placed.histories if history.slept and history.holding_id is not None]
    storing.hide_history(slept, Hidden.From.ALL, keep=list(placed.versions.values()))
    moving.rewrite(moves, keep=list(placed.versions.values()))
    rejudging.hide_history(said, by=by, within=within)
    left = [*_left(moved, closed), *moving.told(moves)]
    rationing.tell(by, [*left, *_entered(placed, alone, nobody)], within=within)


class _Placed:
    """Which keys the versions of a batch have, and their holdings."""

    def __init__(
        self, entering: Sequence[Entering], closed: Sequence[History], keys: Sequence[tuple[int, int]]
    ) -> None:
        unused = iter(keys)
        self.versions: dict[Entering, int] = {}
        self.holdings: dict[History, int] = {
            history: history.holding_id for history in closed if history.holding_id is not None
        }
        self.fresh: list[NewVersion] = []
        #: Those that are there already, after those that are new: the order in which they come into the log.
        self.entering = sorted(entering, key=lambda new: new.wakes is not None)
        for new in self.entering:
            if new.wakes is not None:
                self.versions[new] = new.wakes
                self._place(new.history, new.history.holding_id)
                continue
            version, holding = next(unused)
            self.versions[new] = version
            self._place(new.history, holding if new.history.holding_id is None else new.history.holding_id)
            self.fresh.append(NewVersion(new.draft, version, self.holdings[new.history], new.sha256, new.correction))

    def _place(self, history: History, holding_id: int | None) -> None:
        if holding_id is not None:
            self.holdings.setdefault(history, holding_id)

    @property
    def histories(self) -> Iterable[History]:
        """The holdings of which something enters or ends."""
        return self.holdings

    @property
    def marked(self) -> list[storing.NewMarked]:
        """Which markings the versions name."""
        return [
            one
            for new, version in self.versions.items()
            if new.draft.markings
            for one in rejudging.marked(version, new.draft, new.asked)
        ]


def _alone(entering: Sequence[Entering], *, by: Viewer) -> int:
    """The audience of what its publisher alone is told of; a batch has one source."""
    source = Attribution(max((new.source for new in entering), default=Attribution.NAMED))
    return intern_audience(by, AudienceSpec(Tlp.RED, attribution=source))


def _nobody(attributions: Iterable[int], *, by: Viewer) -> dict[int, int]:
    """The audience of what nobody sees, by how its source was shown."""
    return {kind: intern_withdrawn(by.partner_id, attribution=kind) for kind in attributions}


def _turned(placed: _Placed, nobody: Mapping[int, int]) -> tuple[list[Begun], list[Turned]]:
    """The holdings that begin, and what becomes of those that are stored; older versions alone change none."""
    entering = {new.history: new for new in reversed(placed.entering)}  # the first of each
    begun: list[Begun] = []
    turned: list[Turned] = []
    for history, holding_id in placed.holdings.items():
        newest = history.entering_latest
        if newest is None and not history.closed:
            continue
        if newest is None:
            source = entering[history].source if history.attribution is None else history.attribution
            row = Turned(holding_id, nobody[source], Holding.State.REVOKED, None)
        else:
            state = Holding.State.REVOKED if newest.draft.revoked else Holding.State.LIVE
            row = Turned(holding_id, newest.audience_id, state, placed.versions[newest])
        if history.holding_id is not None:
            turned.append(row)
            continue
        first = entering[history].draft
        said = (newest.draft.kind, newest.draft.valid_until) if newest is not None else (None, None)
        of_holding = row.holding_id, row.audience_id, row.state, row.newest_id
        begun.append(Begun(*of_holding, first.stix_id, first.stix_type, lines.creator_of(first), *said))
    return begun, turned


def _hidden(placed: _Placed) -> dict[int, Hidden.From | None]:
    """From whom versions are hidden from now on, by key."""
    hidden = {
        version: new.hidden_from
        for new, version in placed.versions.items()
        if new.wakes is not None or new.hidden_from is not None
    }
    for history in {new.history for new in placed.entering if new.correction}:
        hidden |= dict.fromkeys(history.corrected, Hidden.From.OTHERS)
    for history in {new.history for new in placed.entering if new.draft.revoked}:
        hidden |= dict.fromkeys(history.overtaken, Hidden.From.ALL)
    return hidden


def _left(moved: Sequence[Entering], closed: Sequence[History]) -> list[changes.NewChange]:
    """A remove for the readers that each re-addressed holding had, and each that ended without a version.

    Whoever sees the new version of a re-addressed holding is told of it next.
    """
    readdressed = [(new.history.stored_latest, new.audience_id) for new in moved]
    return [
        *(
            change
            for held, to in readdressed
            if held
            for change in changes.remove(held, Change.Reason.NARROWED, but=to)
        ),
        *changes.removes((history.stored_latest for history in closed), Change.Reason.REVOKED),
    ]


def _entered(placed: _Placed, alone: int, nobody: Mapping[int, int]) -> list[changes.NewChange]:
    return [
        changes.NewChange(
            holding_id=placed.holdings[new.history],
            version_id=version,
            audience_id=new.told_to(alone, nobody=nobody.get(new.source, 0)),
            op=Change.Op.REMOVE if new.draft.revoked and new.latest else Change.Op.UPSERT,
            reason=_reason(new),
            again=new.wakes is not None,
        )
        for new, version in placed.versions.items()
    ]


def _reason(new: Entering) -> Change.Reason:
    if new.draft.revoked and new.latest:  # an earlier revocation than the one that is held changes nothing
        return Change.Reason.REVOKED
    return Change.Reason.PUBLISHED if new.first else Change.Reason.REVISED
