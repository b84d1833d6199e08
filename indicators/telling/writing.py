"""Write the messages of a portion of deliveries, after asking again what each partner may see.

What several of them need is read once: the viewers of all by one query, and what is told once for each partner, filter
and stretch of the log, for the next portions, too, while nothing is committed. A message names ids and a link; content
leaves by one door, the delta feed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings
from structlog import get_logger

from exchange import clock, incarnation, paging, signing
from exchange.errors import Gone
from exchange.memory import Memory
from indicators.feeds import hinting
from indicators.feeds.filters import Filter
from indicators.log import changes, traced
from indicators.models import Delivery, Subscription
from indicators.telling import concerning, shaping, subscribing
from indicators.telling.attempting import Letter, Outcome
from partners.keys.auth import viewers_among
from partners.viewer import Viewer

log = get_logger()

#: Changes that one message names.
MAX_CHANGES = 100
#: For so long what a stretch said is told to others of the partner's addresses, where nothing was committed meanwhile:
#: what counts without a row of the log (a partner that is suspended, say) is late by no more.
_GOOD_S = 2.0
_STOPPED = Outcome(delivered=False, words="The partner is not active.", asked=False)
_NOTHING = Outcome(delivered=True, words="Nothing was left to tell.", asked=False)
_PRUNED = Outcome(delivered=True, words="Too long ago: the subscriber starts over.", asked=False, away=True)


def write(portion: Sequence[Delivery]) -> Iterator[tuple[Delivery, Letter | Outcome]]:
    """Each delivery with its letter, or how it ends without one.

    One that cannot be written is left out: its claim ends by itself, and it is claimed anew.
    """
    asking = _Asking(portion)
    for delivery in portion:
        try:
            yield delivery, _written(delivery, asking)
        except Exception:  # one message that cannot be written must not keep others from being sent
            log.exception("delivery.not-written", delivery=str(delivery.pk))


def message_id(delivery: Delivery) -> str:
    """The `webhook-id`: each message's own. What is sent again keeps the one that it had."""
    if delivery.kind == Delivery.Kind.PING:
        return f"ping_{delivery.pk}"
    return f"msg_{delivery.again_of_id or delivery.pk}"


def is_of(delivery: Delivery, kind: Delivery.Kind) -> bool:
    """Whether it tells what this kind tells, as it does when it is sent again."""
    return kind in (delivery.kind, delivery.again_of.kind if delivery.again_of else "")


@dataclass(frozen=True, slots=True)
class _Stretch:
    """What a stretch of the log tells one partner by one filter; `place` is the cursor where it begins."""

    hints: list[dict[str, Any]]
    urgent: bool
    more: bool
    place: str
    about: tuple[str, ...]


#: Which stretch: the partner, the filter, the places between which it lies, and whether only what concerns the partner.
_Which = tuple[UUID, str, int, int, bool]
#: What stretches said, for the next portions of this process, since the addresses of a partner come in several: by the
#: end of the log, the store's incarnation, and the viewer, whose sight is asked anew for each portion. Each
#: names a hundred changes at most.
_SAID: Memory[tuple[int, str, Viewer, _Which], tuple[float, _Stretch]] = Memory(most=500)


class _Asking:
    """What the messages of one portion ask of the store, each thing once."""

    def __init__(self, portion: Sequence[Delivery]) -> None:
        of_log = {one.partner_id for one in portion if not _says_no_changes(one)}
        # before anything is read: whatever is committed from now on gives another end
        self._head = changes.head() if of_log else 0
        self._viewers = viewers_among(of_log) if of_log else {}
        self._filters: dict[UUID | None, Filter] = {}

    def viewer(self, delivery: Delivery) -> Viewer | None:
        return self._viewers.get(delivery.partner_id)

    def stretch(self, viewer: Viewer, delivery: Delivery) -> _Stretch:
        wanted = self._filters.get(delivery.subscription.feed_id)
        if wanted is None:
            wanted = subscribing.filter_of(delivery.subscription.feed)
            self._filters[delivery.subscription.feed_id] = wanted
        if delivery.first_place is not None:
            return _of_set(viewer, delivery)
        only_yours = delivery.subscription.only_yours
        which = (delivery.partner_id, wanted.scope, delivery.first_seq, delivery.last_seq, only_yours)
        key, now = (self._head, delivery.incarnation, viewer, which), time.monotonic()
        good_until, said = _SAID.get(key) or (now, None)
        if said is None or good_until <= now:
            said = _read(viewer, wanted, first=delivery.first_seq, last=delivery.last_seq, only_yours=only_yours)
            _SAID.put(key, (now + _GOOD_S, said))
        return said


def since(viewer: Viewer, wanted: Filter, *, after: int, limit: int, matched: bool = True) -> changes.Span:
    """As `changes.since`. Raises Gone only for a place that is gone, not where a restore is heard of only now."""
    try:
        return changes.since(viewer, wanted, after=after, limit=limit, matched=matched)
    except Gone:
        return changes.since(viewer, wanted, after=after, limit=limit, matched=matched)


