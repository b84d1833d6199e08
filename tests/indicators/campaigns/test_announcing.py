"""A campaign as STIX: the same bytes for every member of its group, by every way of reading, and nothing for others."""

import json
from datetime import timedelta

import orjson
import pytest
import stix2

from exchange import clock
from exchange.stix import classes, closed, words  # noqa: F401 - stix2 knows our extensions by them
from indicators.campaigns import announcing, proposing, queueing
from indicators.campaigns.tables import Campaign, CampaignEvent
from indicators.stix import making
from partners.groups import directory
from partners.models import Group, Partner
from partners.scopes import Scope
from tests import build
from tests.indicators.api.caller import Caller, code, read
from tests.indicators.campaigns.sending import Pooling, send
from tests.indicators.campaigns.test_placing import answers, campaign_of

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(queueing, "PAUSE", timedelta(0))


@pytest.fixture
def pool():
    return Pooling(interval_s=0)


def tell(pool):
    assert proposing.work(pool.group.pk)
    announcing.catch_up()


def of_exchange(lab):
    """All live objects of the exchange that a lab reads over REST, by id."""
    found = orjson.loads(b"".join(lab.get("bundle").streaming_content)).get("objects", [])
    return {one["id"]: one for one in found if one.get("created_by_ref") == words.EXCHANGE_IDENTITY_ID
            and one["type"] != "extension-definition"}  # fmt: skip


@pytest.mark.slow
def test_every_member_reads_the_same_campaign_and_nobody_else_any(pool):
    campaign_of(pool, "x", count=40)
    tell(pool)
    seen = of_exchange(pool.aster)
    assert {one["type"] for one in seen.values()} == {"campaign", "sighting", "grouping"}
    for lab in pool.labs.values():
        assert of_exchange(lab) == seen
    outside = Caller(build.a_key(build.a_partner("Gemini"), Scope.READ))
    assert of_exchange(outside) == {}
    operator = Caller(build.a_key(pool.cast.operator, Scope.READ))
    assert of_exchange(operator) == {}
    (campaign,) = (one for one in seen.values() if one["type"] == "campaign")
    assert code(outside.get(f"objects/{campaign['id']}"), 404) == code(outside.get("objects/campaign--none"), 404)
    extension = campaign["extensions"][words.CAMPAIGN_EXTENSION_ID]
    assert extension["grade"] == "corroborated"
    assert extension["accounts_bucket"] == "10^2"
    assert extension["kinds"] == ["account-pattern", "payment-fingerprint"]
    assert sorted(one["count"] for one in seen.values() if one["type"] == "sighting") == [10, 10, 10]


def test_what_is_told_is_closed_facts_and_stix(pool):
    campaign_of(pool, "x")
    tell(pool)
    for document in of_exchange(pool.aster).values():
        validator = validator_of(document["type"])
        assert validator.is_valid(document), document
        stix2.parse(document)


def validator_of(stix_type):
    from indicators.door.closed import faults

    return faults.compiled(closed.schema_of(stix_type))


@pytest.mark.slow
def test_nothing_that_is_told_holds_an_account_a_token_a_lab_or_an_exact_count(pool):
    lines = campaign_of(pool, "x", count=13)
    tell(pool)
    text = json.dumps(list(of_exchange(pool.aster).values()))
    for name, held in lines.items():
        assert name not in text.lower()
        assert pool.partners[name].identity_id not in text
        for line in held:
            assert line["account"] not in text
            assert not [token for token in line["tokens"] if token["value"] in text]
    assert "39" not in {str(one.get("count")) for one in json.loads(text)}
    assert not [one for one in json.loads(text) if "where_sighted_refs" in one]


def test_it_is_followed_over_changes_and_taxii_and_not_told_again_without_a_change(pool):
    campaign_of(pool, "x")
    tell(pool)
    changes = read(pool.borealis.get("changes"))
    told = [one for one in changes["changes"] if one["id"].startswith("campaign--")]
    assert [(one["op"], one["publisher"]["name"]) for one in told] == [("upsert", "The exchange")]
    collection = pool.group.collection_id
    listed = pool.borealis.ask(
        "GET", f"/taxii2/exchange/collections/{collection}/objects/?match[type]=campaign",
        Accept="application/taxii+json;version=2.1",
    )  # fmt: skip
    assert [one["id"] for one in read(listed)["objects"]] == [told[0]["id"]]
    Campaign.objects.update(due=clock.now())
    announcing.catch_up()
    assert read(pool.borealis.get(f"changes?cursor={changes['cursor']}"))["changes"] == []


