"""Groups: made, joined, left, renewed, dissolved. What needs the word of several partners is in `proposing`.

With it the only writer of Membership, Proposal and Agreement.
"""

from __future__ import annotations

import base64
import secrets
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Prefetch, Q, QuerySet
from django.utils.text import slugify

from exchange import clock
from exchange.errors import Conflict, Forbidden, NotFound, Refused
from partners import channels, sight
from partners.groups import proposing
from partners.groups.proposing import Basis, Kind
from partners.log import audit
from partners.models import Group, Membership, Partner, Proposal
from partners.scopes import Scope
from partners.viewer import Viewer

#: How many groups a partner is in when it makes another, and how many it made or joined within a day.
_MOST_GROUPS, _MOST_GROUPS_IN_A_DAY = 200, 100


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
    is refused which groups there are. Raises Forbidden, Refused; Conflict for a partner that has too many.
    """
    by.require(Scope.ADMIN)
    if by.kind != Partner.Kind.LAB and not by.operates:
        raise Forbidden("A lab's admin or the operator makes groups.", code="may-not-make-groups")
    name, purpose = proposing.tidied(name, at="/name", most=120), proposing.tidied(purpose, at="/purpose", most=2_000)
    basis = basis.checked()
    with sight.changing([by.partner_id]):
        if not by.operates:
            _require_few(by)
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
        proposing.tell(
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
    proposing.require_open(group)
    if proposing.is_member(group, partner.pk):
        raise Conflict("The partner is in the group already.", code="already-member", at="/partner")
    return proposing.propose(by, group, Kind.INVITATION, partner=partner)


def remove(by: Viewer, group: Group, partner: Partner) -> Proposal:
    """Ask that a member goes; it goes at once if the operator asks. Raises Forbidden, NotFound, Refused, Conflict."""
    _require_say(by, group)
    if not proposing.is_member(group, partner.pk):
        raise Refused("There is no such member.", code="unknown-partner", at="/partner")
    if partner.pk == by.partner_id:
        raise Refused("Leave the group instead.", code="own-partner", at="/partner")
    return proposing.propose(by, group, Kind.REMOVAL, partner=partner)


def renew(by: Viewer, group: Group, basis: Basis) -> Proposal:
    """Propose another basis, or other dates of the same. Raises Forbidden, NotFound, Refused, Conflict."""
    _require_say(by, group)
    if group.closed_at is not None:
        raise Conflict("The group is dissolved.", code="group-closed")
    return proposing.propose(by, group, Kind.RENEWAL, basis=basis.checked())


def dissolve(by: Viewer, group: Group) -> Proposal:
    """Propose to end the group; it ends at once if the operator says so. Raises Forbidden, NotFound, Conflict."""
    _require_say(by, group)
    if group.closed_at is not None:
        raise Conflict("The group is dissolved.", code="group-closed")
    return proposing.propose(by, group, Kind.DISSOLUTION)


def agree(by: Viewer, proposal_id: UUID) -> Proposal:
    """Say yes for one's own partner. Raises Forbidden, NotFound, Refused, Conflict."""
    return proposing.answer(by, proposal_id, agreed=True)


def decline(by: Viewer, proposal_id: UUID) -> Proposal:
    """Say no for one's own partner: the proposal is off. Raises Forbidden, NotFound, Conflict."""
    return proposing.answer(by, proposal_id, agreed=False)


def leave(by: Viewer, group: Group) -> None:
    """Leave a group: what is shared there is seen no more, what one published stays. Raises Forbidden, NotFound."""
    by.require(Scope.ADMIN)
    with sight.changing([by.partner_id]):
        group = proposing.locked(group.pk)
        if not proposing.part(group, by.partner_id):
            raise NotFound
        proposing.tell(audit.Verb.GROUP_LEFT, by=by, group=group, partner=by.partner_slug)
        proposing.go_on_without(group, by.partner_id)


