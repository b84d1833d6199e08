"""A form of a feed, detector, audience or own name that somebody else was faster than overwrites nothing."""

from __future__ import annotations

import pytest

from indicators import detectors
from indicators.feeds import filters
from indicators.models import Feed, Holding
from indicators.stix import making
from indicators.telling import notifying, subscribing
from partners import viewing
from tests import build
from tests.indicators.portal.test_pages import signed_in
from tests.partners.portal.test_drawn import form, opened, rows

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast():
    return build.the_cast()


def filter_json(cast, text: str):
    return filters.accepted(cast.viewer("aster"), text).to_json()


def test_a_feed_that_somebody_narrowed_stays_narrow_and_keeps_the_other_name(cast):
    aster = cast.viewer("aster")
    feed = subscribing.save_feed(aster, name="All", filter_json=filter_json(cast, "severity:>=low"))
    client, at = signed_in(cast.aster), f"/subscriptions/feeds/{feed.pk}/change"
    first = opened(client, at, at, 'id="filter"')
    looked = form(client.post(at, first | {"do": "look"}).content.decode(), at, 'id="name"')
    narrow = filter_json(cast, "severity:>=high")
    notifying.change_feed(aster, feed.pk, name="All", filter_json=narrow)
    answer = client.post(at, looked | {"do": "save", "name": "Ours"})
    assert [row[0] for row in rows(answer)] == ["Name", "Filter"]
    feed.refresh_from_db()
    assert (feed.name, feed.filter) == ("All", narrow)
    client.post(at, form(answer.content.decode(), at, "Save what you typed"))
    feed = Feed.objects.of(aster).get(pk=feed.pk)
    assert (feed.name, feed.filter) == ("Ours", narrow)


def test_a_detector_is_not_renamed_twice_unseen(cast):
    made = detectors.register(cast.viewer("aster"), name="hydra", version="", sha256="", code="")
    client, at = signed_in(cast.aster), f"/organisation/detectors/{made.code}/act"
    sent = opened(client, "/organisation/detectors/", at, "rename") | {"do": "rename", "name": "mine"}
    detectors.change(cast.viewer("aster"), made.code, name="theirs")
    assert rows(client.post(at, sent)) == [["Name", "hydra", "theirs", "mine"]]
    assert detectors.find(cast.viewer("aster"), made.code).name == "theirs"


def test_an_audience_that_somebody_narrowed_is_not_widened_unseen(cast):
    one = making.payment_fingerprint()
    build.publish(cast.viewer("aster"), one)
    client, at = signed_in(cast.aster), f"/indicators/{one['id']}/audience"
    first = opened(client, at, at, 'name="tlp"')
    asked = client.post(at, first | {"do": "ask", "partners": ["cygnus"]}).content.decode()
    late = form(asked, at, 'value="change"') | {"do": "change"}
    other = form(asked, at, 'value="change"') | {"do": "change", "groups": [], "partners": []}
    assert client.post(at, other).status_code == 302
    answer = client.post(at, late)
    assert ["Single partners", "none", "the same", "cygnus"] in rows(answer)
    assert list(viewing.readers(Holding.unrestricted.get(stix_id=one["id"]).audience_id)) == []
