"""Subscriptions: whom the exchange tells, how that went, and the means to change it."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods, require_POST

from exchange.errors import ExchangeError, Refused
from indicators import notifying, subscribing
from indicators.models import Delivery, Feed, Subscription
from partners.portal.access import page, show
from partners.scopes import Scope
from partners.sharing import Viewer

_DELIVERIES = 25


@require_http_methods(["GET", "HEAD", "POST"])
@page
def subscriptions(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """The partner's subscriptions and their last deliveries; POST adds one."""
    if request.method == "POST":
        return _add(request, viewer)
    return _list(request, viewer)


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


def _list(request: HttpRequest, viewer: Viewer, *, secret: str = "", problem: str = "", url: str = "") -> HttpResponse:
    """The page; `secret` is shown once, after a subscription was made."""
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
        feeds=list(Feed.objects.of(viewer).order_by("name")),
        secret=secret,
        problem=problem,
        url=url,
    )


def _add(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    url, feed = request.POST.get("url", "").strip(), request.POST.get("feed", "")
    try:
        feed_id = UUID(feed) if feed else None
        _, secret = subscribing.subscribe(viewer, url=url, feed_id=feed_id)
    except ValueError:
        return _list(request, viewer, problem="Choose one of your feeds.", url=url)
    except ExchangeError as refused:
        return _list(request, viewer, problem=refused.detail, url=url)
    return _list(request, viewer, secret=secret)
