"""A feed's set as one file, for who begins: made in the background, never altered, served with ranges (docs/delta.md).

A file belongs to one `FeedSet`: one partner, the groups that its key may see, and one filter. It holds what the set
held at one place, each row read under the rule, and ends with the delta's trailer, whose cursor goes on from there.
Whoever asks for it is asked for anew: a file with anything in it that its reader lost since is no longer served, and
none while they are still to be told what they lost.

The only writer of Snapshot, and of the files in SNAPSHOT_DIR.
"""

from __future__ import annotations

import gzip
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import zstandard
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q, QuerySet

from exchange import clock
from exchange.celery import app
from exchange.lists import pages
from indicators.feeds import deltas, proving
from indicators.models import FeedSet, InForce, RangeFile, Snapshot
from indicators.sight import resighting
from partners.keys.auth import viewer_of_partner
from partners.sharing import audiences_visible_to
from partners.viewer import Viewer

#: By the coding of its content, how a file's name ends.
ENDS = {"zstd": ".ndjson.zst", "gzip": ".ndjson.gz"}
#: What its reader must not be handed any more: they lost it, and did not merely see it end.
_LOST = ("disarmed", "flood", "narrowed", "recalled", "withdrawn")
_PAGE = 2_000
#: A set that has moved on further is written anew: a beginner would read as much again by the delta.
_OLD_PLACES, _OLD_SHARE = 10_000, 0.25
#: Nobody else makes it for so long.
_CLAIM = timedelta(minutes=30)
#: A file that nobody asked for in this time goes; of one partner, all but so many go.
UNUSED = timedelta(days=3)
MOST_OF_A_PARTNER = 20


@dataclass(frozen=True, slots=True)
class File:
    """A file that may be served: where it lies, its strong tag, and how many rows it has."""

    path: Path
    etag: str
    rows: int


def served(viewer: Viewer, *, feed: str, coding: str) -> File | None:
    """The file for this reader; None where one is being made. Raises NotFound, Conflict."""
    feed_set, told = brought(viewer, feed=feed)
    made, _ = Snapshot.unrestricted.get_or_create(feed_set=feed_set)
    Snapshot.unrestricted.filter(pk=made.pk).update(asked_at=clock.now())
    path = _path(made.name, coding)
    if not (told and made.name and path.is_file()) or lost(viewer, feed_set, since=made.place):
        make.delay_on_commit(feed_set.pk)
        return None
    if _is_old(feed_set, made):
        make.delay_on_commit(feed_set.pk)
    return File(path, f'"{made.name}-{coding}"', made.rows)


def brought(viewer: Viewer, *, feed: str) -> tuple[FeedSet, bool]:
    """The reader's set as the log stands now, and whether they have been told all that they lost. Raises as `served`.

    That is asked first: what is told from then on, the set finds in the log.
    """
    told = not resighting.is_behind(viewer.partner_id)
    return proving.brought(viewer, deltas.feed_of(viewer, feed), feed=feed), told


def lost(viewer: Viewer, feed_set: FeedSet, *, since: int) -> bool:
    """Whether its reader lost anything that the set held at a place of it, or nobody knows any more.

    What left the set for another reason, as by the filter, may have been lost later: so its reader is asked for, too.
    Of what another holding of its id and source stands in for, the set alone says so.
    """
    if not feed_set.complete or not max(feed_set.pruned, feed_set.lost) <= since <= feed_set.place:
        return True
    unseen = ~Q(holding__audience__in=audiences_visible_to(viewer).values("pk"))
    left = InForce.unrestricted.filter(feed_set=feed_set, place__gt=since).exclude(removed="")
    return left.filter(Q(removed__in=_LOST) | unseen).exists()


def _is_old(feed_set: FeedSet, made: Snapshot) -> bool:
    return feed_set.place - made.place > max(_OLD_PLACES, _OLD_SHARE * made.rows)


@app.task(name="indicators.feeds.snapshots.make", ignore_result=True)
def make(feed_set_id: int) -> None:
    """Write the file of a set, unless another worker does. May run twice, and be killed anywhere."""
    now = clock.now()
    free = Q(claimed_until=None) | Q(claimed_until__lt=now)
    claimed = Snapshot.unrestricted.filter(free, feed_set=feed_set_id).update(claimed_until=now + _CLAIM)
    feed_set = FeedSet.unrestricted.filter(pk=feed_set_id).first()
    viewer = reader(feed_set) if claimed and feed_set else None
    if viewer is None or feed_set is None:
        return
    try:
        _make(viewer, feed_set)
    finally:
        Snapshot.unrestricted.filter(feed_set=feed_set_id).update(claimed_until=None)


