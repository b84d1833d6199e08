"""Who wants to be told of what, and where: the only writer of Feed and Subscription."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import ProtectedError

from exchange import clock, incarnation, outbound, sealing, signing
from exchange.errors import Conflict, NotFound, Refused
from indicators.feeds import addresses, filters, proving
from indicators.log import changes
from indicators.models import Feed, FeedSet, Subscription
from partners import waking
from partners.log import audit
from partners.scopes import Scope
from partners.viewer import Viewer

_MAX_FEEDS = 200
_MAX_SUBSCRIPTIONS = 50
_MAX_NAME_CHARS = 120
#: How long a former signing secret may go on signing.
MAX_OVERLAP = timedelta(days=7)


def save_feed(viewer: Viewer, *, name: str, filter_json: Mapping[str, Any]) -> Feed:
    """Save a filter under a name. Raises Refused naming the field, Conflict if the name is taken."""
    viewer.require(Scope.SUBSCRIBE)
    wanted = filters.accepted(viewer, filter_json)
    name = _named(name)
    if Feed.objects.of(viewer).count() >= _MAX_FEEDS:
        raise Conflict(f"A partner has at most {_MAX_FEEDS} feeds.", code="too-many-feeds")
    try:
        with transaction.atomic():
            feed = Feed.unrestricted.create(partner_id=viewer.partner_id, name=name, filter=wanted.to_json())
            audit.record(audit.Verb.FEED_SAVED, by=viewer, target=f"feed:{feed.pk}")
    except IntegrityError:
        raise _taken() from None
    return feed


def change_feed(
    viewer: Viewer, feed_id: UUID, *, name: str | None = None, filter_json: Mapping[str, Any] | None = None
) -> tuple[Feed, bool]:
    """Change the name of a feed, its filter, or both; and whether it selects something else by that.

    Whoever follows it by the delta is told what comes and what goes. Raises NotFound, Refused naming the field, also
    for a filter that moves by itself while an address is told what of it concerns its partner alone; Conflict if the
    name is taken; Forbidden where a key for some groups changes the filter, which selects for all of them.
    """
    viewer.require(Scope.SUBSCRIBE)
    if filter_json is not None:
        viewer.require_all_groups()
    wanted = None if filter_json is None else filters.accepted(viewer, filter_json)
    named = None if name is None else _named(name)
    own_feed(viewer, feed_id)
    try:
        with transaction.atomic():
            feed = _locked(feed_id)
            selects = wanted is not None and wanted.scope != filter_of(feed).scope
            changed = ["filter"] * selects + ["name"] * (named not in (None, feed.name))
            if wanted is not None and selects:
                feed.filter, feed.changed_at = wanted.to_json(), clock.now()
            feed.name = named or feed.name
            feed.save(update_fields=["name", "filter", "changed_at"])
            if selects:
                _placed_anew(viewer, feed)
            if changed:
                audit.record(audit.Verb.FEED_CHANGED, by=viewer, target=f"feed:{feed_id}", changed=changed)
            if selects:
                waking.wake()
    except IntegrityError:
        raise _taken() from None
    return feed, selects


def delete_feed(viewer: Viewer, feed_id: UUID) -> None:
    """Delete a feed that no subscription uses. Raises NotFound, Conflict, or Forbidden for a key for some groups."""
    viewer.require(Scope.SUBSCRIBE)
    viewer.require_all_groups()
    own_feed(viewer, feed_id)
    try:
        with transaction.atomic():
            _locked(feed_id, no_key=False).delete()
            addresses.end_all(viewer, feed_id)
            audit.record(audit.Verb.FEED_DELETED, by=viewer, target=f"feed:{feed_id}")
    except ProtectedError:
        raise Conflict(
            "A subscription, a connection or a schedule of reports still uses this feed.", code="feed-in-use"
        ) from None


def own_feed(viewer: Viewer, feed_id: UUID) -> Feed:
    """A feed of the viewer's own partner. Raises NotFound."""
    feed = Feed.objects.of(viewer).filter(pk=feed_id).first()
    if feed is None:
        raise NotFound
    return feed


def filter_of(feed: Feed | None) -> filters.Filter:
    """The filter that a feed saves; without a feed, everything."""
    return filters.parse(feed.filter) if feed else filters.Filter()


def _named(name: str) -> str:
    if not name.strip() or len(name) > _MAX_NAME_CHARS or "\0" in name:
        raise Refused(f"A name of 1 to {_MAX_NAME_CHARS} characters.", code="bad-name", at="/name")
    return name.strip()


def _taken() -> Conflict:
    return Conflict("You have a feed of this name.", code="name-taken", at="/name")


