"""What helps whom: no motion for who wants none, the picture's table for who hears it, acts that go on by themselves."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from indicators.campaigns.tables import Campaign
from indicators.opinions import many
from indicators.stix import making
from partners.scopes import Role
from tests import build
from tests.journeys import axe
from tests.journeys.test_campaigns import pool  # noqa: F401 - fixture
from tests.journeys.test_portal import (  # noqa: F401 - fixtures
    CHROMIUM,
    CUT_OFF,
    cast,
    chromium,
    go_to,
    no_sideways_scrolling,
    page,
    sign_in,
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine; .ci/run installs one"),
]

_MOVES = """
() => [...document.querySelectorAll("*")].filter((one) => {
  const style = getComputedStyle(one);
  const lasts = (said) => said.split(",").some((each) => parseFloat(each) > 0);
  return (style.animationName !== "none" && lasts(style.animationDuration)) || lasts(style.transitionDuration);
}).map((one) => one.outerHTML.slice(0, 80))
"""


@pytest.mark.drill
@pytest.mark.long
def test_nothing_moves_for_who_wants_less_motion(chromium, live_server, pool):  # noqa: F811
    context = chromium.new_context(reduced_motion="reduce")
    still = context.new_page()
    sign_in(still, live_server, build.a_user(pool.partners["aster"]))
    for path in (
        "",
        "indicators",
        "publish",
        "paste",
        f"campaigns/{Campaign.objects.get().pk}",
        "subscriptions/feeds/all",
    ):
        still.goto(f"{live_server.url}/{path}", wait_until="networkidle")
        assert still.evaluate(_MOVES) == [], path
    context.close()


@pytest.mark.long
def test_who_hears_the_picture_has_its_table(page, live_server, pool):  # noqa: F811
    sign_in(page, live_server, build.a_user(pool.partners["aster"]))
    page.goto(f"{live_server.url}/campaigns/{Campaign.objects.get().pk}")
    heard = page.locator(".twin").aria_snapshot()
    for head in ("Token", "Labs", "Ours", "Others"):
        assert f'columnheader "{head}"' in heard
    rows = page.locator(".twin tbody tr")
    assert heard.count("- row ") == 1 + rows.count(), "the head, and a row for each token"
    assert heard.count("- rowheader ") + heard.count("- link ") >= rows.count(), "each row begins with what it is"
    walked = page.locator("[data-walk]")
    assert walked.get_attribute("aria-label") or walked.get_attribute("aria-labelledby")
    walked.focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator('.twin tr.on a[aria-current="true"]')).to_have_count(1)
    expect(page.locator('.twin a[aria-current="true"]')).to_have_count(1)


@pytest.mark.drill
@pytest.mark.long
def test_many_are_judged_while_the_page_looks_again(page, live_server, cast):  # noqa: F811
    build.publish(cast.viewer("borealis"), *(making.account_pattern() for _ in range(2)))
    build.publish(cast.viewer("aster"), making.account_pattern())
    sign_in(page, live_server, build.a_user(cast.aster, role=Role.ANALYST))
    page.goto(f"{live_server.url}/indicators", wait_until="networkidle")
    page.check("input[data-page]") if page.viewport_size["width"] > 700 else page.click("[data-these]")
    page.keyboard.press("a")
    expect(page.locator("#acts button[value=judge]")).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_selector("text=One opinion on 2 of others")
    assert axe.faults(page) == []
    assert page.evaluate(CUT_OFF) == []
    assert no_sideways_scrolling(page)
    page.click("button[value='agree:confirmed_here']")
    expect(page.get_by_role("progressbar")).to_be_visible()
    assert axe.faults(page) == []
    many.catch_up()
    expect(page.locator("#progress")).to_contain_text("2 of 2 judged")
    assert axe.faults(page) == []
    assert no_sideways_scrolling(page)
    page.click("button[value=undo]")
    many.catch_up()
    expect(page.locator("#progress")).to_contain_text("2 taken back")


@pytest.mark.long
def test_the_side_bar_says_how_much_asks(page, live_server, cast):  # noqa: F811
    ours = making.account_pattern()
    build.publish(cast.viewer("aster"), ours)
    from indicators.opinions import giving
    from partners.keys.auth import viewer_of_user

    giving.give(viewer_of_user(build.a_user(cast.borealis)), ours["id"], opinion="disagree", reason="false_positive")
    sign_in(page, live_server, build.a_user(cast.aster))
    expect(page.locator("#pip-portal-judgement")).to_have_text("1: opinions and appeals on ours")
    expect(page.locator("#pip-start")).to_contain_text("ask for an act")
    assert axe.faults(page) == []
