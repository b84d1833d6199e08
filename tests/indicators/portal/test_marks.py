"""In the portal: what breaks STIX is badged and told in words, lists are narrowed by it, and bundles leave by a link."""

import html
import json
import re

import pytest

from indicators.stix import making, tlp
from tests import build
from tests.indicators.api.test_intake import a_campaign
from tests.indicators.portal.test_pages import names, signed_in, text

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast():
    return build.the_cast()


def bundle(client, address: str) -> list[dict]:
    answer = client.get(html.unescape(address))
    assert answer.status_code == 200
    assert answer.headers["Content-Disposition"] == 'attachment; filename="bundle.json"'
    return json.loads(b"".join(answer.streaming_content)).get("objects", [])


def link(page: str) -> str:
    return re.search(r'href="(/indicators/bundle[^"]*)"', page)[1]


def test_a_marked_object_has_a_badge_and_its_page_says_why(cast):
    sloppy = a_campaign(name="Sloppy", modified="2025-01-31T09:00:00.000Z", object_marking_refs=[tlp.ID_OF["green"]])
    build.publish(cast.viewer("aster"), sloppy, making.account_pattern(name="Neat"))
    client = signed_in(cast.borealis)
    listed = text(client.get("/indicators?show=objects"))
    assert listed.count(">marked</span>") == 1
    page = text(client.get(f"/indicators/{sloppy['id']}"))
    assert "Modified before it was created (STIX 2.1 §3.2)." in page
    assert ">/modified</code>" in page


@pytest.mark.parametrize(
    ("asked", "found"),
    [("any", ["Sloppy", "Old"]), ("none", ["Neat"]), ("old-spec-version", ["Old"]), ("bad-id", [])],
)
def test_lists_and_their_bundles_are_narrowed_by_marks(cast, asked, found):
    old, sloppy = a_campaign(name="Old", spec_version="2.0"), a_campaign(name="Sloppy", spec_version=...)
    build.publish(cast.viewer("aster"), old, making.account_pattern(name="Neat"), sloppy)
    client = signed_in(cast.aster)
    assert names(client.get(f"/indicators?show=objects&marks={asked}")) == found
    if found:
        page = client.get(f"/indicators?show=objects&marks={asked}").content.decode()
        assert [stix["name"] for stix in bundle(client, link(page))] == found[::-1]


def test_a_mark_that_there_is_not_is_refused(cast):
    assert signed_in(cast.aster).get("/indicators?marks=nonsense").status_code == 422


def test_the_bundle_of_an_object_holds_every_version_of_it(cast):
    first = a_campaign(name="First")
    build.publish(cast.viewer("aster"), first, first | {"name": "Second", "modified": "2026-03-01T00:00:00.000Z"})
    client = signed_in(cast.aster)
    page = client.get(f"/indicators/{first['id']}").content.decode()
    assert [stix["name"] for stix in bundle(client, link(page))] == ["First", "Second"]
    assert bundle(signed_in(cast.cygnus), link(page)) == []