def _kept(viewer: Viewer, feed_id: UUID) -> Feed:
    """A feed of the viewer's own partner, which stays as it is until the end of the transaction. Raises NotFound.

    It is locked before it is read, as `change_feed` does.
    """
    own_feed(viewer, feed_id)
    return _locked(feed_id)


def _placed_anew(viewer: Viewer, feed: Feed) -> None:
    """Whoever is told of a feed whose filter was changed is told of what comes from now on."""
    for one in Subscription.unrestricted.select_for_update(no_key=True).filter(feed=feed).order_by("pk"):
        _place(viewer, one, feed)
        one.save(update_fields=_PLACED)


def _place(viewer: Viewer, subscription: Subscription, feed: Feed | None) -> None:
    """Have an address be told of a feed from now on: by the log, or by the set of a filter that moves by itself.

    Raises Refused where it is to be told what concerns its partner alone, which the log alone tells.
    """
    wanted = filter_of(feed)
    subscription.feed = feed
    if feed is None or not wanted.moving:
        subscription.set_id, subscription.place, subscription.look_at = None, 0, None
        return
    if subscription.only_yours:
        wanted.followable()
    feed_set = proving.brought(viewer, wanted, feed=str(feed.pk))
    if subscription.set_id != feed_set.pk:
        subscription.set_id, subscription.place, subscription.look_at = feed_set.pk, beginning(feed_set), clock.now()


def beginning(feed_set: FeedSet) -> int:
    """From where on an address is told of a set: its place; beyond every place until `looking` has it complete."""
    return feed_set.place if feed_set.complete else _NOWHERE


_NOWHERE = 2**63 - 1


_PLACED = ("feed", "set_id", "place", "look_at")


def _locked(feed_id: UUID, *, no_key: bool = True) -> Feed:
    """The feed as it is now, until the end of the transaction. Raises NotFound for one that was deleted meanwhile."""
    feed = Feed.unrestricted.select_for_update(no_key=no_key).filter(pk=feed_id).first()
    if feed is None:
        raise NotFound
    return feed


def subscribe(
    viewer: Viewer,
    *,
    url: str,
    feed_id: UUID | None,
    form: str = Subscription.Format.STANDARD,
    only_yours: bool = False,
) -> tuple[Subscription, str]:
    """Subscribe an address to a feed, from now on. The second value is the signing secret, shown this once.

    With `only_yours` it is told what of the feed concerns the viewer's partner, and of nothing else.

    Raises Refused for an address that can't be asked, and for `only_yours` of a feed that moves by itself; NotFound for
    a feed that is not the viewer's.
    """
    viewer.require(Scope.SUBSCRIBE)
    viewer.require_all_groups()
    _require_allowed(url)
    if Subscription.objects.of(viewer).count() >= _MAX_SUBSCRIPTIONS:
        raise Conflict(f"A partner has at most {_MAX_SUBSCRIPTIONS} subscriptions.", code="too-many-subscriptions")
    secret = signing.new_secret()
    with transaction.atomic():
        subscription = Subscription(
            partner_id=viewer.partner_id,
            format=_format(form),
            only_yours=only_yours,
            url=url,
            secret=_sealed(secret),
            seq=changes.head(),
            incarnation=incarnation.read(),
        )
        _place(viewer, subscription, _kept(viewer, feed_id) if feed_id else None)
        subscription.save(force_insert=True)
        audit.record(audit.Verb.SUBSCRIPTION_CREATED, by=viewer, target=f"subscription:{subscription.pk}")
    return subscription, secret


def own_subscription(viewer: Viewer, subscription_id: UUID) -> Subscription:
    """A subscription of the viewer's own partner. Raises NotFound; Forbidden for a key that sees less than it tells."""
    viewer.require_all_groups()
    subscription = Subscription.objects.of(viewer).select_related("feed").filter(pk=subscription_id).first()
    if subscription is None:
        raise NotFound
    return subscription


