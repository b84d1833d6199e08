"""Groups: made, joined, left, renewed, dissolved. The only writer of Membership, Proposal and Agreement.

Whatever needs the word of several partners is a Proposal that collects their Agreements: it takes effect in the
transaction in which the last one comes in.

    invitation    the invited partner, and under the rule `all-partners` every present member
    removal       every member but the one that is to go
    renewal       every member
    dissolution   every member

The operator's admins decide removals and dissolutions alone. Members that are suspended cannot speak and are not waited
for. Locks are taken in one order: partners (`sight.changing`), then the group.
"""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Prefetch, Q, QuerySet
from django.utils.text import slugify

from exchange import clock
from exchange.errors import Conflict, Forbidden, NotFound, Refused
from partners import channels, sight
from partners.groups import steering
from partners.log import audit
from partners.models import Agreement, Group, Membership, Partner, Proposal
from partners.scopes import Scope
from partners.sharing import why_closed
from partners.tokens import groupkeys
from partners.viewer import Viewer

_Kind = Proposal.Kind


@dataclass(frozen=True, slots=True)
class Basis:
    """A legal basis: what it is, where it is found, and from which day to which.

    `evidence` says whether it allows evidence and prevalence; None: as before, and not in a new group.
    """

    words: str
    reference: str
    begins: date
    ends: date | None = None
    evidence: bool | None = None

    def checked(self) -> Basis:
        """The same, tidied. Raises Refused naming the field."""
        words = _words(self.words, at="/legal_basis", most=2_000)
        reference = " ".join(self.reference.split())
        if len(reference) > 300:
            raise Refused("At most 300 characters.", code="too-long", at="/basis_reference")
        if self.ends is not None and self.ends < self.begins:
            raise Refused("It ends before it begins.", code="bad-period", at="/basis_until")
        if self.ends is not None and self.ends < clock.now().date():
            raise Refused("It has ended already.", code="bad-period", at="/basis_until")
        return Basis(words, reference, self.begins, self.ends, self.evidence)


def create(
    by: Viewer,
    *,
    name: str,
    purpose: str,
    basis: Basis,
    policy: Group.Policy = Group.Policy.CLOSED_FACTS,
    join_rule: Group.JoinRule = Group.JoinRule.ANY_ADMIN,
) -> Group:
    """Make a group. A lab becomes its first member; the operator's stays empty until those it invites accept.

    The short name is chosen here, with random characters, and names need not differ: nobody learns from a name that
    is refused which groups there are. Raises Forbidden, Refused.
    """
    by.require(Scope.ADMIN)
    if by.kind != Partner.Kind.LAB and not by.operates:
        raise Forbidden("A lab's admin or the operator makes groups.", code="may-not-make-groups")
    name, purpose = _words(name, at="/name", most=120), _words(purpose, at="/purpose", most=2_000)
    basis = basis.checked()
    with sight.changing([by.partner_id]):
        group = Group.objects.create(
            name=name,
            slug=f"{slugify(name.replace('_', '-'))[:48].strip('-') or 'group'}-{_random()}",
            purpose=purpose,
            legal_basis=basis.words,
            basis_reference=basis.reference,
            basis_from=basis.begins,
            basis_until=basis.ends,
            policy=policy,
            join_rule=join_rule,
            evidence=bool(basis.evidence),
        )
        channels.make_of_group(group.pk)
        if not by.operates:
            Membership.objects.create(partner_id=by.partner_id, group=group)
        _tell(
            audit.Verb.GROUP_CREATED,
            by=by,
            group=group,
            policy=policy.value,
            join_rule=join_rule.value,
            basis_from=str(basis.begins),
            basis_until=str(basis.ends) if basis.ends else None,
            evidence=group.evidence,
        )
    return group


def invite(by: Viewer, group: Group, partner: Partner) -> Proposal:
    """Ask a partner to join. Raises Forbidden, NotFound, Refused, Conflict."""
    _require_say(by, group)
    if partner.state != Partner.State.ACTIVE:
        raise Refused("There is no partner of this name.", code="unknown-partner", at="/partner")
    _require_open(group)
    if _is_member(group, partner.pk):
        raise Conflict("The partner is in the group already.", code="already-member", at="/partner")
    return _propose(by, group, _Kind.INVITATION, partner=partner)