def leave_all(partner: Partner, *, by: Viewer) -> None:
    """Leave every group; called while the partner leaves the exchange, inside `sight.changing`."""
    Proposal.objects.filter(partner=partner, kind=Kind.INVITATION, state=Proposal.State.OPEN).update(
        state=Proposal.State.OVERTAKEN, decided_at=clock.now()
    )
    present = (
        Membership.objects.filter(partner=partner, until=None).order_by("group_id").values_list("group", flat=True)
    )
    for group_id in list(present):
        group = proposing.locked(group_id)
        proposing.part(group, partner.pk)
        proposing.tell(audit.Verb.GROUP_LEFT, by=by, group=group, partner=partner.slug)
        proposing.go_on_without(group, partner.pk)


def suspend(by: Viewer, group: Group, *, why: str) -> None:
    """Let nothing new into a group; what is there stays readable. Raises NotFound, Refused, Conflict.

    What its members had begun to publish is there by then.
    """
    _require_operator(by)
    why = proposing.tidied(why, at="/why", most=500)
    with proposing.holding_still(group):
        open_groups = Group.objects.filter(pk=group.pk, closed_at=None, suspended_at=None)
        if not open_groups.update(suspended_at=clock.now(), suspended_why=why):
            raise Conflict("The group is suspended or dissolved.", code="wrong-state")
        proposing.tell(audit.Verb.GROUP_SUSPENDED, by=by, group=group, why=why)


def reinstate(by: Viewer, group: Group) -> None:
    """Let a suspended group go on. Raises NotFound, Conflict."""
    _require_operator(by)
    with transaction.atomic():
        suspended = Group.objects.filter(pk=group.pk, closed_at=None).exclude(suspended_at=None)
        if not suspended.update(suspended_at=None, suspended_why=""):
            raise Conflict("The group is not suspended.", code="wrong-state")
        proposing.tell(audit.Verb.GROUP_REINSTATED, by=by, group=group)


def find(by: Viewer, slug: str) -> Group:
    """A group that the viewer is in or invited to, with its members; the operator finds each. Raises NotFound."""
    group = _with_members(_known_to(by)).filter(slug=slug).first()
    if group is None:
        raise NotFound
    return group


def knows(by: Viewer, group: Group) -> bool:
    """Whether the viewer's partner is in the group now, or is invited, or runs the place."""
    return (
        proposing.is_member(group, by.partner_id)
        or _known_to(by).exclude(pk__in=by.group_ids).filter(pk=group.pk).exists()
    )


def every() -> list[Group]:
    """Every group with its members: for the operator's pages only."""
    return list(_with_members(Group.objects.all()).order_by("closed_at", "name", "slug"))


def _known_to(by: Viewer) -> QuerySet[Group]:
    if by.operates:
        return Group.objects.all()
    invited = Proposal.objects.filter(partner=by.partner_id, kind=Kind.INVITATION, state=Proposal.State.OPEN)
    return Group.objects.filter(Q(pk__in=by.group_ids) | Q(pk__in=invited.values("group")))


def _with_members(groups: QuerySet[Group]) -> QuerySet[Group]:
    present = Membership.objects.filter(until=None).select_related("partner").order_by("partner__name")
    return groups.prefetch_related(Prefetch("memberships", queryset=present, to_attr="open_memberships"))


def _require_say(by: Viewer, group: Group) -> None:
    """Raise unless the viewer is an admin of a member, or of the operator."""
    by.require(Scope.ADMIN)
    if not by.operates and not proposing.is_member(group, by.partner_id):
        raise NotFound


def _require_few(by: Viewer) -> None:
    """Raise Conflict for a partner that is in very many groups, or made or joined very many of late."""
    present = Membership.objects.filter(partner=by.partner_id, until=None).count()
    lately = Membership.objects.filter(partner=by.partner_id, since__gt=clock.now() - timedelta(days=1)).count()
    if present >= _MOST_GROUPS or lately >= _MOST_GROUPS_IN_A_DAY:
        raise Conflict(
            f"Whoever is in {_MOST_GROUPS} groups, or came into {_MOST_GROUPS_IN_A_DAY} within a day, makes no other.",
            code="too-many-groups",
        )


def _require_operator(by: Viewer) -> None:
    if not by.operates:
        raise NotFound


def _random() -> str:
    return base64.b32encode(secrets.token_bytes(5)).decode().lower()
