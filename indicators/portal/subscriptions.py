"""Subscriptions: whom the exchange tells, how that went, and the means to change it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

from django.contrib import messages
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext, ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from exchange import clock
from exchange.errors import Conflict, ExchangeError, NotFound, Refused, TooMany
from exchange.parameters import Parameters
from indicators.feeds import health
from indicators.feeds.health import Instance
from indicators.models import Delivery, Feed, Subscription
from indicators.portal import showing
from indicators.reading import listing
from indicators.telling import notifying, replaying, subscribing
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
    """The partner's feeds, subscriptions and last deliveries; POST adds a subscription."""
    if request.method != "POST":
        return _list(request, viewer)
    wanted = request.POST.get("do", "subscribe")
    if wanted not in _CHANGES:
        raise Refused(gettext("There is no such action."), code="unknown-action", at="/do")
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
        raise Refused(gettext("There is no such action."), code="unknown-action", at="/do")
    _ACTS[wanted](request, viewer, subscription_id)
    return _back(request)


@require_POST
@page
def send_again(request: HttpRequest, viewer: Viewer, delivery_id: UUID) -> HttpResponseBase:
    """Send one of the partner's own deliveries again."""
    _said(
        request,
        lambda: notifying.send_again(viewer, delivery_id),
        gettext("It is sent again. How that went appears below."),
    )
    return _back(request)


@require_safe
@page
def deliveries(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """The last deliveries alone, of all or of one feed, which pages ask for while a message is under way."""
    asked = Parameters(request, known=("feed",))
    if asked.text("feed") == "all":
        sent = last_deliveries(viewer, feed=None)
    elif feed_id := asked.uuid("feed"):
        sent = last_deliveries(viewer, feed=subscribing.own_feed(viewer, feed_id))
    else:
        sent = last_deliveries(viewer)
    about = {"may_change": Scope.SUBSCRIBE in viewer.scopes, **sent}
    return show(request, viewer, "indicators/deliveries.html", here="subscriptions", **about)


def _test(request: HttpRequest, viewer: Viewer, subscription_id: UUID) -> None:
    _said(
        request,
        lambda: notifying.ping(viewer, subscription_id),
        gettext("A test message is sent. How that went appears below."),
    )


def _pause(request: HttpRequest, viewer: Viewer, subscription_id: UUID) -> None:
    notifying.change(viewer, subscription_id, {"state": Subscription.State.PAUSED})


def _resume(request: HttpRequest, viewer: Viewer, subscription_id: UUID) -> None:
    notifying.change(viewer, subscription_id, {"state": Subscription.State.ACTIVE})


def _change(request: HttpRequest, viewer: Viewer, subscription_id: UUID) -> None:
    try:
        only = "yours" if request.POST.get("only") == "yours" else None
        wanted = {"url": request.POST.get("url", "").strip(), "feed": _feed(request), "only": only}
    except ValueError:
        raise NotFound from None
    _said(request, lambda: notifying.change(viewer, subscription_id, wanted), gettext("The subscription is changed."))


def _replay(request: HttpRequest, viewer: Viewer, subscription_id: UUID) -> None:
    """Send what was given up again, the oldest first."""
    try:
        sent = notifying.replay(viewer, subscription_id)
    except (Conflict, Refused, TooMany) as refused:
        messages.error(request, refused.detail)
    else:
        count = len(sent.letters)
        words = ngettext(
            "{n} message is sent again, the oldest first.", "{n} messages are sent again, the oldest first.", count
        ).format(n=count)
        more = gettext("There are more: press it once more.") if sent.more else ""
        messages.success(request, f"{words} {more}".strip())


def _delete(request: HttpRequest, viewer: Viewer, subscription_id: UUID) -> None:
    subscribing.unsubscribe(viewer, subscription_id)
    messages.success(request, gettext("The subscription is deleted."))


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
    "replay": _replay,
    "resume": _resume,
    "test": _test,
}


@dataclass(frozen=True, slots=True)
class Address:
    """One subscription with how its messages went; `dead` are those that nothing after them told."""

    one: Subscription
    delivered: int
    dead: int


def addresses(viewer: Viewer, of: QuerySet[Subscription]) -> list[Address]:
    """These subscriptions with how their messages went. Three queries."""
    arrived = Delivery.objects.of(viewer).filter(state=Delivery.State.DELIVERED)
    counts = dict(arrived.values_list("subscription").annotate(Count("pk")))
    dead = replaying.count_dead_each(viewer)
    found = of.select_related("feed").order_by("created_at", "pk")
    return [Address(one, counts.get(one.pk, 0), dead.get(one.pk, 0)) for one in found]


