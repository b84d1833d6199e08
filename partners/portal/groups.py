"""One's own partner's groups, and what is proposed in them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import redirect
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from exchange import clock
from exchange.errors import ExchangeError, NotFound, Refused
from partners.groups import directory, membership, proposing, steering
from partners.models import Group, Partner, Proposal
from partners.portal.access import page, show
from partners.portal.partner import partner_named
from partners.scopes import Scope
from partners.sharing import why_closed
from partners.viewer import Viewer


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
                gettext("The group {name} is made. Invite partners; what you push goes there when you name it.").format(
                    name=made.name
                ),
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
        raise Refused(gettext("There is no such action."), code="unknown-action", at="/do")
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
        raise Refused(gettext("There is no such action."), code="unknown-action", at="/do")
    try:
        if wanted == "agree":
            done = membership.agree(viewer, proposal_id)
            words = (
                gettext("All have agreed: it is done.")
                if done.state == Proposal.State.DONE
                else gettext("You agreed; others follow.")
            )
        else:
            membership.decline(viewer, proposal_id)
            words = gettext("Declined.")
    except NotFound:
        raise
    except ExchangeError as refused:
        viewer.require(Scope.ADMIN)
        messages.error(request, refused.detail)
    else:
        messages.success(request, words)
    return redirect("groups-page")


def _make(sent: QueryDict, viewer: Viewer) -> Group:
    try:
        policy, rule = Group.Policy(sent.get("policy", "")), Group.JoinRule(sent.get("join_rule", ""))
    except ValueError:
        raise Refused(gettext("Choose a policy and a rule."), code="bad-choice", at="/policy") from None
    return membership.create(
        viewer,
        name=sent.get("name", ""),
        purpose=sent.get("purpose", ""),
        basis=_basis(sent),
        policy=policy,
        join_rule=rule,
    )


def _invite(sent: QueryDict, viewer: Viewer, found: Group) -> str:
    membership.invite(viewer, found, partner_named(sent.get("partner", "")))
    return gettext("The invitation is made.")


def _remove(sent: QueryDict, viewer: Viewer, found: Group) -> str:
    done = membership.remove(viewer, found, partner_named(sent.get("partner", "")))
    return (
        gettext("The member is removed.")
        if done.state == Proposal.State.DONE
        else gettext("It is proposed; all others must agree.")
    )


def _renew(sent: QueryDict, viewer: Viewer, found: Group) -> str:
    done = membership.renew(viewer, found, _basis(sent))
    return (
        gettext("The basis is renewed.")
        if done.state == Proposal.State.DONE
        else gettext("It is proposed; all members must agree.")
    )


def _leave_group(sent: QueryDict, viewer: Viewer, found: Group) -> str:
    membership.leave(viewer, found)
    return gettext("You have left {name}.").format(name=found.name)


def _dissolve(sent: QueryDict, viewer: Viewer, found: Group) -> str:
    done = membership.dissolve(viewer, found)
    return (
        gettext("The group is dissolved.")
        if done.state == Proposal.State.DONE
        else gettext("It is proposed; all members must agree.")
    )


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


def _basis(sent: QueryDict) -> proposing.Basis:
    try:
        begins = date.fromisoformat(sent.get("basis_from", ""))
        last_day = sent.get("basis_until", "")
        ends = date.fromisoformat(last_day) if last_day else None
    except ValueError:
        raise Refused(gettext("A day, as 2026-01-31."), code="bad-date", at="/basis_from") from None
    evidence = {"yes": True, "no": False}.get(sent.get("evidence", ""))
    return proposing.Basis(sent.get("legal_basis", ""), sent.get("basis_reference", ""), begins, ends, evidence)
