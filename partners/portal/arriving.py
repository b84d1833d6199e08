"""How people come in: by an invitation, or by the sign-on of their own partner. Open to everybody."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any
from uuid import UUID

from allauth.account.adapter import get_adapter
from allauth.account.internal.flows.login import perform_login, record_authentication
from allauth.account.models import Login
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_safe

from exchange.errors import Conflict, Forbidden, NotFound, Refused
from partners.identity import asking, factors, inviting, oidc, signing_on
from partners.models import Invitation, SignOn, User
from partners.portal.access import by_link
from partners.portal.confirming import limit, require

_KEPT = "_sign_on"
_KEPT_FOR_S = 600
_ASKED = "_sign_on_asked"
_WAITS_S = 25


@by_link
@sensitive_post_parameters("token", "password", "again")
@require_http_methods(["GET", "HEAD", "POST"])
def invitation(request: HttpRequest) -> HttpResponseBase:
    """Accept an invitation. Wrong, used, withdrawn, too old: one page for all."""
    posted = request.method == "POST"
    token = (request.POST if posted else request.GET).get("token", "")
    if posted:
        limit(request, "invitation")
    try:
        found = inviting.find(token)
        return _accept(request, found, token) if posted else _invitation(request, found, token)
    except inviting.NoInvitation:
        limit(request, "invitation_failed")
        return render(request, "partners/no_invitation.html", status=404)


@require_http_methods(["GET", "HEAD", "POST"])
def sign_on(request: HttpRequest, sign_on_id: UUID) -> HttpResponseBase:
    """Where the people of one partner sign in through its sign-on; POST goes there."""
    found = signing_on.find(sign_on_id)
    back = _safe(request, (request.POST if request.method == "POST" else request.GET).get("next", ""))
    if request.method != "POST":
        return render(request, "partners/sign_on.html", {"sign_on": found, "next": back})
    limit(request, "sign_on")
    if not isinstance(request.user, User):
        return depart(request, found, intent="sign-in", back=back)
    if request.user.partner_id != found.partner_id:
        raise NotFound
    if factors.lacking(request.user):
        return redirect("factors")
    if request.user.identities.filter(issuer=found.issuer).exists():
        return depart(request, found, intent="confirm", back=back)
    require(request)
    return depart(request, found, intent="link", back=back)


@require_safe
def callback(request: HttpRequest, sign_on_id: UUID) -> HttpResponseBase:
    """Back from the issuer. It is a GET that signs in, as OpenID Connect has it; the state in the session guards it."""
    limit(request, "sign_on")
    found = signing_on.find(sign_on_id)
    kept = request.session.pop(_KEPT, None)
    if not kept or kept["sign_on"] != str(found.pk) or time.time() - kept["at"] > _KEPT_FOR_S:
        raise Refused(gettext("The sign-on was not begun here, or too long ago. Begin again."), code="sign-on-failed")
    attempt, answer = oidc.Attempt(**kept["attempt"]), request.GET.dict()
    oidc.require_ours(attempt, answer)
    question = asking.identify(found, attempt, answer, again=kept["intent"] == "confirm")
    request.session[_ASKED] = kept | {"question": str(question), "at": time.time()}
    return redirect("sign-on-waiting", found.pk)


@require_safe
def waiting(request: HttpRequest, sign_on_id: UUID) -> HttpResponseBase:
    """The issuer is asked by a worker who it is; once it has answered, the browser goes on to where it wanted to."""
    found = signing_on.find(sign_on_id)
    kept = request.session.get(_ASKED)
    if not kept or kept["sign_on"] != str(found.pk):
        raise Refused(gettext("The sign-on was not begun here, or too long ago. Begin again."), code="sign-on-failed")
    answer = asking.answer_to(UUID(kept["question"]))
    if answer is None and time.time() - kept["at"] < _WAITS_S:
        return render(request, "partners/waiting.html", {"sign_on": found})
    del request.session[_ASKED]
    if answer is None or answer.trouble:
        raise Refused(answer.trouble if answer else signing_on.NO_ANSWER, code="sign-on-failed")
    return _arrived(request, found, answer.subject, kept)


def _arrived(request: HttpRequest, found: SignOn, subject: str, kept: dict[str, Any]) -> HttpResponse:
    if kept["intent"] == "accept":
        return _accept_as(request, found, subject, kept)
    if kept["intent"] == "sign-in":
        return _sign_in_as(request, found, subject, kept["next"])
    return _of_oneself(request, found, subject, kept)


def depart(request: HttpRequest, to: SignOn, *, intent: str, back: str = "", **more: Any) -> HttpResponse:
    """Send the browser to the issuer; by a page of its own, for a form may only be sent to ourselves (CSP)."""
    attempt = oidc.Attempt.new()
    if not to.authorization_endpoint:
        asking.discover(to)
        raise Refused(gettext("Where your partner signs you in is not known yet. Try again."), code="sign-on-failed")
    client, there = signing_on.client_of(to), to.authorization_endpoint
    url = oidc.authorization_url(client, attempt, there=there, again=intent == "confirm")
    request.session[_KEPT] = {
        "sign_on": str(to.pk),
        "intent": intent,
        "attempt": asdict(attempt),
        "next": back,
        "at": time.time(),
        "user": request.user.pk,
        **more,
    }
    return render(request, "partners/departing.html", {"url": url, "sign_on": to})


def _invitation(
    request: HttpRequest, found: Invitation, token: str, *, problem: str = "", username: str = ""
) -> HttpResponse:
    context = {
        "invitation": found,
        "token": token,
        "problem": problem,
        "username": username or inviting.suggested_name(found),
        "sign_on": SignOn.objects.filter(partner=found.partner_id).first(),
    }
    return render(request, "partners/invitation.html", context, status=422 if problem else 200)


def _accept(request: HttpRequest, found: Invitation, token: str) -> HttpResponse:
    username, password = request.POST.get("username", "").strip().lower(), request.POST.get("password", "")
    try:
        if request.POST.get("do") == "sign-on":
            to = SignOn.objects.filter(partner=found.partner_id).first()
            if to is None:
                raise NotFound
            username = inviting.sign_in_name(found.partner, username)
            return depart(request, to, intent="accept", invitation=str(found.pk), username=username)
        if password != request.POST.get("again", ""):
            raise Refused(gettext("The two passwords differ."), code="passwords-differ", at="/again")
        user = inviting.accept(token, username=username, password=password)
    except (Refused, Conflict) as refused:
        return _invitation(request, found, token, problem=refused.detail, username=username)
    record_authentication(request, user, "password")
    return _sign_in(request, user, reverse("factors"))


def _accept_as(request: HttpRequest, there: SignOn, subject: str, kept: dict[str, Any]) -> HttpResponse:
    with transaction.atomic():
        user = inviting.accept_by_sign_on(
            UUID(kept["invitation"]), partner_id=there.partner_id, username=kept["username"]
        )
        signing_on.link(user, there, subject)
    record_authentication(request, user, "sign-on", issuer=there.issuer)
    return _sign_in(request, user, reverse("factors"))


def _sign_in_as(request: HttpRequest, there: SignOn, subject: str, back: str) -> HttpResponse:
    user = signing_on.user_of(there, subject)
    if user is None:
        raise Forbidden(
            gettext("Nobody here is linked with this identity. Sign in another way and link it on your account page."),
            code="not-linked",
        )
    record_authentication(request, user, "sign-on", issuer=there.issuer)
    return _sign_in(request, user, back)


def _of_oneself(request: HttpRequest, there: SignOn, subject: str, kept: dict[str, Any]) -> HttpResponse:
    """Link, or confirm: for whoever is signed in, and was when it began."""
    user = request.user
    if not isinstance(user, User) or not user.is_active or user.pk != kept["user"]:
        raise Forbidden(gettext("Sign in again, and begin again."), code="sign-on-failed")
    if kept["intent"] == "link":
        signing_on.link(user, there, subject)
        return redirect("account")
    if signing_on.user_of(there, subject) != user:
        raise Forbidden(gettext("This is somebody else's identity."), code="not-linked")
    record_authentication(request, user, "sign-on", issuer=there.issuer, reauthenticated=True)
    return HttpResponseRedirect(kept["next"] or reverse("account"))


def _sign_in(request: HttpRequest, user: User, back: str) -> HttpResponse:
    """By allauth's own way, which asks for the second factor where there is one."""
    response: HttpResponse = perform_login(request, Login(user=user, redirect_url=back or None))
    request.session.set_expiry(0)
    return response


def _safe(request: HttpRequest, url: str) -> str:
    """A path of ours, or nothing."""
    return url if url_has_allowed_host_and_scheme(url, allowed_hosts=None) and get_adapter().is_safe_url(url) else ""
