"""One's partner's opinion on one object, given by a click; over that of a colleague only by a second one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from exchange.errors import Conflict, NotFound, Refused
from indicators.opinions import giving, ours, recording
from indicators.stix import objects
from partners.portal import actors
from partners.portal.access import page, show
from partners.viewer import Viewer


@require_POST
@page
def judge(request: HttpRequest, viewer: Viewer, stix_id: str) -> HttpResponseBase:
    """Give the partner's opinion on what somebody else published, or have a second person confirm one."""
    if not objects.ID.fullmatch(stix_id):
        raise NotFound
    try:
        if request.POST.get("do") == "confirm":
            giving.confirm(viewer, stix_id)
        else:
            opinion, _, reason = request.POST.get("opinion", "").partition(":")
            reason = reason or request.POST.get("reason", "")
            said = ours.of_a_colleague(viewer, stix_id, opinion=opinion, reason=reason)
            if said is not None and opinion in recording.SAYS and request.POST.get("over") != said.version:
                return _asked(request, viewer, stix_id, said, opinion=opinion, reason=reason)
            status = giving.give(viewer, stix_id, opinion=opinion, reason=reason)
            if status != "accepted":
                messages.info(request, gettext("Not given yet: it waits for a second person of yours. See Waiting."))
                return redirect("indicator", stix_id)
    except (Conflict, Refused) as refused:
        messages.error(request, refused.detail)
    else:
        messages.success(
            request,
            gettext(
                "Your opinion is given. Whoever sees the object through the same groups reads it. Another one"
                " revises it."
            ),
        )
    return redirect("indicator", stix_id)


def _asked(
    request: HttpRequest, viewer: Viewer, stix_id: str, said: ours.Stated, *, opinion: str, reason: str
) -> HttpResponseBase:
    """The page that asks: nothing is given yet, and what it asks of is named, so that a third opinion is asked of, too.

    An answer to what the page before showed, or to what came after it: 409 either way.
    """
    answer = show(
        request,
        viewer,
        "indicators/said_otherwise.html",
        here="indicators",
        stix_id=stix_id,
        said=shown([said], actors.names(viewer, {said.actor}))[0],
        wished={"opinion": opinion, "says": recording.SAYS[opinion], "reason": reason},
    )
    answer.status_code = 409
    return answer


def of(viewer: Viewer, stix_id: str) -> dict[str, Any]:
    """What the viewer's partner says of an id and said before, as a page shows it, with who of them and when."""
    now = ours.now(viewer, stix_id)
    before = ours.before(viewer, stix_id, now)
    names = actors.names(viewer, {one.actor for one in (*before, *([now] if now else []))})
    return {"ours": shown([now], names)[0] if now else None, "ours_before": shown(before, names)}


def shown(said: Sequence[ours.Stated], names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Each with the name of whoever said it; who is of the partner no more, or not known, has none."""
    return [
        {
            "opinion": one.opinion,
            "says": recording.SAYS.get(one.opinion),
            "reason": one.reason,
            "at": one.at,
            "by": names.get(one.actor) or gettext("A colleague"),
            "version": one.version,
        }
        for one in said
    ]
