"""The operator's pages: every partner and every group. To all but the operator's admins there is nothing here."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import redirect
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe

from exchange import clock, drawn
from exchange.errors import ExchangeError, NotFound, Refused
from partners import terms
from partners.ceilings import Width
from partners.groups import life, membership, steering
from partners.models import Group, Partner, RecipientTerms
from partners.portal.access import page, show
from partners.portal.partner import caps_fields, caps_of, ceiling_of
from partners.sharing import why_closed
from partners.tlp import Tlp
from partners.viewer import Viewer


@require_safe
@page
def partners(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Every partner, with its state, clearance and ceiling."""
    life.require_operator(viewer)
    found = Partner.objects.order_by("name")
    recorded = terms.by_partner()
    return show(
        request,
        viewer,
        "partners/operator_partners.html",
        here="operator-partners",
        partners=[
            (
                one,
                Tlp(one.clearance),
                steering.operator_ceiling_of(one),
                steering.operator_caps_of(one),
                recorded.get(one.pk, []),
                _ceiling_fields(one),
                caps_fields(steering.operator_caps_of(one)),
            )
            for one in found
        ],
        forms=RecipientTerms.Form.choices,
        tlps=list(Tlp),
        widths=list(Width),
    )


@require_POST
@page
def partner_act(request: HttpRequest, viewer: Viewer, slug: str) -> HttpResponseBase:
    """Suspend, reinstate, or set clearance, ceiling and caps."""
    life.require_operator(viewer)
    partner = Partner.objects.filter(slug=slug).first()
    if partner is None:
        raise NotFound
    wanted = request.POST.get("do", "")
    try:
        if wanted == "suspend":
            life.suspend(partner, by=viewer, why=request.POST.get("why", ""))
        elif wanted == "reinstate":
            life.reinstate(partner, by=viewer)
        elif wanted == "clearance":
            drawn.require_same(request, {"clearance": Tlp(partner.clearance).word})
            life.set_clearance(partner, _tlp(request.POST.get("clearance", "")), by=viewer)
        elif wanted == "ceiling":
            drawn.require_same(request, _ceiling_fields(partner))
            steering.set_operator_ceiling(partner, ceiling_of(request.POST, "ceiling"), by=viewer)
        elif wanted == "caps":
            drawn.require_same(request, caps_fields(steering.operator_caps_of(partner)))
            steering.set_operator_caps(partner, caps_of(request.POST), by=viewer)
        elif wanted == "terms":
            _record_terms(viewer, partner, request.POST)
        elif wanted == "end-terms":
            terms.end(viewer, partner, _id(request.POST.get("terms", "")), why=request.POST.get("why", ""))
        else:
            raise Refused(gettext("There is no such action."), code="unknown-action", at="/do")
    except NotFound:
        raise
    except ExchangeError as refused:
        if refused.code == "unknown-action":
            raise
        messages.error(request, refused.detail)
    else:
        messages.success(request, gettext("{name}: done.").format(name=partner.name))
    return redirect("operator-partners")


@require_safe
@page
def groups(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Every group, with its members and its basis."""
    life.require_operator(viewer)
    today = clock.now().date()
    return show(
        request,
        viewer,
        "partners/operator_groups.html",
        here="operator-groups",
        groups=[(group, why_closed(group, on=today)) for group in membership.every()],
    )


@require_POST
@page
def group_act(request: HttpRequest, viewer: Viewer, slug: str) -> HttpResponseBase:
    """Suspend or reinstate."""
    life.require_operator(viewer)
    group = Group.objects.filter(slug=slug).first()
    if group is None:
        raise NotFound
    wanted = request.POST.get("do", "")
    try:
        if wanted == "suspend":
            membership.suspend(viewer, group, why=request.POST.get("why", ""))
        elif wanted == "reinstate":
            membership.reinstate(viewer, group)
        else:
            raise Refused(gettext("There is no such action."), code="unknown-action", at="/do")
    except ExchangeError as refused:
        if refused.code == "unknown-action":
            raise
        messages.error(request, refused.detail)
    else:
        messages.success(request, gettext("{name}: done.").format(name=group.name))
    return redirect("operator-groups")


def _ceiling_fields(partner: Partner) -> drawn.Fields:
    ceiling = steering.operator_ceiling_of(partner)
    return {"ceiling_tlp": ceiling.tlp.word, "ceiling_width": ceiling.width.word}


def _record_terms(viewer: Viewer, partner: Partner, sent: QueryDict) -> None:
    until = sent.get("until", "")
    terms.record(
        viewer,
        partner,
        jurisdiction=sent.get("jurisdiction", "").strip().upper(),
        reference=sent.get("reference", ""),
        basis_from=_day(sent.get("from", "")),
        basis_until=_day(until) if until else None,
        strictest=_tlp(sent.get("strictest", "")),
        forms=sent.getlist("forms"),
    )


def _day(written: str) -> date:
    try:
        return date.fromisoformat(written)
    except ValueError:
        raise Refused("A day, as 2026-01-31.", code="bad-date", at="/from") from None


def _id(written: str) -> UUID:
    try:
        return UUID(written)
    except ValueError:
        raise NotFound from None


def _tlp(word: str) -> Tlp:
    try:
        return Tlp.from_word(word)
    except ValueError:
        raise Refused(gettext("A marking."), code="unknown-marking", at="/clearance") from None
