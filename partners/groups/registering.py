"""Bring partners, groups and people into the exchange. Writes Partner, Group, Membership and User."""

import uuid
from collections.abc import Iterable
from datetime import date
from typing import Any

from django.db import transaction

from exchange.stix import words
from partners import channels
from partners.log import audit
from partners.models import Group, Membership, Partner, User
from partners.scopes import Role
from partners.tlp import Tlp
from partners.viewer import Viewer

#: What each kind of partner may receive at most: a recipient or an ally gets no AMBER+STRICT and no RED.
_CLEARANCE = {
    Partner.Kind.ALLY: Tlp.AMBER,
    Partner.Kind.LAB: Tlp.RED,
    Partner.Kind.OPERATOR: Tlp.GREEN,
    Partner.Kind.RECIPIENT: Tlp.AMBER,
}


@transaction.atomic
def register_partner(
    *,
    name: str,
    slug: str,
    kind: Partner.Kind | str,
    state: Partner.State = Partner.State.ACTIVE,
    by: Viewer | None = None,
) -> Partner:
    """Register a partner, with a STIX identity and a TAXII collection of its own."""
    kind = Partner.Kind(kind)
    partner = Partner.objects.create(
        name=name,
        slug=slug,
        kind=kind,
        state=state,
        identity_id=f"identity--{uuid.uuid4()}",
        clearance=_CLEARANCE[kind],
    )
    channels.make_of_partner(partner.pk)
    target = f"partner:{slug}"
    told: dict[str, Any] = {"kind": kind.value, "state": state.value}
    audit.record(audit.Verb.PARTNER_REGISTERED, by=by, target=target, about=partner.pk, **told)
    return partner


def the_exchange() -> Partner:
    """The exchange itself, as the publisher of what it finds; made the first time."""
    found = Partner.everybody.filter(kind=Partner.Kind.EXCHANGE).first()
    if found is not None:
        return found
    with transaction.atomic():
        made, new = Partner.everybody.get_or_create(
            kind=Partner.Kind.EXCHANGE,
            defaults={
                "name": "The exchange",
                "slug": "the-exchange",
                "identity_id": words.EXCHANGE_IDENTITY_ID,
                "clearance": Tlp.RED,
            },
        )
        if new:
            channels.make_of_partner(made.pk)
    return made


@transaction.atomic
def register_group(
    *,
    name: str,
    slug: str,
    purpose: str,
    legal_basis: str,
    basis_from: date,
    basis_until: date | None = None,
    policy: Group.Policy | str = Group.Policy.CLOSED_FACTS,
    partners: Iterable[Partner] = (),
    basis_reference: str = "",
    join_rule: Group.JoinRule | str = Group.JoinRule.ANY_ADMIN,
    evidence: bool = False,
) -> Group:
    """Register a group with its dated legal basis and its first members."""
    group = Group.objects.create(
        name=name,
        slug=slug,
        purpose=purpose,
        legal_basis=legal_basis,
        basis_from=basis_from,
        basis_until=basis_until,
        policy=Group.Policy(policy),
        basis_reference=basis_reference,
        join_rule=Group.JoinRule(join_rule),
        evidence=evidence,
    )
    members = list(partners)
    Membership.objects.bulk_create(Membership(partner=partner, group=group) for partner in members)
    channels.make_of_group(group.pk, members=[partner.pk for partner in members])
    audit.record(audit.Verb.GROUP_REGISTERED, by=None, target=f"group:{slug}", partners=[p.slug for p in members])
    return group


@transaction.atomic
def register_user(partner: Partner, *, username: str, email: str, password: str | None, role: Role | str) -> User:
    """Register a person of `partner`; without a password for whoever signs in through its sign-on."""
    user = User.objects.create_user(username=username, email=email, password=password)
    user.partner = partner
    user.role = Role(role)
    user.save(update_fields=["partner", "role"])
    audit.record(audit.Verb.USER_REGISTERED, by=None, target=f"user:{user.pk}", about=partner.pk, role=role)
    return user
