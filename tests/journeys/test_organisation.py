"""Organisation, groups, what waits and the operator's pages in a real Chromium."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import timedelta

import pytest
from playwright.sync_api import expect

from exchange import clock
from indicators.stix import making
from partners.ceilings import Ceiling, Width
from partners.groups import membership, proposing, steering, warning
from partners.keys import auth
from partners.models import Group, Membership, Partner
from partners.scopes import Role
from partners.tlp import Tlp
from tests import build
from tests.journeys import axe
from tests.journeys.test_portal import (  # noqa: F401 - fixtures
    BOTH,
    cast,
    chromium,
    go_to,
    no_sideways_scrolling,
    page,
    pytestmark,
    sign_in,
    sign_out,
)


def look(page, name):  # noqa: F811
    """Nothing scrolls sideways; with SHOTS set, a picture for whoever wants to look."""
    assert no_sideways_scrolling(page), name
    if where := os.environ.get("SHOTS"):
        page.screenshot(path=f"{where}/{name}-{page.viewport_size['width']}.png", full_page=True)


@pytest.mark.drill
@pytest.mark.long
def test_an_admin_makes_a_group_another_joins_and_a_second_person_publishes(page, live_server, cast):  # noqa: F811
    today = clock.now().date()
    Group.objects.filter(pk=cast.ring.pk).update(basis_until=today + timedelta(days=20))
    warning.write_notices(on=today)
    sender = auth.viewer_of_user(build.a_user(cast.aster))
    wanted = replace(steering.settings_of(cast.aster), alone=Ceiling(Tlp.CLEAR, Width.GROUPS))
    steering.change(sender, wanted)
    sender = auth.viewer_of_key(cast.keys["aster"])
    build.publish(sender, build.an_indicator(tlp_word="green", name="Waits for two"), everyone=True)
    sign_in(page, live_server, build.a_user(cast.aster))
    go_to(page, "Partners and groups")
    page.wait_for_selector("text=ends on")
    look(page, "overview")
    page.select_option("#ceiling_tlp", "green")
    page.click("section:has(#default_tlp) button.primary")
    page.wait_for_selector("text=The settings are saved")
    assert Partner.objects.get(slug="aster").ceiling_tlp == Tlp.GREEN
    page.click(".subnav >> text=Groups")
    look(page, "groups")
    page.fill("#name", "Card Ring")
    page.fill("#purpose", "Cards that campaigns share.")
    page.fill("#legal_basis", "Sharing agreement")
    page.click("text=Make the group")
    page.wait_for_selector("h1:has-text('Card Ring')")
    page.select_option("#partner", "cygnus")
    page.click("button:has-text('Invite')")
    page.wait_for_selector("text=Waits for Cygnus")
    look(page, "group")
    go_to(page, "Waiting")
    page.wait_for_selector("text=Waits for two")
    look(page, "waiting")
    page.click("text=Publish it")
    page.wait_for_selector("text=1 accepted")
    page.wait_for_selector("text=Nothing waits")
    sign_out(page)
    sign_in(page, live_server, build.a_user(cast.cygnus))
    page.goto(f"{live_server.url}/organisation/groups/")
    page.wait_for_selector("text=You are invited to Card Ring")
    look(page, "invited")
    page.click("button:has-text('Accept')")
    page.wait_for_selector("text=it is done")
    assert Membership.objects.filter(group__name="Card Ring", until=None).count() == 2


def test_the_operator_suspends_a_partner_and_lets_it_back(page, live_server, cast):  # noqa: F811
    build.publish(cast.viewer("aster"), build.an_indicator(tlp_word="green", name="Stays"))
    membership.create(
        auth.viewer_of_user(build.a_user(cast.operator)),
        name="Empty",
        purpose="x",
        basis=proposing.Basis("x", "", clock.now().date(), None),
    )
    sign_in(page, live_server, build.a_user(cast.operator))
    go_to(page, "Operator")
    card = page.locator(".rowed li", has_text="aster").first
    card.locator("summary").first.click()
    look(page, "operator-partners")
    card.locator("#why-aster").fill("A key of theirs was found in public.")
    page.on("dialog", lambda dialog: dialog.accept())
    card.locator("button:has-text('Suspend')").click()
    page.wait_for_selector("text=Suspended: A key of theirs")
    page.goto(f"{live_server.url}/indicators")
    page.wait_for_selector("text=publisher suspended")
    look(page, "suspended-rows")
    page.goto(f"{live_server.url}/operator/groups")
    page.wait_for_selector("text=Empty")
    look(page, "operator-groups")
    page.goto(f"{live_server.url}/operator/partners")
    card = page.locator(".rowed li", has_text="Suspended:").first
    card.locator("text=Reinstate").click()
    page.wait_for_selector("text=Aster: done")
    assert Partner.objects.get(slug="aster").state == "active"


@BOTH
def test_a_second_person_sees_what_changes_for_whom_and_publishes_it(page, live_server, cast):  # noqa: F811
    probe = "<img src=x onerror=\"document.title='broken in'\">"
    one = making.account_pattern(confidence=40, name="What it was")
    build.publish(cast.viewer("aster"), one, groups=("ring",), tlp=Tlp.AMBER)
    Partner.objects.filter(pk=cast.aster.pk).update(alone_objects=1)
    then = {**one, "modified": build.later(), "confidence": 91, "name": probe}
    build.publish(cast.viewer("aster"), then, making.account_pattern(name="The other"))
    sign_in(page, live_server, build.a_user(cast.aster, role=Role.PUBLISHER))
    go_to(page, "Waiting")
    revised = page.locator(".list > li", has_text=probe.replace(".", "[.]"))  # a title is shown defanged
    expect(revised.locator("del", has_text="40")).to_be_visible()
    expect(revised.locator("ins", has_text="91")).to_be_visible()
    expect(revised).to_contain_text("Borealis, as now")
    expect(page.locator(".list > li", has_text="The other")).to_contain_text("Would see it")
    assert axe.faults(page) == []
    look(page, "second-person")
    page.click("button:has-text('Publish all 2')")
    expect(page.get_by_text("Nothing waits")).to_be_visible()
    page.goto(f"{live_server.url}/indicators/{one['id']}")
    expect(page.locator("main")).to_contain_text("91 of 100")
    assert page.title() != "broken in"
