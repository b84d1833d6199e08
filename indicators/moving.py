"""Holdings that go to another audience without new bytes: who loses sight is told, who gains it, and nobody else.

    rows -> order lock -> who sees the old audience, who the new one -> changes for the log

A remove is told to the audience that was lost, and `changes.since` leaves it out for those who see the object all the
same. An upsert is told by name to those who did not see it before; they are asked of the one rule under the lock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from indicators import changes, storing
from indicators.addressing import Reach
from indicators.models import Change, Hidden
from indicators.stix.drafts import Draft
from indicators.versions import Line
from partners.auth import every_viewer
from partners.sharing import AudienceSpec, Viewer, intern_telling, who_sees
from partners.tlp import Tlp


@dataclass(frozen=True, slots=True, eq=False)
class Moving:
    """The newest version of a holding on its way to another audience."""

    stix_id: str
    held: storing.Version
    audience_id: int
    tlp: Tlp
    line: Line | None = None
    draft: Draft | None = None
    spec: AudienceSpec | None = None
    asked: Reach | None = None  # of what waits for the definition of a marking: where it is to go then

    @property
    def stays(self) -> bool:
        """Whether it is there already; what is new is at most where it is to go later."""
        return self.audience_id == self.held.audience_id


def rewrite(moves: Sequence[Moving], *, keep: Sequence[int] = ()) -> None:
    """Give the holdings their new audience; older versions are left to their publisher alone, but for `keep`."""
    storing.readdress({move.held.holding_id: move.audience_id for move in moves})
    kept = [*keep, *(move.held.object_id for move in moves)]
    storing.hide_history([move.held.holding_id for move in moves], Hidden.From.OTHERS, keep=kept)


def told(moves: Sequence[Moving], *, by: Viewer) -> list[changes.NewChange]:
    """The changes that tell of it. Takes the order lock: whoever joins meanwhile finds the rows as they are now."""
    if not moves:
        return []
    changes.lock()
    sees = who_sees({pk for move in moves for pk in (move.held.audience_id, move.audience_id)}, every_viewer())
    tellings: dict[tuple[int, frozenset[UUID]], int] = {}
    found: list[changes.NewChange] = []
    for move in moves:
        found += changes.removes([move.held], Change.Reason.NARROWED, publisher_id=by.partner_id)
        gained = sees[move.audience_id] - sees[move.held.audience_id]
        if not gained:
            continue
        if (move.tlp, gained) not in tellings:
            tellings[move.tlp, gained] = intern_telling(by.partner_id, move.tlp, gained)
        found.append(
            changes.NewChange(
                holding_id=move.held.holding_id,
                object_id=move.held.object_id,
                publisher_id=by.partner_id,
                audience_id=tellings[move.tlp, gained],
                op=Change.Op.UPSERT,
                reason=Change.Reason.GRANTED,
                again=True,
            )
        )
    return found
