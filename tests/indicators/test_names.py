"""Nobody passes for another: not by a name, not under an id of the exchange's, not by a claim."""

import uuid

import pytest
from django.test import Client

from indicators.stix import making, vocabulary
from partners.groups import life
from partners.models import Partner
from tests import build
from tests.indicators.api.caller import Caller, read
from tests.surfaces.test_two_worlds import an_identity

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast():
    return build.the_cast()


def pushed(cast, *objects, who="aster"):
    return build.results(build.publish(cast.viewer(who), *objects, groups=("ring",)))


@pytest.mark.parametrize(
    "name", ["Borealis", "BOREALIS", "Boreаlis", "B0realis", "bo-re-alis", "The Exchange", "Ex change"]
)
def test_an_identity_with_anothers_name_is_refused(cast, name):
    (result,) = pushed(cast, an_identity(name))
    assert (result["status"], result["code"], result["field"]) == ("refused", "foreign-name", "/name")
    assert name not in result["message"]


def test_ones_own_name_and_those_of_outsiders_are_welcome(cast):
    results = pushed(cast, an_identity("Aster") | {"id": cast.aster.identity_id}, an_identity("ACME Security"))
    assert [result["status"] for result in results] == ["accepted", "accepted"]


@pytest.mark.parametrize("own", sorted(vocabulary.OWN_IDS))
def test_what_is_the_exchanges_own_nobody_else_publishes(cast, own):
    stix = an_identity("ACME Security") | {"id": own, "type": own.partition("--")[0]}
    results = pushed(cast, stix, stix | {"id": own.partition("--")[0] + "--" + own.partition("--")[2].upper()})
    assert [result["code"] for result in results] == ["exchange-own", "exchange-own"]


def test_nobody_says_that_the_exchange_made_it(cast):
    (result,) = pushed(cast, build.an_indicator() | {"created_by_ref": vocabulary.EXCHANGE_IDENTITY_ID})
    assert (result["code"], result["field"]) == ("exchange-own", "/created_by_ref")


def test_the_operator_registers_no_partner_whose_name_looks_like_anothers(cast):
    operator = build.auth.viewer_of_user(build.a_user(cast.operator))
    for name, slug in (("Aѕter", "aster-two"), ("Newcomer", "as-ter"), ("The Exchange", "newcomer")):
        with pytest.raises(life.Conflict) as refused:
            life.invite_partner(name, slug, Partner.Kind.LAB, operator)
        assert refused.value.code == "partner-exists"


def test_a_creator_that_is_only_claimed_is_hearsay_everywhere(cast):
    relayed = f"identity--{uuid.uuid4()}"
    claimed, own = build.an_indicator(created_by_ref=relayed), build.an_indicator(created_by_ref=cast.aster.identity_id)
    pushed(cast, claimed, own)
    caller = Caller(cast.keys["borealis"])
    said = read(caller.get(f"objects/{claimed['id']}"))["statements"][0]
    assert said["creator"] == {"id": relayed, "according_to": said["publisher"]}
    assert said["publisher"]["slug"] == "aster"
    assert "creator" not in read(caller.get(f"objects/{own['id']}"))["statements"][0]
    listed = {one["object"]["id"]: one for one in read(caller.get("objects"))["objects"]}
    assert (listed[claimed["id"]]["creator"]["id"], "creator" in listed[own["id"]]) == (relayed, False)
    looked_up = read(caller.send("POST", "objects/lookup", {"ids": [claimed["id"]]}))
    assert looked_up["objects"][0]["statements"][0]["creator"]["id"] == relayed
    browser = Client()
    build.sign_in(browser, build.a_user(cast.borealis))
    assert "according to Aster" in browser.get(f"/indicators/{claimed['id']}").content.decode()
    assert "according to" not in browser.get(f"/indicators/{own['id']}").content.decode()


def test_under_a_pseudonym_a_claim_is_according_to_the_pseudonym(cast):
    relayed = f"identity--{uuid.uuid4()}"
    stix = making.account_pattern(created_by_ref=relayed)
    stix["extensions"][vocabulary.EXTENSION_ID]["attribution"] = "pseudonym"
    pushed(cast, stix)
    answer = Caller(cast.keys["borealis"]).get(f"objects/{stix['id']}")
    assert read(answer)["statements"][0]["creator"]["according_to"]["slug"].startswith("pseudonym-")
    assert b"Aster" not in answer.content


def test_the_cover_of_a_report_says_according_to_whom(cast):
    from indicators.reports import packaging, reporting

    relayed = f"identity--{uuid.uuid4()}"
    root = {
        "type": "campaign",
        "spec_version": "2.1",
        "id": f"campaign--{uuid.uuid4()}",
        "created": "2026-01-01T00:00:00.000Z",
        "modified": "2026-01-01T00:00:00.000Z",
        "created_by_ref": relayed,
        "name": "Quiet heron",
    }
    build.publish(cast.viewer("aster"), root, everyone=True, tlp=build.Tlp.CLEAR)
    person = build.auth.viewer_of_user(build.a_user(cast.aster))
    package = reporting.prepare(person, recipient="dorado", root=root["id"])
    held = reporting._whole([package], bodies=True)[package.pk]
    cover = packaging.cover_document(package, held)
    assert cover["objects"][0]["creator"] == {"id": relayed, "according_to": "Aster"}
    cover["released"] = cover["prepared"]
    proved = {"head": _HEAD, "release": {"index": 0, "proof": []}}
    assert packaging._cover_paper(cover | proved).startswith(b"%PDF")


_HEAD = {"size": 1, "root": "00", "at": "2026-01-01T00:00:00Z", "key": "k", "signature": "s"}