def remove(by: Viewer, group: Group, partner: Partner) -> Proposal:
    """Ask that a member goes; it goes at once if the operator asks. Raises Forbidden, NotFound, Refused, Conflict."""
    _require_say(by, group)
    if not _is_member(group, partner.pk):
        raise Refused("There is no such member.", code="unknown-partner", at="/partner")
    if partner.pk == by.partner_id:
        raise Refused("Leave the group instead.", code="own-partner", at="/partner")
    return _propose(by, group, _Kind.REMOVAL, partner=partner)


def renew(by: Viewer, group: Group, basis: Basis) -> Proposal:
    """Propose another basis, or other dates of the same. Raises Forbidden, NotFound, Refused, Conflict."""
    _require_say(by, group)
    if group.closed_at is not None:
        raise Conflict("The group is dissolved.", code="group-closed")
    return _propose(by, group, _Kind.RENEWAL, basis=basis.checked())


def dissolve(by: Viewer, group: Group) -> Proposal:
    """Propose to end the group; it ends at once if the operator says so. Raises Forbidden, NotFound, Conflict."""
    _require_say(by, group)
    if group.closed_at is not None:
        raise Conflict("The group is dissolved.", code="group-closed")
    return _propose(by, group, _Kind.DISSOLUTION)


def agree(by: Viewer, proposal_id: UUID) -> Proposal:
    """Say yes for one's own partner. Raises Forbidden, NotFound, Refused, Conflict."""
    return _answer(by, proposal_id, agreed=True)


def decline(by: Viewer, proposal_id: UUID) -> Proposal:
    """Say no for one's own partner: the proposal is off. Raises Forbidden, NotFound, Conflict."""
    return _answer(by, proposal_id, agreed=False)


def leave(by: Viewer, group: Group) -> None:
    """Leave a group: what is shared there is seen no more, what one published stays. Raises Forbidden, NotFound."""
    by.require(Scope.ADMIN)
    with sight.changing([by.partner_id]):
        group = _locked(group.pk)
        if not _part(group, by.partner_id):
            raise NotFound
        _tell(audit.Verb.GROUP_LEFT, by=by, group=group, partner=by.partner_slug)
        _go_on_without(group, by.partner_id)


def leave_all(partner: Partner, *, by: Viewer) -> None:
    """Leave every group; called while the partner leaves the exchange, inside `sight.changing`."""
    Proposal.objects.filter(partner=partner, kind=_Kind.INVITATION, state=Proposal.State.OPEN).update(
        state=Proposal.State.OVERTAKEN, decided_at=clock.now()
    )
    present = (
        Membership.objects.filter(partner=partner, until=None).order_by("group_id").values_list("group", flat=True)
    )
    for group_id in list(present):
        group = _locked(group_id)
        _part(group, partner.pk)
        _tell(audit.Verb.GROUP_LEFT, by=by, group=group, partner=partner.slug)
        _go_on_without(group, partner.pk)


def suspend(by: Viewer, group: Group, *, why: str) -> None:
    """Let nothing new into a group; what is there stays readable. Raises NotFound, Refused, Conflict."""
    _require_operator(by)
    with transaction.atomic():
        open_groups = Group.objects.filter(pk=group.pk, closed_at=None, suspended_at=None)
        if not open_groups.update(suspended_at=clock.now(), suspended_why=_words(why, at="/why", most=500)):
            raise Conflict("The group is suspended or dissolved.", code="wrong-state")
        _tell(audit.Verb.GROUP_SUSPENDED, by=by, group=group, why=why)


def reinstate(by: Viewer, group: Group) -> None:
    """Let a suspended group go on. Raises NotFound, Conflict."""
    _require_operator(by)
    with transaction.atomic():
        suspended = Group.objects.filter(pk=group.pk, closed_at=None).exclude(suspended_at=None)
        if not suspended.update(suspended_at=None, suspended_why=""):
            raise Conflict("The group is not suspended.", code="wrong-state")
        _tell(audit.Verb.GROUP_REINSTATED, by=by, group=group)


def find(by: Viewer, slug: str) -> Group:
    """A group that the viewer is in or invited to, with its members; the operator finds each. Raises NotFound."""
    group = _with_members(_known_to(by)).filter(slug=slug).first()
    if group is None:
        raise NotFound
    return group


