"""Acts on many: the scope is frozen and counted by the server, a large number is typed, and one press undoes it.

Revoking is a recall (`ending.recalling`): what was found is kept by its keys, and for an hour one press brings it back.
Judging is work of a worker (`opinions.many`): what was refused is told one by one. Both pages look again by themselves.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_POST

from exchange import clock
from exchange.errors import Conflict, ExchangeError, Refused
from exchange.stix import words
from indicators.ending import deciding, recalling, released
from indicators.models import Ending, Judging
from indicators.opinions import many, ours, recording
from indicators.portal import asking
from indicators.reading import listing
from partners.portal import actors
from partners.portal.access import page, show
from partners.scopes import Scope
from partners.viewer import Viewer

#: Above so many the number is typed.
TYPED_ABOVE = 50
#: So many ids of an act are listed, and so many of what failed.
_LISTED = 50
_MOST_FAILED = 200


@require_POST
@page
def begin(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """Freeze what an act is about: the lines that were chosen, or all that match now; nothing is done yet."""
    own = request.POST.get("do") == "revoke"
    try:
        ids = _scope(request, viewer, own=own)
        if own:
            return redirect("act", recalling.prepare(viewer, recalling.Wanted(ids=tuple(ids))).pk)
        return redirect("judging", many.prepare(viewer, ids).pk)
    except Refused as refused:
        messages.error(request, refused.detail)
        return redirect("indicators")


def _scope(request: HttpRequest, viewer: Viewer, *, own: bool) -> list[str]:
    most = recalling.MOST if own else many.MOST
    if request.POST.get("all") != "yes":
        chosen = (one.partition("/") for one in request.POST.getlist("chosen"))
        ids = [stix_id for slug, _, stix_id in chosen if (slug == viewer.partner_slug) == own]
    else:
        asked = asking.read(request, viewer)
        if asked.problem:
            raise asked.problem
        ids, more = listing.chosen(viewer, asked.selection, own=own, most=most)
        if more:
            raise Refused(
                gettext("More than {most} at once: narrow the filter.").format(most=f"{most:,}"),
                code="too-many-objects",
                at="/filter",
            )
    if not ids:
        raise Refused(
            gettext("Nothing of that is yours.") if own else gettext("Nothing of that is others'."),
            code="nothing-chosen",
            at="",
        )
    return ids


@require_http_methods(["GET", "HEAD", "POST"])
@page
def act(request: HttpRequest, viewer: Viewer, recall_id: UUID) -> HttpResponseBase:
    """A revocation of many: asked, done, or undone."""
    viewer.require(Scope.PUBLISH)
    recall = recalling.find(viewer, recall_id)
    count = len(recall.holdings)
    part = "#progress" if request.headers.get("HX-Request") == "true" else ""
    if request.method == "POST":
        try:
            _done(request, viewer, recall_id, count)
        except ExchangeError as refused:
            messages.error(request, refused.detail)
        return redirect("act", recall_id)
    ending = recall.ending
    return show(
        request,
        viewer,
        f"indicators/act.html{part}",
        here="indicators",
        recall=recall,
        count=count,
        typed=count > TYPED_ABOVE,
        ending=ending,
        open=ending is not None and ending.state == Ending.State.DISARMED,
        ended_percent=100 * ending.objects_ended // count if ending and count else 100,
        missed=count - ending.objects_ended if ending else 0,
        gone=recalling.gone_before(recall, at_most=_LISTED),
        ids=recalling.ids_of(recall, at_most=_LISTED),
        may_finish=ending is not None and deciding.may_confirm(viewer, ending),
        receipts=released.of(viewer, recall),
        moment=clock.now(),
    )


def _done(request: HttpRequest, viewer: Viewer, recall_id: UUID, count: int) -> None:
    do = request.POST.get("do")
    if do == "revoke":
        _require_typed(request, count)
        recalling.carry_out(viewer, recall_id)
    elif do == "undo":
        recalling.undo(viewer, recall_id)
    elif do == "finish":
        recalling.finish(viewer, recall_id)
    else:
        raise Refused(gettext("There is no such act."), code="unknown-act", at="/do")


def _require_typed(request: HttpRequest, count: int) -> None:
    """Raise Refused unless a large number was typed."""
    if count > TYPED_ABOVE and request.POST.get("number", "").replace(",", "").strip() != str(count):
        raise Refused(gettext("Type {count} to go on.").format(count=f"{count:,}"), code="not-typed", at="/number")


@require_http_methods(["GET", "HEAD", "POST"])
@page
def judging(request: HttpRequest, viewer: Viewer, judging_id: UUID) -> HttpResponseBase:
    """One opinion on many of others' objects: what is to be said, how far it is, what was refused, and its undo."""
    one = many.find(viewer, judging_id)
    if request.method == "POST":
        viewer.require(Scope.REACT)
        try:
            _judged(request, viewer, one)
        except (Conflict, Refused) as refused:
            messages.error(request, refused.detail)
        return redirect("judging", judging_id)
    part = "#progress" if request.headers.get("HX-Request") == "true" else ""
    done = many.progress(one)
    return show(
        request,
        viewer,
        f"indicators/judging.html{part}",
        here="indicators",
        one=one,
        total=len(one.ids),
        done=done,
        running=one.state in ("running", "undoing"),
        can_undo=many.can_undo(one) and done.given > 0,
        may_judge=Scope.REACT in viewer.scopes,
        typed=len(one.ids) > TYPED_ABOVE,
        failed=many.failures(one, at_most=_MOST_FAILED),
        ids=one.ids[:_LISTED],
        **(_of_colleagues(viewer, one) if one.state == Judging.State.PREPARED else {}),
        reasons=words.REASONS,
        opinions=tuple(recording.SAYS),
    )


def _of_colleagues(viewer: Viewer, one: Judging) -> dict[str, Any]:
    """Of how many a colleague said something until now, and who of how many."""
    drawn_at = clock.now()
    found = ours.of_colleagues(viewer, one.ids)
    names = actors.names(viewer, set(found))
    by: dict[str, int] = {}
    for actor, count in found.items():
        name = names.get(actor) or gettext("A colleague")
        by[name] = by.get(name, 0) + count
    return {"said": sum(found.values()), "said_by": sorted(by.items()), "drawn_at": clock.rfc3339(drawn_at)}


def _judged(request: HttpRequest, viewer: Viewer, one: Judging) -> None:
    do = request.POST.get("do")
    if do == "undo":
        many.undo(viewer, one.pk)
    elif do == "stop":
        many.stop(viewer, one.pk)
    elif do == "judge":
        _require_typed(request, len(one.ids))
        opinion, _, reason = request.POST.get("opinion", "").partition(":")
        reason = reason or request.POST.get("reason", "")
        many.begin(viewer, one.pk, opinion=opinion, reason=reason, over_until=_over_until(request))
    else:
        raise Refused(gettext("There is no such act."), code="unknown-act", at="/do")


def _over_until(request: HttpRequest) -> datetime | None:
    """When the page was drawn that showed what colleagues say, where its box was ticked."""
    sent = request.POST.get("over", "")
    if not sent:
        return None
    moment = clock.moment_of(sent)
    if moment is None:
        raise Refused(gettext("Open the page anew."), code="bad-time", at="/over")
    return min(moment, clock.now())
