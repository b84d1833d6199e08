"""Invitations: whom one may invite, what the link is good for, and how a new partner begins."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.test import Client

from exchange.errors import Conflict, Forbidden, NotFound, Refused
from partners import keys
from partners.identity import inviting, people
from partners.keys import auth
from partners.models import AuditRecord, Invitation, Partner, User
from partners.scopes import Role, Scope
from tests import build
from tests.indicators.api.caller import Caller, read
from tests.partners.browser import PASSWORD, accept, by_password, is_signed_in, link_in, signed_in, text

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast():
    return build.the_cast()


@pytest.fixture
def admin(cast):
    return build.a_user(cast.aster)


def viewer(user):
    return auth.viewer_of_user(user)


def test_an_invitation_is_mailed_shown_once_and_makes_a_person_of_that_partner_and_role(
    cast, admin, mailoutbox, django_capture_on_commit_callbacks
):
    client = signed_in(admin)
    with django_capture_on_commit_callbacks(execute=True):
        shown = client.post(
            "/organisation/people/", {"do": "invite", "email": "bea@aster.example", "role": "publisher"}
        )
    link = link_in(shown)
    assert link in mailoutbox[0].body
    assert mailoutbox[0].to == ["bea@aster.example"]
    assert link not in text(client.get("/organisation/people/"))
    answer = accept(link, "bea")
    assert answer.status_code == 302
    bea = User.objects.get(username="bea@aster")
    assert (bea.partner, bea.role, bea.email) == (cast.aster, Role.PUBLISHER, "bea@aster.example")
    assert bea.check_password(PASSWORD)
    told = set(AuditRecord.objects.filter(partner=cast.aster).values_list("verb", flat=True))
    assert {"invitation.sent", "invitation.accepted", "user.signed-in"} <= told


def test_the_token_lies_nowhere(admin):
    invitation, link = inviting.invite(viewer(admin), email="bea@aster.example", role=Role.ANALYST)
    token = link.partition("token=")[2]
    assert token.encode() not in bytes(invitation.digest)
    for record in AuditRecord.objects.all():
        assert token not in str(record.details) + record.target


def test_every_link_that_is_no_good_is_the_same_page(cast, admin):
    def link_to(address):
        return inviting.invite(viewer(admin), email=address, role=Role.ANALYST)

    used, withdrawn = link_to("used@aster.example")[1], link_to("gone@aster.example")
    inviting.revoke(viewer(admin), withdrawn[0].pk)
    accept(used, "used-name")
    with time_machine.travel(datetime.now(UTC) - timedelta(days=7, minutes=1)):
        old = link_to("old@aster.example")[1]
    by_another = build.a_user(cast.aster)
    sent = inviting.invite(viewer(by_another), email="x@aster.example", role=Role.ANALYST)[1]
    people.change(viewer(admin), by_another.pk, active=False)
    links = [used, withdrawn[1], old, sent, "/account/invitation/?token=made-up", "/account/invitation/?token="]
    answers = [Client().get(link.partition("8000")[2] or link) for link in links]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1
    posted = [accept(link, "somebody-new") for link in links[:3]]
    assert {answer.content for answer in posted} == {answers[0].content}
    assert not User.objects.filter(username__startswith="somebody-new").exists()


def test_it_is_good_until_the_end_of_the_seventh_day(admin):
    with time_machine.travel(datetime.now(UTC) - timedelta(days=6, hours=23)):
        link = inviting.invite(viewer(admin), email="late@aster.example", role=Role.ANALYST)[1]
    assert accept(link, "late").status_code == 302


def test_looking_at_an_invitation_uses_nothing_up(admin):
    link = inviting.invite(viewer(admin), email="bea@aster.example", role=Role.ANALYST)[1]
    path = link[link.index("/account") :]
    for _ in range(3):
        assert Client().get(path).status_code == 200
    assert Invitation.objects.get().accepted_at is None


def test_a_weak_password_or_a_taken_name_leaves_the_invitation_as_it_was(cast, admin):
    link = inviting.invite(viewer(admin), email="bea@aster.example", role=Role.ANALYST)[1]
    before = User.objects.count()
    assert accept(link, "bea", password="short").status_code == 422
    assert accept(link, "bea-smith", password="bea-smith-2026").status_code == 422
    accept(inviting.invite(viewer(admin), email="ada@aster.example", role=Role.ANALYST)[1], "ada")
    for name in ("ada", "ADA", " ada", "ada@aster", "ADA@Aster"):
        assert accept(link, name).status_code == 422
    assert User.objects.count() == before + 1
    assert accept(link, "bea").status_code == 302


def test_whoever_chooses_a_name_learns_nothing_of_other_partners_people(cast, admin):
    of_old = build.a_user(cast.borealis, password="a long other password")
    accept(inviting.invite(viewer(build.a_user(cast.borealis)), email="eve@b.example", role=Role.ADMIN)[1], "eve")
    for name in (of_old.username, "eve"):
        link = inviting.invite(viewer(admin), email=f"{name}@aster.example", role=Role.ANALYST)[1]
        assert accept(link, f"{name}@borealis").status_code == 422
        assert accept(link, "nobody-has-this@borealis").status_code == 422
        assert accept(link, name).status_code == 302
        assert User.objects.get(username=f"{name}@aster").partner == cast.aster
    of_old.refresh_from_db()
    assert of_old.check_password("a long other password")
    assert User.objects.get(username="eve@borealis").partner == cast.borealis
    assert is_signed_in(by_password("eve@aster")[0])
    assert not is_signed_in(by_password("eve")[0])


def test_the_page_suggests_a_name_after_the_address(admin):
    link = inviting.invite(viewer(admin), email="Bea.Smith+x@aster.example", role=Role.ANALYST)[1]
    assert 'value="bea.smithx@aster"' in text(Client().get(link[link.index("/account") :]))


@pytest.mark.parametrize(
    "name", ["", "a", "-bea", "bea smith", "be\u00e4", "bea\0", "x" * 61, "../bea", "bea@aster@aster", "@aster"]
)
def test_a_user_name_is_small_and_plain(admin, name):
    link = inviting.invite(viewer(admin), email="bea@aster.example", role=Role.ANALYST)[1]
    assert accept(link, name).status_code == 422


def test_an_invitation_to_the_address_of_somebody_elsewhere_touches_nobody(cast, admin):
    victim = build.a_user(cast.operator)
    link = inviting.invite(viewer(admin), email=victim.email, role=Role.ANALYST)[1]
    accept(link, "namesake")
    assert User.objects.get(username="namesake@aster").partner == cast.aster
    victim.refresh_from_db()
    assert victim.partner == cast.operator


def test_only_admins_invite_and_nobody_above_himself(cast, admin):
    for role in (Role.ANALYST, Role.PUBLISHER, Role.COUNSEL):
        with pytest.raises(Forbidden):
            inviting.invite(viewer(build.a_user(cast.aster, role=role)), email="a@b.example", role=Role.ANALYST)
    weak = build.viewer_of(cast.aster, Scope.ADMIN, Scope.READ)
    for role in (Role.ADMIN, Role.PUBLISHER, Role.ANALYST):
        with pytest.raises(Forbidden):
            inviting.invite(weak, email="a@b.example", role=role)
    assert inviting.invite(weak, email="a@b.example", role=Role.COUNSEL)[0].invited_by is None
    recipient = build.a_user(cast.dorado)
    assert inviting.invite(viewer(recipient), email="a@b.example", role=Role.ADMIN)[0].partner == cast.dorado


def test_a_new_invitation_to_an_address_replaces_the_old_one(admin):
    old = inviting.invite(viewer(admin), email="bea@aster.example", role=Role.ADMIN)[1]
    inviting.invite(viewer(admin), email="BEA@aster.example", role=Role.ANALYST)
    assert inviting.pending(viewer(admin)).count() == 1
    with pytest.raises(inviting.NoInvitation):
        inviting.find(old.partition("token=")[2])


def test_nobody_withdraws_the_invitation_of_another_partner(cast, admin):
    invitation, _ = inviting.invite(viewer(admin), email="bea@aster.example", role=Role.ANALYST)
    with pytest.raises(NotFound):
        inviting.revoke(viewer(build.a_user(cast.borealis)), invitation.pk)
    stranger = signed_in(build.a_user(cast.borealis))
    answer = stranger.post("/organisation/people/", {"do": "withdraw", "invitation": str(invitation.pk)})
    assert answer.status_code == 404
    assert inviting.pending(viewer(admin)).count() == 1


def test_whoever_loses_the_role_loses_what_he_has_invited(cast, admin):
    other = build.a_user(cast.aster)
    _, link = inviting.invite(viewer(other), email="bea@aster.example", role=Role.ADMIN)
    people.change(viewer(admin), other.pk, role=Role.ANALYST)
    with pytest.raises(inviting.NoInvitation):
        inviting.find(link.partition("token=")[2])


def test_what_a_key_has_invited_is_worthless_once_the_key_is_revoked(cast, admin):
    thief = Caller(build.a_key(cast.aster, Scope.ADMIN, Scope.READ))
    child = read(thief.send("POST", "keys", {"name": "second", "scopes": ["admin", "read"]}), 201)["secret"]
    links = [
        read(who.send("POST", "invitations", {"email": f"{n}@evil.example", "role": "counsel"}), 201)["link"]
        for n, who in enumerate((thief, Caller(child)))
    ]
    sent_by_a_person = inviting.invite(viewer(admin), email="bea@aster.example", role=Role.ANALYST)[1]
    signed_in(admin).post(f"/organisation/keys/{keys.public_id_of(thief.key)}/act", {"do": "revoke"})
    for link in links:
        assert Client().get(link[link.index("/account") :]).status_code == 404
        assert accept(link, "mallory").status_code == 404
    assert not User.objects.filter(username="mallory@aster").exists()
    assert "evil.example" not in text(signed_in(admin).get("/organisation/people/"))
    withdrawn = AuditRecord.objects.filter(partner=cast.aster, verb="invitation.revoked", actor=f"user:{admin.pk}")
    assert withdrawn.count() == 2
    assert accept(sent_by_a_person, "bea").status_code == 302


def test_what_a_key_has_invited_is_worthless_once_the_key_is_over(cast):
    key = Caller(build.a_key(cast.aster, Scope.ADMIN, Scope.READ))
    sent = read(key.send("POST", "invitations", {"email": "bea@aster.example", "role": "counsel"}), 201)
    with time_machine.travel(datetime.now(UTC) + timedelta(days=1, minutes=1)):
        assert accept(sent["link"], "bea").status_code == 404


def test_the_operator_invites_a_partner_which_takes_part_once_its_admin_is_there(cast):
    client = signed_in(build.a_user(cast.operator))
    assert 'href="/operator/invite/"' in text(client.get("/operator/partners"))
    wanted = {"name": "Eridanus", "slug": "eridanus", "kind": "lab", "email": "ann@eridanus.example"}
    link = link_in(client.post("/operator/invite/", wanted))
    partner = Partner.objects.get(slug="eridanus")
    assert partner.state == Partner.State.INVITED
    newcomer = Client()
    assert accept(link, "ann", client=newcomer).status_code == 302
    partner.refresh_from_db()
    assert partner.state == Partner.State.ACTIVE
    assert User.objects.get(username="ann@eridanus").role == Role.ADMIN
    assert is_signed_in(newcomer)
    again = client.post("/operator/invite/", wanted)
    assert "A partner of this name, or of one that looks like it, is there already" in text(again)
    assert Invitation.objects.count() == 1


def test_a_first_admin_is_invited_again_until_one_is_there(cast):
    client = signed_in(build.a_user(cast.operator))
    wanted = {"name": "Eridanus", "slug": "eridanus", "kind": "lab", "email": "ann@eridanus.example"}
    lost = link_in(client.post("/operator/invite/", wanted))
    partner = Partner.objects.get(slug="eridanus")
    again = {"again": str(partner.pk), "email": "bob@eridanus.example"}
    link = link_in(client.post("/operator/invite/", again))
    assert accept(lost, "ann").status_code == 404
    assert accept(link, "bob").status_code == 302
    assert client.post("/operator/invite/", again).status_code == 404, "it has its admin now"
    build.a_user(cast.aster)
    assert client.post("/operator/invite/", again | {"again": str(cast.aster.pk)}).status_code == 404
    assert signed_in(build.a_user(cast.aster)).post("/operator/invite/", again).status_code == 404


@pytest.mark.parametrize(
    "change",
    [{"kind": "operator"}, {"kind": "x"}, {"slug": "Not A Slug"}, {"name": " "}, {"email": "nobody"}],
)
def test_a_partner_that_cannot_be_is_not_registered(cast, change):
    client = signed_in(build.a_user(cast.operator))
    wanted = {"name": "Eridanus", "slug": "eridanus", "kind": "lab", "email": "ann@eridanus.example"} | change
    before = Partner.objects.count()
    assert 'role="alert"' in text(client.post("/operator/invite/", wanted))
    assert (Partner.objects.count(), Invitation.objects.count()) == (before, 0)


def test_nobody_but_the_operators_admins_invites_partners(cast):
    wanted = {"name": "Eridanus", "slug": "eridanus", "kind": "lab", "email": "ann@eridanus.example"}
    for user in (build.a_user(cast.aster), build.a_user(cast.operator, role=Role.ANALYST)):
        client = signed_in(user)
        assert client.get("/operator/invite/").status_code == 404
        assert client.post("/operator/invite/", wanted).status_code == 404
        with pytest.raises(NotFound):
            inviting.invite_partner(viewer(user), name="E", slug="eridanus", kind=Partner.Kind.LAB, email="a@b.example")


@pytest.mark.parametrize("state", [Partner.State.SUSPENDED, Partner.State.LEFT])
def test_nobody_joins_a_partner_that_takes_no_part(cast, admin, state):
    link = inviting.invite(viewer(admin), email="bea@aster.example", role=Role.ANALYST)[1]
    Partner.objects.filter(pk=cast.aster.pk).update(state=state)
    assert accept(link, "bea").status_code == 404


def test_what_is_no_address_is_refused(admin):
    for address in ("", "bea", "bea@", "a@b.example\nBcc: all@b.example", f"{'x' * 300}@b.example"):
        with pytest.raises(Refused):
            inviting.invite(viewer(admin), email=address, role=Role.ANALYST)


@pytest.mark.django_db(transaction=True)
def test_a_link_that_is_used_twice_at_the_same_time_makes_one_person():
    from concurrent.futures import ThreadPoolExecutor

    from django.db import connection

    aster = build.a_partner("Aster")
    link = inviting.invite(viewer(build.a_user(aster)), email="bea@aster.example", role=Role.ANALYST)[1]
    token = link.partition("token=")[2]

    def one(name):
        try:
            return inviting.accept(token, username=name, password=PASSWORD)
        except (inviting.NoInvitation, Conflict):
            return None
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        made = [user for user in pool.map(one, [f"bea-{n}" for n in range(6)]) if user]
    assert len(made) == 1
    assert User.objects.filter(email="bea@aster.example").count() == 1


@pytest.mark.parametrize("path", ["/account/invitation/?token=x", "/account/password/link/?token=x", "/digest/end/x"])
def test_what_a_page_of_a_link_loads_is_not_told_its_address(path):
    assert Client().get(path).headers["Referrer-Policy"] == "strict-origin"
    assert Client().get("/account/login/").headers["Referrer-Policy"] == "same-origin"
