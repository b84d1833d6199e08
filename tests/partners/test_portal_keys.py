"""The page of keys: who may open it, a key shown exactly once, rotated and revoked, never another partner's."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from partners import keys
from partners.keys import auth
from partners.models import ApiKey
from partners.scopes import Role
from tests import build

pytestmark = pytest.mark.django_db
PAGE = "/organisation/keys/"
WISH = {"name": "pipeline", "scopes": ["read", "publish"], "networks": "127.0.0.0/8, ::1", "life": "1440"}


@pytest.fixture
def cast():
    return build.the_cast()


def signed_in(partner, role=Role.ADMIN) -> Client:
    client = Client()
    client.force_login(build.a_user(partner, role=role), backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def secret_in(answer) -> str:
    return re.search(r"data-secret>(exk_[a-z2-7_]+)<", answer.content.decode())[1]


def test_an_admin_issues_a_key_and_sees_it_once(cast):
    admin = signed_in(cast.aster)
    answer = admin.post(PAGE, WISH | {"groups": [str(cast.ring.pk)]})
    secret = secret_in(answer)
    assert answer.headers["Cache-Control"] == "no-store"
    key = ApiKey.objects.get(name="pipeline")
    assert (key.scopes, key.groups) == (["publish", "read"], [cast.ring.pk])
    assert key.networks == ["127.0.0.0/8", "::1/128"]
    assert key.created_by.startswith("user:")
    assert secret not in admin.get(PAGE).content.decode()
    assert "pipeline" in admin.get(PAGE).content.decode()


@pytest.mark.parametrize("role", [Role.ANALYST, Role.PUBLISHER, Role.COUNSEL])
def test_nobody_else_opens_the_page_or_issues(cast, role):
    someone = signed_in(cast.aster, role)
    before = ApiKey.objects.count()
    assert someone.get(PAGE).status_code == 403
    assert someone.post(PAGE, WISH).status_code == 403
    public_id = keys.public_id_of(cast.keys["aster"])
    assert someone.post(f"{PAGE}{public_id}/act", {"do": "revoke"}).status_code == 403
    assert ApiKey.objects.count() == before
    assert auth.viewer_of_key(cast.keys["aster"])
    assert PAGE not in someone.get("/account/").content.decode()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"scopes": []}, "At least one of"),
        ({"scopes": ["audit"]}, "At least one of"),
        ({"networks": "nowhere"}, "Networks such as"),
        ({"life": "99999999"}, "Choose one"),
        ({"groups": ["x"]}, "a group that you are not in"),
        ({"name": " "}, "A name of"),
    ],
)
def test_what_cannot_be_is_said_and_what_was_typed_stays(cast, change, says):
    answer = signed_in(cast.aster).post(PAGE, WISH | change)
    text = answer.content.decode()
    assert says in text
    assert "data-secret" not in text
    assert ApiKey.objects.filter(created_by__startswith="user:").count() == 0
    if "networks" not in change:
        assert "127.0.0.0/8, ::1" in text


def test_a_key_is_rotated_and_revoked(cast):
    admin = signed_in(cast.aster)
    old = secret_in(admin.post(PAGE, WISH | {"networks": ""}))
    act = f"{PAGE}{keys.public_id_of(old)}/act"
    new = secret_in(admin.post(act, {"do": "rotate", "overlap": "60"}))
    assert auth.viewer_of_key(old)
    assert auth.viewer_of_key(new)
    answer = admin.post(act, {"do": "rotate", "overlap": "60"}, follow=True)
    assert "Two keys of this name are active" in answer.content.decode()
    answer = admin.post(act, {"do": "revoke"}, follow=True)
    assert "is revoked" in answer.content.decode()
    with pytest.raises(auth.Unauthenticated):
        auth.viewer_of_key(old)
    assert auth.viewer_of_key(new)


def test_another_partners_key_is_not_there(cast):
    admin = signed_in(cast.aster)
    theirs = keys.public_id_of(cast.keys["borealis"])
    for what in ({"do": "revoke"}, {"do": "rotate", "overlap": "0"}):
        assert admin.post(f"{PAGE}{theirs}/act", what).status_code == 404
    assert theirs not in admin.get(PAGE).content.decode()
    assert auth.viewer_of_key(cast.keys["borealis"])


def test_a_form_without_its_token_and_a_get_change_nothing(cast):
    user = build.a_user(cast.aster)
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    before = ApiKey.objects.count()
    act = f"{PAGE}{keys.public_id_of(cast.keys['aster'])}/act"
    assert strict.post(PAGE, WISH).status_code == 403
    assert strict.post(act, {"do": "revoke"}).status_code == 403
    assert strict.get(act, {"do": "revoke"}).status_code == 405
    assert ApiKey.objects.count() == before
    assert auth.viewer_of_key(cast.keys["aster"])


def test_a_name_is_text_and_no_markup(cast):
    admin = signed_in(cast.aster)
    admin.post(PAGE, WISH | {"name": '"><img src=x>'})
    assert "<img src=x>" not in admin.get(PAGE).content.decode()


def test_the_operator_revokes_by_command_without_the_key_being_repeated(cast, capsys):
    from django.core.management import CommandError, call_command

    for given in (cast.keys["aster"], keys.public_id_of(cast.keys["borealis"])):
        call_command("revoke_key", given)
    said = capsys.readouterr().out
    assert "is revoked; 1 in all" in said
    assert cast.keys["aster"] not in said
    for name in ("aster", "borealis"):
        with pytest.raises(auth.Unauthenticated):
            auth.viewer_of_key(cast.keys[name])
    call_command("revoke_key", cast.keys["aster"])
    assert "was revoked before" in capsys.readouterr().out
    with pytest.raises(CommandError, match="no such key"):
        call_command("revoke_key", "exk_aaaaaaaa_never")
