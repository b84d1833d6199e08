"""One's own partner: its facts and settings, its groups, and what waits for its word; and leaving."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from functools import partial
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from exchange import clock
from exchange.errors import Conflict, ExchangeError, NotFound, Refused
from partners.caps import NAMES, Caps
from partners.ceilings import Ceiling, Width
from partners.defaults import DefaultAudience
from partners.groups import directory, life, membership, proposing, steering, warning
from partners.models import Group, Partner, Proposal
from partners.portal.access import page, show
from partners.scopes import Role, Scope
from partners.sharing import groups_named, partners_named, why_closed
from partners.tlp import Tlp
from partners.viewer import Viewer


@require_safe
@page
def organisation(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The overview: facts, state, ceilings, four-eyes, warnings; an admin finds the forms here."""
    partner = Partner.objects.get(pk=viewer.partner_id)
    settings = steering.settings_of(partner)
    admin = Scope.ADMIN in viewer.scopes
    return show(
        request,
        viewer,
        "partners/overview.html",
        here="organisation",
        partner=partner,
        settings=settings,
        roles=[(role, ceiling) for role, ceiling in settings.roles.items()],
        operator_ceiling=steering.operator_ceiling_of(partner),
        operator_caps=steering.operator_caps_of(partner),
        limits=directory.caps_words(viewer.caps),
        clearance=Tlp(partner.clearance),
        notices=warning.notices_of(viewer),
        admin=admin,
        tlps=list(Tlp),
        widths=list(Width),
        default=steering.words_of(settings.default_audience),
        groups=directory.groups(viewer),
        others=[one for one in directory.partners() if one.pk != viewer.partner_id],
        heirs=_heirs(viewer) if admin else [],
        offer=life.open_offer(viewer) if admin else None,
        offers=life.offers_to(viewer) if admin else [],
    )