def knows(by: Viewer, group: Group) -> bool:
    """Whether the viewer's partner is in the group now, or is invited, or runs the place."""
    return _is_member(group, by.partner_id) or _known_to(by).exclude(pk__in=by.group_ids).filter(pk=group.pk).exists()


def proposals(by: Viewer, *, group: Group | None = None) -> list[Proposal]:
    """The open proposals that concern the viewer's partner, oldest first, with what each partner said."""
    found = _proposals_of(by).filter(state=Proposal.State.OPEN)
    if group is not None:
        found = found.filter(group=group)
    said = Agreement.objects.select_related("partner").order_by("at", "pk")
    return list(
        found.select_related("group", "partner", "proposer")
        .prefetch_related(Prefetch("agreements", queryset=said, to_attr="said"))
        .order_by("made_at", "pk")
    )


def proposal(by: Viewer, proposal_id: UUID) -> Proposal:
    """One that concerns the viewer's partner, decided or not. Raises NotFound."""
    found = _proposals_of(by).filter(pk=proposal_id).select_related("group", "partner").first()
    if found is None:
        raise NotFound
    return found


def every() -> list[Group]:
    """Every group with its members: for the operator's pages only."""
    return list(_with_members(Group.objects.all()).order_by("closed_at", "name", "slug"))


def asked(proposal: Proposal) -> set[UUID]:
    """The partners whose word a proposal needs, as its group is now."""
    members = set(
        Membership.objects.filter(group=proposal.group_id, until=None, partner__state=Partner.State.ACTIVE).values_list(
            "partner_id", flat=True
        )
    )
    about = {proposal.partner_id} if proposal.partner_id is not None else set()
    match proposal.kind:
        case _Kind.INVITATION:
            return about | (members if proposal.group.join_rule == Group.JoinRule.ALL_PARTNERS else set())
        case _Kind.REMOVAL:
            return members - about
        case _:
            return members


def waits_for(proposal: Proposal) -> set[UUID]:
    """Those who have not spoken yet."""
    agreed = proposal.agreements.filter(agreed=True).values_list("partner_id", flat=True)
    return asked(proposal) - set(agreed)


def _propose(
    by: Viewer, group: Group, kind: Proposal.Kind, *, partner: Partner | None = None, basis: Basis | None = None
) -> Proposal:
    affected = _affected(group, kind, partner)
    with sight.changing(affected):
        group = _locked(group.pk)
        _require_unchanged(group, kind, affected)
        try:
            with transaction.atomic():
                proposal = Proposal.objects.create(
                    group=group,
                    kind=kind,
                    partner=partner,
                    proposer_id=by.partner_id,
                    by_operator=by.operates,
                    legal_basis=basis.words if basis else "",
                    basis_reference=basis.reference if basis else "",
                    basis_from=basis.begins if basis else None,
                    basis_until=basis.ends if basis else None,
                    evidence=basis.evidence if basis else None,
                )
        except IntegrityError:
            raise Conflict("This is proposed already.", code="already-proposed") from None
        _tell(
            audit.Verb.GROUP_PROPOSED,
            by=by,
            group=group,
            proposal=str(proposal.pk),
            kind=kind.value,
            partner=partner.slug if partner else None,
        )
        if by.partner_id in asked(proposal):
            Agreement.objects.create(proposal=proposal, partner_id=by.partner_id, agreed=True, actor=by.actor)
        _settle(proposal, by=by)
    return proposal


