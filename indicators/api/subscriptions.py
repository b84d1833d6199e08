"""Feeds and subscriptions: what a partner wants to be told of, and where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.urls import reverse
from drf_spectacular.utils import OpenApiParameter, OpenApiTypes, extend_schema

from exchange import clock
from exchange.errors import Refused
from indicators.api import feed_requests, rendering, requests
from indicators.api.documents.subscriptions import (
    DeliveryDocument,
    DeliveryList,
    FeedDocument,
    FeedList,
    LetterList,
    PreviewDocument,
    SubscribedDocument,
    SubscriptionDocument,
    SubscriptionList,
)
from indicators.feeds import filters, preview
from indicators.models import Delivery, Feed, Subscription
from indicators.telling import delivering, notifying, replaying, subscribing, writing
from partners.api.base import Face, Request, answer, viewer_of
from partners.scopes import Scope
from partners.viewer import Viewer

_DELIVERIES = 100
_OVERLAP_HOURS = 24


class FeedsView(Face):
    """Saved filters."""

    write_scope = Scope.SUBSCRIBE

    @extend_schema(operation_id="feeds", responses=FeedList)
    def get(self, request: Request) -> HttpResponse:
        """The caller's feeds."""
        feeds = Feed.objects.of(viewer_of(request)).order_by("name")
        return answer({"feeds": [_feed(feed) for feed in feeds]})

    @extend_schema(operation_id="save_feed", request=feed_requests.NewFeed, responses={201: FeedDocument})
    def post(self, request: Request) -> HttpResponse:
        """Save a filter under a name."""
        viewer, sent = viewer_of(request), feed_requests.NewFeed.read(request)
        feed = subscribing.save_feed(viewer, name=sent["name"], filter_json=_wanted(viewer, sent) or {})
        return answer(_feed(feed), status=201)


class FeedPreviewView(Face):
    """A filter before it is saved."""

    known = (*rendering.FILTER_NAMES, "feed")

    @extend_schema(
        operation_id="preview_feed",
        parameters=[
            *rendering.FILTER_PARAMETERS,
            OpenApiParameter("feed", OpenApiTypes.UUID, description="A feed of yours, which the others narrow."),
        ],
        responses=PreviewDocument,
    )
    def get(self, request: Request) -> HttpResponse:
        """How many objects that you see a filter lets through now, and how many of them are new, covered, disputed."""
        viewer, feed_id = viewer_of(request), self.asked.uuid("feed")
        wanted = filters.from_address(viewer, self.asked)
        if feed_id is not None:
            wanted = subscribing.filter_of(subscribing.own_feed(viewer, feed_id)).within(wanted)
        found = preview.preview(viewer, wanted, but=str(feed_id or ""))
        return answer(asdict(found) | {"text": filters.spoken(wanted)})


class FeedView(Face):
    """One saved filter."""

    write_scope = Scope.SUBSCRIBE

    @extend_schema(operation_id="feed", responses=FeedDocument)
    def get(self, request: Request, feed_id: UUID) -> HttpResponse:
        """A feed of the caller's."""
        return answer(_feed(subscribing.own_feed(viewer_of(request), feed_id)))

    @extend_schema(operation_id="change_feed", request=feed_requests.FeedChange, responses=FeedDocument)
    def patch(self, request: Request, feed_id: UUID) -> HttpResponse:
        """Change its name or its filter. Who follows it is told what comes and what goes by that."""
        viewer, sent = viewer_of(request), feed_requests.FeedChange.read(request)
        if not sent:
            raise Refused("Name what is to change: name, filter or text.", code="bad-filter", at="/filter")
        if "text" in sent and not sent["text"].strip():  # a variable that was not set must not select everything
            raise Refused('Name what it selects; for everything, send "filter": {}.', code="bad-filter", at="/text")
        name, wanted = sent.get("name"), _wanted(viewer, sent)
        return answer(_feed(notifying.change_feed(viewer, feed_id, name=name, filter_json=wanted)))

    @extend_schema(operation_id="delete_feed", responses={204: None})
    def delete(self, request: Request, feed_id: UUID) -> HttpResponse:
        """Delete a feed that no subscription uses."""
        subscribing.delete_feed(viewer_of(request), feed_id)
        return HttpResponse(status=204)


