"""What is in force for one subscriber of a feed, kept as rows with a count and a set hash: what the delta proves.

`FeedSet` is the set of one partner (and, for a key of some groups, of these) under one filter; `InForce` its rows. A
set follows its subscriber's own log: whatever a stretch of it tells, the objects of these ids are asked for anew, under
the rule and the filter, and what came, changed or went gets the next place of the set. So the set is what the log
said, at the price of its changes, whoever asks; two agents on one key share it. Cursors are places of the set.

An element is named by shown source and id (docs/delta.md). Where two holdings of one id have one shown source, the
older holding stands for both.

A feed's filter may be changed. Its sets then follow their log once more from the beginning: what the new filter does
not let through is told as removed (`filtered`), what it lets through comes, and what stays is not told again.

The only writer of FeedSet and InForce.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import batched, count
from uuid import UUID

from django.db import connection, transaction
from structlog import get_logger

from exchange import clock, incarnation
from exchange.celery import app
from exchange.errors import Conflict, Gone
from exchange.lists import sets
from exchange.sql import ask, columns, instance
from indicators.feeds import comparing, filters
from indicators.feeds.comparing import Found
from indicators.feeds.filters import EVERYTHING, Filter
from indicators.log import changes
from indicators.models import Feed, FeedSet, InForce
from partners.viewer import Viewer

log = get_logger()

#: So many changes of the log a set takes in at a request; the rest at the next.
_STRETCH = 2_000
_STRETCH_BYTES = 8 * 1024 * 1024
#: Of what came or went by itself, so many ids are taken in at a time.
_AT_ONCE = 5_000
_APART = timedelta(microseconds=1)
#: Sets of one partner.
_MOST_SETS = 500
#: How long a removal is told, so that who was away shorter need not start over.
KEPT = timedelta(days=90)
#: A set that nobody asked for is forgotten no sooner: its subscriber starts over. `asked_at` is an hour old at most.
UNUSED = KEPT + timedelta(hours=1)
#: A filter that moves without a change in the log is asked for anew, whole, this often at most; and where that takes
#: long, so that it takes this share of the time, and all such sets of a partner that are asked for take this together.
_MOVES, _SHARE, _TOGETHER = timedelta(seconds=10), 0.05, 0.1
#: A set counts among them for so long after it was last asked for.
_ASKED_LATELY = timedelta(hours=3)
#: While another one of the partner's is being compared, the next try comes after this.
_NEXT_TRY = timedelta(seconds=1)
_DISARMED_TOO = "disarmed too"


@dataclass(frozen=True, slots=True)
class Told:
    """What the log said of an object: what, why, and when."""

    op: str
    reason: str
    at: datetime


#: By shown source and id.
_Log = Mapping[tuple[UUID, str], Told]


def scope_of(viewer: Viewer, *, feed: str) -> str:
    """What a set is kept for besides its partner: the feed, and which groups the key may see."""
    return _scope(viewer, feed, "")


def former_scope_of(viewer: Viewer, wanted: Filter, *, feed: str) -> str:
    """The same as it was written while a feed's filter could not be changed."""
    return _scope(viewer, feed, wanted.scope)


def _scope(viewer: Viewer, feed: str, selects: str) -> str:
    groups = sorted(map(str, viewer.key_groups or viewer.group_ids)) if viewer.limited else []
    return f"{feed};{selects};{','.join(groups)}"


def brought(viewer: Viewer, wanted: Filter, *, feed: str, woken: bool = False) -> FeedSet:
    """The set as the log stands now, or nearer to it by a stretch (`complete` says which). Raises Conflict.

    `woken`: asked because somebody committed something. What moves by itself is then looked for only where the viewer
    is told of that: the time at which it is found says nothing of what others do unseen.
    """
    scope = scope_of(viewer, feed=feed)
    feed_set = (
        _held(viewer, scope) or _renamed(viewer, scope, wanted, feed=feed) or _begun(viewer, scope, wanted, feed=feed)
    )
    if feed_set.incarnation != incarnation.current() and feed_set.incarnation != incarnation.read():
        feed_set = _begun_anew(viewer, feed_set, wanted, feed=feed)
    try:
        span = _span(viewer, feed_set)
    except Gone:
        feed_set = _begun_anew(viewer, feed_set, wanted, feed=feed)
        span = _span(viewer, feed_set)
    stays = feed_set.filter == followed(wanted) and (woken or not _moves(feed_set, wanted))
    if not span.changes and span.reached == feed_set.after and feed_set.complete and stays:
        if clock.now() - feed_set.asked_at > timedelta(hours=1):
            FeedSet.unrestricted.filter(pk=feed_set.pk).update(asked_at=clock.now())
        return feed_set
    return _advanced(viewer, feed_set.pk, wanted, feed=feed, woken=woken)


