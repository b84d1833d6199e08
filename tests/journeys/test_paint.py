"""What is seen first: pages whose first paint waits for no script, and a campaign's picture of as many marks as are drawn.

`PAINT=FILE pytest tests/journeys/test_paint.py` also writes how long each took in this browser, in milliseconds.
"""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from indicators.campaigns import announcing, proposing, queueing
from indicators.campaigns.tables import Campaign
from indicators.stix import making
from partners.scopes import Scope
from tests import build
from tests.indicators.campaigns.sending import Pooling
from tests.indicators.campaigns.test_placing import campaign_of
from tests.journeys.test_portal import CHROMIUM, chromium, sign_in  # noqa: F401 - fixtures

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine; .ci/run installs one"),
]
PATHS = (
    "",
    "indicators",
    "campaigns",
    "publish",
    "paste",
    "matches",
    "subscriptions",
    "judgement/",
    "organisation/log/",
)
_PAINTED = """
async () => {
  const first = () => performance.getEntriesByName("first-contentful-paint")[0];
  while (!first()) await new Promise((done) => requestAnimationFrame(done));
  const came = performance.getEntriesByType("navigation")[0];
  return { paint: first().startTime, answer: came.responseEnd, html: came.transferSize };
}
"""
_BLOCKING = "[...document.querySelectorAll('head script')].filter((one) => !one.defer && !one.async).length"
_MARKS = "document.querySelectorAll('.drawing.wide .mark, .drawing.wide .dot').length"


@pytest.fixture
def many_accounts(monkeypatch):
    monkeypatch.setattr(queueing, "PAUSE", timedelta(0))
    pool = Pooling(interval_s=0)
    campaign_of(pool, "x", count=240)
    assert proposing.work(pool.group.pk)
    announcing.catch_up()
    return pool.partners["aster"], build.viewer_of(pool.partners["aster"], *Scope)


@pytest.mark.drill
@pytest.mark.long
def test_pages_are_painted_before_any_script_and_a_picture_comes_with_its_page(chromium, live_server, many_accounts):  # noqa: F811
    partner, publisher = many_accounts
    build.publish(publisher, *(making.account_pattern() for _ in range(60)))
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    sign_in(page, live_server, build.a_user(partner))
    told = []
    for path in (*PATHS, f"campaigns/{Campaign.objects.get().pk}"):
        for _ in range(3 if os.environ.get("PAINT") else 1):
            page.goto(f"{live_server.url}/{path}")
            found = page.evaluate(_PAINTED)
            told.append(
                f"/{path:<48} painted {found['paint']:>6.0f}  answered {found['answer']:>6.0f}  {found['html']:>7,} B"
            )
        assert page.evaluate(_BLOCKING) == 0, f"{path}: a script that holds up the first paint"
    assert 150 <= page.evaluate(_MARKS) <= 300
    told.append(f"{page.evaluate(_MARKS)} marks in the picture")
    context.close()
    if os.environ.get("PAINT"):
        Path(os.environ["PAINT"]).write_text("\n".join(told) + "\n")
