"""What a partner may see changes, by joining, leaving, another clearance: whoever keeps the log is told what of it.

The verbs that change membership or clearance do it inside `changing`. What is gained and lost is asked of the one
rule, before and after, so that there is no inverse of it. The applications above say at their start, by `follow`,
what is to be done about it; they are called in the same transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F

from partners.auth import viewer_whatever_state
from partners.models import Partner
from partners.sharing import Viewer, audience_ids


@dataclass(frozen=True, slots=True)
class Sight:
    """One partner sees differently from now on: as whom it looked, and as whom it looks.

    What it gained and lost is asked of the rule when the follower asks, once nothing can come in between.
    """

    viewer: Viewer
    before: Viewer

    def gained(self) -> frozenset[int]:
        """Ids of the audiences that it sees now and did not see before."""
        return frozenset(audience_ids(self.viewer)) - frozenset(audience_ids(self.before))

    def lost(self) -> frozenset[int]:
        """Ids of the audiences that it saw before and does not see now."""
        return frozenset(audience_ids(self.before)) - frozenset(audience_ids(self.viewer))


_followers: list[Callable[[Sight], None]] = []


def follow(follower: Callable[[Sight], None]) -> None:
    """Have `follower` called for each partner whose sight changed, in the transaction that changed it."""
    if follower not in _followers:
        _followers.append(follower)


@contextmanager
def changing(partner_ids: Iterable[UUID]) -> Iterator[None]:
    """Around whatever changes the sight of these partners; opens a transaction, in which their rows are locked."""
    with transaction.atomic():
        locked = Partner.objects.select_for_update(no_key=True).filter(pk__in=list(partner_ids)).order_by("pk")
        ids = [partner.pk for partner in locked]
        before = {pk: viewer_whatever_state(pk) for pk in ids}
        yield
        for pk in ids:
            now, then = viewer_whatever_state(pk), before[pk]
            # Not whether the audiences differ: one may be on its way in that only the new sight reaches.
            if (now.group_ids, now.clearance) != (then.group_ids, then.clearance):
                Partner.objects.filter(pk=pk).update(sight=F("sight") + 1)
                for follower in _followers:
                    follower(Sight(viewer_whatever_state(pk), before=then))
        wake()


def wake() -> None:
    """On commit, wake whoever waits for the next change: who it is and what it may see is asked again."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify('exchange_changes', '')")
