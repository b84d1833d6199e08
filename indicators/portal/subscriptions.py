"""Subscriptions: whom the exchange tells, how that went, and the means to change it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from exchange import clock
from exchange.errors import Conflict, ExchangeError, NotFound, Refused, TooMany
from indicators.feeds import filters
from indicators.models import Delivery, Feed, Subscription
from indicators.portal import showing
from indicators.reading.overview import KINDS
from indicators.telling import notifying, subscribing
from partners.portal.access import page, show
from partners.scopes import Scope
from partners.viewer import Viewer

_DELIVERIES = 25
#: What is due within this time is waited for by the page.
_SOON = timedelta(seconds=10)
_OVERLAP = timedelta(hours=24)


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
    """Pause, resume, test, change or delete one of the partner's own subscriptions, or renew its secret."""
    subscribing.own_subscription(viewer, subscription_id)
    wanted = request.POST.get("do", "")
    if wanted == "secret":
        _, secret = subscribing.rotate_secret(viewer, subscription_id, overlap=_OVERLAP)
        return _list(request, viewer, secret=secret, renewed=True)
    if wanted not in _ACTS:
        raise Refused("There is no such action.", code="unknown-action", at="/do")
    _ACTS[wanted](request, viewer, subscription_id)
    return redirect("portal-subscriptions")


@require_POST
@page
def send_again(request: HttpRequest, viewer: Viewer, delivery_id: UUID) -> HttpResponseBase:
    """Send one of the partner's own deliveries again."""
    _said(request, lambda: notifying.send_again(viewer, delivery_id), "It is sent again. How that went appears below.")
    return redirect("portal-subscriptions")


@require_safe
@page
def deliveries(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """The last deliveries alone, which the page asks for while a message is under way."""
    about = {"may_change": Scope.SUBSCRIBE in viewer.scopes, **_deliveries(viewer)}
    return show(request, viewer, "indicators/deliveries.html", here="subscriptions", **about)


def _test(request: HttpRequest, viewer: Viewer, subscription_id: UUID) -> None:
    _said(
        request, lambda: notifying.ping(viewer, subscription_id), "A test message is sent. How that went appears below."
    )


def _pause(request: HttpRequest, viewer: Viewer, subscription_id: UUID) -> None:
    notifying.change(viewer, subscription_id, {"state": Subscription.State.PAUSED})


def _resume(request: HttpRequest, viewer: Viewer, subscription_id: UUID) -> None:
    notifying.change(viewer, subscription_id, {"state": Subscription.State.ACTIVE})


def _change(request: HttpRequest, viewer: Viewer, subscription_id: UUID) -> None:
    feed = request.POST.get("feed", "")
    try:
        wanted = {"url": request.POST.get("url", "").strip(), "feed": UUID(feed) if feed else None}
    except ValueError:
        raise NotFound from None
    _said(request, lambda: notifying.change(viewer, subscription_id, wanted), "The subscription is changed.")


def _delete(request: HttpRequest, viewer: Viewer, subscription_id: UUID) -> None:
    subscribing.unsubscribe(viewer, subscription_id)
    messages.success(request, "The subscription is deleted.")


def _said(request: HttpRequest, do: Callable[[], object], words: str) -> None:
    """Do it and say so, or say why not."""
    try:
        do()
    except (Conflict, Refused, TooMany) as refused:
        messages.error(request, refused.detail)
    else:
        messages.success(request, words)


_ACTS: dict[str, Callable[[HttpRequest, Viewer, UUID], None]] = {
    "change": _change,
    "delete": _delete,
    "pause": _pause,
    "resume": _resume,
    "test": _test,
}


def _deliveries(viewer: Viewer) -> dict[str, Any]:
    found = Delivery.objects.of(viewer).select_related("subscription").order_by("-created_at", "-pk")
    rows = list(found[:_DELIVERIES])
    soon = clock.now() + _SOON
    waits = any(row.state == Delivery.State.SENDING or (row.state == "due" and row.due_at < soon) for row in rows)
    return {"deliveries": rows, "waits": waits}


def _list(
    request: HttpRequest,
    viewer: Viewer,
    *,
    secret: str = "",
    renewed: bool = False,
    problem: str = "",
    feed_problem: str = "",
) -> HttpResponse:
    """The page; `secret` is shown once, after it was made. What was typed stays where it was refused."""
    feeds = Feed.objects.of(viewer).order_by("name")
    return show(
        request,
        viewer,
        "indicators/subscriptions.html",
        here="subscriptions",
        may_change=Scope.SUBSCRIBE in viewer.scopes,
        subscriptions=list(Subscription.objects.of(viewer).select_related("feed").order_by("created_at", "pk")),
        **_deliveries(viewer),
        feeds=[(feed, showing.filter_words(subscribing.filter_of(feed))) for feed in feeds],
        kinds=[(kind, name) for kind, name in KINDS.items() if kind != "other"],
        secret=secret,
        renewed=renewed,
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
    chosen = {"kinds": request.POST.getlist("kinds"), "min_confidence": int(confidence)}
    try:
        wanted = filters.parse(chosen).within(filters.accepted(viewer, request.POST.get("text", "")))
        feed = subscribing.save_feed(viewer, name=request.POST.get("name", ""), filter_json=wanted.to_json())
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