def _answer(by: Viewer, proposal_id: UUID, *, agreed: bool) -> Proposal:
    by.require(Scope.ADMIN)
    found = proposal(by, proposal_id)
    affected = _affected(found.group, _Kind(found.kind), found.partner)
    with sight.changing(affected):
        group = _locked(found.group_id)
        _require_unchanged(group, _Kind(found.kind), affected)
        made = Proposal.objects.select_related("partner", "proposer").get(pk=found.pk)
        made.group = group
        if made.state != Proposal.State.OPEN:
            raise Conflict("This is decided already.", code="already-decided")
        if by.partner_id not in asked(made):
            raise Forbidden("This is not yours to decide.", code="not-asked")
        if agreed and made.kind == _Kind.INVITATION:
            _require_open(group)
        _, new = Agreement.objects.get_or_create(
            proposal=made, partner_id=by.partner_id, defaults={"agreed": agreed, "actor": by.actor}
        )
        if not new and agreed and waits_for(made):
            raise Conflict("You have agreed already; others have not.", code="already-agreed")
        verb = audit.Verb.GROUP_AGREED if agreed else audit.Verb.GROUP_DECLINED
        _tell(verb, by=by, group=group, proposal=str(made.pk), kind=made.kind)
        if agreed:
            _settle(made, by=by)
        else:
            Agreement.objects.filter(proposal=made, partner=by.partner_id).update(agreed=False)
            _decide(made, Proposal.State.DECLINED)
    return made


def _settle(proposal: Proposal, *, by: Viewer) -> None:
    """Do what is proposed if everybody who is asked has agreed, or the operator decides it alone."""
    alone = by.operates and proposal.kind in (_Kind.REMOVAL, _Kind.DISSOLUTION)
    waiting = waits_for(proposal)
    if waiting and not alone:
        return
    _decide(proposal, Proposal.State.DONE)
    group = proposal.group
    match proposal.kind:
        case _Kind.INVITATION if proposal.partner is not None:
            Membership.objects.create(partner=proposal.partner, group=group)
            _tell(audit.Verb.GROUP_JOINED, by=by, group=group, partner=proposal.partner.slug)
        case _Kind.REMOVAL if proposal.partner is not None:
            _part(group, proposal.partner.pk)
            _tell(audit.Verb.GROUP_REMOVED, by=by, group=group, also=proposal.partner.pk, partner=proposal.partner.slug)
            _go_on_without(group, proposal.partner.pk)
        case _Kind.RENEWAL:
            _take_basis(group, proposal, by=by)
        case _Kind.DISSOLUTION:
            _close(group, by=by)


def _take_basis(group: Group, proposal: Proposal, *, by: Viewer) -> None:
    agreed = proposal.agreements.filter(agreed=True).order_by("at", "pk").values_list("partner__slug", flat=True)
    Group.objects.filter(pk=group.pk).update(
        legal_basis=proposal.legal_basis,
        basis_reference=proposal.basis_reference,
        basis_from=proposal.basis_from,
        basis_until=proposal.basis_until,
        evidence=group.evidence if proposal.evidence is None else proposal.evidence,
    )
    _tell(
        audit.Verb.GROUP_RENEWED,
        by=by,
        group=group,
        agreed=list(agreed),
        was_until=str(group.basis_until) if group.basis_until else None,
        basis_from=str(proposal.basis_from),
        basis_until=str(proposal.basis_until) if proposal.basis_until else None,
        evidence=group.evidence if proposal.evidence is None else proposal.evidence,
    )


def _close(group: Group, *, by: Viewer) -> None:
    """End it: nothing is deleted, but nobody is in it any more."""
    moment = clock.now()
    members = Membership.objects.filter(group=group, until=None)
    slugs = list(members.order_by("partner__slug").values_list("partner__slug", flat=True))
    _tell(audit.Verb.GROUP_DISSOLVED, by=by, group=group, partners=slugs)
    left = list(members.order_by("partner_id").values_list("partner_id", flat=True))
    members.update(until=moment)
    for partner_id in left:
        steering.leave_out(partner_id, group.pk, by=None)
    Group.objects.filter(pk=group.pk).update(closed_at=moment)
    Proposal.objects.filter(group=group, state=Proposal.State.OPEN).update(
        state=Proposal.State.OVERTAKEN, decided_at=moment
    )


def _tell(verb: audit.Verb, *, by: Viewer, group: Group, also: UUID | None = None, **details: Any) -> None:
    """Write it into the log of each partner that it concerns: the members, who did it, and `also`."""
    members = Membership.objects.filter(group=group, until=None).values_list("partner_id", flat=True)
    for partner_id in sorted({by.partner_id, *members, *([also] if also else [])}):
        audit.record(verb, by=by, target=f"group:{group.slug}", about=partner_id, **details)


