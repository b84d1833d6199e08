"""A person's digest by e-mail: what concerns their partner, and what changed in its feeds, by the hour or by the day.

A row of Digest says when the next one is due. What it tells is read when it is sent, as the person sees it then: who
lost their rights in between is told nothing. Numbers, words of the vocabulary and links leave the house, no value and
no name of another partner. Where there is nothing to tell, nothing is sent. What could not be sent is in the next one.
"""

from __future__ import annotations

import email.policy
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.policy import Policy
from functools import lru_cache
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

from django.conf import settings
from django.core import signing
from django.core.mail import EmailMessage
from django.db import connection, transaction
from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext, ngettext

from exchange import clock
from exchange.celery import app
from exchange.errors import Conflict, Gone, NotFound, Refused, Unauthenticated
from exchange.translating import later
from indicators.feeds import hinting
from indicators.feeds.filters import Filter
from indicators.log import changes
from indicators.models import Change, Digest, Feed
from indicators.telling import inbox, subscribing
from partners import mailing
from partners.keys.auth import viewer_of_partner, viewer_of_user
from partners.log import audit
from partners.models import User
from partners.viewer import Viewer

#: Feeds of one digest.
MOST_FEEDS = 20
#: Items of the inbox that are told one by one.
MOST_ITEMS = 30
#: Changes of a feed that are counted one by one.
_MOST_CHANGES = 500
#: Digests that one turn of the task makes.
_AT_ONCE = 500
#: How far back the first one looks, and any after a long silence.
_FARTHEST = timedelta(days=7)
#: For how long one is tried; the next hourly one comes after it.
_KEPT = timedelta(minutes=50)
_HOUR = timedelta(hours=1)
#: What happened in so short a time may not be committed yet: it is in the next one.
_SETTLED = timedelta(seconds=10)
#: Characters of a line of a mail at most (RFC 5322 §2.1.1).
_LONGEST_LINE = 998
_PURPOSE = "digest"
_SALT = "indicators.telling.digesting"


@dataclass(frozen=True, slots=True)
class Wish:
    """How a person wants to be told. Hours are whole and of their own clock; without quiet hours both are None."""

    every: Digest.Every = Digest.Every.OFF
    hour: int = 8
    time_zone: str = "UTC"
    quiet_from: int | None = None
    quiet_until: int | None = None
    feeds: tuple[UUID, ...] = ()


def of(user: User) -> Wish:
    """What a person has chosen."""
    digest = Digest.objects.filter(user=user).first()
    return Wish() if digest is None else _wish(digest)


def choose(viewer: Viewer, user: User, wish: Wish) -> Wish:
    """Write down how a person of the viewer's partner wants to be told. Raises Refused naming the field, NotFound."""
    if user.partner_id != viewer.partner_id:
        raise NotFound
    _require_good(wish)
    chosen = list(Feed.objects.of(viewer).filter(pk__in=wish.feeds))
    if len(chosen) < len(set(wish.feeds)):
        raise NotFound("There is no such feed.")
    if wish.every != Digest.Every.OFF and not user.email:
        raise Refused("There is no e-mail address to send it to.", code="no-address", at="/every")
    moment = clock.now()
    with transaction.atomic():
        before = Digest.objects.select_for_update().filter(user=user).first()
        begins = before is None or before.every == Digest.Every.OFF
        digest = before or Digest(user=user, told_at=moment, seq=changes.head())
        if begins:
            digest.told_at, digest.seq = moment, changes.head()
        digest.every, digest.hour, digest.time_zone = wish.every, wish.hour, wish.time_zone
        digest.quiet_from, digest.quiet_until = wish.quiet_from, wish.quiet_until
        digest.due_at = next_due(wish, after=moment)
        digest.feeds = sorted({str(feed) for feed in wish.feeds})
        moving = {feed: wanted for feed in chosen if (wanted := subscribing.filter_of(feed)).moving}
        kept = {} if begins else digest.places or {}
        # As it is sent, to who sees all groups of the partner, though it was chosen with a key for some of them.
        whole = viewer_of_partner(viewer.partner_id) or viewer
        digest.places = {
            str(feed.pk): kept.get(str(feed.pk)) or _place(whole, wanted, feed) for feed, wanted in moving.items()
        }
        digest.save()
        audit.record(audit.Verb.DIGEST_CHOSEN, by=viewer, target=f"user:{user.pk}", every=wish.every)
    return of(user)