def test_indicators_of_the_group_that_hold_it_together_are_in_its_grouping(pool):
    lines = campaign_of(pool, "x")
    token = lines["aster"][0]["tokens"][0]
    carrier = {"token": {"scheme": token["scheme"], "key_epoch": token["key_epoch"], "norm_version": "2",
                         "value": token["value"]}}  # fmt: skip
    publisher = build.viewer_of(pool.partners["aster"])
    indicator = making.payment_fingerprint(
        "pan_token", carrier=carrier, tlp_word="amber", labels=["payment-fingerprint"]
    )
    other = making.account_pattern(tlp_word="amber", labels=["account-pattern"])
    done = build.publish(publisher, indicator, other, groups=("pool",))
    assert done.counts.get("accepted") == 2, build.results(done)
    tell(pool)
    seen = of_exchange(pool.borealis)
    (grouping,) = (one for one in seen.values() if one["type"] == "grouping")
    assert indicator["id"] in grouping["object_refs"]
    assert other["id"] not in grouping["object_refs"]
    (indicates,) = (one for one in seen.values() if one["type"] == "relationship")
    assert (indicates["source_ref"], indicates["relationship_type"]) == (indicator["id"], "indicates")


@pytest.mark.slow
def test_growth_is_told_in_buckets_and_the_end_as_a_removal(pool, monkeypatch):
    lines = campaign_of(pool, "x", count=12)
    tell(pool)
    cursor = read(pool.aster.get("changes"))["cursor"]
    campaign_of(pool, "x", names=("aster",), count=3)
    tell(pool)
    assert read(pool.aster.get(f"changes?cursor={cursor}"))["changes"] == []
    campaign_of(pool, "x", count=40)
    tell(pool)
    document = read(pool.aster.get(f"changes?cursor={cursor}"))
    (grown,) = (one for one in document["changes"] if one["id"].startswith("campaign--"))
    assert grown["object"]["extensions"][words.CAMPAIGN_EXTENSION_ID]["accounts_bucket"] == "10^2"
    later = clock.now() + timedelta(days=31)
    monkeypatch.setattr(clock, "now", lambda: later)
    from indicators.campaigns import ending

    ending.sweep()
    tell(pool)
    assert [one.state for one in Campaign.objects.all()] == ["ended"]
    reader = Caller(build.a_key(pool.partners["aster"], Scope.READ))
    assert all(one["revoked"] for one in of_exchange(reader).values())
    removed = [one["op"] for one in read(reader.get("changes"))["changes"]]
    assert "upsert" not in removed[-5:]
    assert lines


@pytest.mark.slow
def test_the_exchange_is_on_no_list_and_nobody_else_speaks_in_its_name(pool):
    campaign_of(pool, "x")
    tell(pool)
    assert "The exchange" not in [partner.name for partner in directory.partners()]
    names = [one["name"] for one in read(pool.aster.get("partners"))["partners"]]
    assert "The exchange" not in names
    assert not Partner.objects.filter(slug="the-exchange").exists()
    forged = of_exchange(pool.aster)
    campaign = next(one for one in forged.values() if one["type"] == "campaign") | {"name": "amber anchor 1"}
    done = build.publish(build.viewer_of(pool.partners["aster"]), campaign, groups=("pool",))
    assert build.results(done)[0]["code"] == "exchange-own"


def test_two_campaigns_that_one_lab_joins_are_related(pool):
    campaign_of(pool, "x")
    campaign_of(pool, "y")
    glue(pool)
    tell(pool)
    announcing.catch_up()  # who was told first names the other, of which nobody was told then, an interval later
    related = [one for one in of_exchange(pool.aster).values() if one.get("relationship_type") == "related-to"]
    assert len(related) == 2


