"""What needs the word of several partners: a Proposal that collects their Agreements.

It takes effect in the transaction in which the last one comes in.

    invitation    the invited partner, and under the rule `all-partners` every present member
    removal       every member but the one that is to go
    renewal       every member
    dissolution   every member

The operator's admins decide removals and dissolutions alone. Members that are suspended cannot speak and are not waited
for. Locks are taken in one order (`partners.locks`): partners (`sight.changing`), then the group. With `membership`,
whose verbs call it, the only writer of Membership, Proposal and Agreement.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Prefetch, Q, QuerySet

from exchange import clock
from exchange.errors import Conflict, Forbidden, NotFound, Refused
from partners import locks, sight
from partners.groups import steering
from partners.log import audit
from partners.models import Agreement, Group, Membership, Partner, Proposal
from partners.sayable import require_sayable
from partners.scopes import Scope
from partners.sharing import why_closed
from partners.tokens import groupkeys
from partners.viewer import Viewer

Kind = Proposal.Kind
#: How much a partner proposes about others that is open, in all and about one: whoever is asked must read it.
_MOST_ABOUT_OTHERS, _MOST_ABOUT_ONE = 300, 20


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
        words = tidied(self.words, at="/legal_basis", most=2_000)
        reference = " ".join(self.reference.split())
        if len(reference) > 300:
            raise Refused("At most 300 characters.", code="too-long", at="/basis_reference")
        require_sayable(self.reference, at="/basis_reference")
        if self.ends is not None and self.ends < self.begins:
            raise Refused("It ends before it begins.", code="bad-period", at="/basis_until")
        if self.ends is not None and self.ends < clock.now().date():
            raise Refused("It has ended already.", code="bad-period", at="/basis_until")
        return Basis(words, reference, self.begins, self.ends, self.evidence)


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


def asked(proposal: Proposal) -> set[UUID]:
    """The partners whose word a proposal needs, as its group is now."""
    members = set(
        Membership.objects.filter(group=proposal.group_id, until=None, partner__state=Partner.State.ACTIVE).values_list(
            "partner_id", flat=True
        )
    )
    about = {proposal.partner_id} if proposal.partner_id is not None else set()
    match proposal.kind:
        case Kind.INVITATION:
            return about | (members if proposal.group.join_rule == Group.JoinRule.ALL_PARTNERS else set())
        case Kind.REMOVAL:
            return members - about
        case _:
            return members


def asks(by: Viewer, proposal: Any) -> bool:
    """Whether an open one of `proposals` still waits for the word of the viewer's partner. No query."""
    if by.partner_id in {one.partner_id for one in proposal.said}:
        return False
    inside = proposal.group_id in by.group_ids
    match proposal.kind:
        case Kind.INVITATION:
            all_agree = proposal.group.join_rule == Group.JoinRule.ALL_PARTNERS
            return proposal.partner_id == by.partner_id or (inside and all_agree)
        case Kind.REMOVAL:
            return inside and proposal.partner_id != by.partner_id
        case _:
            return inside


def waits_for(proposal: Proposal) -> set[UUID]:
    """Those who have not spoken yet."""
    agreed = proposal.agreements.filter(agreed=True).values_list("partner_id", flat=True)
    return asked(proposal) - set(agreed)


