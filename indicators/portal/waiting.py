"""What waits for a second person: shown to those who publish, confirmed or declined by another than who sent it.

And what is disarmed, which each of them brings back.
"""

from __future__ import annotations

from functools import partial
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext, ngettext
from django.views.decorators.http import require_POST, require_safe

from exchange.errors import ExchangeError
from indicators import excerpts
from indicators.ending import deciding
from indicators.portal import second
from indicators.publishing import awaiting, confirming
from partners.groups import directory
from partners.models import User
from partners.portal.access import do, page, show
from partners.scopes import Scope
from partners.viewer import Viewer

_OBJECTS = 20


@require_safe
@page
def waiting(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """What is disarmed, and what waits, oldest first, with its audience and its first objects."""
    viewer.require(Scope.PUBLISH)
    return show(
        request,
        viewer,
        "indicators/waiting.html",
        here="waiting",
        waiting=[
            {
                "batch": one,
                "by": _name(one.actor),
                "audience": awaiting.audience_of(one),
                "count": len(one.places),
                "more": max(0, len(one.places) - _OBJECTS),
                "objects": second.objects(viewer, one, most=_OBJECTS),
                "mine": not confirming.may_decide(viewer, one),
            }
            for one in awaiting.waiting(viewer)
        ],
        limits=directory.alone_words(viewer),
        excerpts=[
            {"excerpt": one, "by": _name(one.actor), "mine": not excerpts.may_decide(viewer, one)}
            for one in excerpts.waiting(viewer)
        ],
        disarmed=[
            {
                "ending": one,
                "by": _name(one.actor),
                "ids": deciding.ids_of(one, at_most=_OBJECTS),
                "more": max(0, one.objects_ended - _OBJECTS),
                "mine": not deciding.may_confirm(viewer, one),
            }
            for one in deciding.waiting(viewer)
        ],
    )


@require_POST
@page
def act_on_excerpt(request: HttpRequest, viewer: Viewer, excerpt: UUID) -> HttpResponseBase:
    """Show an excerpt, or decline it."""
    excerpts.find(viewer, excerpt)

    def decided(*, shown: bool) -> str:
        excerpts.decide(viewer, excerpt, show=shown)
        return gettext("People see it now.") if shown else gettext("Declined; nothing of it is kept.")

    acts = {"show": partial(decided, shown=True), "decline": partial(decided, shown=False)}
    return do(request, viewer, acts, needs=Scope.PUBLISH, back="waiting")


@require_POST
@page
def undo(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """Bring back all that is disarmed."""
    try:
        undone = deciding.undo(viewer)
    except ExchangeError as refused:
        viewer.require(Scope.PUBLISH)
        messages.error(request, refused.detail)
    else:
        back = sum(one.brought_back for one in undone)
        came = ngettext("{n} object came back.", "{n} objects came back.", back).format(n=f"{back:,}")
        messages.success(request, came if undone else gettext("It is final."))
    return redirect("waiting")


@require_POST
@page
def decide(request: HttpRequest, viewer: Viewer, ending_id: UUID) -> HttpResponseBase:
    """Bring back what one act has disarmed, or make it final."""
    deciding.find(viewer, ending_id)

    def undo() -> str:
        (ending,) = deciding.undo(viewer, [ending_id])
        return gettext("{brought_back} of {objects_ended} objects came back.").format(
            brought_back=f"{ending.brought_back:,}", objects_ended=f"{ending.objects_ended:,}"
        )

    def confirm() -> str:
        deciding.confirm(viewer, ending_id)
        return gettext("It is final.")

    return do(request, viewer, {"undo": undo, "confirm": confirm}, needs=Scope.PUBLISH, back="waiting")


@require_POST
@page
def act(request: HttpRequest, viewer: Viewer, held_id: UUID) -> HttpResponseBase:
    """Confirm or decline."""
    awaiting.find(viewer, held_id)

    def confirm() -> str:
        counts = confirming.confirm(viewer, held_id).counts
        said = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
        return gettext("Confirmed. The whole batch: {said}.").format(said=said)

    def decline() -> str:
        confirming.decline(viewer, held_id)
        return gettext("Declined; nothing of it is published.")

    return do(request, viewer, {"confirm": confirm, "decline": decline}, needs=Scope.PUBLISH, back="waiting")


def _name(actor: str) -> str:
    """A person by the name they sign in with; a key by its public id."""
    if actor.startswith("user:"):
        return User.objects.filter(pk=actor.removeprefix("user:")).values_list("username", flat=True).first() or actor
    return gettext("key exk_{removeprefix}_…").format(removeprefix=actor.removeprefix("key:"))
