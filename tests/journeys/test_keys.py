"""Single keys: what they go to, that none judges by itself, and that whoever is disturbed by them turns them off (WCAG 2.1.4)."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from indicators.campaigns.tables import Campaign
from indicators.models import Opinion
from indicators.stix import making
from tests import build
from tests.journeys.test_campaigns import pool  # noqa: F401 - fixture
from tests.journeys.test_portal import CHROMIUM, cast, chromium, go_to, page, sign_in  # noqa: F401 - fixtures

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine; .ci/run installs one"),
]

_FOCUSED = "document.activeElement.dataset.key"


def _open(page, live_server, path):  # noqa: F811
    """Keys are heard once the scripts are there."""
    page.goto(f"{live_server.url}/{path}", wait_until="load")


def test_a_key_goes_to_a_judgement_and_enter_gives_it(page, live_server, cast):  # noqa: F811
    theirs = making.account_pattern()
    build.publish(cast.viewer("borealis"), theirs)
    sign_in(page, live_server, build.a_user(cast.aster))
    _open(page, live_server, f"indicators/{theirs['id']}")
    for key in ("1", "2"):
        page.keyboard.press(key)
        assert page.evaluate(_FOCUSED) == key
    page.keyboard.press("3")
    expect(page.locator("#reason")).to_be_visible()
    assert not Opinion._base_manager.exists(), "nothing is said by a key alone"
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=We say")
    expect(page.locator(".ours")).to_contain_text("False positive")


def test_y_goes_to_the_confirmation_of_a_campaign(page, live_server, pool):  # noqa: F811
    sign_in(page, live_server, build.a_user(pool.partners["aster"]))
    _open(page, live_server, f"campaigns/{Campaign.objects.get().pk}")
    page.keyboard.press("y")
    assert page.evaluate(_FOCUSED) == "y"
    expect(page.locator(".note.mine")).to_have_count(0)
    page.keyboard.press("Enter")
    expect(page.locator(".note.mine")).to_have_count(1)


def test_enter_opens_the_line_under_the_cursor(page, live_server, cast):  # noqa: F811
    build.publish(cast.viewer("aster"), *(making.account_pattern(name=f"No {place}") for place in range(3)))
    sign_in(page, live_server, build.a_user(cast.aster))
    _open(page, live_server, "indicators")
    page.keyboard.press("j")
    page.keyboard.press("j")
    leads_to = page.locator("tbody tr.cursor").get_attribute("data-open")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{leads_to}")


def test_who_turned_single_keys_off_presses_them_for_nothing(page, live_server, cast):  # noqa: F811
    build.publish(cast.viewer("aster"), making.account_pattern(name="The first"))
    sign_in(page, live_server, build.a_user(cast.aster))
    page.goto(f"{live_server.url}/account/")
    page.click("#single-keys button[value='off']")
    expect(page.locator("#single-keys button[value='off']")).to_have_attribute("aria-pressed", "true")
    go_to(page, "Indicators")
    page.wait_for_load_state()
    for key in ("j", "x", "/", "?", "f", "g", "h"):
        page.keyboard.press(key)
    assert page.locator("tr.cursor").count() == 0
    assert page.evaluate("document.activeElement === document.body")
    expect(page.locator("#keys")).to_be_hidden()
    expect(page.locator(".find kbd")).to_be_hidden()
    page.wait_for_selector("h1:has-text('Indicators')")
    assert 'data-keys="off"' in page.request.get(f"{live_server.url}/nowhere").text(), (
        "where something is not found, too"
    )
    page.goto(f"{live_server.url}/account/")
    page.click("#single-keys button[value='on']")
    page.wait_for_load_state()
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.name") == "search"