def _back(request: HttpRequest) -> HttpResponseBase:
    """To the page of the feed whose button it was, else to the list."""
    try:
        return redirect("portal-feed", UUID(request.POST.get("of", "")))
    except ValueError:
        return redirect("portal-feed-all" if request.POST.get("of") == "all" else "portal-subscriptions")


def last_deliveries(viewer: Viewer, *, feed: Feed | Literal["any"] | None = "any") -> dict[str, Any]:
    """The last messages, to the subscribers of one feed (None: of everything) or to all. One query.

    `waits` is whether one is under way.
    """
    found = Delivery.objects.of(viewer).select_related("subscription").order_by("-created_at", "-pk")
    if feed != "any":
        found = found.filter(subscription__feed=feed)
    rows = list(found[:_DELIVERIES])
    soon = clock.now() + _SOON
    waits = any(row.state == Delivery.State.SENDING or (row.state == "due" and row.due_at < soon) for row in rows)
    return {
        "deliveries": rows,
        "waits": waits,
        "deliveries_of": feed.pk if isinstance(feed, Feed) else "" if feed else "all",
    }


def _list(
    request: HttpRequest,
    viewer: Viewer,
    *,
    secret: str = "",
    renewed: bool = False,
    problem: str = "",
) -> HttpResponse:
    """The page; `secret` is shown once, after it was made. What was typed stays where it was refused."""
    feeds = list(Feed.objects.of(viewer).order_by("name", "pk"))
    wanted = [subscribing.filter_of(feed) for feed in (None, *feeds)]
    counts = listing.tallied(viewer, wanted[:_COUNTED])
    instances = health.instances(viewer)
    return show(
        request,
        viewer,
        "indicators/subscriptions.html",
        here="subscriptions",
        may_change=Scope.SUBSCRIBE in viewer.scopes,
        addresses=addresses(viewer, Subscription.objects.of(viewer)),
        formats=Subscription.Format.choices,
        **last_deliveries(viewer),
        lines=[
            {
                "feed": feed,
                "name": feed.name if feed else gettext("Everything"),
                "words": showing.filter_words(one),
                "count": counts[place] if place < len(counts) else None,
                "agents": _agents([each for each in instances if each.feed_id == (feed.pk if feed else None)]),
            }
            for place, (feed, one) in enumerate(zip((None, *feeds), wanted, strict=True))
        ],
        feeds=feeds,
        secret=secret,
        renewed=renewed,
        problem=problem,
        typed=request.POST if problem else {},
    )


#: So many feeds are counted on the list.
_COUNTED = 31


def _agents(of: Sequence[Instance]) -> tuple[str, str]:
    """How the instances of a feed stand, in words, and the tone of it."""
    if not of:
        return "", ""
    counts = Counter(one.state for one in of)
    if counts["differs"] or counts["silent"]:
        said = (
            [ngettext("{n} differs", "{n} differ", counts["differs"]).format(n=counts["differs"])]
            if counts["differs"]
            else []
        )
        said += [gettext("{silent} silent").format(silent=counts["silent"])] if counts["silent"] else []
        return ", ".join(said), "bad" if counts["differs"] else "warn"
    said_of_all = gettext("{in_step} of {n} in step").format(in_step=counts["in step"], n=len(of))
    return said_of_all, "good" if counts["in step"] == len(of) else "warn"


def _feed(request: HttpRequest) -> UUID | None:
    """The feed that a form chose; None for `all`. Raises ValueError for what is no id, also where it says nothing."""
    word = request.POST.get("feed", "")
    return None if word == "all" else UUID(word)


def _add(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    url = request.POST.get("url", "").strip()
    form = request.POST.get("format") or Subscription.Format.STANDARD
    try:
        only = request.POST.get("only") == "yours"
        _, secret = subscribing.subscribe(viewer, url=url, feed_id=_feed(request), form=form, only_yours=only)
    except ValueError:
        return _list(request, viewer, problem=gettext("Choose one of your feeds."))
    except ExchangeError as refused:
        return _list(request, viewer, problem=refused.detail)
    return _list(request, viewer, secret=secret)


_CHANGES: dict[str, Callable[[HttpRequest, Viewer], HttpResponseBase]] = {
    "subscribe": _add,
}
