"""Follow the change log from a remembered place, so that a lost hint costs time and never work."""

import time
from collections.abc import Callable

from django.db import transaction
from structlog import get_logger

from indicators.log import changes
from indicators.models import Progress

log = get_logger()

#: Who follows: names of Progress, whose other rows say how far work on other tables has come.
FOLLOWERS = ("bounds", "lines", "opinions", "tallies")
#: What takes longer than this is said in the log: everybody else who follows under this name waits for it.
SLOW_S = 5.0
#: Others of a worker's few threads have their turn after this, however fast the log grows.
MOST_S = 2.0


def follow(name: str, step: Callable[[int], int], *, rest: Callable[[], bool] = lambda: False) -> bool:
    """Call `step(after)` until it has nothing left; it returns the place reached, in the transaction that did the work.

    Returns whether anything was left after MOST_S: the caller then sends its task again, behind what waits.

    A step that finds more than one transaction should do notes it in a table; `rest()`, called after each step, does a
    part of that and says whether there is more.

    One follower works at a time; another that finds it at work leaves. That loses nothing: the one at work
    looks at the log once more after it has let go, and whoever left had committed its change before.
    """
    if name not in FOLLOWERS:
        raise ValueError(f"{name} is none of {', '.join(FOLLOWERS)}: nobody would measure how far behind it is")
    Progress.objects.get_or_create(name=name)
    until = time.monotonic() + MOST_S
    while more := _advance(name, step, rest):
        if time.monotonic() > until:
            break
    return more


def _advance(name: str, step: Callable[[int], int], rest: Callable[[], bool]) -> bool:
    """One step. Whether there may be more to do for this follower."""
    with transaction.atomic():
        place = Progress.objects.select_for_update(skip_locked=True).filter(name=name).first()
        if place is None:
            return False
        started = time.monotonic()
        reached = step(place.seq)
        more = rest()
        if (took_s := time.monotonic() - started) > SLOW_S:
            log.warning("follower.slow", name=name, after=place.seq, reached=reached, seconds=round(took_s, 1))
        if reached > place.seq:
            Progress.objects.filter(name=name).update(seq=reached)
    return more or reached < changes.head()
