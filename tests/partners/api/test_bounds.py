"""How much one partner, or a stolen key of it, sends out and puts before others: each bound with its code."""

from __future__ import annotations

import pytest

from exchange import clock
from exchange.errors import Conflict
from partners import keys
from partners.groups import membership, proposing
from partners.identity import inviting
from partners.keys import auth
from partners.models import Group, Invitation, Mail, Proposal
from partners.scopes import Role, Scope
from tests import build
from tests.indicators.api.caller import Caller, code, read

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast():
    return build.the_cast()


@pytest.fixture
def key(cast):
    return Caller(build.a_key(cast.aster, Scope.ADMIN, Scope.READ))


def invite(key: Caller, address: str):
    return key.send("POST", "invitations", {"email": address, "role": "counsel"})


def a_group(key: Caller):
    basis = {"legal_basis": "An agreement.", "basis_from": str(clock.now().date())}
    return key.send("POST", "groups", {"name": "Ring", "purpose": "To share."} | basis)


def test_nobody_has_one_address_mailed_again_and_again(key, monkeypatch):
    for _ in range(5):
        read(invite(key, "bea@aster.example"), 201)
    refused = invite(key, "BEA@aster.example")
    assert code(refused, 429) == "too-many-sent"
    assert int(refused.headers["Retry-After"]) > 0
    assert Mail.objects.count() == 5
    assert inviting.pending(key.viewer).count() == 1, "what was refused withdraws nothing"
    read(invite(key, "cem@aster.example"), 201)
    monkeypatch.setattr(inviting, "_MOST_IN_AN_HOUR", 7)
    read(invite(key, "dan@aster.example"), 201)
    assert code(invite(key, "eve@aster.example"), 429) == "too-many-sent"


def test_a_key_replaces_no_invitation_into_a_role_above_it(cast, key):
    admin = auth.viewer_of_user(build.a_user(cast.aster))
    sent, _ = inviting.invite(admin, email="bea@aster.example", role=Role.ADMIN)
    assert code(invite(key, " BEA@aster.example "), 403) == "above-you"
    assert Invitation.objects.get().pk == sent.pk
    assert Invitation.objects.get().revoked_at is None


def test_what_a_partner_proposes_about_others_is_bounded_until_they_answer(cast, key, monkeypatch):
    monkeypatch.setattr(proposing, "_MOST_ABOUT_ONE", 2)
    monkeypatch.setattr(proposing, "_MOST_ABOUT_OTHERS", 3)
    slugs = [read(a_group(key), 201)["slug"] for _ in range(3)]

    def ask(slug: str, partner: str):
        return key.send("POST", f"groups/{slug}/invite", {"partner": partner})

    first = read(ask(slugs[0], "borealis"), 201)
    read(ask(slugs[1], "borealis"), 201)
    assert code(ask(slugs[2], "borealis"), 409) == "too-many-proposals"
    read(ask(slugs[2], "cygnus"), 201)
    assert code(ask(slugs[1], "cygnus"), 409) == "too-many-proposals"
    other = Caller(build.a_key(cast.borealis, Scope.ADMIN, Scope.READ))
    read(other.send("POST", f"proposals/{first['id']}/decline", {}))
    read(ask(slugs[2], "borealis"), 201)


def test_the_operator_proposes_what_it_has_to(cast, monkeypatch):
    monkeypatch.setattr(proposing, "_MOST_ABOUT_OTHERS", 0)
    operator = auth.viewer_of_user(build.a_user(cast.operator))
    assert membership.invite(operator, cast.ring, cast.cygnus).state == Proposal.State.OPEN


def test_groups_of_a_partner_are_bounded_at_a_time_and_within_a_day(key, monkeypatch):
    monkeypatch.setattr(membership, "_MOST_GROUPS", 2)
    slug = read(a_group(key), 201)["slug"]
    assert code(a_group(key), 409) == "too-many-groups"
    assert key.send("POST", f"groups/{slug}/leave", {}).status_code == 204
    monkeypatch.setattr(membership, "_MOST_GROUPS_IN_A_DAY", 2)
    assert code(a_group(key), 409) == "too-many-groups", "whoever leaves makes room for no other on the same day"


def test_keys_of_a_partner_are_bounded_and_the_list_of_them_too(cast, key, monkeypatch):
    def issue(name: str):
        return key.send("POST", "keys", {"name": name, "scopes": ["read"]})

    old, older = read(issue("one"), 201)["id"], read(issue("two"), 201)["id"]
    monkeypatch.setattr(keys, "_MOST_ACTIVE", keys.listed(key.viewer).count())
    assert code(issue("three"), 409) == "too-many-keys"
    for one in (old, older):
        key.ask("DELETE", f"keys/{one}")
    three = read(issue("three"), 201)["id"]
    monkeypatch.setattr(keys, "_MOST_OVER_LISTED", 1)
    listed = [one["id"] for one in read(key.get("keys"))["keys"]]
    assert three in listed
    assert len({old, older} & set(listed)) == 1
    assert read(key.get(f"keys/{old}"))["state"] == read(key.get(f"keys/{older}"))["state"] == "revoked"


def test_who_joined_meanwhile_is_not_invited_once_more(cast):
    ring = Group.objects.get(slug="ring")
    with pytest.raises(Conflict) as refused:
        proposing.propose(cast.viewer("aster"), ring, proposing.Kind.INVITATION, partner=cast.borealis)
    assert refused.value.code == "already-member"
