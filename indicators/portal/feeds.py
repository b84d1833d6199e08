"""The pages of feeds: from a filter to a tested delivery in four steps, and how each feed stands.

The first two steps (what it holds, its name) are `new`; the other two (where it goes, whether it arrives) are on the
page of the feed itself, which stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods

from exchange import clock, drawn
from exchange.errors import Conflict, ExchangeError, Refused
from exchange.translating import later
from indicators import reading
from indicators.feeds import addresses, blocklists, filters, health, preview, spelling
from indicators.feeds.filters import EVERYTHING, Filter
from indicators.feeds.health import Instance
from indicators.feeds.spelling import BadText
from indicators.models import Delivery, Feed, Subscription
from indicators.portal import asking, rows, subscriptions, using
from indicators.reading import listing
from indicators.reading.selecting import Selection
from indicators.telling import notifying, subscribing
from partners import keys
from partners.models import ApiKey
from partners.portal.access import page, show
from partners.scopes import Scope
from partners.viewer import Viewer

#: Rows that the preview shows.
_ROWS = 8
_HERE = "subscriptions"
#: How long an address of a list may be read, as the form offers it.
_DAYS = ("30", "90", "365")


@dataclass(frozen=True, slots=True)
class Step:
    """One of the four: `state` is done, now or later."""

    name: str
    state: Literal["done", "now", "later"]


_STEPS = (later("What it holds"), later("Its name"), later("Where it goes"), later("Does it arrive?"))


def steps(done: Sequence[bool]) -> list[Step]:
    """The four, the first that is not done being the present one."""
    now = next((place for place, each in enumerate(done) if not each), len(_STEPS))
    return [
        Step(name, "done" if done[place] else "now" if place == now else "later") for place, name in enumerate(_STEPS)
    ]


@require_http_methods(["GET", "HEAD", "POST"])
@page
def new(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """Steps one and two. POST looks at what a filter holds (`do=look`), or saves it under a name (`do=save`).

    The filter comes in the form: a value that it searches stands in no address.
    """
    return _asked(request, viewer, None)


@require_http_methods(["GET", "HEAD", "POST"])
@page
def change(request: HttpRequest, viewer: Viewer, feed_id: UUID) -> HttpResponseBase:
    """The same of a feed that is there: POST looks at what another filter would hold, or gives it that and a name."""
    return _asked(request, viewer, subscribing.own_feed(viewer, feed_id))


def _asked(request: HttpRequest, viewer: Viewer, one: Feed | None) -> HttpResponseBase:
    if request.method != "POST":
        text = filters.spoken(subscribing.filter_of(one)) if one else ""
        return _new(request, viewer, one, text=text)
    text = request.POST.get("filter", "")[: spelling.MAX_TEXT_CHARS + 1]  # too long is refused, not cut
    do = request.POST.get("do", "look")
    if do not in {"look", "save"}:
        raise Refused(gettext("There is no such action."), code="unknown-action", at="/do")
    try:
        wanted = filters.accepted(viewer, text) if text.strip() else EVERYTHING
    except BadText as wrong:
        return _new(request, viewer, one, text=text, problem=wrong.detail)
    except Refused as refused:
        return _new(request, viewer, one, text=text, problem=refused.detail)
    if do == "look":
        return _new(request, viewer, one, text=text, wanted=wanted)
    name = request.POST.get("name", "")
    if one:
        drawn.require_same(request, _fields(one))
    try:
        feed = (
            notifying.change_feed(viewer, one.pk, name=name, filter_json=wanted.to_json())
            if one
            else subscribing.save_feed(viewer, name=name, filter_json=wanted.to_json())
        )
    except ExchangeError as refused:
        viewer.require(Scope.SUBSCRIBE)
        return _new(request, viewer, one, text=text, wanted=wanted, name_problem=refused.detail)
    says = (
        gettext("is changed. Agents are told what comes and what goes")
        if one
        else gettext("is saved. Now choose where it goes")
    )
    messages.success(request, gettext("The feed “{name}” {says}.").format(name=feed.name, says=says))
    return redirect("portal-feed", feed.pk)


def _fields(one: Feed) -> drawn.Fields:
    """What the fields of its form hold, as it is."""
    return {"name": one.name, "filter": filters.spoken(subscribing.filter_of(one))}


def _new(
    request: HttpRequest,
    viewer: Viewer,
    one: Feed | None,
    *,
    text: str = "",
    wanted: Filter | None = None,
    problem: str = "",
    name_problem: str = "",
) -> HttpResponse:
    return show(
        request,
        viewer,
        "indicators/feed_new.html",
        here=_HERE,
        steps=[] if one else steps([wanted is not None, False, False, False]),
        one=one,
        drawn=drawn.carried(request, _fields(one)) if one else {},
        here_address=reverse("portal-feed-change", args=[one.pk]) if one else reverse("portal-feed-new"),
        turn=preview.turn(viewer, subscribing.filter_of(one), wanted) if one and wanted is not None else None,
        text=text,
        problem=problem,
        name_problem=name_problem,
        typed_name=request.POST.get("name", one.name if one else ""),
        wanted=wanted,
        moving=wanted.moving if wanted is not None else "",
        fields=asking.fields(viewer),
        starts=_STARTS,
        may_change=Scope.SUBSCRIBE in viewer.scopes,
        **(_holds(viewer, wanted, but=str(one.pk) if one else "") if wanted is not None else {}),
    )


#: Filters to begin with: what each is for, and its text.
_STARTS = (
    (later("For enforcement"), "publishers:>=2 -control:compromised_victim -shared:cgnat,campus"),
    (later("Payments and prompts"), "kind:payment-fingerprint,prompt-signature publishers:>=2"),
    (later("Networks"), "subkind:net from:others"),
    (later("Alerts"), "severity:>=high from:others"),
)


def _holds(viewer: Viewer, wanted: Filter, *, but: str = "") -> dict[str, Any]:
    """What a filter holds now: counts, kinds, the newest rows, and which other feeds hold some of it."""
    living = Selection(filter=wanted, living=True)
    counted = listing.counted(viewer, living)
    looked = preview.preview(viewer, wanted, but=but)
    return {
        "preview": looked,
        "covered_share": round(100 * looked.covered / looked.holds) if looked.holds else 0,
        "disputed_share": round(100 * looked.later_disputed, 1),
        "overlaps": preview.overlaps(viewer, wanted, but=but),
        "kinds": [(kind, counted.by_kind[kind]) for kind in (*asking.KINDS, "other") if counted.by_kind.get(kind)],
        "kinds_cut": counted.cut,
        "rows": rows.of(viewer, reading.newest(viewer, living, before=None, limit=_ROWS).statements),
    }


@require_http_methods(["GET", "HEAD", "POST"])
@page
def everything(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """The feed that everybody has: all that the partner may see."""
    return _answered(request, viewer, None)


@require_http_methods(["GET", "HEAD", "POST"])
@page
def feed(request: HttpRequest, viewer: Viewer, feed_id: UUID) -> HttpResponseBase:
    """One feed: what it holds, how to use it, and how what enforces it stands."""
    return _answered(request, viewer, subscribing.own_feed(viewer, feed_id))


def _answered(request: HttpRequest, viewer: Viewer, one: Feed | None) -> HttpResponseBase:
    if request.method != "POST":
        return _page(request, viewer, one)
    do = request.POST.get("do", "")
    if do == "delete" and one is not None:
        return _delete(request, viewer, one)
    if do == "address":
        return _make_address(request, viewer, one)
    if do == "end-address":
        addresses.end(viewer, str(one.pk) if one else "all", request.POST.get("address", ""))
        messages.success(request, gettext("The address is revoked."))
        return redirect("portal-feed", one.pk) if one else redirect("portal-feed-all")
    if do != "subscribe":
        raise Refused(gettext("There is no such action."), code="unknown-action", at="/do")
    url = request.POST.get("url", "").strip()
    form = request.POST.get("format") or Subscription.Format.STANDARD
    try:
        _, secret = subscribing.subscribe(
            viewer,
            url=url,
            feed_id=one.pk if one else None,
            form=form,
            only_yours=request.POST.get("only") == "yours",
        )
    except ExchangeError as refused:
        viewer.require(Scope.SUBSCRIBE)
        return _page(request, viewer, one, problem=refused.detail, url=url)
    return _page(request, viewer, one, secret=secret)


def _make_address(request: HttpRequest, viewer: Viewer, one: Feed | None) -> HttpResponseBase:
    """An address of the feed's list, shown this once; what was typed stays where it was refused."""
    days = request.POST.get("days", "")
    if days not in _DAYS:
        raise Refused(gettext("Choose one of the list."), code="bad-parameter", at="/days")
    try:
        _, token = addresses.make(
            viewer,
            feed=str(one.pk) if one else "all",
            form=request.POST.get("form", ""),
            name=request.POST.get("name", ""),
            expires_in=timedelta(days=int(days)),
            networks=request.POST.get("networks", "").replace(",", " ").split(),
        )
    except (Conflict, Refused) as refused:
        return _page(request, viewer, one, address_problem=refused.detail)
    return _page(request, viewer, one, address=addresses.address(token))


