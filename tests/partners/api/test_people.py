"""People and invitations over the REST face, for keys with the scope `admin`."""

from __future__ import annotations

import pytest

from partners.models import Invitation, User
from partners.scopes import Role, Scope
from tests import build
from tests.indicators.api.caller import Caller, read
from tests.partners.browser import by_password, is_signed_in

pytestmark = pytest.mark.django_db
EVERYTHING = tuple(scope for scope in Scope if scope is not Scope.AUDIT)


@pytest.fixture
def cast():
    return build.the_cast()


@pytest.fixture
def caller(cast):
    return Caller(build.a_key(cast.aster, *EVERYTHING))


def test_the_people_of_the_caller_are_listed_and_nobody_elses(cast, caller):
    bea = build.a_user(cast.aster, role=Role.ANALYST)
    build.a_user(cast.borealis)
    assert read(caller.get("people"))["people"] == [
        {
            "id": bea.pk,
            "username": bea.username,
            "email": bea.email,
            "role": "analyst",
            "active": True,
            "passkey": False,
            "authenticator_app": False,
            "last_sign_in": None,
        }
    ]


def test_a_person_gets_another_role_and_loses_access_at_once(cast, caller):
    bea = build.a_user(cast.aster, role=Role.ANALYST)
    client, _ = by_password(bea.username)
    assert read(caller.send("PATCH", f"people/{bea.pk}", {"role": "publisher"}))["role"] == "publisher"
    assert read(caller.send("PATCH", f"people/{bea.pk}", {"active": False}))["active"] is False
    assert not is_signed_in(client)


@pytest.mark.parametrize(
    "smuggled",
    ["partner", "partner_id", "is_superuser", "is_staff", "password", "email", "username", "id", "is_active"],
)
def test_nothing_else_of_a_person_can_be_set(cast, caller, smuggled):
    bea = build.a_user(cast.aster, role=Role.ANALYST)
    before = User.objects.filter(pk=bea.pk).values().get()
    answer = caller.send("PATCH", f"people/{bea.pk}", {"role": "counsel", smuggled: str(cast.operator.pk)})
    assert answer.status_code == 422
    assert read(answer, 422)["errors"][0]["field"] == f"/{smuggled}"
    assert User.objects.filter(pk=bea.pk).values().get() == before


@pytest.mark.parametrize("sent", [{"role": "owner"}, {"role": ""}, {"role": 1}, {"active": "no"}, {"active": 0}])
def test_what_is_no_role_or_answer_is_refused(cast, caller, sent):
    bea = build.a_user(cast.aster, role=Role.ANALYST)
    assert caller.send("PATCH", f"people/{bea.pk}", sent).status_code == 422


def test_other_partners_people_are_absent(cast, caller):
    for partner in (cast.borealis, cast.operator):
        victim = build.a_user(partner)
        absent = read(caller.send("PATCH", "people/0", {"role": "analyst"}), 404)
        hidden = read(caller.send("PATCH", f"people/{victim.pk}", {"role": "analyst"}), 404)
        assert {**absent, "request_id": ""} == {**hidden, "request_id": ""}
        assert caller.get(f"people/{victim.pk}").status_code == 404
        victim.refresh_from_db()
        assert victim.role == Role.ADMIN


def test_without_the_scope_nothing_is_there_to_do(cast):
    bea = build.a_user(cast.aster)
    weak = Caller(build.a_key(cast.aster, Scope.READ, Scope.PUBLISH, Scope.REACT, Scope.SUBSCRIBE))
    for answer in (
        weak.get("people"),
        weak.get(f"people/{bea.pk}"),
        weak.send("PATCH", f"people/{bea.pk}", {"role": "analyst"}),
        weak.get("invitations"),
        weak.send("POST", "invitations", {"email": "a@b.example", "role": "analyst"}),
    ):
        assert answer.status_code == 403


def test_a_key_raises_nobody_above_itself(cast):
    weak = Caller(build.a_key(cast.aster, Scope.ADMIN, Scope.READ))
    counsel = build.a_user(cast.aster, role=Role.COUNSEL)
    answer = weak.send("PATCH", f"people/{counsel.pk}", {"role": "admin"})
    assert read(answer, 403)["code"] == "above-you"
    assert weak.send("POST", "invitations", {"email": "a@b.example", "role": "admin"}).status_code == 403


def test_the_last_admin_stays(cast, caller):
    admin = build.a_user(cast.aster)
    answer = caller.send("PATCH", f"people/{admin.pk}", {"active": False})
    assert read(answer, 409)["code"] == "last-admin"


def test_somebody_is_invited_listed_and_the_invitation_withdrawn(cast, caller):
    made = caller.send("POST", "invitations", {"email": "new@aster.example", "role": "analyst"})
    link = read(made, 201).pop("link")
    listed = read(caller.get("invitations"))["invitations"]
    assert [one["email"] for one in listed] == ["new@aster.example"]
    assert "link" not in listed[0]
    stranger = Caller(build.a_key(cast.borealis, *EVERYTHING))
    assert stranger.ask("DELETE", f"invitations/{listed[0]['id']}").status_code == 404
    assert read(stranger.get("invitations"))["invitations"] == []
    assert caller.ask("DELETE", f"invitations/{listed[0]['id']}").status_code == 204
    assert caller.ask("DELETE", f"invitations/{listed[0]['id']}").status_code == 404
    assert caller.get("invitations").status_code == 200
    from django.test import Client

    assert Client().get(link[link.index("/account") :]).status_code == 404


def test_an_invitation_names_no_other_partner(cast, caller):
    sent = {"email": "new@aster.example", "role": "admin", "partner": "operator"}
    assert caller.send("POST", "invitations", sent).status_code == 422
    assert Invitation.objects.count() == 0