def _held(viewer: Viewer, scope: str) -> FeedSet | None:
    """The subscriber's set, which is asked for with each page; prepared, where the ORM would write its query anew."""
    rows = ask(_HELD, {"partner": viewer.partner_id, "scope": scope})
    return instance(FeedSet, rows[0]) if rows else None


# One row, or none.
_HELD = f"""
SELECT {columns(FeedSet, "s")} FROM indicators_feedset s WHERE s.partner_id = %(partner)s AND s.scope = %(scope)s
"""


def followed(wanted: Filter) -> str:
    """By what a set follows its log, as it is kept with it: another filter, or rule, begins at the first change again.

    Where the filter asks for a standing, whatever is disarmed is told of by the log; sets of before that were not, and
    lack what was disputed or refuted by then.
    """
    return f"{wanted.scope};{_DISARMED_TOO}" if wanted.says_standing else wanted.scope


def _moves(feed_set: FeedSet, wanted: Filter) -> bool:
    """Whether a filter that moves by itself is to be asked anew."""
    return bool(wanted.moving) and (feed_set.looked_at is None or clock.now() - feed_set.looked_at > _MOVES)


def _span(viewer: Viewer, feed_set: FeedSet) -> changes.Span:
    """What the log says next, of all that the viewer sees: also of what is disarmed, for the filter may ask for it."""
    return changes.since(
        viewer,
        EVERYTHING,
        after=feed_set.after,
        limit=_STRETCH,
        fresh_until=feed_set.fresh,
        max_bytes=_STRETCH_BYTES,
        matched=False,
        all_disarmed=True,
    )


def _advanced(viewer: Viewer, pk: int, wanted: Filter, *, feed: str, woken: bool) -> FeedSet:
    """Take in the next stretch, alone: what is read under the lock is what is written, the feed's filter, too."""
    with transaction.atomic():
        feed_set = FeedSet.unrestricted.select_for_update().filter(pk=pk).first()
        if feed_set is None:
            raise Gone("This feed was begun anew. Start over without a cursor.", code="start-over")
        wanted = wanted if feed == "all" else filters.parse(Feed.unrestricted.get(pk=feed).filter)
        if feed_set.filter != followed(wanted):
            _begin_again(feed_set, wanted)
        span = _span(viewer, feed_set)
        moves = _moves(feed_set, wanted) and (bool(span.changes) or not woken)
        told = {(one.publisher_id, one.stix_id): Told(one.op, one.reason, one.date_added) for one in span.changes}
        if told:
            _take(viewer, feed_set, wanted, told)
        feed_set.after, feed_set.complete = span.reached, not span.more
        if moves and feed_set.complete:
            _compare(viewer, feed_set, wanted)
        feed_set.asked_at = clock.now()
        feed_set.save()
    return feed_set


def _begin_again(feed_set: FeedSet, wanted: Filter) -> None:
    """Follow the log from the beginning, under another filter. The ends up to where it was are taken in already."""
    feed_set.filter = followed(wanted)
    feed_set.fresh = max(feed_set.after, feed_set.fresh)
    feed_set.after, feed_set.complete, feed_set.looked_at = 0, False, None
    if wanted.moving:
        with connection.cursor() as cursor:
            cursor.execute(_TELL_APART, {"feed_set": feed_set.pk})


# What a set told at one moment, before each row had a moment of its own, lies a microsecond apart, by place: TAXII goes
# by these moments once the filter moves by itself.
_TELL_APART = """
UPDATE indicators_inforce f SET told_at = f.told_at + later.count * interval '1 microsecond'
FROM (
    SELECT r.id, row_number() OVER (PARTITION BY r.told_at ORDER BY r.place) - 1 AS count
    FROM indicators_inforce r WHERE r.feed_set_id = %(feed_set)s
) later
WHERE later.id = f.id AND later.count > 0
"""


