"""A form that was drawn before somebody else saved theirs overwrites nothing, and nothing that was typed is lost."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape

import pytest

from partners.caps import Caps
from partners.ceilings import Ceiling, Width
from partners.defaults import DefaultAudience
from partners.groups import steering
from partners.identity import people, signing_on
from partners.keys import auth
from partners.models import Partner, User
from partners.scopes import Role
from partners.tlp import Tlp
from tests import build
from tests.partners.browser import signed_in, text

pytestmark = pytest.mark.django_db
OWN, OPERATOR = "/organisation/settings", "/operator/partners/aster/act"
TIGHT = Ceiling(Tlp.AMBER, Width.GROUPS)


@pytest.fixture
def cast():
    return build.the_cast()


def fields_of(form: str) -> dict[str, list[str]]:
    """What a browser sends of a form that nobody touches, but its buttons."""
    found: dict[str, list[str]] = {}
    for tag in re.findall(r"<input[^>]*>", form):
        said = dict(re.findall(r'(\w+)="([^"]*)"', tag))
        ticked = said.get("type") not in ("checkbox", "radio") or " checked" in tag
        if ticked and "name" in said:
            found.setdefault(said["name"], []).append(unescape(said.get("value", "on")))
    for name, options in re.findall(r'<select[^>]*name="(\w+)"[^>]*>(.*?)</select>', form, re.DOTALL):
        chosen = re.search(r'value="([^"]*)" selected', options)
        found[name] = [unescape(chosen[1])] if chosen else []
    return found


def form(page: str, action: str, having: str) -> dict[str, list[str]]:
    for found in re.findall(rf'<form[^>]*action="{action}"[^>]*>.*?</form>', page, re.DOTALL):
        if having in found:
            return fields_of(found)
    raise AssertionError(f"no form of {action} with {having}")


def opened(client, path: str, action: str, having: str) -> dict[str, list[str]]:
    return form(client.get(path).content.decode(), action, having)


def settings_of(partner) -> steering.Settings:
    return steering.settings_of(Partner.objects.get(pk=partner.pk))


def change(partner, **wanted):
    by = auth.viewer_of_user(build.a_user(partner))
    steering.change(by, replace(settings_of(partner), **wanted))


def rows(answer) -> list[list[str]]:
    """The lines of the page that shows both: setting, when it was opened, now, typed."""
    assert answer.status_code == 409
    body = re.search(r"<tbody>(.*?)</tbody>", answer.content.decode(), re.DOTALL)[1]
    return [
        [re.sub(r"<[^>]+>", "", cell).strip() for cell in re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL)]
        for row in re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)
    ]


def test_what_another_admin_tightened_stays_and_what_was_typed_is_added_to_it(cast):
    client = signed_in(build.a_user(cast.aster))
    sent = opened(client, "/organisation/", OWN, 'id="default_tlp"') | {"alone_objects": ["7"]}
    change(cast.aster, ceiling=TIGHT)
    answer = client.post(OWN, sent, headers={"referer": "http://testserver/organisation/"})
    assert rows(answer) == [
        ["Objects that one may publish alone", "none", "the same", "7"],
        ["Ceiling: publishes", "clear", "amber", "nothing"],
        ["Ceiling: shares", "everyone", "groups", "nothing"],
    ]
    assert settings_of(cast.aster).alone_objects is None, "nothing is saved"
    assert 'href="http://testserver/organisation/"' in answer.content.decode()
    again = form(answer.content.decode(), OWN, "Save what you typed")
    assert "are saved" in text(client.post(OWN, again, follow=True))
    assert settings_of(cast.aster) == replace(settings_of(cast.aster), ceiling=TIGHT, alone_objects=7)


def test_that_page_becomes_old_too(cast):
    client = signed_in(build.a_user(cast.aster))
    sent = opened(client, "/organisation/", OWN, 'id="default_tlp"') | {"alone_objects": ["7"]}
    change(cast.aster, ceiling=TIGHT)
    again = form(client.post(OWN, sent).content.decode(), OWN, "Save what you typed")
    change(cast.aster, alone_objects=3)
    assert rows(client.post(OWN, again)) == [["Objects that one may publish alone", "none", "3", "7"]]
    assert settings_of(cast.aster).alone_objects == 3


def test_who_asks_for_what_is_set_by_now_has_it(cast):
    client = signed_in(build.a_user(cast.aster))
    sent = opened(client, "/organisation/", OWN, 'id="default_tlp"') | {"alone_objects": ["7"]}
    for _ in range(2):  # a button that was pressed twice
        assert "are saved" in text(client.post(OWN, sent, follow=True))


def test_the_default_audience_is_compared_by_itself(cast):
    client = signed_in(build.a_user(cast.aster))
    settings = opened(client, "/organisation/", OWN, 'id="default_tlp"')
    default = opened(client, "/organisation/", OWN, "default-audience")
    change(cast.aster, default_audience=DefaultAudience(groups=(cast.ring.pk,)))
    wider = default | {"do": "default-audience", "partners": ["cygnus"]}
    assert ["Every partner, what is CLEAR or GREEN", "on", "none", "nothing"] in rows(client.post(OWN, wider))
    assert settings_of(cast.aster).default_audience == DefaultAudience(groups=(cast.ring.pk,))
    assert "are saved" in text(client.post(OWN, settings, follow=True)), "that form does not show it"


@pytest.mark.parametrize("made_up", ["", "[]", "null", "{", '{"alone_objects": 7}', "1" * 30_000])
def test_what_was_not_drawn_here_is_not_saved(cast, made_up):
    client = signed_in(build.a_user(cast.aster))
    sent = opened(client, "/organisation/", OWN, 'id="default_tlp"') | {"alone_objects": "7", "drawn": made_up}
    assert ["Objects that one may publish alone", "not known", "none", "7"] in rows(client.post(OWN, sent))
    assert settings_of(cast.aster).alone_objects is None


def test_the_operators_ceilings_and_caps_are_kept_alike(cast):
    client, other = signed_in(build.a_user(cast.operator)), auth.viewer_of_user(build.a_user(cast.operator))
    ceiling, caps = (
        opened(client, "/operator/partners", OPERATOR, f'value="{name}"') | {"do": name} for name in ("ceiling", "caps")
    )
    steering.set_operator_ceiling(cast.aster, TIGHT, by=other)
    steering.set_operator_caps(cast.aster, Caps(objects=5), by=other)
    assert rows(client.post(OPERATOR, ceiling | {"ceiling_tlp": "green"}))[0][1:] == ["clear", "amber", "green"]
    answer = client.post(OPERATOR, caps | {"cap_broad": "9"})
    assert ["Objects that go out within a day", "none", "5", "nothing"] in rows(answer)
    client.post(OPERATOR, form(answer.content.decode(), OPERATOR, "Save what you typed"))
    cast.aster.refresh_from_db()
    assert steering.operator_ceiling_of(cast.aster) == TIGHT
    assert steering.operator_caps_of(cast.aster) == Caps(objects=5, broad=9)


def test_a_role_that_another_admin_gave_is_not_taken_back_unseen(cast):
    admin, other = build.a_user(cast.aster), build.a_user(cast.aster)
    one = build.a_user(cast.aster, role=Role.ANALYST)
    client, at = signed_in(admin), f"/organisation/people/{one.pk}/"
    sent = opened(client, "/organisation/people/", at, "give-role") | {"do": "give-role", "role": "admin"}
    people.change(auth.viewer_of_user(other), one.pk, role=Role.COUNSEL)
    assert rows(client.post(at, sent)) == [["Role", "analyst", "counsel", "admin"]]
    assert User.objects.get(pk=one.pk).role == Role.COUNSEL


def test_a_secret_is_asked_for_once_more_and_never_shown(cast):
    client, at = signed_in(build.a_user(cast.aster)), "/organisation/people/sign-on/"
    sent = opened(client, at, at, "client_id") | {
        "issuer": "https://id.aster.example",
        "client_id": "ours",
        "client_secret": "kept-by-nobody",
    }
    signing_on.configure(
        auth.viewer_of_user(build.a_user(cast.aster)),
        issuer="https://other.aster.example",
        client_id="theirs",
        client_secret="another",
    )
    answer = client.post(at, sent)
    assert rows(answer)[1] == ["Client id", "none", "theirs", "ours"]
    assert "kept-by-nobody" not in answer.content.decode()
    assert 'name="client_secret" type="password"' in answer.content.decode()
