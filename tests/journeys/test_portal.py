"""The portal in a real Chromium: an analyst's first walk, live arrivals, no script or style from elsewhere."""

from __future__ import annotations

import os
import shutil
import uuid

import pytest
from playwright.sync_api import expect

from indicators.matching import tokens
from indicators.stix import making
from tests import build

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
PASSWORD = "correct horse battery"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine; .ci/run installs one"),
]


@pytest.fixture(scope="module")
def chromium():
    from playwright.sync_api import sync_playwright

    # Playwright's loop runs in this thread; Django would refuse the builders' queries beside it.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*flags, "--disable-sync"])
        yield browser
        browser.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture(params=[(1440, "light"), (390, "dark")], ids=["wide-light", "narrow-dark"])
def page(request, chromium):
    """A page that fails the test for anything on the console: a blocked script or style says so there."""
    width, scheme = request.param
    context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    opened = context.new_page()
    said = []
    opened.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.set_default_timeout(10_000)
    yield opened
    context.close()
    assert said == []


@pytest.fixture
def cast():
    return build.the_cast()


def sign_in(page, live_server, user):
    page.goto(f"{live_server.url}/")
    page.fill("#id_login", user.username)
    page.fill("#id_password", PASSWORD)
    page.click("text=Sign in >> nth=-1")
    page.wait_for_selector("h1:has-text('What is new')")


def no_sideways_scrolling(page):
    return page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_an_analyst_signs_in_finds_an_indicator_and_follows_its_match(page, live_server, cast):
    token = {"token": making.token(uuid.uuid4().hex * 2)}
    build.publish(cast.viewer("borealis"), making.account_pattern(carrier=token, name="Seen by Borealis"))
    build.publish(cast.viewer("aster"), making.account_pattern(carrier=token, name="Seen by Aster"))
    build.publish(cast.viewer("aster"), making.payment_fingerprint(name="A card of many"))
    tokens.catch_up()
    sign_in(page, live_server, build.a_user(cast.aster))
    assert no_sideways_scrolling(page)
    page.click("nav >> text=Indicators")
    page.wait_for_selector("h1:has-text('Indicators')")
    assert page.locator("tbody tr").count() == 3
    page.fill("#q", "borealis")
    expect(page.locator("tbody tr")).to_have_count(1)
    assert "q=borealis" in page.url, "the address holds the question"
    page.click("text=Seen by Borealis")
    page.wait_for_selector("text=Exactly as published")
    assert no_sideways_scrolling(page)
    page.click("text=Seen by Aster")
    page.wait_for_selector("h1:has-text('Seen by Aster')")
    page.wait_for_selector("text=You share it with")
    for path, heading in (("matches", "Matches"), ("subscriptions", "Subscriptions"), ("account/", "Roles and rights")):
        page.goto(f"{live_server.url}/{path}")
        page.wait_for_selector(f"text={heading}")
        assert no_sideways_scrolling(page), path


def test_what_is_published_appears_on_the_start_page_by_itself(page, live_server, cast):
    sign_in(page, live_server, build.a_user(cast.borealis))
    page.wait_for_selector("text=Nothing here yet")
    build.publish(cast.viewer("aster"), making.prompt_signature(name="Just arrived"))
    build.publish(cast.viewer("cygnus"), making.prompt_signature(name="Of others"))
    page.wait_for_selector("text=Just arrived")
    assert page.locator("text=Of others").count() == 0


def test_content_is_shown_as_text_whatever_it_is(page, live_server, cast):
    probe = "<img src=x onerror=\"document.title='broken in'\"><script>document.title='broken in'</script>"
    evil = making.account_pattern(name=probe, description=probe, labels=[probe])
    build.publish(cast.viewer("aster"), evil)
    sign_in(page, live_server, build.a_user(cast.aster))
    page.goto(f"{live_server.url}/indicators/{evil['id']}")
    page.wait_for_selector("text=Exactly as published")
    assert "broken in" not in page.title().replace(probe, "")
    assert page.locator("img").count() == 0
    assert page.locator("h1").inner_text() == probe


def test_the_keyboard_reaches_everything_in_order(page, live_server, cast):
    sign_in(page, live_server, build.a_user(cast.aster))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the content"
    seen = []
    for _ in range(7):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.textContent.trim()"))
    assert seen[:5] == ["Exchange", "New", "Indicators", "Matches", "Subscriptions"]


def test_a_wrong_password_says_nothing_of_the_account(page, live_server, cast):
    user = build.a_user(cast.aster)
    said = set()
    for name in (user.username, "nobody-of-this-name"):
        page.goto(f"{live_server.url}/account/login/")
        page.fill("#id_login", name)
        page.fill("#id_password", "wrong")
        page.keyboard.press("Enter")
        said.add(page.locator(".errorlist").inner_text())
    assert len(said) == 1
