"""Subscriptions: whom the exchange tells, how that went, and the means to change it."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods, require_POST

from exchange.errors import Conflict, ExchangeError, NotFound, Refused
from indicators import notifying, subscribing
from indicators.models import Delivery, Feed, Subscription
from indicators.overview import KINDS
from indicators.portal import showing
from partners.portal.access import page, show
from partners.scopes import Scope
from partners.sharing import Viewer

_DELIVERIES = 25


@require_http_methods(["GET", "HEAD", "POST"])
@page
def subscriptions(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """The partner's subscriptions, feeds and last deliveries; POST adds one, or takes a feed away."""
    if request.method != "POST":
        return _list(request, viewer)
    wanted = request.POST.get("do", "subscribe")
    if wanted not in _CHANGES:
        raise Refused("There is no such action.", code="unknown-action", at="/do")
    return _CHANGES[wanted](request, viewer)


@require_POST
@page
def act(request: HttpRequest, viewer: Viewer, subscription_id: UUID) -> HttpResponseBase:
    """Pause, resume, test or delete one of the partner's own subscriptions."""
    subscribing.own_subscription(viewer, subscription_id)
    wanted = request.POST.get("do", "")
    if wanted == "test":
        outcome = notifying.send_test(viewer, subscription_id)
        tell = messages.success if outcome.delivered else messages.error
        tell(request, f"Test message: {outcome.words}")
    elif wanted in ("pause", "resume"):
        state = Subscription.State.PAUSED if wanted == "pause" else Subscription.State.ACTIVE
        subscribing.set_state(viewer, subscription_id, state)
    elif wanted == "delete":
        subscribing.unsubscribe(viewer, subscription_id)
        messages.success(request, "The subscription is deleted.")
    else:
        raise Refused("There is no such action.", code="unknown-action", at="/do")
    return redirect("portal-subscriptions")


def _list(
    request: HttpRequest,
    viewer: Viewer,
    *,
    secret: str = "",
    problem: str = "",
    feed_problem: str = "",
) -> HttpResponse:
    """The page; `secret` is shown once, after a subscription was made. What was typed stays where it was refused."""
    feeds = Feed.objects.of(viewer).order_by("name")
    return show(
        request,
        viewer,
        "indicators/subscriptions.html",
        here="subscriptions",
        may_change=Scope.SUBSCRIBE in viewer.scopes,
        subscriptions=list(Subscription.objects.of(viewer).select_related("feed").order_by("created_at", "pk")),
        deliveries=list(
            Delivery.objects.of(viewer).select_related("subscription").order_by("-created_at", "-pk")[:_DELIVERIES]
        ),
        feeds=[(feed, showing.filter_words(subscribing.filter_of(feed))) for feed in feeds],
        kinds=[(kind, name) for kind, name in KINDS.items() if kind != "other"],
        secret=secret,
        problem=problem,
        feed_problem=feed_problem,
        typed=request.POST if problem or feed_problem else {},
        typed_kinds=request.POST.getlist("kinds") if feed_problem else [],
    )


def _add(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    url, feed = request.POST.get("url", "").strip(), request.POST.get("feed", "")
    try:
        feed_id = UUID(feed) if feed else None
        _, secret = subscribing.subscribe(viewer, url=url, feed_id=feed_id)
    except ValueError:
        return _list(request, viewer, problem="Choose one of your feeds.")
    except ExchangeError as refused:
        return _list(request, viewer, problem=refused.detail)
    return _list(request, viewer, secret=secret)


def _add_feed(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    confidence = request.POST.get("confidence", "").strip() or "0"
    if not (confidence.isascii() and confidence.isdigit() and len(confidence) <= 3):
        return _list(request, viewer, feed_problem="The confidence is a whole number from 0 to 100.")
    wanted = {"kinds": request.POST.getlist("kinds"), "min_confidence": int(confidence), "with_entries": False}
    try:
        feed = subscribing.save_feed(viewer, name=request.POST.get("name", ""), filter_json=wanted)
    except ExchangeError as refused:
        return _list(request, viewer, feed_problem=refused.detail)
    messages.success(request, f"The feed {feed.name} is saved.")
    return redirect("portal-subscriptions")


def _delete_feed(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    try:
        subscribing.delete_feed(viewer, UUID(request.POST.get("feed", "")))
    except ValueError:
        raise NotFound from None
    except Conflict as refused:
        messages.error(request, refused.detail)
    else:
        messages.success(request, "The feed is deleted.")
    return redirect("portal-subscriptions")


_CHANGES: dict[str, Callable[[HttpRequest, Viewer], HttpResponseBase]] = {
    "subscribe": _add,
    "save-feed": _add_feed,
    "delete-feed": _delete_feed,
}
