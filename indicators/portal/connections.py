"""The page of connections to other servers: an admin makes, runs, pauses and ends them, and sees how each goes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_POST

from exchange.errors import ExchangeError, Refused
from indicators.connections import heads, keeping, running
from indicators.models import Connection, Feed
from indicators.publishing import awaiting
from indicators.publishing.reach import Reach
from partners.models import Group
from partners.portal.access import do, page, show
from partners.scopes import Scope
from partners.sharing import groups_named
from partners.tlp import Tlp
from partners.viewer import Viewer

_TYPED = ("name", "kind", "says", "direction", "url", "authorization", "strictest", "feed", "tlp", "log_key")
#: What may be chosen as the strictest marking, and as the least strict that anything gets.
_MARKINGS = [tlp.word for tlp in Tlp if tlp is not Tlp.RED]


@require_http_methods(["GET", "HEAD", "POST"])
@page
def listing(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """All of them; POST makes one."""
    if request.method != "POST":
        return _listing(request, viewer)
    typed = {name: request.POST.get(name, "").strip()[:2_000] for name in _TYPED}
    groups = request.POST.getlist("groups")[:50]
    try:
        made = keeping.connect(viewer, _wish(viewer, typed, groups))
    except ExchangeError as refused:
        viewer.require(Scope.ADMIN)
        viewer.require(Scope.PUBLISH)
        return _listing(request, viewer, problem=refused.detail, typed=typed | {"groups": groups})
    running.hint()
    messages.success(request, gettext("{name} runs within seconds. How that went appears here.").format(name=made.name))
    return redirect("portal-connections")


@require_POST
@page
def act(request: HttpRequest, viewer: Viewer, connection_id: UUID) -> HttpResponseBase:
    """Run, pause, resume or end one, or give it another credential."""
    keeping.own(viewer, connection_id)

    def change(words: str, **wanted: Any) -> str:
        keeping.change(viewer, connection_id, wanted)
        running.hint()
        return words

    def run() -> str:
        keeping.run_now(viewer, connection_id)
        running.hint()
        return gettext("It runs within seconds.")

    def end() -> str:
        keeping.end(viewer, connection_id)
        return gettext("It has ended, and its credential is forgotten. What came in stays yours.")

    def authorize() -> str:
        """An empty field changes nothing: who forgets what to type keeps what there is."""
        typed = request.POST.get("authorization", "").strip()[:2_001]
        if not typed:
            raise Refused(gettext("Type the new credential first."), code="bad-credential", at="/authorization")
        return change(gettext("It has another credential."), credential=typed)

    def trust() -> str:
        """An empty field would stop the looking: the page asks for the key."""
        typed = request.POST.get("log_key", "").strip()[:61]
        if not typed:
            raise Refused(gettext("Type the public key of its log first."), code="bad-log-key", at="/log_key")
        return change(gettext("It goes on, with its log as it is now."), log_key=typed)

    acts = {
        "trust": trust,
        "run": run,
        "pause": lambda: change(gettext("Paused: nothing passes."), state=Connection.State.PAUSED),
        "resume": lambda: change(gettext("It goes on where it stopped."), state=Connection.State.ACTIVE),
        "credential": authorize,
        "end": end,
    }
    return do(request, viewer, acts, needs=Scope.ADMIN, back="portal-connections")


def _wish(viewer: Viewer, typed: dict[str, str], groups: list[str]) -> keeping.Wish:
    """What the form says. Raises Refused."""
    pulls = typed["direction"] != Connection.Direction.PUSH
    feed = typed["feed"] if not pulls else ""
    misp = typed["kind"] == Connection.Kind.MISP
    return keeping.Wish(
        name=typed["name"],
        kind=Connection.Kind.MISP if misp else Connection.Kind.TAXII,
        direction=Connection.Direction.PULL if pulls else Connection.Direction.PUSH,
        url=typed["url"],
        credential=typed["authorization"],
        strictest=_tlp(typed["strictest"] or Tlp.GREEN.word),
        reach=Reach(
            tlp=_tlp(typed["tlp"]) if typed["tlp"] else None,
            groups=tuple(groups_named(viewer, groups)) if groups else (),
        )
        if pulls
        else Reach(),
        feed_id=_id(feed) if feed else None,
        log_key="" if misp else typed["log_key"],
        says=_said(typed["says"]) if misp and pulls else {},  # else the page does not ask for it
    )


def _said(typed: str) -> dict[str, str]:
    """Lines of NAME=VALUE."""
    named = [line.partition("=") for line in typed.splitlines() if line.strip()]
    return {name.strip(): text.strip() for name, _, text in named}


def _tlp(word: str) -> Tlp:
    try:
        return Tlp.from_word(word)
    except ValueError:
        raise Refused(
            gettext("clear, green, amber or amber+strict."), code="unknown-marking", at="/strictest"
        ) from None


def _id(written: str) -> UUID:
    try:
        return UUID(written)
    except ValueError:
        raise Refused(gettext("There is no such feed."), code="bad-id", at="/feed") from None


def _rows(found: list[Connection]) -> Iterator[dict[str, Any]]:
    checked = heads.checked(found)
    for one in found:
        audience = awaiting.words_of(Reach.from_json(one.reach)) if one.reach else None
        who = [*audience["groups"], *audience["partners"]] if audience else []
        yield {
            "one": one,
            "log_checked": one.pk in checked,
            "pulls": one.direction == Connection.Direction.PULL,
            "strictest": Tlp(one.strictest).word,
            "who": gettext("every partner") if audience and audience["everyone"] else ", ".join(who),
            "counts": sorted(one.counts.items()),
        }


def _listing(
    request: HttpRequest, viewer: Viewer, *, problem: str = "", typed: dict[str, Any] | None = None
) -> HttpResponse:
    return show(
        request,
        viewer,
        "indicators/connections.html",
        here="portal-connections",
        rows=list(_rows(keeping.listed(viewer))),
        may_connect=Scope.PUBLISH in viewer.scopes,
        feeds=list(Feed.objects.of(viewer).order_by("name", "pk")),
        groups=list(Group.objects.filter(pk__in=viewer.group_ids).order_by("slug")),
        markings=_MARKINGS,
        problem=problem,
        typed=typed or {"strictest": Tlp.GREEN.word},
    )