def test_what_nobody_was_told_of_yet_is_named_nowhere(pool, monkeypatch):
    for letter in "xy":
        campaign_of(pool, letter)
    glue(pool)
    assert proposing.work(pool.group.pk)
    waits, told = Campaign.objects.order_by("pk")
    for when in (clock.now() + timedelta(hours=1), clock.now()):
        Campaign.objects.filter(pk=waits.pk).update(due=when)
        Campaign.objects.filter(pk=told.pk).update(due=clock.now())
        announcing.catch_up()
        seen = json.dumps([list(of_exchange(pool.cygnus).values()), read(pool.cygnus.get(f"campaigns/{told.pk}")),
                           read(pool.cygnus.get(f"campaigns/{told.pk}/graph"))])  # fmt: skip
        assert (str(waits.pk) in seen) == (when <= clock.now())
    announcing.catch_up()
    assert f"campaign--{waits.pk}" in read(pool.cygnus.get(f"campaigns/{told.pk}"))["linked"]


def test_a_campaign_that_became_part_of_one_that_nobody_was_told_of_does_not_name_it(pool):
    campaign_of(pool, "x")
    tell(pool)
    one, heir = Campaign.objects.get(), proposing.uuid.uuid4()
    Campaign.objects.create(pk=heir, group=one.group, name="amber anchor 1", cluster=one.cluster, grade=one.grade,
                            first_seen=one.first_seen, last_seen=one.last_seen)  # fmt: skip
    Campaign.objects.filter(pk=one.pk).update(state="ended", into=heir, due=clock.now())
    announcing.catch_up()
    ended = read(pool.aster.get(f"campaigns/{one.pk}"))
    assert (ended["state"], ended["into"]) == ("ended", None)


def glue(pool):
    lines = [
        pool.account(
            *(pool.token(f"{letter} card {number % 4}", "pan_token") for letter in "xy"),
            *(pool.token(f"{letter} device {number % 3}") for letter in "xy"),
        )
        for number in range(50)
    ]
    send(pool.eridanus, "evidence?round=1", *lines)
    answers(pool, {"eridanus": lines})


def comes_and_goes(pool, times, *, liar="borealis", ally=""):
    """A lab adds accounts to another's few, with the tokens that it is asked about, and takes them back.

    `ally`: before they are taken back another lab adds its own.
    """
    for _ in range(times):
        sent = campaign_of(pool, "y", names=(liar,))
        tell(pool)
        if ally:
            sent |= campaign_of(pool, "y", names=(ally,))
            assert proposing.work(pool.group.pk)
        for name, lines in sent.items():
            gone = [{"account": one["account"], "gone": True} for one in lines]
            assert send(pool.labs[name], "evidence?round=1", *gone).status_code == 200
        tell(pool)


def test_who_is_joined_by_another_before_the_end_is_counted_as_without(pool):
    Group.objects.filter(pk=pool.group.pk).update(interval_s=3600)
    campaign_of(pool, "y", names=("aster",))
    comes_and_goes(pool, 5, ally="eridanus")
    told = read(pool.cygnus.get("campaigns?ended=true"))["campaigns"]
    assert [one["state"] for one in told] == ["ended"] * announcing.MOST_DISSOLVED


def test_who_makes_and_unmakes_a_campaign_fills_nobodys_list(pool, monkeypatch):
    Group.objects.filter(pk=pool.group.pk).update(interval_s=3600)
    campaign_of(pool, "y", names=("aster",))
    comes_and_goes(pool, 6)
    told = read(pool.cygnus.get("campaigns?ended=true"))["campaigns"]
    assert [one["state"] for one in told] == ["ended"] * announcing.MOST_DISSOLVED
    assert Campaign.objects.count() == announcing.MOST_DISSOLVED, "what was never told is not kept"
    assert CampaignEvent.objects.count() == 2 * announcing.MOST_DISSOLVED
    campaign_of(pool, "z", names=("aster", "cygnus"))
    campaign_of(pool, "y", names=("borealis",))
    tell(pool)
    assert len(read(pool.cygnus.get("campaigns"))["campaigns"]) == 1, "of other labs: at once; of these: later"
    later = clock.now() + timedelta(hours=1)
    monkeypatch.setattr(clock, "now", lambda: later)
    tell(pool)
    assert len(read(pool.cygnus.get("campaigns"))["campaigns"]) == 2
