"""Who looks at a page, and what becomes of it while they press a button."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from partners.models import Partner, User
from partners.portal import access
from partners.proof import Changed
from partners.scopes import Role
from tests import build

pytestmark = pytest.mark.django_db


def test_a_person_who_is_deleted_while_they_press_a_button_signs_in_as_anybody_else(monkeypatch):
    cast = build.the_cast()
    user = build.a_user(cast.aster, role=Role.ADMIN)
    browser = Client()
    browser.force_login(user)

    def deleted_meanwhile(viewer):
        User.objects.filter(pk=user.pk).delete()
        raise Changed

    monkeypatch.setattr(access, "acting", deleted_meanwhile)
    answer = browser.post("/organisation/detectors/", {"name": "a detector"})
    assert (answer.status_code, answer.headers["Location"].partition("?")[0]) == (302, "/account/login/")


@pytest.mark.parametrize("role", [Role.ADMIN, Role.ANALYST, Role.COUNSEL])
def test_a_recipient_has_no_places_of_what_it_never_does(role):
    def places(kind: str) -> set[str]:
        browser = Client()
        browser.force_login(build.a_user(build.a_partner(f"Fornax {kind}", kind=kind), role=role))
        pages = "".join(browser.get(path).content.decode() for path in ("/", "/organisation/"))
        return set(re.findall(r'href="(/[^"?#]*)"', pages))

    of_publishers = {"/judgement/", "/organisation/sharing/", "/organisation/detectors/"}
    assert of_publishers <= places("lab")
    of_recipient = places("recipient")
    assert not of_publishers & of_recipient
    assert {"/indicators", "/organisation/groups/", "/organisation/reports/"} <= of_recipient


@pytest.mark.parametrize("who", ["nobody", "without the second factor"])
def test_a_script_is_told_that_nobody_is_signed_in_and_led_to_no_page(who):
    """It would follow a redirect and take the page there for its answer; a scheme would have the browser ask itself."""
    browser = Client()
    if who != "nobody":
        partner = build.a_partner("Fornax")
        Partner.objects.filter(pk=partner.pk).update(second_factor=Partner.SecondFactor.REQUIRED)
        browser.force_login(build.a_user(partner, role=Role.PUBLISHER))
    answer = browser.post("/ask/drafts", "{}", content_type="application/json", headers={"Accept": "application/json"})
    assert (answer.status_code, answer["Content-Type"]) == (401, "application/problem+json")
    assert answer.json()["code"] == "unauthenticated"
    assert "WWW-Authenticate" not in answer
    assert browser.post("/ask/drafts", "{}", content_type="application/json").status_code == 302
