"""A person's own digest by e-mail, and the page of its link by which it ends without signing in."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from exchange.errors import NotFound, Refused
from indicators.models import Digest, Feed
from indicators.telling import digesting
from partners.portal.access import by_link, page, show
from partners.portal.confirming import person
from partners.viewer import Viewer


@require_http_methods(["GET", "HEAD", "POST"])
@page
def digest(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """What the signed-in person has chosen; POST chooses."""
    if request.method != "POST":
        return _form(request, viewer, digesting.of(person(request)))
    wish = _wish(request)
    try:
        digesting.choose(viewer, person(request), wish)
    except Refused as refused:
        return _form(request, viewer, wish, problem=refused.detail)
    messages.success(request, gettext("Your choice is kept."))
    return redirect("digest")


@by_link
@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def end(request: HttpRequest, token: str) -> HttpResponse:
    """End the digest that a mail's link names: by one click of a mail program (RFC 8058), or by the page's button.

    Nothing but a POST changes anything, for programs that look for malware open every link of a mail.
    """
    try:
        if request.method == "POST":
            digesting.end(token)
        else:
            digesting.named(token)
    except NotFound:
        return render(request, "indicators/digest_end.html", {"unknown": True}, status=404)
    return render(request, "indicators/digest_end.html", {"ended": request.method == "POST"})


def _wish(request: HttpRequest) -> digesting.Wish:
    """As it was typed. What is no hour is 99, which is refused at its place."""
    posted = request.POST
    try:
        every = Digest.Every(posted.get("every", ""))
        feeds = tuple(UUID(one) for one in posted.getlist("feeds")[: digesting.MOST_FEEDS + 1])
    except ValueError:
        raise NotFound from None
    hour, zone = _hour(posted.get("hour", "")), posted.get("time_zone", "")
    quiet_from, quiet_until = _hour(posted.get("quiet_from", "")), _hour(posted.get("quiet_until", ""))
    return digesting.Wish(every, 8 if hour is None else hour, zone, quiet_from, quiet_until, feeds)


def _hour(typed: str) -> int | None:
    text = typed.strip()
    if not text:
        return None
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 2 else 99


def _form(request: HttpRequest, viewer: Viewer, wish: digesting.Wish, *, problem: str = "") -> HttpResponse:
    return show(
        request,
        viewer,
        "indicators/digest.html",
        here="account",
        wish=wish,
        problem=problem,
        email=person(request).email,
        every=Digest.Every.choices,
        hours=range(24),
        zones=digesting.zones(),
        feeds=list(Feed.objects.of(viewer).order_by("name", "pk")),
    )
