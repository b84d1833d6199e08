"""Who am I: the person, the partner, its groups; and the theme, the language and the keys of the pages."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from exchange import themes, translating
from partners.groups import directory
from partners.identity import factors, people, sessions, signing_on
from partners.portal.access import page, show
from partners.portal.confirming import person
from partners.scopes import ROLE_SCOPES, Role
from partners.viewer import Viewer

_YEAR_S = 365 * 24 * 3600


@require_safe
@page
def account(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The signed-in person's page."""
    return show(
        request,
        viewer,
        "partners/account.html",
        here="account",
        groups=directory.groups(viewer),
        roles=[(role.label, sorted(ROLE_SCOPES[role])) for role in Role],
        scopes=sorted(viewer.scopes),
        held=factors.of(person(request)),
        sessions=sessions.of(person(request)),
        this_session=sessions.handle_of(request.session.session_key or ""),
        sign_on=signing_on.of(viewer),
        linked=person(request).identities.exists(),
        languages=translating.choices(),
        chosen_language=request.COOKIES.get(settings.LANGUAGE_COOKIE_NAME, ""),
    )


@require_POST
def theme(request: HttpRequest) -> HttpResponseBase:
    """Choose light, dark, or the system's choice, for this browser."""
    chosen = request.POST.get("theme", "")
    return _kept(request, themes.COOKIE, chosen if chosen in themes.CHOICES else "")


@require_POST
def language(request: HttpRequest) -> HttpResponseBase:
    """Choose one of the languages that there are, or the browser's choice, for this browser."""
    chosen = request.POST.get("language", "")
    return _kept(request, settings.LANGUAGE_COOKIE_NAME, chosen if chosen in dict(translating.choices()) else "")


@require_POST
@page
def single_keys(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """Say whether single keys act on one's own pages, in whatever browser; Enter, Tab and Escape always do."""
    people.choose_single_keys(person(request), on=request.POST.get("keys") == "on")
    return redirect("account")


def _kept(request: HttpRequest, cookie: str, chosen: str) -> HttpResponseBase:
    back = request.headers.get("Referer", "/")
    safe = url_has_allowed_host_and_scheme(back, allowed_hosts={request.get_host()})
    response = HttpResponseRedirect(back if safe else "/")
    if chosen:
        response.set_cookie(cookie, chosen, max_age=_YEAR_S, secure=request.is_secure(), httponly=True, samesite="Lax")
    else:
        response.delete_cookie(cookie)
    return response