def next_due(wish: Wish, *, after: datetime) -> datetime | None:
    """When the next digest after a moment is sent: at a full hour outside the quiet ones; None where there is none."""
    if wish.every == Digest.Every.OFF:
        return None
    zone = ZoneInfo(wish.time_zone)
    if wish.every == Digest.Every.DAILY:
        local = after.astimezone(zone).replace(hour=wish.hour, minute=0, second=0, microsecond=0, fold=0)
        due = next(day for day in (local, _next_day(local)) if day.astimezone(after.tzinfo) > after)
        due = due.astimezone(after.tzinfo)
    else:
        due = after.replace(minute=0, second=0, microsecond=0) + _HOUR
    return _awake(wish, due)


def _awake(wish: Wish, at: datetime) -> datetime:
    """This moment, or so many hours later that it is none of the quiet ones."""
    later = (at + hours * _HOUR for hours in range(24))
    return next((moment for moment in later if not _is_quiet(wish, moment)), at)


def _next_day(local: datetime) -> datetime:
    """The same hour by the clock on the wall, whatever the clock did in the night."""
    return local + timedelta(days=1)


def _is_quiet(wish: Wish, at: datetime) -> bool:
    begin, end, hour = wish.quiet_from, wish.quiet_until, at.astimezone(ZoneInfo(wish.time_zone)).hour
    if begin is None or end is None or begin == end:
        return False
    return begin <= hour < end if begin < end else hour >= begin or hour < end


def zones() -> Sequence[str]:
    """The names of time zones that can be chosen, sorted."""
    return _zones()


@lru_cache(maxsize=1)
def _zones() -> tuple[str, ...]:
    return tuple(sorted(name for name in available_timezones() if "/" in name or name == "UTC"))


def _require_good(wish: Wish) -> None:
    for name, hour in (("hour", wish.hour), ("quiet_from", wish.quiet_from), ("quiet_until", wish.quiet_until)):
        if hour is not None and not 0 <= hour <= 23:
            raise Refused("An hour from 0 to 23.", code="bad-hour", at=f"/{name}")
    if (wish.quiet_from is None) != (wish.quiet_until is None):
        raise Refused("Both ends of the quiet hours, or none.", code="bad-hour", at="/quiet_until")
    if wish.time_zone not in _zones():
        raise Refused("The name of a time zone, such as Europe/Berlin.", code="bad-time-zone", at="/time_zone")
    if len(wish.feeds) > MOST_FEEDS:
        raise Refused(f"At most {MOST_FEEDS} feeds.", code="too-many-feeds", at="/feeds")


# unsubscribing, without signing in


def token_of(digest: Digest) -> str:
    """Names a digest in the links of its mails; good for ending it and for nothing else."""
    return signing.dumps(str(digest.pk), salt=_SALT)


def named(token: str) -> Digest:
    """The digest of a link. Raises NotFound for any token that is not ours."""
    try:
        digest_id = UUID(signing.loads(token, salt=_SALT))
    except (signing.BadSignature, TypeError, ValueError):
        raise NotFound from None
    digest = Digest.objects.select_related("user").filter(pk=digest_id).first()
    if digest is None:
        raise NotFound
    return digest


def end(token: str) -> None:
    """Send its person no digest any more. Raises NotFound. Once more is as once."""
    digest = named(token)
    with transaction.atomic():
        ended = Digest.objects.filter(pk=digest.pk).exclude(every=Digest.Every.OFF)
        if ended.update(every=Digest.Every.OFF, due_at=None):
            about = digest.user.partner_id
            audit.record(audit.Verb.DIGEST_ENDED, by=None, about=about, target=f"user:{digest.user_id}")


# sending


@app.task(name="indicators.telling.digesting.catch_up")
def catch_up() -> None:
    """Have those sent that are due."""
    moment = clock.now()
    due = Digest.objects.filter(due_at__lte=moment).order_by("due_at", "pk").select_related("user")
    for digest in due[:_AT_ONCE]:
        wish = _wish(digest)
        if _is_quiet(wish, moment):  # it was due before, and nobody was there to send it
            _put_off(digest, wish, moment)
            continue
        upcoming = next_due(wish, after=moment)
        with transaction.atomic():
            if Digest.objects.filter(pk=digest.pk, due_at=digest.due_at).update(due_at=upcoming):
                mailing.ask_later(_PURPOSE, str(digest.pk), kept=_KEPT, partner_id=digest.user.partner_id)


