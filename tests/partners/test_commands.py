"""The operator's commands: from an empty store to people who are signed in, and what can be done at night."""

from __future__ import annotations

import io
import re

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from exchange.errors import Unauthenticated
from exchange.management import line
from partners.keys import auth
from partners.models import AuditRecord, Partner, User
from partners.scopes import Role
from tests import build
from tests.partners.browser import accept

pytestmark = pytest.mark.django_db


def run(name: str, *args: str) -> str:
    out = io.StringIO()
    call_command(name, *args, stdout=out)
    return out.getvalue()


def link_in(text: str) -> str:
    return re.search(r"http\S+", text)[0]


def enter(link: str, username: str):
    answer = accept(link, username)
    assert answer.status_code == 302, answer.content
    return User.objects.get(username__startswith=f"{username}@")


def logged(partner) -> set[str]:
    return {f"{record.actor} {record.verb}" for record in AuditRecord.objects.filter(partner=partner)}


def test_an_empty_exchange_is_entered_by_one_command_and_one_link():
    said = run("create_operator", "--email", "ops@operator.example")
    operator = Partner.objects.get(kind="operator")
    assert operator.state == Partner.State.INVITED
    user = enter(link_in(said), "olga")
    operator.refresh_from_db()
    assert (user.partner, user.role, operator.state) == (operator, Role.ADMIN, Partner.State.ACTIVE)
    assert auth.viewer_of_user(user).operates


def test_the_link_is_good_once_and_a_second_one_takes_its_place():
    first = link_in(run("create_operator", "--email", "ops@operator.example"))
    second = link_in(run("create_operator", "--email", "other@operator.example"))
    assert Partner.objects.filter(kind="operator").count() == 1
    assert accept(first, "olga").status_code == 404
    enter(second, "olga")
    assert accept(second, "otto").status_code == 404
    with pytest.raises(CommandError, match="has its operator"):
        run("create_operator", "--email", "ops@operator.example")


def test_an_address_that_is_none_makes_no_operator():
    with pytest.raises(CommandError, match="no e-mail address"):
        run("create_operator", "--email", "nobody")
    assert not Partner.objects.exists()


@override_settings(PRODUCTION=True)
def test_the_cast_of_the_demo_stays_out_of_production(tmp_path):
    with pytest.raises(CommandError, match="create_operator"):
        run("seed", "--credentials", str(tmp_path / "credentials.json"))
    assert not Partner.objects.exists()
    assert not list(tmp_path.iterdir())


def test_a_lab_is_suspended_and_reinstated_from_the_command_line():
    cast = build.the_cast()
    key = build.a_key(cast.aster)
    assert run("suspend", "aster", "--why", "A key leaked.") == "Aster is suspended.\n"
    with pytest.raises(Unauthenticated):
        auth.viewer_of_key(key)
    assert Partner.objects.get(slug="aster").suspended_why == "A key leaked."
    assert run("reinstate", "aster") == "Aster takes part again.\n"
    assert auth.viewer_of_key(key).partner_slug == "aster"
    assert {"operator partner.suspended", "operator partner.reinstated"} <= logged(cast.aster)
    assert {"command partner.suspended", "command partner.reinstated"} <= logged(cast.operator)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["suspend", "nobody", "--why", "x"], "no partner of this slug"),
        (["suspend", "aster", "--why", " "], "Say why"),
        (["suspend", "operator", "--why", "x"], "does not suspend itself"),
        (["reinstate", "aster"], "not in a state"),
        (["invite", "aster", "--email", "a@aster.example", "--kind", "lab"], "--kind goes with --name"),
        (["invite", "aster", "--email", "a@aster.example", "--name", "Aster"], "already"),
    ],
)
def test_what_cannot_be_done_is_a_sentence_and_a_status(command, says):
    build.the_cast()
    with pytest.raises(CommandError, match=says):
        run(*command)


def test_before_the_operator_there_is_nobody_to_act_for():
    build.a_partner("Aster")
    with pytest.raises(CommandError, match="create_operator"):
        run("suspend", "aster", "--why", "x")


def test_a_new_lab_is_registered_and_its_first_admin_let_in():
    build.the_cast()
    said = run("invite", "fornax", "--email", "a@fornax.example", "--name", "Fornax")
    user = enter(link_in(said), "flora")
    assert (user.partner.slug, user.partner.state, user.role) == ("fornax", Partner.State.ACTIVE, Role.ADMIN)


def test_a_partner_without_an_admin_is_let_in_again_and_one_with_an_admin_is_not():
    cast = build.the_cast()
    admin = build.a_user(cast.aster)
    with pytest.raises(CommandError, match="has no admin"):
        run("invite", "aster", "--email", "new@aster.example")
    User.objects.filter(pk=admin.pk).update(is_active=False)
    build.a_user(cast.aster, role=Role.ANALYST)
    assert enter(link_in(run("invite", "aster", "--email", "new@aster.example")), "agnes").role == Role.ADMIN


def test_the_operator_whose_last_admin_is_gone_lets_itself_in():
    cast = build.the_cast()
    User.objects.filter(partner=cast.operator).update(is_active=False)
    user = enter(link_in(run("invite", "operator", "--email", "new@operator.example")), "olga")
    assert auth.viewer_of_user(user).operates


@pytest.mark.parametrize(
    ("called", "named"),
    [("/opt/exchange/bin/exchange-manage", "exchange-manage invite"), ("manage.py", "python manage.py invite")],
)
def test_messages_name_commands_as_this_installation_has_them(called, named, monkeypatch):
    monkeypatch.setattr("sys.argv", [called, "create_operator"])
    assert line.named("invite") == named
