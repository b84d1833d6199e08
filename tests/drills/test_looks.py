"""The ten pages of the day look as they did when somebody looked at them: two widths, two themes.

`make long` looks at a wide light page and at a narrow dark one, and then at the other two: what a theme or a width
changes shows in one of the first.

After a change that is meant, `LOOKS=FOLDER pytest tests/drills/test_looks.py` writes the pictures there to be looked
at, and keeps how they look.
"""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from indicators.campaigns import announcing, proposing, queueing
from indicators.campaigns.tables import Campaign
from indicators.opinions import giving
from indicators.stix import making
from partners.scopes import Scope
from tests import build
from tests.drills import looks
from tests.indicators.campaigns.sending import Pooling
from tests.indicators.campaigns.test_placing import campaign_of
from tests.journeys.test_portal import CHROMIUM, chromium, pytestmark, sign_in  # noqa: F401 - fixtures
from tests.waiting import until

# A picture is taken when all is there that a page asks for once it is loaded, however slow the machine.
_NOTE = """
window.answered = new Set();
document.addEventListener("htmx:afterRequest", (event) => window.answered.add(event.detail.requestConfig.path));
"""
_LEFT = """
[...document.querySelectorAll("[hx-trigger*=load]")].map((one) => one.getAttribute("hx-get"))
  .filter((path) => !window.answered.has(path))
"""
LOOKED = ((1440, "light"), (390, "dark"))
BESIDES = ((1440, "dark"), (390, "light"))


@pytest.fixture
def aster(monkeypatch):
    """A lab with a campaign, twenty indicators of its own and of another, and one that is disputed."""
    monkeypatch.setattr(queueing, "PAUSE", timedelta(0))
    monkeypatch.setattr(proposing, "_name", lambda group_id: "rustic moth 9154")  # drawn, and long or short
    pool = Pooling(interval_s=0)
    pool.lines = campaign_of(pool, "x")
    assert proposing.work(pool.group.pk)
    announcing.catch_up()
    own, other = (build.viewer_of(pool.partners[name], *Scope) for name in ("aster", "borealis"))
    for place in range(20):
        token = {"token": making.token(f"{place:064x}")}
        build.publish(own if place % 3 else other, making.account_pattern(carrier=token))
    build.publish(own, making.payment_fingerprint(), making.prompt_signature())
    disputed = making.account_pattern(
        "net", carrier={"value": "198.51.100.0/24"}, id=f"indicator--{'0' * 8}-0000-4000-8000-{'0' * 12}"
    )
    build.publish(own, disputed)
    giving.give(other, disputed["id"], opinion="disagree", reason="false_positive")
    return pool.partners["aster"], disputed["id"]


def until_all_is_there(page):
    until(lambda: not page.evaluate(_LEFT))


@pytest.mark.long
@pytest.mark.parametrize("wanted", [LOOKED, BESIDES], ids=["each once", "the others"])
def test_the_pages_of_the_day_look_as_they_did(chromium, live_server, aster, wanted):  # noqa: F811
    partner, disputed = aster
    paths = {
        "home": "", "indicators": "indicators", "indicator": f"indicators/{disputed}", "campaigns": "campaigns",
        "campaign": f"campaigns/{Campaign.objects.get().pk}", "publish": "publish", "paste": "paste",
        "feeds": "subscriptions", "judgement": "judgement/", "log": "organisation/log/",
    }  # fmt: skip
    user = build.a_user(partner)
    folder = os.environ.get("LOOKS", "")
    found, context = {}, chromium.new_context()
    first = context.new_page()
    sign_in(first, live_server, user)
    state = context.storage_state()
    reader = chromium.new_context().new_page()
    for width, theme in wanted:
        seen = chromium.new_context(
            storage_state=state,
            viewport={"width": width, "height": 900},
            color_scheme=theme,
            reduced_motion="reduce",
        )
        seen.add_init_script(_NOTE)
        page = seen.new_page()
        for name, path in paths.items():
            page.goto(f"{live_server.url}/{path}", wait_until="networkidle")
            until_all_is_there(page)
            picture = page.screenshot()
            found[f"{name}-{width}-{theme}"] = looks.grid(reader, picture)
            if folder:
                (Path(folder) / f"{name}-{width}-{theme}.png").write_bytes(picture)
        seen.close()
    context.close()
    if folder:
        looks.keep({name: grid for name, grid in looks.kept().items() if name.partition("-")[0] in paths} | found)
    before = looks.kept()
    assert set(found) <= set(before)
    assert len(before) == len(paths) * len(LOOKED + BESIDES), "a page that is gone is kept no more"
    others = {
        name: round(share) for name in found if (share := looks.differing(before[name], found[name])) > looks.SHARE
    }
    assert not others, "so many cells in a hundred differ: look at the pictures, and keep them if they are meant"


def test_a_picture_that_changed_is_seen():
    light = ["fff" * 32] * 20
    moved = ["fff" * 30 + "111" * 2] * 20
    assert looks.differing(light, light) == 0
    assert looks.differing(light, moved) > looks.SHARE
    assert looks.differing(light, light[1:]) == 100