def _put_off(digest: Digest, wish: Wish, moment: datetime) -> None:
    """Send it at the first full hour that is not quiet, where it is not sent before anyway."""
    due = _awake(wish, moment.replace(minute=0, second=0, microsecond=0) + _HOUR)
    Digest.objects.filter(pk=digest.pk).filter(Q(due_at__lte=moment) | Q(due_at__gt=due)).update(due_at=due)


def _wish(digest: Digest) -> Wish:
    every = Digest.Every(digest.every)
    feeds = tuple(map(UUID, digest.feeds))
    return Wish(every, digest.hour, digest.time_zone, digest.quiet_from, digest.quiet_until, feeds)


def send(digest_id: str) -> None:
    """Read what there is to tell, as its person sees it now, and send it. Raises OSError, SMTPException.

    Nothing is sent to who ended it meanwhile, is not active any more, or lacks an address. What waited into the quiet
    hours waits until they are over.
    """
    digest = Digest.objects.select_related("user").filter(pk=digest_id).exclude(every=Digest.Every.OFF).first()
    if digest is None or not digest.user.email:
        return
    if _is_quiet(wish := _wish(digest), clock.now()):
        _put_off(digest, wish, clock.now())
        return
    try:
        viewer = viewer_of_user(digest.user)
    except Unauthenticated:
        return
    moment, place = clock.now() - _SETTLED, changes.head()
    told = compose(viewer, digest, until=moment)
    if told is not None:
        _mail(digest, told)
    _goes_on(digest, told_at=moment, seq=place)


@transaction.atomic
def _goes_on(digest: Digest, *, told_at: datetime, seq: int) -> None:
    """The next one tells what came since; of feeds that were chosen meanwhile, what came since they were."""
    now = Digest.objects.select_for_update().filter(pk=digest.pk, told_at=digest.told_at).first()
    if now is None:
        return
    places = {**(now.places or {}), **(digest.places or {})}
    now.places = {feed: reached for feed, reached in places.items() if feed in now.feeds}
    now.told_at, now.seq = told_at, seq
    now.save(update_fields=["told_at", "seq", "places"])


mailing.writes(_PURPOSE, send)


def _mail(digest: Digest, told: tuple[str, str]) -> None:
    subject, text = told
    leave = f"{settings.BASE_URL}{reverse('digest-end', args=[token_of(digest)])}"
    where = f"{settings.BASE_URL}{reverse('digest')}"
    text += gettext("\nHow often you are told: {where}\nNo digest any more: {leave}\n").format(where=where, leave=leave)
    # RFC 8058: the mail program posts to this address, without a page and without signing in
    headers = {
        "List-Unsubscribe": f"<{leave}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "Auto-Submitted": "auto-generated",
    }
    if not connection.in_atomic_block:
        connection.close()  # back to the pool, while the mail server takes its time
    _Mail(subject, text, to=[digest.user.email], headers=headers).send()


class _Mail(EmailMessage):
    """A mail whose headers are not folded: a long address would be coded (RFC 2047), and no program reads it then."""

    def message(self, *, policy: Policy | None = None) -> Any:
        """As it is sent."""
        return super().message(policy=(policy or email.policy.default).clone(max_line_length=_LONGEST_LINE))


def compose(viewer: Viewer, digest: Digest, *, until: datetime) -> tuple[str, str] | None:
    """Subject and text of what is new for a viewer; None where nothing is. The subject holds numbers alone."""
    since = max(digest.told_at, until - _FARTHEST)
    items = [one for one in inbox.inbox(viewer, since=since, limit=MOST_ITEMS + 1) if one.at <= until]
    feeds = [
        (feed, counted)
        for feed in Feed.objects.of(viewer).filter(pk__in=digest.feeds).order_by("name", "pk")[:MOST_FEEDS]
        if (counted := _counted(viewer, feed, digest))
    ]
    if not items and not feeds:
        return None
    for_you = gettext("{count} or more for you") if len(items) > MOST_ITEMS else gettext("{count} for you")
    changed = ngettext("changes in {count} feed", "changes in {count} feeds", len(feeds))
    parts = [for_you.format(count=min(len(items), MOST_ITEMS))] * bool(items)
    parts += [changed.format(count=len(feeds))] * bool(feeds)
    lines = [*_of_items(items), *_of_feeds(feeds)]
    return f"Exchange: {', '.join(parts)}", "\n".join(lines) + "\n"


