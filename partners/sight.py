"""What a partner may see changes, by joining, leaving, another clearance: whoever keeps the log is told what of it.

The verbs that change membership or clearance do it inside `changing`. Which channels are opened and closed is asked of
memberships and clearances as they are then (`channels.turning`). Who keeps the log says at its start, by `turn_by`, how
it is done: in the same transaction, and at one place of the log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

from django.db import transaction
from django.db.models import F

from partners import channels, locks, waking
from partners.channels import Turn
from partners.keys.auth import viewer_whatever_state
from partners.models import Partner
from partners.tlp import Tlp
from partners.viewer import Viewer


def _at_the_beginning(turns: Sequence[Turn]) -> None:
    for turn in turns:
        channels.make_turn(turn, place=0)


_turner: Callable[[Sequence[Turn]], None] = _at_the_beginning


def turn_by(turner: Callable[[Sequence[Turn]], None]) -> None:
    """Have `turner` called for the partners whose sight changes, in the transaction that changes it."""
    global _turner  # noqa: PLW0603 - said once, at the start
    _turner = turner


@contextmanager
def changing(partner_ids: Iterable[UUID], *, also: Iterable[UUID] = ()) -> Iterator[None]:
    """Around whatever changes the sight of these partners; opens a transaction, in which nobody publishes for them.

    Nor for those that it concerns `also`, whose sight stays.
    """
    affected = list(partner_ids)
    with transaction.atomic():
        locks.standing_alone([*affected, *also])
        locked = Partner.objects.select_for_update(no_key=True).filter(pk__in=affected).order_by("pk")
        ids = [partner.pk for partner in locked]
        before = {pk: viewer_whatever_state(pk) for pk in ids}
        yield
        changed = [pk for pk in ids if _shown(viewer_whatever_state(pk)) != _shown(before[pk])]
        if changed:
            Partner.objects.filter(pk__in=changed).update(sight=F("sight") + 1)
            _turner([channels.turning(pk) for pk in changed])
        waking.wake()


def _shown(viewer: Viewer) -> tuple[frozenset[UUID], Tlp]:
    return viewer.group_ids, viewer.clearance
