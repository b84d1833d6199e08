"""Counsel takes the log along and releases a package, and the recipient opens it: each verifies it without the exchange."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from playwright.sync_api import expect

from exchange.client import audit
from indicators.stix import making
from partners.log import transparency
from partners.scopes import Role
from tests import build
from tests.journeys.test_portal import (  # noqa: F401 - fixtures
    cast,
    chromium,
    go_to,
    no_sideways_scrolling,
    page,
    pytestmark,
    sign_in,
    sign_out,
)
from tests.surfaces.matrix.scene import a_package


def _downloaded(page, press: str, into: Path) -> Path:  # noqa: F811
    with page.expect_download() as coming:
        page.click(press)
    coming.value.save_as(into)
    return into


def test_counsel_takes_the_log_along_and_verifies_it(page, live_server, cast, tmp_path):  # noqa: F811
    build.publish(cast.viewer("aster"), making.account_pattern(name="The first"))
    build.publish(cast.viewer("cygnus"), making.account_pattern(name="Of others"))
    transparency.seal(every=timedelta(0))
    sign_in(page, live_server, build.a_user(cast.aster, role=Role.COUNSEL))
    expect(page.locator("#side a[title='Publish']")).to_have_count(0)
    go_to(page, "Log")
    page.wait_for_selector("text=Signed JSON Lines")
    assert no_sideways_scrolling(page)
    export = _downloaded(page, "text=Signed JSON Lines", tmp_path / "log.jsonl")
    assert audit.verify(export).problems == []
    said = export.read_text()
    assert "batch.published" in said
    assert "Cygnus" not in said
    assert _downloaded(page, "a[href*='report.pdf']", tmp_path / "log.pdf").read_bytes().startswith(b"%PDF")


def test_counsel_releases_a_package_and_its_recipient_opens_it(page, live_server, cast, tmp_path):  # noqa: F811
    package = a_package(cast.aster, recipient="dorado")
    reader = build.a_user(cast.dorado, role=Role.ANALYST)
    page.on("dialog", lambda dialog: dialog.accept())
    sign_in(page, live_server, build.a_user(cast.aster, role=Role.COUNSEL))
    page.goto(f"{live_server.url}/organisation/reports/{package.pk}/")
    assert no_sideways_scrolling(page)
    page.click("button:has-text('Release to Dorado')")
    page.wait_for_selector("text=Released")
    transparency.seal(every=timedelta(0))
    sign_out(page)
    sign_in(page, live_server, reader)
    for place in ("Publish", "Log"):
        expect(page.locator(f"#side a[title='{place}']")).to_have_count(0)
    go_to(page, "Reports")
    expect(page.locator("main")).to_contain_text("A campaign")
    assert no_sideways_scrolling(page)
    opened = _downloaded(page, "a:has-text('Download')", tmp_path / "package.zip")
    assert audit.verify(opened).problems == []