class SubscriptionsView(Face):
    """Addresses that are told."""

    scope = Scope.SUBSCRIBE

    @extend_schema(operation_id="subscriptions", responses=SubscriptionList)
    def get(self, request: Request) -> HttpResponse:
        """The caller's subscriptions; secrets are not shown again."""
        found = Subscription.objects.of(viewer_of(request)).order_by("created_at", "pk")
        return answer({"subscriptions": [_subscription(each) for each in found]})

    @extend_schema(operation_id="subscribe", request=requests.NewSubscription, responses={201: SubscribedDocument})
    def post(self, request: Request) -> HttpResponse:
        """Subscribe an address, from now on. The answer holds the signing secret, this once."""
        sent = requests.NewSubscription.read(request)
        made, secret = subscribing.subscribe(
            viewer_of(request),
            url=sent["url"],
            feed_id=sent.get("feed"),
            form=sent.get("format") or Subscription.Format.STANDARD,
            only_yours=bool(sent.get("only")),
        )
        return answer(_subscription(made) | {"secret": secret}, status=201)


class SubscriptionView(Face):
    """One address that is told."""

    scope = Scope.SUBSCRIBE

    @extend_schema(operation_id="subscription", responses=SubscriptionDocument)
    def get(self, request: Request, subscription_id: UUID) -> HttpResponse:
        """A subscription of the caller's."""
        return answer(_subscription(subscribing.own_subscription(viewer_of(request), subscription_id)))

    @extend_schema(
        operation_id="change_subscription",
        request=requests.SubscriptionChange,
        responses=SubscriptionDocument,
    )
    def patch(self, request: Request, subscription_id: UUID) -> HttpResponse:
        """Pause it or make it active again, name another address or feed: it goes on where it stopped."""
        sent = requests.SubscriptionChange.read(request)
        if not sent:
            raise Refused("Name what is to change: state, url, format, feed or only.", code="bad-state", at="/state")
        return answer(_subscription(notifying.change(viewer_of(request), subscription_id, sent)))

    @extend_schema(operation_id="unsubscribe", responses={204: None})
    def delete(self, request: Request, subscription_id: UUID) -> HttpResponse:
        """Delete it, with the record of its deliveries."""
        subscribing.unsubscribe(viewer_of(request), subscription_id)
        return HttpResponse(status=204)


class DeliveriesView(Face):
    """How telling went."""

    scope = Scope.SUBSCRIBE

    @extend_schema(operation_id="deliveries", responses=DeliveryList)
    def get(self, request: Request, subscription_id: UUID) -> HttpResponse:
        """The newest deliveries of a subscription of the caller's."""
        viewer = viewer_of(request)
        subscription = subscribing.own_subscription(viewer, subscription_id)
        found = Delivery.objects.of(viewer).filter(subscription=subscription).order_by("-created_at", "-pk")
        return answer({"deliveries": [_delivery(each) for each in found[:_DELIVERIES]]})


class DeadLettersView(Face):
    """What could not be told."""

    scope = Scope.SUBSCRIBE
    known = ("since", "until")

    @extend_schema(
        operation_id="dead_letters",
        parameters=[
            OpenApiParameter("since", OpenApiTypes.DATETIME, description="Made then or later."),
            OpenApiParameter("until", OpenApiTypes.DATETIME, description="Made before."),
        ],
        responses=LetterList,
    )
    def get(self, request: Request, subscription_id: UUID) -> HttpResponse:
        """Messages that were given up and that nothing told since, the oldest first."""
        since, until = self.asked.moment("since"), self.asked.moment("until")
        return answer(_letters(replaying.dead(viewer_of(request), subscription_id, since=since, until=until)))


class ReplayView(Face):
    """Send many messages again."""

    scope = Scope.SUBSCRIBE

    @extend_schema(operation_id="replay", request=requests.Replay, responses={202: LetterList})
    def post(self, request: Request, subscription_id: UUID) -> HttpResponse:
        """Send messages again in their order: by id, or the dead letters of a time (`all`: what arrived, too)."""
        sent = requests.Replay.read(request)
        made = notifying.replay(
            viewer_of(request),
            subscription_id,
            ids=sent.get("deliveries") or (),
            since=sent.get("since"),
            until=sent.get("until"),
            everything=sent.get("all") or False,
        )
        return answer(_letters(made), status=202)