def propose(
    by: Viewer, group: Group, kind: Proposal.Kind, *, partner: Partner | None = None, basis: Basis | None = None
) -> Proposal:
    """Make a proposal, and do it at once where nobody else is asked.

    Raises Conflict where it is proposed already, and where too much that the viewer's partner proposed is open.
    """
    affected, also = _affected(group, kind, partner), _kept_still(group, kind)
    with sight.changing(affected, also=also):
        group = locked(group.pk)
        _require_unchanged(group, kind, [*affected, *also])
        if partner is not None and not by.operates:
            _require_few(by, partner)
        if kind == Kind.INVITATION and partner is not None and is_member(group, partner.pk):
            raise Conflict("The partner is in the group already.", code="already-member", at="/partner")
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
        tell(
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


def answer(by: Viewer, proposal_id: UUID, *, agreed: bool) -> Proposal:
    """Give the word of the viewer's partner. Raises Forbidden, NotFound, Conflict."""
    by.require(Scope.ADMIN)
    found = proposal(by, proposal_id)
    kind = Kind(found.kind)
    affected, also = _affected(found.group, kind, found.partner), _kept_still(found.group, kind)
    with sight.changing(affected, also=also):
        group = locked(found.group_id)
        _require_unchanged(group, kind, [*affected, *also])
        made = Proposal.objects.select_related("partner", "proposer").get(pk=found.pk)
        made.group = group
        if made.state != Proposal.State.OPEN:
            raise Conflict("This is decided already.", code="already-decided")
        if by.partner_id not in asked(made):
            raise Forbidden("This is not yours to decide.", code="not-asked")
        if agreed and made.kind == Kind.INVITATION:
            require_open(group)
        _, new = Agreement.objects.get_or_create(
            proposal=made, partner_id=by.partner_id, defaults={"agreed": agreed, "actor": by.actor}
        )
        if not new and agreed and waits_for(made):
            raise Conflict("You have agreed already; others have not.", code="already-agreed")
        verb = audit.Verb.GROUP_AGREED if agreed else audit.Verb.GROUP_DECLINED
        tell(verb, by=by, group=group, proposal=str(made.pk), kind=made.kind)
        if agreed:
            _settle(made, by=by)
        else:
            Agreement.objects.filter(proposal=made, partner=by.partner_id).update(agreed=False)
            _decide(made, Proposal.State.DECLINED)
    return made


def _settle(proposal: Proposal, *, by: Viewer) -> None:
    """Do what is proposed if everybody who is asked has agreed, or the operator decides it alone."""
    alone = by.operates and proposal.kind in (Kind.REMOVAL, Kind.DISSOLUTION)
    waiting = waits_for(proposal)
    if waiting and not alone:
        return
    _decide(proposal, Proposal.State.DONE)
    group = proposal.group
    match proposal.kind:
        case Kind.INVITATION if proposal.partner is not None:
            Membership.objects.create(partner=proposal.partner, group=group)
            tell(audit.Verb.GROUP_JOINED, by=by, group=group, partner=proposal.partner.slug)
        case Kind.REMOVAL if proposal.partner is not None:
            part(group, proposal.partner.pk)
            tell(audit.Verb.GROUP_REMOVED, by=by, group=group, also=proposal.partner.pk, partner=proposal.partner.slug)
            go_on_without(group, proposal.partner.pk)
        case Kind.RENEWAL:
            _take_basis(group, proposal, by=by)
        case Kind.DISSOLUTION:
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
    tell(
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
    tell(audit.Verb.GROUP_DISSOLVED, by=by, group=group, partners=slugs)
    left = list(members.order_by("partner_id").values_list("partner_id", flat=True))
    members.update(until=moment)
    for partner_id in left:
        steering.leave_out(partner_id, group.pk, by=None)
    Group.objects.filter(pk=group.pk).update(closed_at=moment)
    Proposal.objects.filter(group=group, state=Proposal.State.OPEN).update(
        state=Proposal.State.OVERTAKEN, decided_at=moment
    )


def tell(verb: audit.Verb, *, by: Viewer, group: Group, also: UUID | None = None, **details: Any) -> None:
    """Write it into the log of each partner that it concerns: the members, who did it, and `also`."""
    members = Membership.objects.filter(group=group, until=None).values_list("partner_id", flat=True)
    for partner_id in sorted({by.partner_id, *members, *([also] if also else [])}):
        audit.record(verb, by=by, target=f"group:{group.slug}", about=partner_id, **details)


def part(group: Group, partner_id: UUID) -> bool:
    """End a membership; whether there was one. The group leaves the partner's default audience, too."""
    ended = bool(Membership.objects.filter(group=group, partner=partner_id, until=None).update(until=clock.now()))
    if ended:
        steering.leave_out(partner_id, group.pk, by=None)
    return ended


def go_on_without(group: Group, partner_id: UUID) -> None:
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
    if kind in (Kind.INVITATION, Kind.REMOVAL) and partner is not None:
        return [partner.pk]
    if kind == Kind.DISSOLUTION:
        return _member_ids(group)
    return []


def _require_few(by: Viewer, partner: Partner) -> None:
    """Raise Conflict where too much that the viewer's partner proposed about others, or about this one, is open."""
    about = Proposal.objects.filter(proposer=by.partner_id, by_operator=False, state=Proposal.State.OPEN)
    about = about.exclude(partner=None)
    if about.count() >= _MOST_ABOUT_OTHERS or about.filter(partner=partner).count() >= _MOST_ABOUT_ONE:
        raise Conflict(
            f"Of what you proposed, at most {_MOST_ABOUT_OTHERS} invitations and removals are open, and"
            f" {_MOST_ABOUT_ONE} about one partner.",
            code="too-many-proposals",
        )


def _kept_still(group: Group, kind: Proposal.Kind) -> list[UUID]:
    """Who publishes nothing while it takes effect, though sight stays: another basis may close the group."""
    return _member_ids(group) if kind == Kind.RENEWAL else []


def _require_unchanged(group: Group, kind: Proposal.Kind, members: list[UUID]) -> None:
    """Whoever joined or left since we looked must be among those whose sight is compared, or who are kept still."""
    if kind in (Kind.DISSOLUTION, Kind.RENEWAL):
        _require_same(group, members)


def _require_same(group: Group, members: list[UUID]) -> None:
    if set(_member_ids(group)) != set(members):
        raise Conflict("The members have changed meanwhile; try again.", code="try-again")


def _decide(proposal: Proposal, state: Proposal.State) -> None:
    proposal.state, proposal.decided_at = state, clock.now()
    proposal.save(update_fields=["state", "decided_at"])


def _proposals_of(by: Viewer) -> QuerySet[Proposal]:
    """Proposals of the viewer's groups, those about it, and for the operator's admins all."""
    if by.operates:
        return Proposal.objects.all()
    return Proposal.objects.filter(
        Q(group__in=by.group_ids) | Q(partner=by.partner_id, kind=Kind.INVITATION, group__closed_at=None)
    )


def require_open(group: Group) -> None:
    """Raise Conflict where nobody can join: dissolved, suspended, basis at its end. One that begins later may fill."""
    today = clock.now().date()
    if (why := why_closed(group, on=max(today, group.basis_from))) is not None:
        raise Conflict(why[1], code=why[0])


def is_member(group: Group, partner_id: UUID) -> bool:
    """Whether a partner is in a group now."""
    return Membership.objects.filter(group=group, partner=partner_id, until=None).exists()


def _member_ids(group: Group) -> list[UUID]:
    return list(Membership.objects.filter(group=group, until=None).order_by("pk").values_list("partner_id", flat=True))


@contextmanager
def holding_still(group: Group) -> Iterator[None]:
    """A transaction in which no member publishes, and none joins or leaves. Raises Conflict."""
    members = _member_ids(group)
    with transaction.atomic():
        locks.standing_alone(members)
        locked(group.pk)
        _require_same(group, members)
        yield


def locked(group_id: UUID) -> Group:
    """The group, held until the transaction ends."""
    return Group.objects.select_for_update(no_key=True).get(pk=group_id)


def tidied(text: str, *, at: str, most: int) -> str:
    """The text in one line. Raises Refused where it is empty or too long, or says what no text may say."""
    tidy = " ".join(text.split())
    if not 1 <= len(tidy) <= most:
        raise Refused(f"1 to {most} characters.", code="bad-text", at=at)
    require_sayable(text, at=at)  # as it was written: a line ends a sentence
    return tidy
