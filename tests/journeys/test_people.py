"""A new lab in a real Chromium: invited by the operator, in with a password, then with a passkey alone."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from exchange.client.api import Client
from indicators.stix import making
from partners.models import Partner
from tests import build
from tests.journeys.test_portal import (  # noqa: F401 - fixtures
    CONTRAST,
    HOME,
    PASSWORD,
    chromium,
    no_sideways_scrolling,
    page,
    pytestmark,
    sign_out,
)

AUTHENTICATOR = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@pytest.fixture
def operator(settings, live_server):
    settings.BASE_URL = live_server.url
    return build.a_user(build.the_cast().operator)


def with_a_passkey_device(page):  # noqa: F811
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    session.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})


def by_password(page, live_server, username):  # noqa: F811
    page.goto(f"{live_server.url}/account/login/")
    page.fill("#id_login", username)
    page.fill("#id_password", PASSWORD)
    page.click("button.primary")


@pytest.mark.drill
def test_a_new_lab_is_invited_and_its_admin_signs_in_with_a_passkey(page, live_server, operator):  # noqa: F811
    by_password(page, live_server, operator.username)
    page.wait_for_selector(HOME)
    page.goto(f"{live_server.url}/organisation/people/")
    page.click("main >> text=Invite a partner")
    page.fill("#name", "Eridanus")
    page.fill("#slug", "eridanus")
    page.fill("#email", "ann@eridanus.example")
    page.click("text=Register and invite")
    link = page.inner_text("#link")
    assert no_sideways_scrolling(page)
    assert page.evaluate(CONTRAST) == []
    sign_out(page)

    with_a_passkey_device(page)
    page.goto(link)
    page.wait_for_selector("h1:has-text('Join Eridanus')")
    assert page.evaluate(CONTRAST) == []
    page.fill("#username", "ann")
    page.fill("#password", PASSWORD)
    page.fill("#again", PASSWORD)
    page.click("button:has-text('Join')")
    page.wait_for_selector("h1:has-text('Second factors')")
    assert page.evaluate(CONTRAST) == []
    page.fill("#name", "Laptop")
    page.click("button:has-text('Add a passkey')")
    page.wait_for_selector("#codes")
    assert len(page.inner_text("#codes").split()) == 10
    assert no_sideways_scrolling(page)
    assert Partner.objects.get(slug="eridanus").state == Partner.State.ACTIVE

    page.click("text=Account")
    page.wait_for_selector("text=Signing in")
    sign_out(page)
    page.click("text=Use a passkey")
    page.wait_for_selector(HOME)
    for path in (
        "account/",
        "account/factors/",
        "organisation/people/",
        "organisation/people/sign-on/",
        "account/password/",
    ):
        page.goto(f"{live_server.url}/{path}")
        assert page.evaluate(CONTRAST) == [], path
        assert no_sideways_scrolling(page), path

    page.goto(f"{live_server.url}/organisation/people/")
    page.get_by_label("A passkey", exact=True).check()
    page.click("button[value=demand]")
    expect(page.locator(".note[role=status]")).to_contain_text("Saved")
    page.goto(f"{live_server.url}/")
    page.wait_for_selector(HOME)
    publishes_for_the_first_time(page, live_server)


def publishes_for_the_first_time(page, live_server):  # noqa: F811
    """A key from the portal, asked beforehand who would see it, a push with it, and the object in the portal."""
    page.goto(f"{live_server.url}/organisation/keys/")
    page.fill("#name", "detector")
    page.locator("input[name=scopes][value=publish]").check()
    page.click("button:has-text('Issue')")
    key = page.inner_text("#secret").strip()
    page.goto(f"{live_server.url}/organisation/sharing/")
    page.get_by_label("Every partner", exact=True).check()
    page.select_option("#tlp", "green")
    page.click("text=Who would see it?")
    expect(page.locator("main")).to_contain_text("Borealis")
    assert page.evaluate(CONTRAST) == []
    assert no_sideways_scrolling(page)
    stix = making.account_pattern(name="First of Eridanus", tlp_word="green")
    with Client(live_server.url, key) as client:
        result = client.publish([stix], everyone=True)
    assert result.counts["accepted"] == 1
    page.goto(f"{live_server.url}/indicators")
    page.click("text=First of Eridanus")
    expect(page.locator("h1")).to_contain_text("First of Eridanus")
    page.click("text=Who sees it?")
    expect(page.locator("main")).to_contain_text("Dorado")


def test_a_password_leads_to_the_second_factor_and_a_passkey_confirms(page, live_server, operator):  # noqa: F811
    with_a_passkey_device(page)
    by_password(page, live_server, operator.username)
    page.wait_for_selector(HOME)
    page.goto(f"{live_server.url}/account/factors/")
    page.click("button:has-text('Add a passkey')")
    page.wait_for_selector("#codes")
    page.context.clear_cookies()
    by_password(page, live_server, operator.username)
    page.wait_for_selector("h1:has-text('Second factor')")
    assert page.evaluate(CONTRAST) == []
    page.click("text=Use a passkey")
    page.wait_for_selector(HOME)
    page.goto(f"{live_server.url}/account/reauthenticate/?next=/account/")
    page.click("text=Use a passkey")
    page.wait_for_url("**/account/")
