"""Who am I: the person, the partner, its groups; and the theme of the pages."""

from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from exchange import themes
from partners.groups import directory
from partners.identity import factors, sessions, signing_on
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
    )


@require_POST
def theme(request: HttpRequest) -> HttpResponseBase:
    """Choose light, dark, or the system's choice, for this browser."""
    back = request.headers.get("Referer", "/")
    safe = url_has_allowed_host_and_scheme(back, allowed_hosts={request.get_host()})
    response = HttpResponseRedirect(back if safe else "/")
    chosen = request.POST.get("theme", "")
    if chosen in themes.CHOICES:
        response.set_cookie(
            themes.COOKIE, chosen, max_age=_YEAR_S, secure=request.is_secure(), httponly=True, samesite="Lax"
        )
    else:
        response.delete_cookie(themes.COOKIE)
    return response
