"""The page of one's own detectors: whoever publishes registers, renames and retires them."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_POST

from exchange.drawn import require_same
from exchange.errors import ExchangeError
from indicators import detectors
from partners.portal.access import do, page, show
from partners.scopes import Scope
from partners.viewer import Viewer


@require_http_methods(["GET", "HEAD", "POST"])
@page
def listing(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """All of them; POST registers one."""
    if request.method != "POST":
        return _listing(request, viewer)
    typed = {name: request.POST.get(name, "").strip()[:200] for name in ("name", "version", "sha256", "code")}
    try:
        made = detectors.register(viewer, **typed)
    except ExchangeError as refused:
        viewer.require(Scope.PUBLISH)
        return _listing(request, viewer, problem=refused.detail, typed=typed)
    messages.success(request, gettext("{name} is {code}.").format(name=made.name, code=made.code))
    return redirect("portal-detectors")


@require_POST
@page
def act(request: HttpRequest, viewer: Viewer, code: str) -> HttpResponseBase:
    """Rename or retire one."""
    found = detectors.find(viewer, code)

    def rename() -> str:
        require_same(request, {"name": found.name})
        detectors.change(viewer, code, name=request.POST.get("name", "")[:200])
        return gettext("Renamed.")

    def retire() -> str:
        detectors.retire(viewer, code)
        return gettext("Retired: no new version may name it.")

    acts = {"rename": rename, "retire": retire}
    return do(request, viewer, acts, needs=Scope.PUBLISH, back="portal-detectors")


def _listing(
    request: HttpRequest, viewer: Viewer, *, problem: str = "", typed: dict[str, str] | None = None
) -> HttpResponse:
    return show(
        request,
        viewer,
        "indicators/detectors.html",
        here="portal-detectors",
        detectors=list(detectors.listed(viewer)),
        may_change=Scope.PUBLISH in viewer.scopes,
        problem=problem,
        typed=typed or {},
    )
