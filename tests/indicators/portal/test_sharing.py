"""View as, in the portal and over REST: what a publisher is told of who sees what."""

import json

import pytest
from django.test import Client

from indicators.stix import making
from tests import build

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast():
    return build.the_cast()


def ask(cast, body, who="aster"):
    headers = build.bearer(cast.keys[who])
    return Client().post("/api/v1/audience", json.dumps(body), content_type="application/json", headers=headers)


def names(answer):
    assert answer.status_code == 200, answer.content
    return [reader["slug"] for reader in answer.json()["readers"]]


@pytest.mark.parametrize(
    ("body", "seen_by"),
    [
        ({"groups": ["ring"], "tlp": "amber"}, ["borealis"]),
        ({"everyone": True, "tlp": "green"}, ["borealis", "cygnus", "dorado", "operator"]),
        ({"everyone": True, "tlp": "amber"}, ["borealis", "cygnus", "dorado"]),
        ({"partners": ["cygnus"], "tlp": "red"}, ["cygnus"]),
        ({"tlp": "red"}, []),
        ({"tlp": "clear"}, ["borealis", "cygnus", "dorado", "operator"]),
    ],
)
def test_a_publisher_is_told_who_would_see_it(cast, body, seen_by):
    assert names(ask(cast, body)) == seen_by


def test_the_preview_says_what_a_push_would_and_keeps_nothing(cast):
    from partners.models import Audience

    before = Audience.objects.count()
    refused = ask(cast, {"groups": ["none"]})
    assert (refused.status_code, refused.json()["code"]) == (422, "unknown-group")
    ask(cast, {"groups": ["ring"], "tlp": "amber", "attribution": "pseudonym"})
    assert Audience.objects.count() == before


def test_after_publishing_the_readers_are_those_that_find_it(cast):
    stix = making.account_pattern()
    build.publish(cast.viewer("aster"), stix, groups=("ring",))
    answer = Client().get(f"/api/v1/objects/{stix['id']}/readers", headers=build.bearer(cast.keys["aster"]))
    assert names(answer) == ["borealis"]
    foreign = Client().get(f"/api/v1/objects/{stix['id']}/readers", headers=build.bearer(cast.keys["borealis"]))
    assert foreign.status_code == 404


@pytest.mark.slow
def test_the_page_shows_what_a_partner_sees_and_under_which_name(cast):
    client = Client()
    build.sign_in(client, build.a_user(cast.aster))
    seen, hidden = making.account_pattern(name="For the ring"), making.account_pattern(name="For nobody")
    build.publish(cast.viewer("aster"), seen, groups=("ring",))
    build.publish(cast.viewer("aster"), hidden | {"object_marking_refs": [build.red()]})
    page = client.get("/organisation/sharing/?as=borealis").content.decode()
    assert "For the ring" in page
    assert "For nobody" not in page
    assert "sees none of what" in client.get("/organisation/sharing/?as=cygnus").content.decode()
    assert client.get("/organisation/sharing/?as=nobody").status_code == 404
    asked = client.get("/organisation/sharing/?ask=1&groups=ring&tlp=amber&attribution=pseudonym").content.decode()
    assert "told that it comes from a pseudonym" in asked
    both = client.get("/organisation/sharing/?ask=1&everyone=true&groups=ring").content.decode()
    assert "Everyone, or names: not both." in both