def _renamed(viewer: Viewer, scope: str, wanted: Filter, *, feed: str) -> FeedSet | None:
    """The set that is kept under its former scope, if there is one, under its scope of now."""
    former = FeedSet.objects.of(viewer).filter(scope=former_scope_of(viewer, wanted, feed=feed))
    former.update(scope=scope, filter=wanted.scope)
    return FeedSet.objects.of(viewer).filter(scope=scope).first()


def _begun(viewer: Viewer, scope: str, wanted: Filter, *, feed: str) -> FeedSet:
    if FeedSet.objects.of(viewer).count() >= _MOST_SETS:
        raise Conflict(f"A partner follows at most {_MOST_SETS} feeds at a time.", code="too-many-sets")
    made, _ = FeedSet.unrestricted.get_or_create(
        partner_id=viewer.partner_id,
        scope=scope,
        defaults={
            "feed_id": None if feed == "all" else UUID(feed),
            "filter": followed(wanted),
            "set_key": secrets.token_bytes(sets.KEY_BYTES),
            "fresh": changes.own_end(viewer),
            "incarnation": incarnation.read(),
        },
    )
    return made


def _begun_anew(viewer: Viewer, feed_set: FeedSet, wanted: Filter, *, feed: str) -> FeedSet:
    """Another set in the place of one whose log is another: its cursors lead nowhere."""
    FeedSet.unrestricted.filter(pk=feed_set.pk).delete()
    return _begun(viewer, feed_set.scope, wanted, feed=feed)


def _take(viewer: Viewer, feed_set: FeedSet, wanted: Filter, told: _Log) -> None:
    """Bring the elements of these ids to what they are now."""
    _settle(
        feed_set,
        comparing.found(viewer, wanted, ids=sorted({stix_id for _, stix_id in told})),
        comparing.held(feed_set, ids=sorted({stix_id for _, stix_id in told})),
        told,
    )


def _compare(viewer: Viewer, feed_set: FeedSet, wanted: Filter) -> None:
    """Take in what moved by itself, unless another set of the partner's is being compared; and say when it is next."""
    if not ask(_ALONE, {"partner": str(viewer.partner_id)})[0][0]:
        feed_set.looked_at = clock.now() - _MOVES + _NEXT_TRY
        return
    begun = time.monotonic()
    try:
        _take_what_moved(viewer, feed_set, wanted)
    except comparing.TookTooLong:
        log.warning("feed.comparison_took_too_long", feed_set=feed_set.pk, count=feed_set.count)
    rests = timedelta(seconds=_rest_s(time.monotonic() - begun, sets=_moving(viewer, but=feed_set) + 1))
    feed_set.looked_at = clock.now() + max(rests - _MOVES, timedelta(0))


def _rest_s(took_s: float, *, sets: int) -> float:
    """How long a set rests after a comparison, where so many of its partner's share what they may take together."""
    return took_s * max(1 / _SHARE, sets / _TOGETHER)


def _moving(viewer: Viewer, *, but: FeedSet) -> int:
    """How many other sets of the partner's move by themselves, and were asked for lately."""
    lately = clock.now() - _ASKED_LATELY
    sets_ = FeedSet.objects.of(viewer).filter(looked_at__isnull=False, asked_at__gt=lately)
    return sets_.exclude(pk=but.pk).count()


# Of one partner's sets one is compared at a time, by whatever process: whoever comes meanwhile does not wait.
_ALONE = "SELECT pg_try_advisory_xact_lock(hashtextextended('feeds that move: ' || %(partner)s, 0))"


def _take_what_moved(viewer: Viewer, feed_set: FeedSet, wanted: Filter) -> None:
    """The same of the ids that came or went by themselves."""
    for ids in batched(comparing.moved(viewer, feed_set, wanted), _AT_ONCE):
        found, held = comparing.found(viewer, wanted, ids=ids), comparing.held(feed_set, ids=ids)
        _settle(feed_set, found, held, {})


