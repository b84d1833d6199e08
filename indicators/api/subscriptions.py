"""Feeds and subscriptions: what a partner wants to be told of, and where."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema

from exchange import clock
from exchange.errors import Refused
from indicators import notifying, subscribing
from indicators.api.documents import (
    DeliveryList,
    FeedDocument,
    FeedList,
    StateDocument,
    SubscribedDocument,
    SubscriptionDocument,
    SubscriptionList,
    TestOutcome,
)
from indicators.models import Delivery, Feed, Subscription
from partners.api.base import Face, Request, answer, form, viewer_of
from partners.scopes import Scope

_DELIVERIES = 100


class FeedsView(Face):
    """Saved filters."""

    write_scope = Scope.SUBSCRIBE

    @extend_schema(operation_id="feeds", responses=FeedList)
    def get(self, request: Request) -> HttpResponse:
        """The caller's feeds."""
        feeds = Feed.objects.of(viewer_of(request)).order_by("name")
        return answer({"feeds": [_feed(feed) for feed in feeds]})

    @extend_schema(operation_id="save_feed", request=FeedDocument, responses={201: FeedDocument})
    def post(self, request: Request) -> HttpResponse:
        """Save a filter under a name."""
        sent = form(request, known={"name": str, "filter": dict})
        name, wanted = sent.get("name") or "", sent.get("filter") or {}
        feed = subscribing.save_feed(viewer_of(request), name=name, filter_json=wanted)
        return answer(_feed(feed), status=201)


class FeedView(Face):
    """One saved filter."""

    write_scope = Scope.SUBSCRIBE

    @extend_schema(operation_id="feed", responses=FeedDocument)
    def get(self, request: Request, feed_id: UUID) -> HttpResponse:
        """A feed of the caller's."""
        return answer(_feed(subscribing.own_feed(viewer_of(request), feed_id)))

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

    @extend_schema(operation_id="subscribe", request=SubscriptionDocument, responses={201: SubscribedDocument})
    def post(self, request: Request) -> HttpResponse:
        """Subscribe an address, from now on. The answer holds the signing secret, this once."""
        sent = form(request, known={"url": str, "feed": str})
        made, secret = subscribing.subscribe(viewer_of(request), url=sent.get("url") or "", feed_id=_uuid(sent, "feed"))
        return answer(_subscription(made) | {"secret": secret}, status=201)


class SubscriptionView(Face):
    """One address that is told."""

    scope = Scope.SUBSCRIBE

    @extend_schema(operation_id="subscription", responses=SubscriptionDocument)
    def get(self, request: Request, subscription_id: UUID) -> HttpResponse:
        """A subscription of the caller's."""
        return answer(_subscription(subscribing.own_subscription(viewer_of(request), subscription_id)))

    @extend_schema(
        operation_id="change_subscription", request={"application/json": StateDocument}, responses=SubscriptionDocument
    )
    def patch(self, request: Request, subscription_id: UUID) -> HttpResponse:
        """Pause it, or make it active again: it goes on where it stopped."""
        state = form(request, known={"state": str}).get("state")
        if state not in Subscription.State.values:
            raise Refused("active or paused.", code="bad-state", at="/state")
        changed = subscribing.set_state(viewer_of(request), subscription_id, Subscription.State(state))
        return answer(_subscription(changed))

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


class TestView(Face):
    """Try an address."""

    scope = Scope.SUBSCRIBE

    @extend_schema(operation_id="test_subscription", request=None, responses=TestOutcome)
    def post(self, request: Request, subscription_id: UUID) -> HttpResponse:
        """Send one signed ping now and say how it went."""
        outcome = notifying.send_test(viewer_of(request), subscription_id)
        return answer({"delivered": outcome.delivered, "outcome": outcome.words, "status_code": outcome.status_code})


class RedeliverView(Face):
    """Try again what was given up."""

    scope = Scope.SUBSCRIBE

    @extend_schema(operation_id="redeliver", request=None, responses={202: None})
    def post(self, request: Request, delivery_id: UUID) -> HttpResponse:
        """Make a delivery that was given up due again."""
        notifying.redeliver(viewer_of(request), delivery_id)
        return HttpResponse(status=202)


def _feed(feed: Feed) -> dict[str, Any]:
    return {"id": feed.pk, "name": feed.name, "filter": feed.filter}


def _subscription(subscription: Subscription) -> dict[str, Any]:
    return {
        "id": subscription.pk,
        "url": subscription.url,
        "feed": subscription.feed_id,
        "state": subscription.state,
        "created_at": clock.rfc3339(subscription.created_at),
    }


def _delivery(delivery: Delivery) -> dict[str, Any]:
    return {
        "id": delivery.pk,
        "state": delivery.state,
        "attempts": delivery.attempts,
        "changes": delivery.changes,
        "created_at": clock.rfc3339(delivery.created_at),
        "due_at": clock.rfc3339(delivery.due_at),
        "finished_at": clock.rfc3339(delivery.finished_at) if delivery.finished_at else None,
        "status_code": delivery.status_code,
        "outcome": delivery.outcome,
    }


def _uuid(sent: dict[str, Any], name: str) -> UUID | None:
    value = sent.get(name)
    if value is None:
        return None
    try:
        return UUID(value)
    except ValueError:
        raise Refused("A UUID.", code="wrong-type", at=f"/{name}") from None
