"""What a publisher does to an object of its own: show it to others, revoke it, withdraw it, prove when it was said."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import orjson
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from exchange.drawn import carried, require_same
from exchange.errors import ExchangeError, NotFound
from indicators import reading
from indicators.ending import recalling, withdrawing
from indicators.models import Batch, StixObject
from indicators.publishing import previewing, readdressing
from indicators.publishing.reach import Reach
from indicators.reading.selecting import Selection
from indicators.stix import objects
from partners import viewing
from partners.groups import directory
from partners.log import logbook, transparency
from partners.portal.access import page, show
from partners.scopes import Scope
from partners.tlp import Tlp
from partners.viewer import Viewer

_AROUND = timedelta(minutes=10)


def _own(viewer: Viewer, stix_id: str) -> reading.Statement:
    if not objects.ID.fullmatch(stix_id):
        raise NotFound
    said = reading.own_object(viewer, stix_id)
    viewer.require(Scope.PUBLISH)
    return said


@require_http_methods(["GET", "HEAD", "POST"])
@page
def end(request: HttpRequest, viewer: Viewer, stix_id: str) -> HttpResponseBase:
    """Ask whether to revoke it, with how many read it; then do so, and for an hour it can come back."""
    own = _own(viewer, stix_id)
    if request.method == "POST":
        try:
            recall = recalling.carry_out(viewer, recalling.prepare(viewer, recalling.Wanted(ids=(stix_id,))).pk)
        except ExchangeError as refused:
            messages.error(request, refused.detail)
            return redirect("indicator", stix_id)
        return redirect("act", recall.pk)
    readers = viewing.readers(own.audience_id)
    return show(
        request,
        viewer,
        "indicators/end_page.html",
        here="indicators",
        stix_id=stix_id,
        own=own,
        tlp=Tlp(own.tlp).word,
        readers=readers,
        ended=not reading.page(viewer, Selection(stix_ids=(stix_id,), own=True, living=True), limit=1).statements,
    )


@require_POST
@page
def withdraw(request: HttpRequest, viewer: Viewer, stix_id: str) -> HttpResponseBase:
    """Take back what the viewer itself published under this id; what was in force can come back for an hour."""
    if not objects.ID.fullmatch(stix_id):
        raise NotFound
    if withdrawing.withdraw(viewer, [stix_id], undoable=True):
        messages.success(
            request, gettext("Withdrawn. Whoever held it is told to drop it. For an hour it can come back.")
        )
        return redirect("waiting")
    messages.success(request, gettext("Withdrawn. Whoever held it is told to drop it."))
    return redirect("indicators")


@require_http_methods(["GET", "HEAD", "POST"])
@page
def audience(request: HttpRequest, viewer: Viewer, stix_id: str) -> HttpResponseBase:
    """Show it to others than now: asked first who would see it, and who comes and goes by that."""
    own = _own(viewer, stix_id)
    chosen = _chosen(request, viewer, own)
    now_chosen = _held(viewer, own)
    if request.POST.get("do") == "change":
        require_same(request, now_chosen)
    told: dict[str, Any] = {}
    try:
        if request.method == "POST" and request.POST.get("do") == "change":
            if readdressing.readdress(viewer, stix_id, _reach(viewer, chosen)) is not None:
                messages.success(
                    request, gettext("It waits for a second person of yours, and stays where it is till then.")
                )
                return redirect("indicator", stix_id)
            messages.success(request, gettext("It goes to these partners now. Change it back in the same way."))
            return redirect("indicator", stix_id)
        if request.method == "POST":
            told = {"asked": True, "would_see": previewing.who_would_see(viewer, _reach(viewer, chosen))}
    except ExchangeError as refused:
        told = {"problem": refused.detail}
    readers = viewing.readers(own.audience_id)
    now, then = ({one.partner_name for one in found} for found in (readers, told.get("would_see", readers)))
    return show(
        request,
        viewer,
        "indicators/audience.html",
        here="indicators",
        stix_id=stix_id,
        own=own,
        chosen=chosen,
        drawn=carried(request, now_chosen),
        groups=directory.groups(viewer),
        partners=[partner for partner in directory.partners() if partner.pk != viewer.partner_id],
        tlps=[marking.word for marking in Tlp],
        readers=readers,
        gained=sorted(then - now),
        lost=sorted(now - then),
        **told,
    )


def _reach(viewer: Viewer, chosen: dict[str, Any]) -> Reach:
    return Reach.in_words(viewer, named=True, **chosen)


def _chosen(request: HttpRequest, viewer: Viewer, own: reading.Statement) -> dict[str, Any]:
    """What the form says, or what holds now."""
    if request.method == "POST":
        said = request.POST
        named = {name: tuple(sorted(set(said.getlist(name)))) for name in ("groups", "partners")}
        return {**named, "tlp": said.get("tlp", "")}
    return _held(viewer, own)


def _held(viewer: Viewer, own: reading.Statement) -> dict[str, Any]:
    """Who sees it by which group or name, and its marking, as they are."""
    there = reading.audience_of(viewer, own.object_id)
    groups = [group.slug for group in directory.groups(viewer) if group.pk in there.groups]
    partners = [partner.slug for partner in directory.partners() if partner.pk in there.partners]
    return {"groups": tuple(groups), "partners": tuple(partners), "tlp": Tlp(own.tlp).word}


@require_safe
@page
def proof(request: HttpRequest, viewer: Viewer, stix_id: str) -> HttpResponse:
    """The record of the batch that published it, with its place and path under the signed head."""
    if not objects.ID.fullmatch(stix_id):
        raise NotFound
    said = reading.own_object(viewer, stix_id)
    viewer.require(Scope.AUDIT)
    stored = StixObject.objects.visible_to(viewer).filter(pk=said.object_id).values_list("stored_at", flat=True).get()
    batches = (
        Batch.objects.of(viewer)
        .filter(received_at__gte=stored - _AROUND, received_at__lte=stored + _AROUND)
        .filter(results__contains=stix_id)
        .order_by("-received_at")
    )
    head = transparency.head()
    record = next((found for batch in batches[:5] for found in logbook.records_of(viewer, f"batch:{batch.pk}")), None)
    if record is None or head is None:
        raise NotFound(gettext("The log has no signed head over it yet: try again in a minute."))
    document = {"object": stix_id, **logbook.proof_of(record, under=head), **logbook.head_with_keys(head)}
    return HttpResponse(
        orjson.dumps(document, option=orjson.OPT_INDENT_2, default=str),
        content_type="application/json",
        headers={"Content-Disposition": f'attachment; filename="{stix_id}-proof.json"'},
    )
