"""Hostile names in a real Chromium: in pictures, charts, tooltips and what is found, they are text and nothing runs."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from playwright.sync_api import expect

from indicators.campaigns.tables import Campaign, CampaignAlias
from indicators.stix import making
from partners.models import Group, Partner
from tests import build
from tests.journeys.test_campaigns import pool  # noqa: F401 - fixture
from tests.journeys.test_portal import CHROMIUM, chromium, page, sign_in  # noqa: F401 - fixtures
from tests.journeys.test_portal import pytestmark as marked

pytestmark = marked

#: What would run, show a dialog or be refused by the policy, each of which the page's console or a listener would tell.
HOSTILE = "'\"></title></script><img src=x onerror=alert(1)><xprobe onload=alert(2)>{{7}}"
_ELEMENTS = "xprobe, img[src=x], [onerror], [onload]"


def test_hostile_names_are_text_in_pictures_charts_and_what_is_found(page, live_server, pool):  # noqa: F811
    """The `page` fails the test for whatever the policy refuses, beside."""
    dialogs: list[str] = []
    page.on("dialog", lambda asked: (dialogs.append(asked.message), asked.dismiss()))
    for number, partner in enumerate(Partner.objects.order_by("pk")):
        Partner.objects.filter(pk=partner.pk).update(name=f"{HOSTILE}{number}")
    Group.objects.update(name=HOSTILE, purpose=HOSTILE)
    campaign = Campaign.objects.get()
    aster = Partner.objects.get(pk=pool.partners["aster"].pk)
    CampaignAlias.objects.create(campaign=campaign.pk, partner=aster, alias=HOSTILE)
    carrier = {"token": making.token("ab" * 32)}
    theirs = making.account_pattern(carrier=carrier, name=f"zebra {HOSTILE}", description=HOSTILE)
    build.publish(build.viewer_of(pool.partners["borealis"]), theirs, everyone=True)
    build.publish(build.viewer_of(aster), making.account_pattern(carrier=carrier), everyone=True)
    sign_in(page, live_server, build.a_user(aster))

    address = f"/campaigns/{campaign.pk}"
    for path in ("/", "/campaigns", address, f"{address}?open=pan_token", f"/indicators/{theirs['id']}", "/matches"):
        page.goto(f"{live_server.url}{path}", wait_until="networkidle")
        for mark in page.locator(":is(svg a.mark, svg .bar, abbr.lab):visible").all()[:6]:
            mark.hover(force=True)
        expect(page.locator(_ELEMENTS)).to_have_count(0)
        assert "<xprobe onload" in page.content().replace("&lt;", "<").replace("&quot;", '"'), path

    page.goto(f"{live_server.url}{address}", wait_until="networkidle")
    page.focus("[data-walk]")
    page.keyboard.press("ArrowDown")
    expect(page.locator(_ELEMENTS)).to_have_count(0)
    page.click("[aria-label='Save the picture']")
    with page.expect_download() as download:
        page.click("text=PNG")
    assert download.value.suggested_filename.endswith(".png")

    page.fill("input[name=search]", "zebra")
    expect(page.locator("#found a").first).to_be_visible()
    expect(page.locator(_ELEMENTS)).to_have_count(0)

    drawn = page.request.get(f"{live_server.url}{address}/picture.svg")
    elements = {re.sub(r"{.*}", "", one.tag) for one in ET.fromstring(drawn.text()).iter()}
    assert elements.isdisjoint({"img", "xprobe", "script", "image", "foreignObject"})
    assert "xprobe onload" in drawn.text()
    told = page.request.get(f"{live_server.url}{address}/picture.json")
    assert told.headers["content-type"].startswith("application/json")
    assert told.headers["x-content-type-options"] == "nosniff"
    assert told.json()["nodes"]
    assert dialogs == []