class SecretView(Face):
    """The signing secret of a subscription."""

    scope = Scope.SUBSCRIBE

    @extend_schema(operation_id="rotate_secret", request=requests.SecretRotation, responses=SubscribedDocument)
    def post(self, request: Request, subscription_id: UUID) -> HttpResponse:
        """Make a new secret, shown this once. Messages are signed with the old one, too, until its time is over."""
        hours = requests.SecretRotation.read(request).get("overlap_hours")
        viewer, overlap = viewer_of(request), timedelta(hours=_OVERLAP_HOURS if hours is None else hours)
        changed, secret = subscribing.rotate_secret(viewer, subscription_id, overlap=overlap)
        return answer(_subscription(changed) | {"secret": secret})


class TestView(Face):
    """Try an address."""

    scope = Scope.SUBSCRIBE

    @extend_schema(operation_id="test_subscription", request=None, responses={202: DeliveryDocument})
    def post(self, request: Request, subscription_id: UUID) -> HttpResponse:
        """Have one signed ping sent, also while paused; ask for the delivery in `Location` how that went."""
        return _accepted(notifying.ping(viewer_of(request), subscription_id))


class DeliveryView(Face):
    """One message to a subscription."""

    scope = Scope.SUBSCRIBE

    @extend_schema(operation_id="delivery", responses=DeliveryDocument)
    def get(self, request: Request, delivery_id: UUID) -> HttpResponse:
        """A delivery to the caller's partner, and how it went."""
        return answer(_delivery(delivering.own_delivery(viewer_of(request), delivery_id)))


class RedeliverView(Face):
    """Send a message again."""

    scope = Scope.SUBSCRIBE

    @extend_schema(operation_id="redeliver", request=None, responses={202: DeliveryDocument})
    def post(self, request: Request, delivery_id: UUID) -> HttpResponse:
        """Send any delivery again now, under its own `webhook-id`; ask for the one in `Location` how that went."""
        return _accepted(notifying.send_again(viewer_of(request), delivery_id))


def _wanted(viewer: Viewer, sent: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The filter that a body gives, as JSON; None where it gives none. Raises Refused."""
    if "filter" in sent and "text" in sent:
        raise Refused("The filter as JSON, or as text: not both.", code="bad-filter", at="/text")
    if "text" in sent:
        return filters.accepted(viewer, sent["text"]).to_json() if sent["text"].strip() else {}
    return sent.get("filter")


def _letters(found: replaying.Letters) -> dict[str, Any]:
    return {"deliveries": [_delivery(each) for each in found.letters], "more": found.more}


def _accepted(delivery: Delivery) -> HttpResponse:
    where = reverse("delivery", args=[delivery.pk])
    return answer(_delivery(delivery), status=202, headers={"Location": where})


def _feed(feed: Feed) -> dict[str, Any]:
    wanted = subscribing.filter_of(feed)
    return {"id": feed.pk, "name": feed.name, "filter": wanted.to_json(), "text": filters.spoken(wanted)}


def _subscription(subscription: Subscription) -> dict[str, Any]:
    return {
        "id": subscription.pk,
        "url": subscription.url,
        "feed": subscription.feed_id,
        "state": subscription.state,
        "old_secret_until": clock.rfc3339(subscription.old_secret_until) if subscription.old_secret_until else None,
        "created_at": clock.rfc3339(subscription.created_at),
        "format": subscription.format,
        "only": "yours" if subscription.only_yours else None,
        "failures": subscription.failures,
        "failing_since": clock.rfc3339(subscription.opened_at) if subscription.opened_at else None,
    }


def _delivery(delivery: Delivery) -> dict[str, Any]:
    return {
        "id": delivery.pk,
        "subscription": delivery.subscription_id,
        "kind": delivery.kind,
        "webhook_id": writing.message_id(delivery),
        "state": delivery.state,
        "attempts": delivery.attempts,
        "changes": delivery.changes,
        "created_at": clock.rfc3339(delivery.created_at),
        "due_at": clock.rfc3339(delivery.due_at),
        "finished_at": clock.rfc3339(delivery.finished_at) if delivery.finished_at else None,
        "status_code": delivery.status_code,
        "outcome": delivery.outcome,
    }
