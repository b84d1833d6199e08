"""Holdings that go to another audience without new bytes: who loses sight is told, who gains it, and their publisher.

A remove is told in the channels that are lost and to the publisher, an upsert in the channels that are gained. To who
sees the object all the same, a remove says that it is there as it is now, if they see it otherwise than before
(`changes.since`): in fewer of their groups, or as its publisher.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection

from indicators import stored
from indicators.log import changes, traits
from indicators.models import Change, Hidden
from indicators.publishing import storing
from indicators.publishing.reach import Reach
from indicators.publishing.versions import History
from indicators.stix.drafts import Draft
from partners.audiences import AudienceSpec
from partners.tlp import Tlp


@dataclass(frozen=True, slots=True, eq=False)
class Moving:
    """The newest version of a holding on its way to another audience."""

    stix_id: str
    held: stored.Version
    audience_id: int
    tlp: Tlp
    history: History | None = None
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
    if moves:
        with connection.cursor() as cursor:
            cursor.execute(traits.REWRITE, [[move.held.object_id for move in moves]])
            cursor.execute(traits.INDEX)
    storing.hide_history([move.held.holding_id for move in moves], Hidden.From.OTHERS, keep=kept)


def told(moves: Sequence[Moving]) -> list[changes.NewChange]:
    """The changes that tell of it: in the channels that are lost, and in those that are gained."""
    found: list[changes.NewChange] = []
    for move in moves:
        found += changes.remove(move.held, Change.Reason.NARROWED, but=move.audience_id)
        found.append(
            changes.NewChange(
                holding_id=move.held.holding_id,
                version_id=move.held.object_id,
                audience_id=move.audience_id,
                op=Change.Op.UPSERT,
                reason=Change.Reason.GRANTED,
                again=True,
                but=move.held.audience_id,
            )
        )
    return found