def _place(viewer: Viewer, wanted: Filter, feed: Feed) -> list[int]:
    """The set of a feed that moves by itself, and its last place."""
    feed_set = hinting.caught_up(viewer, wanted, feed=feed.pk)
    return [feed_set.pk, feed_set.place]


def _counted(viewer: Viewer, feed: Feed, digest: Digest) -> Mapping[str, Any] | None:
    """How many changes a feed had since the last digest, by what happened; None where there was none.

    Of one that moves by itself, the last one of each object, from where `digest.places` says, which goes on from here.
    """
    wanted, after = subscribing.filter_of(feed), digest.seq
    if wanted.moving:
        try:
            now = _place(viewer, wanted, feed)
        except Conflict:  # the partner follows too many feeds
            return None
        before = (digest.places or {}).get(str(feed.pk))
        digest.places = {**(digest.places or {}), str(feed.pk): now}
        told = hinting.counted(now[0], after=before[1]) if before and before[0] == now[0] else {}
        return {**told, "more": False} if any(told.values()) else None
    try:
        span = changes.since(viewer, wanted, after=after, limit=_MOST_CHANGES, matched=False)
    except Gone:  # away for longer than the log is kept, or restored: from now on
        return None
    ops = Counter(change.op for change in span.changes)
    return {"new": ops[Change.Op.UPSERT], "gone": ops[Change.Op.REMOVE], "more": span.more} if ops else None


def _of_items(items: Sequence[inbox.Item]) -> Iterable[str]:
    if not items:
        return
    yield gettext("For you")
    for item in items[:MOST_ITEMS]:
        what = _WORDS[item.kind]
        word = item.says if item.kind in _SPEAK else ", ".join(item.did)
        says = f": {word.replace('_', ' ')}" if word else ""
        yield f"- {item.at:%Y-%m-%d %H:%M} UTC, {what}{says}\n  {_link(item)}"
    if len(items) > MOST_ITEMS:
        yield f"- {gettext('and more')}"
    yield ""


_WORDS: Mapping[str, str] = {
    "agent": later("an agent of yours"),
    "appeal": later("an appeal on one of yours"),
    "campaign": later("a campaign that your accounts are in"),
    "connection": later("a connection of yours to another server"),
    "endpoint": later("a system of yours that takes webhooks"),
    "match": later("a match with one of yours"),
    "opinion": later("an opinion on one of yours"),
    "recall": later("something was recalled; what holds it should drop it"),
    "report-schedule": later("a schedule of reports of yours that ended by itself"),
}
_OF_SYSTEMS = ("agent", "endpoint")
#: What these say is a word of the vocabulary.
_SPEAK = ("agent", "appeal", "connection", "endpoint", "match", "opinion", "report-schedule")


def _link(item: inbox.Item) -> str:
    if item.kind in _OF_SYSTEMS:
        where = reverse("portal-subscriptions")
    elif item.kind == "connection":
        where = reverse("portal-connections")
    elif item.kind == "report-schedule":
        where = reverse("portal-report-schedules")
    elif item.kind == "campaign":
        where = reverse("portal-campaign", args=[UUID(item.about.partition("--")[2])])
    else:
        where = reverse("indicator", args=[item.about])
    return f"{settings.BASE_URL}{where}"


def _of_feeds(feeds: Sequence[tuple[Feed, Mapping[str, Any]]]) -> Iterable[str]:
    if not feeds:
        return
    yield gettext("Your feeds")
    for feed, counted in feeds:
        words = (
            gettext("{new} new or changed, {gone} to be dropped, and more")
            if counted["more"]
            else gettext("{new} new or changed, {gone} to be dropped")
        )
        says = words.format(new=f"{counted['new']:,}", gone=f"{counted['gone']:,}")
        name = " ".join(feed.name.split())
        yield f"- {name}: {says}"
        yield f"  {settings.BASE_URL}{reverse('indicators')}?view={feed.pk}"
    yield ""