@require_POST
@page
def settings(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """Change the settings of one's own partner, or its default audience."""
    sent = request.POST
    if sent.get("do") == "default-audience":
        return _set_default_audience(request, viewer)
    number = _number(sent, "alone_objects")
    roles = {Role(role): _ceiling(sent, role) for role in ("admin", "publisher")}
    wanted = partial(
        replace,
        default_tlp=_tlp(sent, "default_tlp"),
        ceiling=_ceiling(sent, "ceiling"),
        alone=_ceiling(sent, "alone"),
        alone_objects=number,
        caps=caps_of(sent),
        roles=roles,
    )
    return _save(request, viewer, wanted)


def _set_default_audience(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    sent = request.POST

    def wanted(before: steering.Settings) -> steering.Settings:
        chosen = None
        if sent.get("default") != "refuse":
            chosen = DefaultAudience(
                "open_to_everyone" in sent,
                tuple(groups_named(viewer, sent.getlist("groups"))),
                tuple(partners_named(sent.getlist("partners"))),
            )
        return replace(before, default_audience=chosen)

    return _save(request, viewer, wanted)


def _save(
    request: HttpRequest, viewer: Viewer, wanted: Callable[[steering.Settings], steering.Settings]
) -> HttpResponseBase:
    before = steering.settings_of(Partner.objects.get(pk=viewer.partner_id))
    try:
        steering.change(viewer, wanted(before), since=before)
    except (Conflict, Refused) as refused:
        messages.error(request, refused.detail)
    else:
        messages.success(request, "The settings are saved.")
    return redirect("organisation")


@require_POST
@page
def leaving(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """Offer one's objects to an heir, answer such an offer, or leave the exchange."""
    viewer.require(Scope.ADMIN)
    wanted = request.POST.get("do", "")
    if wanted == "leave":
        return _leave(request, viewer)
    try:
        if wanted == "offer":
            life.offer_hand_over(viewer, _partner(request.POST.get("heir", "")))
            messages.success(request, "The offer is made; an admin of the heir answers it.")
        elif wanted == "withdraw":
            life.withdraw_offer(viewer)
            messages.success(request, "The offer is withdrawn.")
        elif wanted in ("accept", "decline"):
            life.answer_hand_over(viewer, _uuid(request.POST.get("offer", "")), accept=wanted == "accept")
            messages.success(request, "Your answer is recorded.")
        else:
            raise Refused("There is no such action.", code="unknown-action", at="/do")
    except NotFound:
        raise
    except ExchangeError as refused:
        messages.error(request, refused.detail)
    return redirect("organisation")


@require_http_methods(["GET", "HEAD", "POST"])
@page
def groups(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """The partner's groups, what waits for its word, and a form to make a group, which POST takes."""
    problem = ""
    if request.method == "POST":
        try:
            made = _make(request.POST, viewer)
        except Refused as refused:
            problem = refused.detail
        else:
            messages.success(
                request,
                f"The group {made.name} is made. Invite partners; what you push goes there when you name it.",
            )
            return redirect("group-page", made.slug)
    today = clock.now().date()
    return show(
        request,
        viewer,
        "partners/groups.html",
        here="groups-page",
        groups=[(group, why_closed(group, on=today)) for group in directory.groups(viewer)],
        proposals=_shown(viewer, proposing.proposals(viewer)) if not viewer.operates else [],
        may_make=Scope.ADMIN in viewer.scopes and (viewer.kind == Partner.Kind.LAB or viewer.operates),
        admin=Scope.ADMIN in viewer.scopes,
        policies=Group.Policy.choices,
        rules=Group.JoinRule.choices,
        problem=problem,
        typed=request.POST if problem else {},
        today=today.isoformat(),
    )


@require_safe
@page
def group(request: HttpRequest, viewer: Viewer, slug: str) -> HttpResponse:
    """One group: what binds it, who is in it, what is proposed; an admin of a member acts on it here."""
    found: Any = membership.find(viewer, slug)
    members = [one.partner for one in found.open_memberships]
    inside = any(one.pk == viewer.partner_id for one in members)
    return show(
        request,
        viewer,
        "partners/group.html",
        here="groups-page",
        group=found,
        closed=why_closed(found, on=clock.now().date()),
        members=members,
        inside=inside,
        acts=Scope.ADMIN in viewer.scopes and (inside or viewer.operates),
        admin=Scope.ADMIN in viewer.scopes,
        others=[one for one in directory.partners() if one not in members],
        proposals=_shown(viewer, proposing.proposals(viewer, group=found)),
    )


@require_POST
@page
def group_act(request: HttpRequest, viewer: Viewer, slug: str) -> HttpResponseBase:
    """Invite, remove, renew, leave or dissolve."""
    found = membership.find(viewer, slug)
    wanted = request.POST.get("do", "")
    if wanted not in _ACTS:
        raise Refused("There is no such action.", code="unknown-action", at="/do")
    try:
        messages.success(request, _ACTS[wanted](request.POST, viewer, found))
    except (NotFound, AttributeError):
        raise
    except ExchangeError as refused:
        viewer.require(Scope.ADMIN)
        messages.error(request, refused.detail)
    if wanted == "leave" or not membership.knows(viewer, found):
        return redirect("groups-page")
    return redirect("group-page", slug)


@require_POST
@page
def proposal_act(request: HttpRequest, viewer: Viewer, proposal_id: UUID) -> HttpResponseBase:
    """Agree to a proposal, or decline it."""
    wanted = request.POST.get("do", "")
    proposing.proposal(viewer, proposal_id)
    if wanted not in ("agree", "decline"):
        raise Refused("There is no such action.", code="unknown-action", at="/do")
    try:
        if wanted == "agree":
            done = membership.agree(viewer, proposal_id)
            words = (
                "All have agreed: it is done." if done.state == Proposal.State.DONE else "You agreed; others follow."
            )
        else:
            membership.decline(viewer, proposal_id)
            words = "Declined."
    except NotFound:
        raise
    except ExchangeError as refused:
        viewer.require(Scope.ADMIN)
        messages.error(request, refused.detail)
    else:
        messages.success(request, words)
    return redirect("groups-page")


def caps_of(sent: QueryDict) -> Caps:
    """The caps of a form: a field `cap_<name>` for each. Raises Refused naming the field."""
    return Caps.read({name: _number(sent, f"cap_{name}") for name in NAMES}, at="/cap")


def _number(sent: QueryDict, name: str) -> int | None:
    text = sent.get(name, "").strip()
    if text and not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Refused("A whole number, or none.", code="bad-number", at=f"/{name}")
    return int(text) if text else None


def ceiling_of(sent: QueryDict, name: str) -> Ceiling:
    """A ceiling of a form: two fields, `<name>_tlp` and `<name>_width`. Raises Refused naming the field."""
    return _ceiling(sent, name)


def _leave(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    if request.POST.get("sure", "").strip() != viewer.partner_slug:
        messages.error(request, f"Type {viewer.partner_slug} to leave the exchange.")
        return redirect("organisation")
    offer = life.open_offer(viewer)
    heir = offer.heir if offer is not None and request.POST.get("objects") == "hand-over" else None
    if request.POST.get("objects") == "hand-over" and heir is None:
        messages.error(request, "Offer your objects to an heir first.")
        return redirect("organisation")
    try:
        life.leave(Partner.objects.get(pk=viewer.partner_id), by=viewer, hand_over_to=heir)
    except ExchangeError as refused:
        messages.error(request, refused.detail)
        return redirect("organisation")
    return redirect("account_login")


def _make(sent: QueryDict, viewer: Viewer) -> Group:
    try:
        policy, rule = Group.Policy(sent.get("policy", "")), Group.JoinRule(sent.get("join_rule", ""))
    except ValueError:
        raise Refused("Choose a policy and a rule.", code="bad-choice", at="/policy") from None
    return membership.create(
        viewer,
        name=sent.get("name", ""),
        purpose=sent.get("purpose", ""),
        basis=_basis(sent),
        policy=policy,
        join_rule=rule,
    )


def _invite(sent: QueryDict, viewer: Viewer, found: Group) -> str:
    membership.invite(viewer, found, _partner(sent.get("partner", "")))
    return "The invitation is made."


def _remove(sent: QueryDict, viewer: Viewer, found: Group) -> str:
    done = membership.remove(viewer, found, _partner(sent.get("partner", "")))
    return "The member is removed." if done.state == Proposal.State.DONE else "It is proposed; all others must agree."


def _renew(sent: QueryDict, viewer: Viewer, found: Group) -> str:
    done = membership.renew(viewer, found, _basis(sent))
    return "The basis is renewed." if done.state == Proposal.State.DONE else "It is proposed; all members must agree."


def _leave_group(sent: QueryDict, viewer: Viewer, found: Group) -> str:
    membership.leave(viewer, found)
    return f"You have left {found.name}."


def _dissolve(sent: QueryDict, viewer: Viewer, found: Group) -> str:
    done = membership.dissolve(viewer, found)
    return "The group is dissolved." if done.state == Proposal.State.DONE else "It is proposed; all members must agree."


_ACTS: dict[str, Callable[[QueryDict, Viewer, Group], str]] = {
    "dissolve": _dissolve,
    "invite": _invite,
    "leave": _leave_group,
    "remove": _remove,
    "renew": _renew,
}


def _shown(viewer: Viewer, found: list[Proposal]) -> list[dict[str, Any]]:
    """Proposals as the template shows them."""
    shown = []
    for proposal in found:
        waiting = proposing.waits_for(proposal)
        names = Partner.objects.filter(pk__in=waiting).order_by("name").values_list("name", flat=True)
        agreed = proposal.agreements.filter(agreed=True).order_by("at", "pk").values_list("partner__name", flat=True)
        shown.append(
            {
                "proposal": proposal,
                "waits_for": list(names),
                "agreed": list(agreed),
                "asks": viewer.partner_id in waiting and Scope.ADMIN in viewer.scopes,
                "changes": _changes(viewer, proposal) if _is_for(viewer, proposal) else None,
            }
        )
    return shown


def _is_for(viewer: Viewer, proposal: Proposal) -> bool:
    return proposal.kind == Proposal.Kind.INVITATION and proposal.partner_id == viewer.partner_id


def _changes(viewer: Viewer, proposal: Proposal) -> dict[str, Any]:
    """What accepting an invitation changes: who shares there; and what stays, the default audience."""
    settings = steering.settings_of(Partner.objects.get(pk=viewer.partner_id))
    group = proposal.group
    members = Partner.objects.filter(memberships__group=group, memberships__until=None).order_by("name")
    return {
        "members": list(members.values_list("name", flat=True)),
        "policy": group.get_policy_display(),
        "default": steering.words_of(settings.default_audience),
    }


def _heirs(viewer: Viewer) -> list[Partner]:
    return [one for one in directory.partners() if one.pk != viewer.partner_id and one.kind == Partner.Kind.LAB]


def _partner(slug: str) -> Partner:
    found = Partner.objects.filter(slug=slug).exclude(state=Partner.State.INVITED).first()
    if found is None:
        raise Refused("There is no partner of this name.", code="unknown-partner", at="/partner")
    return found


def _basis(sent: QueryDict) -> proposing.Basis:
    try:
        begins = date.fromisoformat(sent.get("basis_from", ""))
        last_day = sent.get("basis_until", "")
        ends = date.fromisoformat(last_day) if last_day else None
    except ValueError:
        raise Refused("A day, as 2026-01-31.", code="bad-date", at="/basis_from") from None
    evidence = {"yes": True, "no": False}.get(sent.get("evidence", ""))
    return proposing.Basis(sent.get("legal_basis", ""), sent.get("basis_reference", ""), begins, ends, evidence)


def _ceiling(sent: QueryDict, name: str) -> Ceiling:
    try:
        return Ceiling(_tlp(sent, f"{name}_tlp"), Width.from_word(sent.get(f"{name}_width", "")))
    except ValueError:
        raise Refused("everyone, groups or partners.", code="bad-choice", at=f"/{name}_width") from None


def _tlp(sent: QueryDict, name: str) -> Tlp:
    try:
        return Tlp.from_word(sent.get(name, ""))
    except ValueError:
        raise Refused("A marking.", code="unknown-marking", at=f"/{name}") from None


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound from None
