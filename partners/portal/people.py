"""The tab People: who is here, in which role, with which factors; invitations; what is demanded; the sign-on.

And the operator's page, on which partners are invited.
"""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext, ngettext
from django.views.decorators.http import require_http_methods, require_POST

from exchange import drawn
from exchange.errors import Conflict, Forbidden, NotFound, Refused
from partners.groups import life
from partners.identity import asking, inviting, people, signing_on
from partners.models import Partner, SignOn, User
from partners.portal.access import page, show
from partners.portal.confirming import confirmed, limit, person
from partners.scopes import ROLE_SCOPES, Role, Scope
from partners.viewer import Viewer


@require_http_methods(["GET", "HEAD", "POST"])
@page
@confirmed
def everybody(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """The partner's people and open invitations; POST invites, withdraws, or says which factor is demanded."""
    viewer.require(Scope.ADMIN)
    if request.method != "POST":
        return _everybody(request, viewer)
    wanted = request.POST.get("do", "")
    if wanted not in _CHANGES:
        raise Refused(gettext("There is no such action."), code="unknown-action", at="/do")
    return _CHANGES[wanted](request, viewer)


@require_POST
@page
@confirmed
def one(request: HttpRequest, viewer: Viewer, user_id: int) -> HttpResponseBase:
    """Change one of the partner's own people."""
    people.find(viewer, user_id)
    wanted = request.POST.get("do", "")
    if wanted not in _CHANGES_OF_ONE:
        raise Refused(gettext("There is no such action."), code="unknown-action", at="/do")
    try:
        messages.success(request, _CHANGES_OF_ONE[wanted](request, viewer, user_id))
    except (Conflict, Forbidden) as refused:
        messages.error(request, refused.detail)
    return redirect("people")


@require_http_methods(["GET", "HEAD", "POST"])
@page
@confirmed
def sign_on(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """Which OpenID Connect issuer the partner's people sign in at; POST names or removes it."""
    viewer.require(Scope.ADMIN)
    if request.method != "POST":
        return _sign_on(request, viewer)
    limit(request, "sign_on")
    if request.POST.get("do") == "remove":
        signing_on.remove(viewer)
        messages.success(request, gettext("The sign-on is removed."))
        return redirect("people-sign-on")
    drawn.require_same(request, _sign_on_fields(signing_on.of(viewer)))
    try:
        changed = signing_on.configure(
            viewer,
            issuer=request.POST.get("issuer", ""),
            client_id=request.POST.get("client_id", ""),
            client_secret=request.POST.get("client_secret", ""),
        )
    except Refused as refused:
        return _sign_on(request, viewer, problem=refused.detail)
    asking.discover(changed)
    messages.success(request, gettext("The sign-on is saved."))
    return redirect("people-sign-on")


@require_http_methods(["GET", "HEAD", "POST"])
@page
@confirmed
def invite_partner(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """The operator's: register a partner and invite its first admin. To everybody else it is not there."""
    life.require_operator(viewer)
    if request.method != "POST":
        return _invite_partner(request, viewer)
    limit(request, "invite", user=person(request))
    email = request.POST.get("email", "")
    try:
        if "again" in request.POST:
            again = _uuid(request.POST["again"])
            partner, invitation, link = inviting.invite_first_admin(viewer, again, email=email)
        else:
            partner, invitation, link = inviting.invite_partner(
                viewer,
                name=request.POST.get("name", ""),
                slug=request.POST.get("slug", "").strip(),
                kind=_kind(request.POST.get("kind", "")),
                email=email,
            )
    except (Refused, Conflict) as refused:
        return _invite_partner(request, viewer, problem=refused.detail)
    return _invite_partner(request, viewer, invited=partner, invitation=invitation, link=link)


def _everybody(request: HttpRequest, viewer: Viewer, **more: object) -> HttpResponse:
    context = {
        "people": list(people.of(viewer)),
        "invitations": list(inviting.pending(viewer)),
        "roles": [(role, ", ".join(sorted(ROLE_SCOPES[role]))) for role in Role],
        "factors": Partner.SecondFactor.choices,
        "demanded": _demanded(viewer),
        "sign_on": signing_on.of(viewer),
        "operator": viewer.kind == Partner.Kind.OPERATOR,
        "typed": request.POST if more.get("problem") else {},
        **more,
    }
    return show(request, viewer, "partners/people.html", here="people", **context)


def _demanded(viewer: Viewer) -> str:
    return Partner.objects.values_list("second_factor", flat=True).get(pk=viewer.partner_id)


def _invite(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    limit(request, "invite", user=person(request))
    try:
        role = _role(request.POST.get("role", ""))
        invitation, link = inviting.invite(viewer, email=request.POST.get("email", ""), role=role)
    except (Refused, Forbidden) as refused:
        return _everybody(request, viewer, problem=refused.detail)
    return _everybody(request, viewer, invitation=invitation, link=link)


def _withdraw(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    inviting.revoke(viewer, _uuid(request.POST.get("invitation", "")))
    messages.success(request, gettext("The invitation is withdrawn."))
    return redirect("people")


def _demand(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    wanted = request.POST.get("second_factor", "")
    if wanted not in Partner.SecondFactor:
        raise Refused(gettext("There is no such choice."), code="unknown-second-factor", at="/second_factor")
    drawn.require_same(request, {"second_factor": _demanded(viewer)})
    people.demand(viewer, Partner.SecondFactor(wanted))
    messages.success(request, gettext("Saved. Whoever lacks the factor is asked for it on the next page."))
    return redirect("people")


def _give_role(request: HttpRequest, viewer: Viewer, user_id: int) -> str:
    drawn.require_same(request, {"role": people.find(viewer, user_id).role})
    user = people.change(viewer, user_id, role=_role(request.POST.get("role", "")))
    return gettext("{username} is {n} now.").format(username=user.username, n=user.get_role_display().lower())


def _deactivate(request: HttpRequest, viewer: Viewer, user_id: int) -> str:
    user = people.change(viewer, user_id, active=False)
    return gettext("{username} is deactivated and signed out everywhere.").format(username=user.username)


def _activate(request: HttpRequest, viewer: Viewer, user_id: int) -> str:
    user: User = people.change(viewer, user_id, active=True)
    return gettext("{username} is active again.").format(username=user.username)


def _reset_factors(request: HttpRequest, viewer: Viewer, user_id: int) -> str:
    people.reset_factors(viewer, user_id)
    return gettext("The second factors are removed; the person is told by e-mail.")


def _end_sessions(request: HttpRequest, viewer: Viewer, user_id: int) -> str:
    ended = people.end_sessions(viewer, user_id)
    return ngettext("Ended {n} session.", "Ended {n} sessions.", ended).format(n=ended)


def _sign_on(request: HttpRequest, viewer: Viewer, *, problem: str = "") -> HttpResponse:
    found = signing_on.of(viewer)
    return show(
        request,
        viewer,
        "partners/people_sign_on.html",
        here="people",
        sign_on=found,
        drawn=drawn.carried(request, _sign_on_fields(found)),
        redirect_uri=signing_on.redirect_uri_of(found.pk) if found else "",
        problem=problem,
        typed=request.POST if problem else {},
    )


def _sign_on_fields(found: SignOn | None) -> drawn.Fields:
    return {"issuer": found.issuer if found else None, "client_id": found.client_id if found else None}


def _invite_partner(request: HttpRequest, viewer: Viewer, **more: object) -> HttpResponse:
    kinds = [(kind, kind.label) for kind in life.INVITED]
    context = {
        "kinds": kinds,
        "waiting": Partner.objects.filter(state=Partner.State.INVITED).order_by("name"),
        "typed": request.POST if more.get("problem") else {},
        **more,
    }
    return show(request, viewer, "partners/invite_partner.html", here="invite-partner", **context)


def _uuid(typed: str) -> UUID:
    """What a form names; what is no id names nothing."""
    try:
        return UUID(typed)
    except ValueError:
        raise NotFound from None


def _role(word: str) -> Role:
    if word not in Role:
        raise Refused(gettext("There is no such role."), code="unknown-role", at="/role")
    return Role(word)


def _kind(word: str) -> Partner.Kind:
    if word not in Partner.Kind:
        raise Refused(gettext("A lab or a recipient."), code="bad-kind", at="/kind")
    return Partner.Kind(word)


_CHANGES: dict[str, Callable[[HttpRequest, Viewer], HttpResponse]] = {
    "demand": _demand,
    "invite": _invite,
    "withdraw": _withdraw,
}
_CHANGES_OF_ONE: dict[str, Callable[[HttpRequest, Viewer, int], str]] = {
    "activate": _activate,
    "deactivate": _deactivate,
    "end-sessions": _end_sessions,
    "give-role": _give_role,
    "reset-factors": _reset_factors,
}