def _make(viewer: Viewer, feed_set: FeedSet) -> None:
    feed = "all" if feed_set.feed_id is None else str(feed_set.feed_id)
    wanted = deltas.feed_of(viewer, feed)
    scope = proving.scope_of(viewer, feed=feed)
    if scope != feed_set.scope:  # the key's groups are others by now
        return
    while not (found := proving.brought(viewer, wanted, feed=feed)).complete:
        pass
    before = Snapshot.unrestricted.get(feed_set=feed_set.pk)
    if before.place == found.place and before.name and all(_path(before.name, one).is_file() for one in ENDS):
        return
    name = secrets.token_hex(16)
    with _one_moment():
        rows, place = _write(name, deltas.Whole(viewer, found.pk, scope))
    Snapshot.unrestricted.filter(feed_set=feed_set.pk).update(name=name, place=place, rows=rows, made_at=clock.now())
    if before.name:
        _remove(before.name)


@contextmanager
def _one_moment() -> Iterator[None]:
    """A transaction whose statements all see the same; part of another, it sees what that does."""
    outermost = not connection.in_atomic_block
    with transaction.atomic():
        if outermost:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        yield


def _write(name: str, whole: deltas.Whole) -> tuple[int, int]:
    """Write both files; how many rows they have, and the place of the set that they are of."""
    settings.SNAPSHOT_DIR.mkdir(parents=True, exist_ok=True)
    parts = {coding: _path(f"{name}.part", coding) for coding in ENDS}
    writer = pages.Writer()
    try:
        with ExitStack() as opened:
            files: list[Any] = [
                opened.enter_context(zstandard.open(parts["zstd"], "wb", cctx=zstandard.ZstdCompressor(level=3))),
                opened.enter_context(gzip.open(parts["gzip"], "wb", compresslevel=1)),
            ]
            for line in _lines(writer, whole):
                for file in files:
                    file.write(line)
        for coding, part in parts.items():
            part.replace(_path(name, coding))
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)
    return writer.rows, whole.place


def _lines(writer: pages.Writer, whole: deltas.Whole) -> Iterator[bytes]:
    for line in whole.lines(_PAGE):
        yield writer.row(line)
    yield whole.trailer(writer)


def reader(feed_set: FeedSet) -> Viewer | None:
    """Whoever the set is of: its partner, or a key for some of its groups."""
    viewer = viewer_of_partner(feed_set.partner_id)
    groups = feed_set.scope.rpartition(";")[2]
    if viewer is None or not groups:
        return viewer
    named = frozenset(UUID(group) for group in groups.split(","))
    return replace(viewer, limited=True, key_groups=named, group_ids=viewer.group_ids & named)


def _path(name: str, coding: str) -> Path:
    return Path(settings.SNAPSHOT_DIR) / f"{name}{ENDS[coding]}"


def _remove(name: str) -> None:
    for coding in ENDS:
        _path(name, coding).unlink(missing_ok=True)


def leave_shares[Row: (Snapshot, RangeFile)](rows: QuerySet[Row]) -> None:
    """Delete of such rows what nobody asked for lately, and of each partner all but MOST_OF_A_PARTNER."""
    rows.filter(asked_at__lt=clock.now() - UNUSED).delete()
    for partner in rows.values_list("feed_set__partner", flat=True).distinct():
        of = rows.filter(feed_set__partner=partner).order_by("-asked_at", "pk")
        kept = list(of.values_list("pk", flat=True)[:MOST_OF_A_PARTNER])
        of.exclude(pk__in=kept).delete()


@app.task(name="indicators.feeds.snapshots.forget", ignore_result=True)
def forget() -> None:
    """Remove what nobody asks for, what is beyond a partner's share, and files that no row names. Safe to run twice."""
    leave_shares(Snapshot.unrestricted.all())
    named = set(Snapshot.unrestricted.values_list("name", flat=True))
    long_ago = (clock.now() - _CLAIM).timestamp()
    for path in Path(settings.SNAPSHOT_DIR).glob("*.ndjson*"):
        if path.name.partition(".")[0] not in named and path.stat().st_mtime < long_ago:
            path.unlink(missing_ok=True)
