"""Who looks at a page: the signed-in person, as a viewer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import wraps
from typing import Any, Concatenate
from urllib.parse import urlsplit, urlunsplit

from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext
from structlog.contextvars import bind_contextvars

from exchange import problems
from exchange.drawn import Stale
from exchange.errors import ExchangeError, NotFound, Refused, Unauthenticated
from partners.identity import factors, sessions
from partners.keys.auth import acting, viewer_of_user
from partners.models import User
from partners.portal import places
from partners.proof import Changed
from partners.scopes import Scope
from partners.viewer import Viewer

_SAFE = ("GET", "HEAD")

View = Callable[Concatenate[HttpRequest, Viewer, ...], HttpResponseBase]


def page(view: View) -> Callable[..., HttpResponseBase]:
    """Give a view the viewer as its second argument.

    Whoever is not signed in, or no longer may be, signs in first; whoever lacks the second factor that their
    partner demands adds it first.
    """
    return _guarded(view, without_factor=False)


def by_link[**Asked](view: Callable[Asked, HttpResponseBase]) -> Callable[Asked, HttpResponseBase]:
    """For a page whose address holds a secret: what it loads and leads to is told the site it comes from, no more.

    A browser would name the whole address (Referer), and a proxy write that into its log. Not `no-referrer`: a form
    would then be sent from `null`, which is refused as another site's.
    """

    @wraps(view)
    def guarded(*args: Asked.args, **kwargs: Asked.kwargs) -> HttpResponseBase:
        answer = view(*args, **kwargs)
        answer["Referrer-Policy"] = "strict-origin"
        return answer

    return guarded


def enrolment(view: View) -> Callable[..., HttpResponseBase]:
    """As `page`, for the few pages by which a second factor is added: all that is open without one."""
    return _guarded(view, without_factor=True)


def _guarded(view: View, *, without_factor: bool) -> Callable[..., HttpResponseBase]:
    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        user = request.user
        if not isinstance(user, User):
            return _elsewhere(request, redirect_to_login)
        try:
            viewer = viewer_of_user(user)
        except Unauthenticated:
            logout(request)
            return _elsewhere(request, redirect_to_login)
        if sessions.is_elsewhere(request, viewer):
            raise NotFound
        bind_contextvars(partner=viewer.partner_slug, actor=viewer.actor)
        if not without_factor and factors.lacking(user):
            return _elsewhere(request, lambda back: redirect("factors"))
        sessions.touch(request)
        _without_strangers(request)
        request.viewer = viewer  # type: ignore[attr-defined]
        if request.method in _SAFE:
            return view(request, viewer, *args, **kwargs)
        try:
            with acting(viewer):
                if sessions.is_open(request):
                    return view(request, viewer, *args, **kwargs)
        except Stale as stale:
            return _changed_meanwhile(request, viewer, stale)
        except Changed:  # their rights, while they pressed the button
            now = User.objects.filter(pk=user.pk).first()
            if now is None:
                logout(request)
                return _elsewhere(request, redirect_to_login)
            request.user = now
            return guarded(request, *args, **kwargs)
        logout(request)
        return _elsewhere(request, redirect_to_login)

    return guarded


def _changed_meanwhile(request: HttpRequest, viewer: Viewer, stale: Stale) -> HttpResponse:
    """The page of a form that somebody else was faster than: nothing is saved, and nothing that was typed is lost."""
    here = request.headers.get("Referer", "")
    back = here if url_has_allowed_host_and_scheme(here, allowed_hosts={request.get_host()}) else "/"
    context = {
        "lines": stale.lines,
        "fields": stale.fields,
        "secrets": stale.secrets,
        "now": stale.now,
        "mine": any(line.mine for line in stale.lines),
        "back": back,
    }
    return render(
        request,
        "exchange/stale.html",
        {"viewer": viewer, "here": "", "frame": places.frame(viewer, ""), **context},
        status=409,
    )


#: What mail programs, chats and search engines add to links: no page has a parameter of these names.
_STRANGERS = frozenset({
    "_ga", "_gl", "_hsenc", "_hsmi", "_ke", "dclid", "fbclid", "gad_source", "gbraid", "gclid", "gclsrc", "igshid",
    "li_fat_id", "mkt_tok", "msclkid", "rdt_cid", "ref", "ref_src", "srsltid", "ttclid", "twclid", "vero_id", "wbraid",
    "yclid",
})  # fmt: skip
#: And names that begin so.
_STRANGERS_BEGIN = ("utm_", "mc_", "pk_", "mtm_", "hsa_")


def _without_strangers(request: HttpRequest) -> None:
    """Forget what others added to the address; what else a page does not know is still refused."""
    strange = [name for name in request.GET if name in _STRANGERS or name.startswith(_STRANGERS_BEGIN)]
    if strange:
        kept = request.GET.copy()
        for name in strange:
            del kept[name]
        request.GET = kept  # type: ignore[assignment]


def do(
    request: HttpRequest, viewer: Viewer, acts: Mapping[str, Callable[[], str]], *, needs: Scope, back: str
) -> HttpResponse:
    """Do what the button of a form says (`do`): each act returns the sentence that is shown afterwards.

    What is refused is shown on the page that it leads `back` to, to people who may do it: others, who lack the scope
    that it `needs`, get the ordinary answer of that. Raises Refused where there is no such act, NotFound.
    """
    act = acts.get(request.POST.get("do", ""))
    if act is None:
        raise Refused(gettext("There is no such action."), code="unknown-action", at="/do")
    try:
        messages.success(request, act())
    except NotFound:
        raise
    except ExchangeError as refused:
        viewer.require(needs)
        messages.error(request, refused.detail)
    return redirect(back)


def _elsewhere(request: HttpRequest, to: Callable[[str], HttpResponseRedirect]) -> HttpResponse:
    """To another page and back; a part that renews itself takes its whole page along; a script is told 401."""
    if "application/json" in request.headers.get("Accept", ""):
        return _told_to_a_script()
    if request.headers.get("HX-Request") == "true":
        shown = urlsplit(request.headers.get("HX-Current-URL", ""))
        back = urlunsplit(("", "", shown.path or "/", shown.query, ""))
        return HttpResponse(status=204, headers={"HX-Redirect": to(back).url})
    return to(request.get_full_path())


def _told_to_a_script() -> HttpResponse:
    """A script would follow a redirect, and take the page that it leads to for its answer."""
    refused = Unauthenticated(gettext("Sign in, and add the second factor that your partner demands."))
    answer = problems.answer(refused)
    del answer["WWW-Authenticate"]  # for which a browser would ask for a name and a password itself
    return answer


def show(request: HttpRequest, viewer: Viewer, template: str, *, here: str, **context: Any) -> HttpResponse:
    """A page of the portal; `here` is its place in the side bar (`places`)."""
    route = (request.resolver_match and request.resolver_match.url_name) or ""
    frame = places.frame(viewer, here, route=route)
    return render(request, template, {"viewer": viewer, "here": here, "frame": frame, **context})


def framed(request: HttpRequest) -> dict[str, Any]:
    """The frame for a page that no view made, such as an error's; nothing for whoever is not signed in."""
    viewer = getattr(request, "viewer", None)
    if viewer is None and isinstance(request.user, User) and request.user.is_authenticated:
        with suppress(Unauthenticated):
            found = viewer_of_user(request.user)
            viewer = None if sessions.is_elsewhere(request, found) else found
    return {"viewer": viewer, "frame": places.frame(viewer, "")} if viewer is not None else {}
