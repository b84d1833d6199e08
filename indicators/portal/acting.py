"""Acts on many: the scope is frozen and counted by the server, a large number is typed, and one press undoes it.

Revoking is a recall (`ending.recalling`): what was found is kept by its keys, and for an hour one press brings it back.
Judging goes on in steps of a few, as the page asks for them; what was refused is told one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods, require_POST

from exchange import clock
from exchange.errors import ExchangeError, NotFound, Refused
from exchange.stix import words
from indicators.ending import deciding, recalling, revoking
from indicators.models import Ending, Opinion
from indicators.opinions import giving
from indicators.portal import asking
from indicators.publishing import Request
from indicators.reading import listing
from partners.portal.access import page, show
from partners.scopes import Scope
from partners.viewer import Viewer

#: Above so many the number is typed.
TYPED_ABOVE = 50
_MOST_JUDGED = 500
_STEP = 10
_JOBS = "judging"


@require_POST
@page
def begin(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """Freeze what an act is about: the lines that were chosen, or all that match now; nothing is done yet."""
    own = request.POST.get("do") == "revoke"
    try:
        ids = _scope(request, viewer, own=own)
        if own:
            return redirect("act", recalling.prepare(viewer, recalling.Wanted(ids=tuple(ids))).pk)
        viewer.require(Scope.REACT)
        return redirect("judging", _job(request, ids))
    except Refused as refused:
        messages.error(request, refused.detail)
        return redirect("indicators")


def _scope(request: HttpRequest, viewer: Viewer, *, own: bool) -> list[str]:
    most = recalling.MOST if own else _MOST_JUDGED
    if request.POST.get("all") != "yes":
        ids = list(dict.fromkeys(one.partition("/")[2] for one in request.POST.getlist("chosen")))[:most]
    else:
        asked = asking.read(request, viewer)
        if asked.problem:
            raise asked.problem
        ids, more = listing.chosen(viewer, asked.selection, own=own, most=most)
        if more:
            raise Refused(f"More than {most:,} at once: narrow the filter.", code="too-many-objects", at="/filter")
    if not ids:
        raise Refused(
            "Nothing of that is yours." if own else "Nothing of that is others'.", code="nothing-chosen", at=""
        )
    return ids


@require_http_methods(["GET", "HEAD", "POST"])
@page
def act(request: HttpRequest, viewer: Viewer, recall_id: UUID) -> HttpResponseBase:
    """A revocation of many: asked, done, or undone."""
    viewer.require(Scope.PUBLISH)
    recall = recalling.find(viewer, recall_id)
    count = len(recall.holdings)
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
        "indicators/act.html",
        here="indicators",
        recall=recall,
        count=count,
        typed=count > TYPED_ABOVE,
        ending=ending,
        open=ending is not None and ending.state == Ending.State.DISARMED,
        missed=count - ending.objects_ended if ending else 0,
        gone=recalling.gone_before(recall, at_most=50),
        ids=recalling.ids_of(recall, at_most=50),
        may_finish=ending is not None and deciding.may_confirm(viewer, ending),
        moment=clock.now(),
    )


def _done(request: HttpRequest, viewer: Viewer, recall_id: UUID, count: int) -> None:
    do = request.POST.get("do")
    if do == "revoke":
        if count > TYPED_ABOVE and request.POST.get("number", "").replace(",", "").strip() != str(count):
            raise Refused(f"Type {count:,} to go on.", code="not-typed", at="/number")
        recalling.carry_out(viewer, recall_id)
    elif do == "undo":
        recalling.undo(viewer, recall_id)
    elif do == "finish":
        recalling.finish(viewer, recall_id)
    else:
        raise Refused("There is no such act.", code="unknown-act", at="/do")


def _job(request: HttpRequest, ids: Sequence[str]) -> str:
    """Keep the frozen scope with the session: the newest few jobs."""
    jobs: dict[str, Any] = request.session.get(_JOBS, {})
    key = uuid4().hex
    kept = dict(list(jobs.items())[-3:])
    request.session[_JOBS] = {**kept, key: {"ids": list(ids), "done": [], "failed": [], "says": ""}}
    return key


@require_http_methods(["GET", "HEAD", "POST"])
@page
def judging(request: HttpRequest, viewer: Viewer, job: str) -> HttpResponseBase:
    """One opinion on many of others' objects: what is to be said, how far it is, what was refused, and its undo."""
    jobs: dict[str, Any] = request.session.get(_JOBS, {})
    if job not in jobs:
        raise NotFound
    one = jobs[job]
    if request.method == "POST":
        viewer.require(Scope.REACT)
        do = request.POST.get("do")
        if do == "undo":
            _taken_back(viewer, one)
        elif do in ("judge", "step"):
            _stepped(request, viewer, one, first=do == "judge")
        request.session[_JOBS] = {**jobs, job: one}
        if request.headers.get("HX-Request") != "true":
            return redirect("judging", job)
    return _shown(request, viewer, job, one)


def _stepped(request: HttpRequest, viewer: Viewer, one: dict[str, Any], *, first: bool) -> None:
    if first:
        if len(one["ids"]) > TYPED_ABOVE and request.POST.get("number", "").strip() != str(len(one["ids"])):
            messages.error(request, f"Type {len(one['ids'])} to go on.")
            return
        one["says"] = request.POST.get("opinion", "")
    said, _, reason = one["says"].partition(":")
    over = {*one["done"], *(stix_id for stix_id, _ in one["failed"])}
    for stix_id in [stix_id for stix_id in one["ids"] if stix_id not in over][:_STEP]:
        try:
            giving.give(viewer, stix_id, opinion=said, reason=reason)
            one["done"].append(stix_id)
        except ExchangeError as refused:
            one["failed"].append([stix_id, refused.detail])


def _taken_back(viewer: Viewer, one: dict[str, Any]) -> None:
    """Revoke the opinions that the job gave."""
    given = Opinion.objects.visible_to(viewer).filter(partner=viewer.partner_id, holding__stix_id__in=one["done"])
    ids = sorted(set(given.values_list("said_by__stix_id", flat=True)))
    if ids:
        revoking.revoke_each(viewer, ids, request=Request(uuid4().bytes * 2))
    one["undone"] = True


def _shown(request: HttpRequest, viewer: Viewer, job: str, one: dict[str, Any]) -> HttpResponse:
    total, over = len(one["ids"]), len(one["done"]) + len(one["failed"])
    part = "#progress" if request.headers.get("HX-Request") == "true" else ""
    return show(
        request,
        viewer,
        f"indicators/judging.html{part}",
        here="indicators",
        job=job,
        one=one,
        total=total,
        over=over,
        share=round(100 * over / total) if total else 100,
        typed=total > TYPED_ABOVE,
        running=bool(one["says"]) and over < total,
        reasons=words.REASONS,
    )