def _part(group: Group, partner_id: UUID) -> bool:
    """End a membership; whether there was one. The group leaves the partner's default audience, too."""
    ended = bool(Membership.objects.filter(group=group, partner=partner_id, until=None).update(until=clock.now()))
    if ended:
        steering.leave_out(partner_id, group.pk, by=None)
    return ended


def _go_on_without(group: Group, partner_id: UUID) -> None:
    """What a partner that is gone proposed about others, or was proposed about it, falls; its word is not kept.

    The group's keys are replaced: what those who stay publish from now on is nothing that it can make tokens of.
    Proposals that waited for it alone take effect when anybody who is asked says yes once more.
    """
    gone = Q(partner=partner_id) | Q(proposer=partner_id, by_operator=False)
    Proposal.objects.filter(gone, group=group, state=Proposal.State.OPEN).update(
        state=Proposal.State.OVERTAKEN, decided_at=clock.now()
    )
    Agreement.objects.filter(proposal__group=group, proposal__state=Proposal.State.OPEN, partner=partner_id).delete()
    groupkeys.replace(group)


def _affected(group: Group, kind: Proposal.Kind, partner: Partner | None) -> list[UUID]:
    """Whose sight a proposal may change."""
    if kind in (_Kind.INVITATION, _Kind.REMOVAL) and partner is not None:
        return [partner.pk]
    if kind == _Kind.DISSOLUTION:
        return _member_ids(group)
    return []


def _require_unchanged(group: Group, kind: Proposal.Kind, affected: list[UUID]) -> None:
    """Whoever joined or left since we looked must be among those whose sight is compared."""
    if kind == _Kind.DISSOLUTION and set(_member_ids(group)) != set(affected):
        raise Conflict("The members have changed meanwhile; try again.", code="try-again")


def _decide(proposal: Proposal, state: Proposal.State) -> None:
    proposal.state, proposal.decided_at = state, clock.now()
    proposal.save(update_fields=["state", "decided_at"])


def _proposals_of(by: Viewer) -> QuerySet[Proposal]:
    """Proposals of the viewer's groups, those about it, and for the operator's admins all."""
    if by.operates:
        return Proposal.objects.all()
    return Proposal.objects.filter(
        Q(group__in=by.group_ids) | Q(partner=by.partner_id, kind=_Kind.INVITATION, group__closed_at=None)
    )


def _known_to(by: Viewer) -> QuerySet[Group]:
    if by.operates:
        return Group.objects.all()
    invited = Proposal.objects.filter(partner=by.partner_id, kind=_Kind.INVITATION, state=Proposal.State.OPEN)
    return Group.objects.filter(Q(pk__in=by.group_ids) | Q(pk__in=invited.values("group")))


def _with_members(groups: QuerySet[Group]) -> QuerySet[Group]:
    present = Membership.objects.filter(until=None).select_related("partner").order_by("partner__name")
    return groups.prefetch_related(Prefetch("memberships", queryset=present, to_attr="open_memberships"))


def _require_say(by: Viewer, group: Group) -> None:
    """Raise unless the viewer is an admin of a member, or of the operator."""
    by.require(Scope.ADMIN)
    if not by.operates and not _is_member(group, by.partner_id):
        raise NotFound


def _require_operator(by: Viewer) -> None:
    if not by.operates:
        raise NotFound


def _require_open(group: Group) -> None:
    """Raise Conflict where nobody can join: dissolved, suspended, basis at its end. One that begins later may fill."""
    today = clock.now().date()
    if (why := why_closed(group, on=max(today, group.basis_from))) is not None:
        raise Conflict(why[1], code=why[0])


def _is_member(group: Group, partner_id: UUID) -> bool:
    return Membership.objects.filter(group=group, partner=partner_id, until=None).exists()


def _member_ids(group: Group) -> list[UUID]:
    return list(Membership.objects.filter(group=group, until=None).order_by("pk").values_list("partner_id", flat=True))


def _locked(group_id: UUID) -> Group:
    return Group.objects.select_for_update(no_key=True).get(pk=group_id)


def _words(text: str, *, at: str, most: int) -> str:
    text = " ".join(text.split())
    if not 1 <= len(text) <= most:
        raise Refused(f"1 to {most} characters.", code="bad-text", at=at)
    return text


def _random() -> str:
    return base64.b32encode(secrets.token_bytes(5)).decode().lower()
