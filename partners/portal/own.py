"""What a person keeps to themselves: second factors, sessions, the password, the link with their identity provider."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from allauth.account.internal.flows.login import record_authentication
from allauth.mfa.adapter import get_adapter
from allauth.mfa.totp.forms import ActivateTOTPForm
from allauth.mfa.totp.internal.auth import clear_totp_secret
from allauth.mfa.webauthn.forms import AddWebAuthnForm
from allauth.mfa.webauthn.internal.auth import begin_registration
from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext, ngettext
from django.views.decorators.http import require_http_methods, require_POST

from exchange.errors import Conflict, Refused
from exchange.translating import later
from partners import mailing
from partners.identity import factors, sessions, signing_on
from partners.log import audit
from partners.portal.access import enrolment, page
from partners.portal.confirming import confirmed, limit, person, recently, where
from partners.viewer import Viewer

_NOT_UNDERSTOOD = later("The passkey was not understood. Try again.")


@require_http_methods(["GET", "HEAD", "POST"])
@enrolment
@confirmed
def second_factors(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """One's own second factors; POST adds, renames or removes one, or makes new recovery codes."""
    if request.method != "POST":
        return _factors(request)
    wanted = request.POST.get("do", "")
    if wanted not in _CHANGES:
        raise Refused(gettext("There is no such action."), code="unknown-action", at="/do")
    limit(request, "change_factors", user=person(request))
    return _CHANGES[wanted](request, viewer)


@require_POST
@enrolment
@confirmed
def passkey_options(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """What the browser needs to make a passkey (WebAuthn §5.4); the challenge waits in the session."""
    limit(request, "change_factors", user=person(request))
    return JsonResponse(begin_registration(person(request), passwordless=True))


@require_POST
@page
def end_sessions(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """Sign out somewhere else, or everywhere else."""
    handle = request.POST.get("session", "")
    ended = sessions.end(person(request), by=viewer, handle=handle, keep=request.session.session_key)
    messages.success(
        request,
        ngettext("Signed out of {n} other session.", "Signed out of {n} other sessions.", ended).format(n=ended),
    )
    return redirect("account")


@require_http_methods(["GET", "HEAD", "POST"])
@page
def password(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """Choose another password, with the present one; every other session ends."""
    user = person(request)
    if request.method != "POST":
        return _password(request, viewer)
    limit(request, "change_password", user=user)
    new = request.POST.get("password", "")
    if user.has_usable_password():
        if not user.check_password(request.POST.get("current", "")):
            return _password(request, viewer, problem=gettext("That was not your present password."))
    elif not recently(request):
        return redirect(where(request, request.path))
    if new != request.POST.get("again", ""):
        return _password(request, viewer, problem=gettext("The two new passwords differ."))
    try:
        validate_password(new, user)
    except ValidationError as refused:
        return _password(request, viewer, problem=" ".join(refused.messages))
    with transaction.atomic():
        user.set_password(new)
        user.save(update_fields=["password"])
        audit.record(audit.Verb.PASSWORD_CHANGED, by=viewer, target=f"user:{user.pk}")
        update_session_auth_hash(request, user)
        request.session.save()
        sessions.end(user, by=viewer, keep=request.session.session_key)
        mailing.tell(
            user.email,
            subject=gettext("Your password has changed"),
            text=gettext(
                "The password of your account {username} at the exchange was changed.\n\n"
                "If this was not you, tell your partner's admin now.\n"
            ).format(username=user.username),
            partner_id=user.partner_id,
        )
    record_authentication(request, user, "password", reauthenticated=True)
    messages.success(request, gettext("The password is changed; your other sessions have ended."))
    return redirect("account")


@require_POST
@page
@confirmed
def unlink(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """Sign in through the partner's sign-on no more."""
    try:
        signing_on.unlink(person(request), by=viewer)
    except Conflict as refused:
        messages.error(request, refused.detail)
    else:
        messages.success(request, gettext("The link with your partner's sign-on is removed."))
    return redirect("account")


def _factors(request: HttpRequest, *, problem: str = "", **more: Any) -> HttpResponse:
    user = person(request)
    context = {
        "held": factors.of(user),
        "lacking": factors.lacking(user),
        "fresh": recently(request),
        "confirm": "" if recently(request) else where(request, request.path),
        "problem": problem,
        **more,
    }
    return render(request, "partners/factors.html", context)


def _add_passkey(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    user = person(request)
    try:
        form = AddWebAuthnForm(user=user, data={**request.POST.dict(), "passwordless": "on"})
        verified = form.is_valid()
    except (AttributeError, KeyError, TypeError, ValueError):  # whatever the library makes of made-up bytes
        verified = False
    if not verified:
        return _factors(request, problem=str(_NOT_UNDERSTOOD))
    name = factors.name_of(request.POST.get("name", ""))
    codes = factors.add_passkey(user, name=name, credential=form.cleaned_data["credential"], by=viewer)
    return _factors(request, codes=codes, done=gettext("The passkey is added. You can sign in with it alone."))


def _rename_passkey(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    name = factors.name_of(request.POST.get("name", ""))
    factors.rename_passkey(person(request), request.POST.get("passkey", ""), name=name, by=viewer)
    return redirect("factors")


def _remove_passkey(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    factors.remove_passkey(person(request), request.POST.get("passkey", ""), by=viewer)
    return redirect("factors")


def _begin_app(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    return _app(request, ActivateTOTPForm(user=person(request)))


def _add_app(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    user = person(request)
    form = ActivateTOTPForm(user=user, data=request.POST)
    if not form.is_valid():
        return _app(request, form, problem=gettext("That was not the right code. Try the next one."))
    codes = factors.add_app(user, secret=form.secret, by=viewer)
    clear_totp_secret(request)
    return _factors(request, codes=codes, done=gettext("The authenticator app is added."))


def _app(request: HttpRequest, form: Any, *, problem: str = "") -> HttpResponse:
    adapter = get_adapter()
    svg = adapter.build_totp_svg(adapter.build_totp_url(person(request), form.secret))
    drawn = f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"
    return render(request, "partners/app.html", {"secret": form.secret, "drawn": drawn, "problem": problem})


def _remove_app(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    factors.remove_app(person(request), by=viewer)
    return redirect("factors")


def _new_codes(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    codes = factors.new_recovery_codes(person(request), by=viewer)
    return _factors(
        request, codes=codes, done=gettext("These are your new recovery codes; the old ones are worthless.")
    )


def _password(request: HttpRequest, viewer: Viewer, *, problem: str = "") -> HttpResponse:
    context = {"problem": problem, "has_one": person(request).has_usable_password()}
    return render(request, "partners/password.html", context)


_CHANGES: dict[str, Callable[[HttpRequest, Viewer], HttpResponse]] = {
    "add-app": _add_app,
    "add-passkey": _add_passkey,
    "begin-app": _begin_app,
    "new-codes": _new_codes,
    "remove-app": _remove_app,
    "remove-passkey": _remove_passkey,
    "rename-passkey": _rename_passkey,
}