def _delete(request: HttpRequest, viewer: Viewer, one: Feed) -> HttpResponseBase:
    try:
        subscribing.delete_feed(viewer, one.pk)
    except Conflict as refused:
        messages.error(request, refused.detail)
        return redirect("portal-feed", one.pk)
    messages.success(request, gettext("The feed “{name}” is deleted.").format(name=one.name))
    return redirect("portal-subscriptions")


def _page(
    request: HttpRequest,
    viewer: Viewer,
    one: Feed | None,
    *,
    secret: str = "",
    problem: str = "",
    url: str = "",
    address: str = "",
    address_problem: str = "",
) -> HttpResponse:
    """The page of a feed; `secret` and `address` are shown once, after they were made."""
    wanted = subscribing.filter_of(one)
    may_change = Scope.SUBSCRIBE in viewer.scopes
    told = subscriptions.addresses(viewer, Subscription.objects.of(viewer).filter(feed=one))
    instances = health.instances(viewer, feed=one.pk if one else None)
    sent = subscriptions.last_deliveries(viewer, feed=one)
    arrived = any(each.state == Delivery.State.DELIVERED for each in sent["deliveries"])
    arrived = arrived or any(each.equal for each in instances)
    done = [True, True, bool(told or instances), arrived]
    return show(
        request,
        viewer,
        "indicators/feed.html",
        here=_HERE,
        one=one,
        name=one.name if one else gettext("Everything"),
        key=str(one.pk) if one else "all",
        filter_text=filters.spoken(wanted),
        list_address=f"{reverse('indicators')}?view={one.pk}" if one else reverse("indicators"),
        steps=[] if all(done) else steps(done),
        moving=wanted.moving,
        addresses=told,
        lists=_lists(viewer, str(one.pk) if one else "all") if may_change else (),
        forms=list(blocklists.MEDIA_TYPES),
        days=_DAYS,
        address=address,
        address_problem=address_problem,
        typed=request.POST if address_problem else {},
        formats=Subscription.Format.choices,
        instances=instances,
        well=sum(each.state == "in step" for each in instances),
        set_now=_set(instances),
        uses=using.uses(one, wanted),
        secret=secret,
        problem=problem,
        url=url,
        may_change=may_change,
        **_holds(viewer, wanted, but=str(one.pk) if one else ""),
        **sent,
    )


def _lists(viewer: Viewer, feed: str) -> list[tuple[ApiKey, str]]:
    """The addresses of a feed's list that may be read, each with its format. One query."""
    moment = clock.now()
    return [(each, addresses.form_of(each)) for each in addresses.of(viewer, feed) if keys.is_active(each, at=moment)]


def _set(instances: Sequence[Instance]) -> Instance | None:
    """Of the instances whose key sees all: what their set is now."""
    return next((each for each in instances if not each.narrowed), None)
