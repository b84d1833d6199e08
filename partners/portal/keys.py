"""The keys of one's own partner: what each may do, from where it was used, and the means to end it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext, ngettext
from django.views.decorators.http import require_http_methods, require_POST

from exchange import clock
from exchange.errors import Conflict, Refused
from exchange.translating import later
from partners import keys
from partners.groups import directory
from partners.models import ApiKey, Group, KeyNetwork, Partner
from partners.portal.access import page, show
from partners.scopes import KEY_SCOPES, Scope, of_kind
from partners.viewer import Viewer

_LIVES = {
    "60": later("An hour"),
    "1440": later("A day"),
    "43200": later("30 days"),
    "129600": later("90 days"),
    "525600": later("A year"),
}
_OVERLAPS = {"0": later("at once"), "60": later("in an hour"), "1440": later("in a day"), "10080": later("in a week")}
_SAYS = {
    Scope.READ: later("read what the partner may see"),
    Scope.PUBLISH: later("publish, revise and withdraw"),
    Scope.REACT: later("give opinions and report sightings"),
    Scope.SUBSCRIBE: later("save feeds and subscriptions"),
    Scope.TOKENISE: later("have values made into tokens, without telling them"),
    Scope.GROUP_KEYS: later("be handed the keys of its groups"),
    Scope.EVIDENCE: later("send evidence and prevalence of accounts, and read the sums"),
    Scope.ADMIN: later("issue weaker keys and revoke keys"),
}


@dataclass(frozen=True, slots=True)
class Shown:
    """One key as the page shows it."""

    key: ApiKey
    state: str
    groups: list[str] | None
    seen: list[KeyNetwork]
    may_rotate: bool


@require_http_methods(["GET", "HEAD", "POST"])
@page
def overview(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """The partner's keys; POST issues one and shows it, this once."""
    viewer.require(Scope.ADMIN)
    if request.method != "POST":
        return _list(request, viewer)
    try:
        made, secret = keys.issue(
            Partner.objects.get(pk=viewer.partner_id),
            by=viewer,
            name=request.POST.get("name", ""),
            scopes=_scopes(request.POST.getlist("scopes")),
            groups=_groups(request.POST.getlist("groups")),
            networks=request.POST.get("networks", "").replace(",", " ").split(),
            expires_in=timedelta(minutes=int(_choice(request, "life", _LIVES))),
            certificate_subject=request.POST.get("certificate_subject", ""),
            certificate_sha256=request.POST.get("certificate_sha256", ""),
        )
    except (Conflict, Refused) as refused:
        return _list(request, viewer, problem=refused.detail)
    return _list(request, viewer, secret=secret, made=made)


@require_POST
@page
def act(request: HttpRequest, viewer: Viewer, public_id: str) -> HttpResponseBase:
    """Rotate or revoke one of the partner's own keys."""
    key = keys.find(viewer, public_id)
    wanted = request.POST.get("do", "")
    if wanted == "rotate":
        overlap = timedelta(minutes=int(_choice(request, "overlap", _OVERLAPS)))
        try:
            made, secret = keys.rotate(key, overlap=overlap, by=viewer)
        except (Conflict, Refused) as refused:
            messages.error(request, refused.detail)
            return redirect("keys")
        return _list(request, viewer, secret=secret, made=made)
    if wanted != "revoke":
        raise Refused(gettext("There is no such action."), code="unknown-action", at="/do")
    count = keys.revoke(key, by=viewer)
    more = (
        ngettext(" So is {n} that descends from it.", " So are {n} that descend from it.", count - 1).format(
            n=count - 1
        )
        if count > 1
        else ""
    )
    messages.success(request, gettext("The key {name} is revoked.{more}").format(name=key.name, more=more))
    return redirect("keys")


def _list(
    request: HttpRequest, viewer: Viewer, *, secret: str = "", made: ApiKey | None = None, problem: str = ""
) -> HttpResponse:
    """The page; `secret` is shown once. What was typed stays where it was refused."""
    moment = clock.now()
    found = list(keys.listed(viewer).prefetch_related("networks_seen"))
    named = {group for key in found for group in key.groups or ()}
    names = dict(Group.objects.filter(pk__in=named).values_list("pk", "name"))
    shown = [
        Shown(
            key=key,
            state=keys.state(key, at=moment),
            groups=None if key.groups is None else [names[group] for group in key.groups if group in names],
            seen=keys.seen(key),
            may_rotate=keys.is_active(key, at=moment) and frozenset(key.scopes) <= viewer.scopes,
        )
        for key in found
    ]
    may_give = [scope for scope in _SAYS if scope in viewer.scopes & KEY_SCOPES & _of_kind(viewer)]
    return show(
        request,
        viewer,
        "partners/keys.html",
        here="keys",
        active=[one for one in shown if one.state == "active"],
        over=[one for one in shown if one.state != "active"],
        groups=directory.groups(viewer),
        scopes=[(scope.value, _SAYS[scope]) for scope in may_give],
        lives=_LIVES.items(),
        overlaps=_OVERLAPS.items(),
        secret=secret,
        made=made,
        problem=problem,
        typed=request.POST if problem else {},
        typed_scopes=request.POST.getlist("scopes") if problem else ["read"],
        typed_groups=request.POST.getlist("groups") if problem else [],
        typed_life=request.POST.get("life", "129600") if problem else "129600",
    )


def _of_kind(viewer: Viewer) -> frozenset[Scope]:
    return of_kind(viewer.kind)


def _scopes(words: list[str]) -> list[Scope]:
    try:
        return [Scope(word) for word in words]
    except ValueError:
        raise Refused(gettext("There is no such scope."), code="bad-scopes", at="/scopes") from None


def _groups(words: list[str]) -> list[UUID]:
    try:
        return [UUID(word) for word in words]
    except ValueError:
        raise Refused(gettext("This names a group that you are not in."), code="unknown-group", at="/groups") from None


def _choice(request: HttpRequest, name: str, of: dict[str, str]) -> str:
    chosen = request.POST.get(name, "")
    if chosen not in of:
        raise Refused(gettext("Choose one of the list."), code="bad-parameter", at=f"/{name}")
    return chosen
