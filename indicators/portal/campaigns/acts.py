"""What one's partner says of a campaign: its own word with a reason, a name that nobody else sees, and taking back."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from exchange.drawn import require_same
from exchange.errors import Conflict, NotFound, Refused
from exchange.translating import later
from indicators.campaigns import statements, viewing
from indicators.portal.campaigns import wording
from partners.portal import actors
from partners.portal.access import page, show
from partners.viewer import Viewer

_TOLD = {
    "confirm": later("You say that it is one. The labs of its group read that under your name."),
    "dismiss": later("You say that it is none. It stays for others until most labs in it say so."),
    "two": later("You say that it is two campaigns. It is parted where most labs in it say so."),
    "one": later("You say that both are one. They are joined where most labs in either say so."),
}


@require_POST
@page
def say(request: HttpRequest, viewer: Viewer, campaign_id: UUID) -> HttpResponseBase:
    """Say one's partner's word of a campaign, or take it back."""
    says = request.POST.get("says", "")
    try:
        if says == "nothing":
            _unsay(request, viewer, campaign_id)
        else:
            other = _other(request.POST.get("other", "")) if says == "one" else None
            reason = request.POST.get("reason", "")
            theirs = statements.of_a_colleague(viewer, campaign_id, says=says, reason=reason, other=other)
            if theirs is not None and request.POST.get("over") != theirs.said.at.isoformat():
                return _asked(request, viewer, campaign_id, theirs)
            statements.say(viewer, campaign_id, says=says, reason=reason, other=other)
            messages.success(request, gettext("{n} You can take it back here.").format(n=_TOLD[says]))
    except (Conflict, Refused) as refused:
        messages.error(request, refused.detail)
    return redirect("portal-campaign", campaign_id)


def _asked(request: HttpRequest, viewer: Viewer, campaign_id: UUID, theirs: statements.Stated) -> HttpResponseBase:
    """The page that asks before a colleague's word gives way (409); a third word, said meanwhile, is asked of, too."""
    one = statements.visible(viewer, campaign_id)
    wished = {name: request.POST.get(name, "") for name in ("says", "reason", "other")}
    names = viewing.names(viewer, one.group_id)
    answer = show(
        request,
        viewer,
        "indicators/campaign_otherwise.html",
        here="portal-campaigns",
        campaign_id=campaign_id,
        name=names.get(campaign_id, ""),
        by=actors.names(viewer, {theirs.actor}).get(theirs.actor) or gettext("A colleague"),
        said=theirs.said,
        says=wording.said(theirs.said.says),
        other=names.get(theirs.said.other, "") if theirs.said.other else "",
        over=theirs.said.at.isoformat(),
        wished=wished,
        would_say=wording.said(wished["says"]),
        would_other=names.get(UUID(wished["other"]), "") if wished["says"] == "one" else "",
    )
    answer.status_code = 409
    return answer


@require_POST
@page
def alias(request: HttpRequest, viewer: Viewer, campaign_id: UUID) -> HttpResponseBase:
    """Give it a name that one's own partner alone sees."""
    require_same(request, {"alias": statements.called(viewer, campaign_id)})
    try:
        statements.call(viewer, campaign_id, request.POST.get("alias", ""))
    except Refused as refused:
        messages.error(request, refused.detail)
    else:
        messages.success(request, gettext("Your partner sees it under this name; nobody else does."))
    return redirect("portal-campaign", campaign_id)


def _unsay(request: HttpRequest, viewer: Viewer, campaign_id: UUID) -> None:
    statements.visible(viewer, campaign_id)
    try:
        statements.unsay(viewer, campaign_id)
    except NotFound:
        messages.error(request, gettext("You had said nothing of it."))
    else:
        messages.success(request, gettext("Taken back: you say nothing of it."))


def _other(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Refused(gettext("Choose the other campaign."), code="bad-other", at="/other") from None
