"""How much a page holds: rows of a list at a desk, relationships of one object, and what is left on paper."""

from __future__ import annotations

import uuid

import pytest
from playwright.sync_api import expect

from indicators.stix import making
from tests import build
from tests.journeys.test_portal import (  # noqa: F401 - fixtures
    cast,
    chromium,
    no_sideways_scrolling,
    page,
    pytestmark,
    sign_in,
)

#: Of the largest malware of MITRE ATT&CK.
_RELATIONSHIPS = 585
_WHOLE_ROWS = """
() => [...document.querySelectorAll("tbody tr")].filter((row) => {
  const box = row.getBoundingClientRect();
  return box.top >= 0 && box.bottom <= innerHeight;
}).length
"""


def _classical(kind: str, **said: object) -> dict[str, object]:
    day = "2026-11-01T00:00:00.000Z"
    return {
        "type": kind,
        "spec_version": "2.1",
        "id": f"{kind}--{uuid.uuid4()}",
        "created": day,
        "modified": day,
    } | said


def test_a_desk_shows_twenty_rows_at_once(chromium, live_server, cast):  # noqa: F811
    build.publish(cast.viewer("aster"), *(making.account_pattern(name=f"No {place}") for place in range(30)))
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    desk = context.new_page()
    sign_in(desk, live_server, build.a_user(cast.borealis))
    desk.goto(f"{live_server.url}/indicators", wait_until="load")
    rows = desk.evaluate(_WHOLE_ROWS)
    context.close()
    assert rows >= 20


@pytest.mark.drill
@pytest.mark.long
def test_a_malware_of_many_relationships_is_one_page(page, live_server, cast):  # noqa: F811
    malware = _classical("malware", name="Many", is_family=True)
    techniques = [_classical("attack-pattern", name=f"Technique {place}") for place in range(_RELATIONSHIPS)]
    uses = [
        _classical("relationship", relationship_type="uses", source_ref=malware["id"], target_ref=one["id"])
        for one in techniques
    ]
    for some in ([malware, *techniques], uses):
        build.publish(cast.viewer("aster"), *some, groups=("ring",))
    sign_in(page, live_server, build.a_user(cast.borealis))
    page.goto(f"{live_server.url}/indicators/{malware['id']}", wait_until="load")
    related = page.locator("section:has(h2:text-is('Related'))")
    expect(related).to_contain_text(f"{_RELATIONSHIPS} from it, 0 to it")
    expect(related.locator("tbody tr")).to_have_count(_RELATIONSHIPS)
    assert no_sideways_scrolling(page)


def test_paper_shows_what_is_said_and_nothing_to_press(page, live_server, cast):  # noqa: F811
    one = making.account_pattern(name="On paper")
    build.publish(cast.viewer("borealis"), one)
    sign_in(page, live_server, build.a_user(cast.aster))
    page.emulate_media(media="print", color_scheme="dark")
    for path, says in ((f"indicators/{one['id']}", "On paper"), ("organisation/groups/ring/counsel", "Antitrust")):
        page.goto(f"{live_server.url}/{path}", wait_until="load")
        expect(page.locator("main")).to_contain_text(says)
        expect(page.locator(".on-paper")).to_contain_text("Exchange · Aster")
        for gone in ("#side", ".bottom", ".find", ".acts-bar", ".skip", "main button:visible", "main form:visible"):
            expect(page.locator(f"{gone}:visible").first).to_have_count(0)
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground in {"rgb(255, 255, 255)", "rgba(0, 0, 0, 0)"}, "no dark ground is printed"
        for hidden in page.locator("main details:not(.pop):not([open])").all():
            assert hidden.evaluate("one => getComputedStyle(one, '::details-content').contentVisibility") == "visible"