def _settle(feed_set: FeedSet, found: Iterable[Found], held: Sequence[Found], told: _Log) -> None:
    """Write what differs, removals first, each at the next place; and count and hash with it.

    In the order in which they were first published: that in which the store finds them depends on what lies between,
    seen or not.
    """
    wanted: dict[tuple[UUID, str], Found] = {}
    for one in found:
        name = (one.source, one.stix_id)
        if name not in wanted or one.holding < wanted[name].holding:
            wanted[name] = one
    total = sets.SetHash(feed_set.count, int.from_bytes(feed_set.total))
    now = clock.now()
    moments = _moments(feed_set, now)
    key = bytes(feed_set.set_key)
    rows: list[InForce] = []
    replaced: list[int] = []
    before = {(one.source, one.stix_id): one for one in held}
    gone = [one for name, one in sorted(before.items(), key=_published) if name not in wanted]
    for one in gone:
        total.drop(_element(key, one))
        reason = told.get((one.source, one.stix_id))
        why = reason.reason if reason and reason.op == "remove" else "filtered"
        feed_set.place += 1
        rows.append(_row(feed_set, one, reason=why, at=reason.at if reason else now, now=next(moments)))
    for name, one in sorted(wanted.items(), key=_published):
        old = before.get(name)
        if old is not None and _shows(old) == _shows(one):
            continue
        if old is not None:
            total.drop(_element(key, old))
        total.add(_element(key, one))
        reason = told.get((one.source, one.stix_id))
        feed_set.place += 1
        if old is not None and old.holding != one.holding:
            replaced.append(old.holding)
            feed_set.lost = feed_set.place  # no row says what became of the old one
        came = one._replace(came=feed_set.place if old is None else old.came)
        rows.append(_row(feed_set, came, reason="", at=reason.at if reason else now, now=next(moments)))
    feed_set.count, feed_set.total = total.count, total.total.to_bytes(32)
    InForce.unrestricted.filter(feed_set=feed_set, holding_id__in=replaced).delete()
    InForce.unrestricted.bulk_create(
        rows,
        batch_size=2_000,
        update_conflicts=True,
        unique_fields=["feed_set", "holding"],
        update_fields=_REPLACED,
    )


def _published(named: tuple[tuple[UUID, str], Found]) -> int:
    return named[1].holding


def _shows(one: Found) -> tuple[object, ...]:
    """What a row shows of it that may change: where only its marking does, it is told, though no hash tells of that."""
    return one.version, one.holding, one.source_name, one.named, one.tlp


#: What takes the place of what was told of a holding before.
_REPLACED = ("version", "source", "source_name", "named", "tlp", "place", "came", "removed", "date_added", "told_at")


def _moments(feed_set: FeedSet, now: datetime) -> Iterator[datetime]:
    """When rows are told, each later than all before it in this set, whatever the clock does: TAXII goes by that."""
    last = InForce.unrestricted.filter(feed_set=feed_set).order_by("-place").values_list("told_at", flat=True).first()
    begins = now if last is None else max(now, last + _APART)
    return (begins + place * _APART for place in count())


def _row(feed_set: FeedSet, one: Found, *, reason: str, at: datetime, now: datetime) -> InForce:
    return InForce(
        feed_set=feed_set,
        holding_id=one.holding,
        version_id=one.version,
        source=one.source,
        source_name=one.source_name,
        named=one.named,
        tlp=one.tlp,
        place=feed_set.place,
        came=one.came,
        removed=reason,
        date_added=at,
        told_at=now,
    )


def _element(key: bytes, one: Found) -> int:
    return sets.element(key, source=str(one.source), stix_id=one.stix_id, sha256=one.sha256, end=sets.moment(one.until))


@app.task(name="indicators.feeds.proving.forget", ignore_result=True)
def forget() -> None:
    """Forget removals that were told long ago, and sets that nobody asks for. Safe to run at any time, and twice."""
    now = clock.now()
    FeedSet.unrestricted.filter(asked_at__lt=now - UNUSED).delete()
    old = InForce.unrestricted.exclude(removed="").filter(told_at__lt=now - KEPT)
    for row in old.values("feed_set").distinct():
        with transaction.atomic():
            feed_set = FeedSet.unrestricted.select_for_update().filter(pk=row["feed_set"]).first()
            if feed_set is None:
                continue
            gone = old.filter(feed_set=feed_set)
            last = gone.order_by("-place").values_list("place", flat=True).first()
            if last is not None:
                FeedSet.unrestricted.filter(pk=feed_set.pk, pruned__lt=last).update(pruned=last)
                gone.delete()
