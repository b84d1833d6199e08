"""A feed's list cut into ranges of one size, for look-up by prefix (`exchange.lists.ranges`, docs/delta.md).

As a snapshot, a file is made in the background, belongs to one `FeedSet`, and is never altered: a newer one has another
name. What its reader lost since (narrowed, disarmed, recalled, withdrawn) takes the whole file away, also while they
are still to be told of it. What was revoked or came is in the next one, which is made FRESH after the one before, and
later where the list is long.

The only writer of RangeFile, and of the files that end in `.ranges` in SNAPSHOT_DIR.
"""

from __future__ import annotations

import json
import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db.models import Q

from exchange import clock
from exchange.celery import app
from exchange.errors import Gone, NotFound
from exchange.lists import lines, ranges
from indicators.feeds import blocklists, deltas, proving, snapshots
from indicators.feeds.filters import Filter
from indicators.models import FeedSet, RangeFile
from partners.viewer import Viewer

#: A file is made anew at most so often, and for each entry so much more seldom: a million, ten minutes.
FRESH = timedelta(seconds=30)
_MORE = timedelta(microseconds=600)
_ENDS = ".ranges"
#: While it is written; what a killed worker leaves goes like what no row names.
_PART = ".part"
_CLAIM = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Cut:
    """A file that may be served: its name, its head, and for how many seconds it is not made anew."""

    name: str
    head: ranges.Head
    fresh_s: int


def head(viewer: Viewer, *, feed: str) -> Cut | None:
    """The newest file for this reader; None where one is being made. Raises NotFound, Conflict."""
    feed_set, made, may_serve = _of(viewer, feed=feed)
    RangeFile.unrestricted.filter(pk=made.pk).update(asked_at=clock.now())
    if not may_serve:
        make.delay_on_commit(feed_set.pk)
        return None
    lasts = FRESH + made.entries * _MORE
    if feed_set.place > made.place and made.made_at and made.made_at + lasts < clock.now():
        make.delay_on_commit(feed_set.pk)
    with _path(made.name).open("rb") as file:
        return Cut(made.name, ranges.Head.read(json.loads(file.read(ranges.HEAD))), int(lasts.total_seconds()))


def block(viewer: Viewer, *, feed: str, name: str, number: int) -> bytes:
    """One range of a file. Raises NotFound where there is no such range, Gone where another file took its place."""
    _, made, may_serve = _of(viewer, feed=feed)
    if name != made.name or not may_serve:
        raise Gone("Other ranges took the place of these. Ask for their head again.", code="start-over")
    with _path(name).open("rb") as file:
        found = ranges.Head.read(json.loads(file.read(ranges.HEAD)))
        if number >= found.ranges:
            raise NotFound
        file.seek(ranges.HEAD + number * found.size)
        return file.read(found.size)


def _of(viewer: Viewer, *, feed: str) -> tuple[FeedSet, RangeFile, bool]:
    """A reader's set, its newest file, and whether that may be served."""
    feed_set, told = snapshots.brought(viewer, feed=feed)
    made, _ = RangeFile.unrestricted.get_or_create(feed_set=feed_set)
    there = bool(made.name) and _path(made.name).is_file()
    return feed_set, made, told and there and not snapshots.lost(viewer, feed_set, since=made.place)


@app.task(name="indicators.feeds.ranging.make", ignore_result=True)
def make(feed_set_id: int) -> None:
    """Write the file of a set, unless another worker does. May run twice, and be killed anywhere."""
    moment = clock.now()
    free = Q(claimed_until=None) | Q(claimed_until__lt=moment)
    own = RangeFile.unrestricted.filter(feed_set=feed_set_id)
    if not own.filter(free).update(claimed_until=moment + _CLAIM):
        return
    try:
        _make(feed_set_id)
    finally:
        own.update(claimed_until=None)


def _make(feed_set_id: int) -> None:
    feed_set = FeedSet.unrestricted.filter(pk=feed_set_id).first()
    viewer = snapshots.reader(feed_set) if feed_set else None
    if viewer is None or feed_set is None:
        return
    feed = "all" if feed_set.feed_id is None else str(feed_set.feed_id)
    if proving.scope_of(viewer, feed=feed) != feed_set.scope:  # the key's groups are others by now
        return
    while not _made(viewer, feed_set.pk, feed=feed):
        pass


def _made(viewer: Viewer, feed_set_id: int, *, feed: str) -> bool:
    """Write the file of the set as it is now; False if the feed's filter was changed meanwhile."""
    found, wanted = _whole(viewer, feed=feed)
    own = RangeFile.unrestricted.filter(feed_set=feed_set_id)
    before = own.get()
    if before.name and before.place == found.place and _path(before.name).is_file():
        return True
    name, cutter = secrets.token_hex(16), ranges.Cutter()
    for line in lines.of(blocklists.said(viewer, wanted)):
        cutter.take(line)
    _write(name, cutter)
    if deltas.feed_of(viewer, feed).scope != wanted.scope:
        _path(name).unlink(missing_ok=True)
        return False
    own.update(name=name, place=found.place, entries=cutter.entries, made_at=clock.now())
    if before.name:
        _path(before.name).unlink(missing_ok=True)
    return True


def _whole(viewer: Viewer, *, feed: str) -> tuple[FeedSet, Filter]:
    """The set as the log stands now, and the filter that it is of: the feed may be given another meanwhile."""
    while True:
        wanted = deltas.feed_of(viewer, feed)
        found = proving.brought(viewer, wanted, feed=feed)
        if found.complete and found.filter == proving.followed(wanted):
            return found, wanted


def _write(name: str, cutter: ranges.Cutter) -> None:
    settings.SNAPSHOT_DIR.mkdir(parents=True, exist_ok=True)
    part = _path(name).with_suffix(_PART)
    try:
        with part.open("wb") as file:
            file.writelines(cutter.pieces())
        part.replace(_path(name))
    finally:
        part.unlink(missing_ok=True)


def _path(name: str) -> Path:
    return Path(settings.SNAPSHOT_DIR) / f"{name}{_ENDS}"


@app.task(name="indicators.feeds.ranging.forget", ignore_result=True)
def forget() -> None:
    """Remove what nobody asks for, what is beyond a partner's share, and files that no row names. Safe to run twice."""
    snapshots.leave_shares(RangeFile.unrestricted.all())
    named = set(RangeFile.unrestricted.values_list("name", flat=True))
    long_ago = (clock.now() - _CLAIM).timestamp()
    written = Path(settings.SNAPSHOT_DIR)
    for path in (*written.glob(f"*{_ENDS}"), *written.glob(f"*{_PART}")):
        with suppress(FileNotFoundError):
            if path.stem not in named and path.stat().st_mtime < long_ago:
                path.unlink()