def _read(viewer: Viewer, wanted: Filter, *, first: int, last: int, only_yours: bool) -> _Stretch:
    span = since(viewer, wanted, after=first, limit=MAX_CHANGES)
    told = [change for change in span.changes if change.seq <= last]
    more = span.more and span.reached < last
    begins = changes.own_end(viewer, up_to=first) if told else 0  # the subscription's place tells of others
    place = paging.seal([begins, 0], viewer=viewer.partner_id, scope=f"changes;{wanted.scope}")
    hints = concerning.hints(viewer, told, only_yours=only_yours)
    about = tuple(traced.of(change.seq for change in told))
    return _Stretch(hints, concerning.is_urgent(hints), more, place, about)


def _of_set(viewer: Viewer, delivery: Delivery) -> _Stretch:
    """What the set of a feed that moves by itself says after a place, and a cursor of the feed's delta there.

    Where the feed does not move any more, nothing; where it has another set by now, what that says after the same
    place: either way the subscriber was told to read it once more.
    """
    subscription, first = delivery.subscription, delivery.first_place or 0
    if subscription.set_id is None:
        return _Stretch([], urgent=False, more=False, place="", about=())
    news = hinting.news(viewer, subscription.set_id, after=first, limit=MAX_CHANGES)
    feed = str(subscription.feed_id)
    place = hinting.cursor(viewer, feed=feed, feed_set=subscription.set_id, place=first)
    hints = concerning.hints(viewer, news.changes)
    return _Stretch(hints, concerning.is_urgent(hints), news.more, place, ())


def _says_no_changes(delivery: Delivery) -> bool:
    kinds = (Delivery.Kind.PING, Delivery.Kind.START_OVER, Delivery.Kind.FEED_CHANGED)
    return any(is_of(delivery, kind) for kind in kinds)


def _written(delivery: Delivery, asking: _Asking) -> Letter | Outcome:
    if delivery.kind == Delivery.Kind.PING:
        return _letter(delivery, _message(delivery, "ping", {}))
    if is_of(delivery, Delivery.Kind.START_OVER):
        return _letter(delivery, _message(delivery, "start-over", {"link": _beginning(delivery.subscription)}))
    if is_of(delivery, Delivery.Kind.FEED_CHANGED):
        feed = str(delivery.subscription.feed_id or "all")
        about = {"feed": feed, "urgent": True, "link": _beginning(delivery.subscription)}
        return _letter(delivery, _message(delivery, "feed.changed", about))
    viewer = asking.viewer(delivery)
    if viewer is None:
        return _STOPPED
    try:
        stretch = asking.stretch(viewer, delivery)
    except Gone:
        return _PRUNED
    if not stretch.hints:
        return _NOTHING
    return _letter(delivery, _message(delivery, "objects.changed", _changed(delivery, stretch)), about=stretch.about)


def _beginning(subscription: Subscription) -> str:
    """Where its feed is read from the beginning."""
    if subscription.set_id is not None:
        return f"{settings.BASE_URL}/api/v1/feeds/{subscription.feed_id}/delta"
    return f"{settings.BASE_URL}/api/v1/changes" + (f"?feed={subscription.feed_id}" if subscription.feed_id else "")


def _message(delivery: Delivery, what: str, data: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        "type": what,
        "timestamp": clock.rfc3339(clock.now()),
        "data": {
            "subscription": str(delivery.subscription_id),
            "incarnation": incarnation.word(delivery.incarnation),
            **data,
        },
    }


def _changed(delivery: Delivery, stretch: _Stretch) -> Mapping[str, Any]:
    """Which objects changed, and where to read what they say now: no value, and nothing to enforce."""
    feed = f"&feed={delivery.subscription.feed_id}" if delivery.subscription.feed_id else ""
    link = f"{settings.BASE_URL}/api/v1/changes?cursor={stretch.place}{feed}"
    if delivery.first_place is not None:
        link = f"{_beginning(delivery.subscription)}?cursor={stretch.place}"
    return {
        "feed": str(delivery.subscription.feed_id or "all"),
        "place": stretch.place,
        "urgent": stretch.urgent,
        "changes": stretch.hints,
        "more": stretch.more,
        "link": link,
    }


def _letter(delivery: Delivery, message: Mapping[str, Any], *, about: tuple[str, ...] = ()) -> Letter:
    body, moment = shaping.body(delivery.subscription, message), clock.now()
    secrets = subscribing.secrets_of(delivery.subscription, at=moment)
    signed = signing.headers(secrets=secrets, message_id=message_id(delivery), at=moment, body=body)
    return Letter(
        url=delivery.subscription.url,
        body=body,
        headers={"Content-Type": "application/json", "User-Agent": "Exchange-Webhook/1", **signed},
        about=about,
        facts={"exchange.delivery": str(delivery.pk), "exchange.delivery.kind": delivery.kind},
    )