def change(viewer: Viewer, subscription_id: UUID, wanted: Mapping[str, Any]) -> Subscription:
    """Change what `wanted` names of `state` (active or paused), `url`, `format` and `feed` (an id; None: everything).

    And of `only` (`yours`; None: all of the feed). It goes on where it stopped; once it is resumed or has another
    address, with a closed breaker. Raises NotFound, also for a feed that is not the viewer's; Refused.
    """
    viewer.require(Scope.SUBSCRIBE)
    with transaction.atomic():
        feed_id = wanted.get("feed", own_subscription(viewer, subscription_id).feed_id)
        placed = "feed" in wanted or "only" in wanted
        if placed and feed_id:
            _kept(viewer, feed_id)  # before the address, as `change_feed` does: else each would wait for the other
        subscription = Subscription.unrestricted.select_for_update(no_key=True).get(pk=subscription_id)
        if "state" in wanted:
            if wanted["state"] not in (Subscription.State.ACTIVE, Subscription.State.PAUSED):
                raise Refused("Only active and paused can be chosen.", code="bad-state", at="/state")
            subscription.state = Subscription.State(wanted["state"])
        if "url" in wanted:
            _require_allowed(wanted["url"] or "")
            subscription.url = wanted["url"]
        if "only" in wanted:
            subscription.only_yours = bool(wanted["only"])
        if placed:
            feed_id = wanted.get("feed", subscription.feed_id)
            _place(viewer, subscription, _kept(viewer, feed_id) if feed_id else None)
        if wanted.get("format"):
            subscription.format = _format(wanted["format"])
        if "url" in wanted or (subscription.state == Subscription.State.ACTIVE and "state" in wanted):
            subscription.failures, subscription.opened_at = 0, None
        changed = ("state", "url", "only_yours", "format", "failures", "opened_at")
        subscription.save(update_fields=[*changed, *_PLACED])
        audit.record(
            audit.Verb.SUBSCRIPTION_CHANGED,
            by=viewer,
            target=f"subscription:{subscription_id}",
            changed=sorted(wanted),
            state=subscription.state,
        )
    return subscription


def rotate_secret(viewer: Viewer, subscription_id: UUID, *, overlap: timedelta) -> tuple[Subscription, str]:
    """A new signing secret, shown this once. For `overlap` every message is signed with the one before it, too.

    Standard Webhooks, "Signature scheme": several signatures in one header, so that nothing is refused meanwhile.
    Raises NotFound, Refused.
    """
    viewer.require(Scope.SUBSCRIBE)
    if not timedelta(0) <= overlap <= MAX_OVERLAP:
        hours = MAX_OVERLAP // timedelta(hours=1)
        raise Refused(f"A whole number of hours from 0 to {hours}.", code="bad-overlap", at="/overlap_hours")
    secret = signing.new_secret()
    with transaction.atomic():
        own_subscription(viewer, subscription_id)
        subscription = Subscription.unrestricted.select_for_update(no_key=True).get(pk=subscription_id)
        subscription.old_secret = subscription.secret if overlap else ""
        subscription.old_secret_until = clock.now() + overlap if overlap else None
        subscription.secret = _sealed(secret)
        subscription.save(update_fields=["secret", "old_secret", "old_secret_until"])
        audit.record(
            audit.Verb.SUBSCRIPTION_SECRET_ROTATED,
            by=viewer,
            target=f"subscription:{subscription_id}",
            overlap_hours=overlap // timedelta(hours=1),
        )
    return subscription, secret


def unsubscribe(viewer: Viewer, subscription_id: UUID) -> None:
    """Delete a subscription and the record of its deliveries. Raises NotFound."""
    viewer.require(Scope.SUBSCRIBE)
    with transaction.atomic():
        own_subscription(viewer, subscription_id).delete()
        audit.record(audit.Verb.SUBSCRIPTION_DELETED, by=viewer, target=f"subscription:{subscription_id}")


def secrets_of(subscription: Subscription, *, at: datetime) -> list[str]:
    """The signing secrets in clear, for the one who signs: the present one first, then the old one while it holds."""
    sealed = [subscription.secret]
    if subscription.old_secret and subscription.old_secret_until and subscription.old_secret_until > at:
        sealed.append(subscription.old_secret)
    return [_opened(each) for each in sealed]


def openers() -> Iterator[Callable[[], list[str]]]:
    """For `exchange.proving`."""
    return (partial(secrets_of, one, at=clock.now()) for one in Subscription.unrestricted.order_by("pk"))


def reseal() -> int:
    """Seal every secret anew with the present SECRET_KEY; how many rows were under another one.

    One that is rotated meanwhile is left as it is then: it is under the present key.
    """
    count = 0
    for one in Subscription.unrestricted.order_by("pk"):
        held = {name: sealed for name in ("secret", "old_secret") if (sealed := getattr(one, name))}
        fresh = {name: _sealed(_opened(sealed)) for name, sealed in held.items()}
        if fresh != held:
            count += Subscription.unrestricted.filter(pk=one.pk, **held).update(**fresh)
    return count


def _format(word: str) -> Subscription.Format:
    try:
        return Subscription.Format(word)
    except ValueError:
        raise Refused("One of standard, slack and teams.", code="bad-format", at="/format") from None


def _require_allowed(url: str) -> None:
    try:
        outbound.check(url)
    except outbound.Blocked as blocked:
        raise Refused(str(blocked), code="address-not-allowed", at="/url") from None


def _opened(sealed: str) -> str:
    return sealing.unseal(base64.b64decode(sealed), purpose="webhook-secret").decode()


def _sealed(secret: str) -> str:
    return base64.b64encode(sealing.seal(secret.encode(), purpose="webhook-secret")).decode()
