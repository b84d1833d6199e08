"""The pages for whoever has forgotten the password. Open to everybody, and the same for everybody."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from exchange.errors import Refused
from partners.identity import resetting
from partners.portal.access import by_link
from partners.portal.confirming import limit, within


@require_http_methods(["GET", "HEAD", "POST"])
def forgotten(request: HttpRequest) -> HttpResponseBase:
    """Ask for a link. The answer says nothing of whether anybody gets one."""
    if request.method != "POST":
        return render(request, "partners/forgotten.html")
    limit(request, "password_reset")
    typed = request.POST.get("who", "")
    if within(request, "password_reset_of", key=typed.strip().lower()):  # one mailbox gets few, and nobody is told so
        resetting.ask(typed)
    return render(request, "partners/forgotten.html", {"asked": True, "minutes": resetting.LIFE.seconds // 60})


@by_link
@sensitive_post_parameters("token", "password", "again")
@require_http_methods(["GET", "HEAD", "POST"])
def link(request: HttpRequest) -> HttpResponseBase:
    """Choose another password by the link. Wrong, used, too old: one page for all."""
    posted = request.method == "POST"
    token = (request.POST if posted else request.GET).get("token", "")
    limit(request, "password_reset_link")
    try:
        return _reset(request, token) if posted else _form(request, token, user=resetting.find(token))
    except resetting.NoLink:
        return render(request, "partners/no_reset.html", status=404)


def _reset(request: HttpRequest, token: str) -> HttpResponse:
    password = request.POST.get("password", "")
    try:
        if password != request.POST.get("again", ""):
            raise Refused(gettext("The two passwords differ."), code="passwords-differ", at="/again")
        resetting.reset(token, password=password)
    except Refused as refused:
        return _form(request, token, user=resetting.find(token), problem=refused.detail)
    return render(request, "partners/reset_done.html")


def _form(request: HttpRequest, token: str, **about: object) -> HttpResponse:
    status = 422 if about.get("problem") else 200
    return render(request, "partners/reset.html", {"token": token, **about}, status=status)
