"""Who wants to be told of what, and where: the only writer of Feed and Subscription."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import ProtectedError

from exchange import outbound, sealing, signing
from exchange.errors import Conflict, NotFound, Refused
from indicators import changes
from indicators.feeds import filters
from indicators.models import Feed, Subscription
from partners import audit
from partners.scopes import Scope
from partners.sharing import Viewer

_MAX_FEEDS = 200
_MAX_SUBSCRIPTIONS = 50
_MAX_NAME_CHARS = 120


def save_feed(viewer: Viewer, *, name: str, filter_json: Mapping[str, Any]) -> Feed:
    """Save a filter under a name. Raises Refused naming the field, Conflict if the name is taken."""
    viewer.require(Scope.SUBSCRIBE)
    wanted = filters.parse(filter_json)
    if not name.strip() or len(name) > _MAX_NAME_CHARS or "\0" in name:
        raise Refused(f"A name of 1 to {_MAX_NAME_CHARS} characters.", code="bad-name", at="/name")
    if Feed.objects.of(viewer).count() >= _MAX_FEEDS:
        raise Conflict(f"A partner has at most {_MAX_FEEDS} feeds.", code="too-many-feeds")
    try:
        with transaction.atomic():
            feed = Feed.unrestricted.create(partner_id=viewer.partner_id, name=name.strip(), filter=wanted.to_json())
            audit.record(audit.Verb.FEED_SAVED, by=viewer, target=f"feed:{feed.pk}")
    except IntegrityError:
        raise Conflict("You have a feed of this name.", code="name-taken", at="/name") from None
    return feed


def delete_feed(viewer: Viewer, feed_id: UUID) -> None:
    """Delete a feed that no subscription uses. Raises NotFound or Conflict."""
    viewer.require(Scope.SUBSCRIBE)
    feed = own_feed(viewer, feed_id)
    try:
        with transaction.atomic():
            feed.delete()
            audit.record(audit.Verb.FEED_DELETED, by=viewer, target=f"feed:{feed_id}")
    except ProtectedError:
        raise Conflict("A subscription still uses this feed.", code="feed-in-use") from None


def own_feed(viewer: Viewer, feed_id: UUID) -> Feed:
    """A feed of the viewer's own partner. Raises NotFound."""
    feed = Feed.objects.of(viewer).filter(pk=feed_id).first()
    if feed is None:
        raise NotFound
    return feed


def filter_of(feed: Feed | None) -> filters.Filter:
    """The filter that a feed saves; without a feed, everything."""
    return filters.parse(feed.filter) if feed else filters.Filter()


def subscribe(viewer: Viewer, *, url: str, feed_id: UUID | None) -> tuple[Subscription, str]:
    """Subscribe an address to a feed, from now on. The second value is the signing secret, shown this once.

    Raises Refused for an address that can't be asked, NotFound for a feed that is not the viewer's.
    """
    viewer.require(Scope.SUBSCRIBE)
    viewer.require_all_groups()
    try:
        outbound.check(url)
    except outbound.Blocked as blocked:
        raise Refused(str(blocked), code="address-not-allowed", at="/url") from None
    feed = own_feed(viewer, feed_id) if feed_id else None
    if Subscription.objects.of(viewer).count() >= _MAX_SUBSCRIPTIONS:
        raise Conflict(f"A partner has at most {_MAX_SUBSCRIPTIONS} subscriptions.", code="too-many-subscriptions")
    secret = signing.new_secret()
    with transaction.atomic():
        subscription = Subscription.unrestricted.create(
            partner_id=viewer.partner_id, feed=feed, url=url, secret=_sealed(secret), seq=changes.head()
        )
        audit.record(audit.Verb.SUBSCRIPTION_CREATED, by=viewer, target=f"subscription:{subscription.pk}")
    return subscription, secret


def own_subscription(viewer: Viewer, subscription_id: UUID) -> Subscription:
    """A subscription of the viewer's own partner. Raises NotFound; Forbidden for a key that sees less than it tells."""
    viewer.require_all_groups()
    subscription = Subscription.objects.of(viewer).select_related("feed").filter(pk=subscription_id).first()
    if subscription is None:
        raise NotFound
    return subscription


def set_state(viewer: Viewer, subscription_id: UUID, state: Subscription.State) -> Subscription:
    """Pause a subscription, or take it up again where it stopped. Raises NotFound."""
    viewer.require(Scope.SUBSCRIBE)
    if state is Subscription.State.DEAD:
        raise Refused("Only active and paused can be chosen.", code="bad-state", at="/state")
    with transaction.atomic():
        subscription = own_subscription(viewer, subscription_id)
        subscription.state = state
        subscription.save(update_fields=["state"])
        audit.record(
            audit.Verb.SUBSCRIPTION_CHANGED, by=viewer, target=f"subscription:{subscription_id}", state=state.value
        )
    return subscription


def unsubscribe(viewer: Viewer, subscription_id: UUID) -> None:
    """Delete a subscription and the record of its deliveries. Raises NotFound."""
    viewer.require(Scope.SUBSCRIBE)
    with transaction.atomic():
        own_subscription(viewer, subscription_id).delete()
        audit.record(audit.Verb.SUBSCRIPTION_DELETED, by=viewer, target=f"subscription:{subscription_id}")


def secret_of(subscription: Subscription) -> str:
    """The signing secret in clear, for the one who signs."""
    sealed = base64.b64decode(subscription.secret)
    return sealing.unseal(sealed, purpose="webhook-secret").decode()


def _sealed(secret: str) -> str:
    return base64.b64encode(sealing.seal(secret.encode(), purpose="webhook-secret")).decode()
