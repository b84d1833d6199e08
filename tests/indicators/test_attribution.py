"""Published under a pseudonym: who it was is found by nobody, on no face, and not by what is missing."""

import json
import re
import uuid
from datetime import timedelta

import pytest
import time_machine
from django.test import Client

from exchange import clock
from exchange.errors import NotFound
from indicators import matching, publishing, reading
from indicators.ending import leaving, retiring, withdrawing
from indicators.feeds.filters import EVERYTHING, Filter
from indicators.log import changes
from indicators.publishing import readdressing
from indicators.publishing.reach import Reach
from indicators.reading.selecting import Selection
from indicators.stix import making
from indicators.telling import subscribing
from partners.attribution import Attribution
from partners.models import Membership
from partners.sight import changing
from partners.tlp import Tlp
from tests import build

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast():
    cast = build.the_cast()
    build.a_ring(cast.aster, cast.borealis, cast.cygnus, slug="second")
    return cast


def said_by(attribution="pseudonym", **more):
    stix = making.account_pattern(**more)
    for extension in stix["extensions"].values():
        extension["attribution"] = attribution
    return stix


def one(answer):
    (result,) = build.results(answer)
    return result


def publish(cast, stix, *groups, who="aster", wake=False):
    return one(build.publish(cast.viewer(who), stix, groups=groups or ("ring",), wake=wake))


def statement(cast, who, stix):
    return reading.statements(cast.viewer(who), stix["id"])[0]


def test_a_reader_is_told_a_pseudonym_and_the_publisher_its_own_name(cast):
    stix = said_by()
    assert publish(cast, stix)["status"] == "accepted"
    assert statement(cast, "borealis", stix).publisher_slug.startswith("pseudonym-")
    assert statement(cast, "aster", stix).publisher_slug == "aster"


def test_pseudonyms_of_two_groups_have_nothing_in_common(cast):
    first, second = said_by(), said_by()
    publish(cast, first, "ring")
    publish(cast, second, "second")
    mine, other = statement(cast, "borealis", first), statement(cast, "borealis", second)
    assert {mine.publisher_id, mine.publisher_name}.isdisjoint({other.publisher_id, other.publisher_name})
    assert statement(cast, "cygnus", second).publisher_id == other.publisher_id


def test_under_a_pseudonym_one_group_is_named(cast):
    assert publish(cast, said_by(), "ring", "second")["code"] == "one-group-a-pseudonym"


def test_the_batch_may_ask_for_more_reserve_than_the_object_and_never_for_less(cast):
    stix = said_by("named")
    reach = Reach(named=True, groups=(cast.ring.pk,), attribution=Attribution.EXCHANGE)
    from indicators.stix import parsing

    drafts = parsing.read_batch(json.dumps({"objects": [stix]}).encode())
    publishing.publish(drafts, by=cast.viewer("aster"), reach=reach, request=publishing.Request(b"1" * 32))
    assert statement(cast, "borealis", stix).publisher_slug == "exchange"


def test_bytes_that_name_the_publisher_are_refused(cast):
    stix = said_by() | {"created_by_ref": cast.viewer("aster").identity_id}
    refused = publish(cast, stix)
    assert (refused["status"], refused["code"]) == ("refused", "names-its-publisher")
    assert refused["field"] == "/created_by_ref"


def test_a_batch_has_one_source(cast):
    answer = build.publish(cast.viewer("aster"), said_by("named"), said_by("pseudonym"), groups=("ring",))
    assert [result.get("code") for result in build.results(answer)] == [None, "mixed-attribution"]


def test_a_holding_keeps_its_source(cast):
    stix = said_by()
    publish(cast, stix)
    later = said_by("named") | {"id": stix["id"], "modified": build.later()}
    assert publish(cast, later)["code"] == "attribution-is-fixed"


def test_a_pseudonym_stays_in_its_group(cast):
    stix = said_by()
    publish(cast, stix, "ring")
    assert publish(cast, stix, "second")["code"] == "pseudonym-stays-in-its-group"
    aster = cast.viewer("aster")
    second = next(group for group in aster.group_ids if group != cast.ring.pk)
    with pytest.raises(Exception, match="new id"):
        readdressing.readdress(aster, stix["id"], Reach(named=True, groups=(second,)))


def test_a_reference_between_two_sources_of_a_publisher_is_refused(cast):
    named, unnamed = said_by("named"), said_by()
    publish(cast, named)
    publish(cast, unnamed)
    link = {
        "type": "relationship",
        "spec_version": "2.1",
        "id": f"relationship--{uuid.uuid4()}",
        "created": "2026-01-01T00:00:00.000Z",
        "modified": "2026-01-01T00:00:00.000Z",
        "relationship_type": "related-to",
        "source_ref": named["id"],
        "target_ref": unnamed["id"],
    }
    refused = publish(cast, link)
    assert (refused["code"], refused["field"]) == ("joins-sources", "/target_ref")


@pytest.mark.parametrize("first", ["pseudonym", "named"])
def test_what_comes_after_the_reference_to_it_is_refused_under_another_source(cast, first):
    late, second = uuid.uuid4(), "named" if first == "pseudonym" else "pseudonym"
    pointing = said_by(first)
    pointing["extensions"]["x"] = {"extension_type": "property-extension", "seen_with_ref": f"indicator--{late}"}
    assert publish(cast, pointing)["status"] == "accepted"
    refused = publish(cast, said_by(second) | {"id": f"indicator--{late}"})
    assert (refused["code"], refused["field"]) == ("joins-sources", "/id")
    assert publish(cast, said_by(first) | {"id": f"indicator--{late}"})["status"] == "accepted"


def test_what_comes_after_the_reference_to_it_may_be_what_others_hold(cast):
    late = said_by("named")
    pointing = said_by()
    pointing["extensions"]["x"] = {"extension_type": "property-extension", "seen_with_ref": late["id"]}
    publish(cast, pointing)
    assert publish(cast, late, who="borealis")["status"] == "accepted"
    assert publish(cast, late)["status"] == "accepted"


@pytest.mark.slow
def test_no_face_of_another_partner_tells_who_it_was(cast):
    value = uuid.uuid4().hex * 2
    carrier = {"token": making.token(value)}
    stix = said_by(name="Seen at a reseller", carrier=carrier)
    publish(cast, stix)
    publish(cast, said_by("named", carrier=carrier), who="borealis")
    client = Client()
    headers = build.bearer(cast.keys["borealis"])
    subject = [cast.viewer("aster").identity_id, str(cast.aster.pk), "Aster", "aster", str(cast.aster.collection_id)]
    for path in (
        f"/api/v1/objects/{stix['id']}",
        "/api/v1/objects",
        "/api/v1/changes",
        "/api/v1/matches",
        "/api/v1/blocklists/all?format=csv",
        "/api/v1/blocklists/all?format=jsonl",
        # Without what stands before the log: there is every partner, for everybody.
        "/taxii2/exchange/collections/everything/objects/?added_after=2026-01-01T00:00:00Z",
        "/taxii2/exchange/collections/everything/manifest/?added_after=2026-01-01T00:00:00Z",
    ):
        answer = client.get(path, headers=headers)
        body = b"".join(answer.streaming_content) if answer.streaming else answer.content
        assert answer.status_code == 200, path
        assert stix["id"] in body.decode() or value in body.decode(), path
        assert not [mark for mark in subject if mark in body.decode()], path
    person = build.a_user(cast.borealis)
    client.force_login(person, backend="allauth.account.auth_backends.AuthenticationBackend")
    for path in ("/", "/matches", f"/indicators/{stix['id']}", "/indicators?q=reseller"):
        page = client.get(path).content.decode()
        shown = re.sub(
            r'<select.*?</select>|data-fields="[^"]*"', "", page, flags=re.DOTALL
        )  # the list of partners is known to all
        assert "Seen at a reseller" in shown or path == "/", path  # home counts, and names nothing
        assert not [mark for mark in subject if mark in shown], path


def test_a_filter_by_publisher_finds_only_what_names_it(cast):
    named, unnamed = said_by("named"), said_by()
    publish(cast, named)
    publish(cast, unnamed)
    withdrawing.withdraw(cast.viewer("aster"), [unnamed["id"]])
    wanted = Filter.of(publishers=(str(cast.aster.pk),))
    told = changes.since(cast.viewer("borealis"), wanted, after=0, limit=10).changes
    assert [change.stix_id for change in told] == [named["id"]]


def test_what_a_publisher_says_in_both_ways_matches_as_that_of_two_would(cast):
    carrier = {"token": making.token(uuid.uuid4().hex * 2)}
    publish(cast, said_by("named", carrier=carrier))
    publish(cast, said_by(carrier=carrier))
    (match,) = matching.newest(cast.viewer("borealis"), limit=10).matches
    assert [side.source.slug[:9] for side in match.sides] == ["aster", "pseudonym"]
    assert matching.newest(cast.viewer("aster"), limit=10).matches == []


def test_a_withdrawal_comes_from_the_source_that_was_told(cast):
    stix = said_by()
    publish(cast, stix)
    before = changes.since(cast.viewer("borealis"), EVERYTHING, after=0, limit=10)
    withdrawing.withdraw(cast.viewer("aster"), [stix["id"]])
    after = changes.since(cast.viewer("borealis"), EVERYTHING, after=before.reached, limit=10)
    assert [change.op for change in after.changes] == ["remove"]
    assert after.changes[0].publisher_id == before.changes[0].publisher_id


def test_whoever_leaves_is_told_the_removal_by_the_source_that_it_knew(cast):
    stix = said_by()
    publish(cast, stix)
    before = changes.since(cast.viewer("borealis"), EVERYTHING, after=0, limit=10)
    with changing([cast.borealis.pk]):
        Membership.objects.filter(partner=cast.borealis, group=cast.ring).update(until="2026-01-02T00:00:00Z")
    after = changes.since(cast.viewer("borealis"), EVERYTHING, after=before.reached, limit=10)
    assert [(change.op, change.publisher_id) for change in after.changes] == [
        ("remove", before.changes[0].publisher_id)
    ]


def test_two_sources_of_one_publisher_count_as_two(cast):
    from indicators.reading import overview

    publish(cast, said_by("named"))
    publish(cast, said_by())
    assert overview.arrivals(cast.viewer("borealis")).publishers == 2


def test_feeds_take_no_pseudonym_for_a_partner(cast):
    publish(cast, said_by())
    feed = subscribing.save_feed(cast.viewer("borealis"), name="a", filter_json={"publishers": [str(cast.aster.pk)]})
    found = reading.page(cast.viewer("borealis"), Selection(subscribing.filter_of(feed)), limit=10)
    assert found.statements == []


def test_what_a_partner_published_without_its_name_is_not_handed_over(cast):
    named, unnamed = said_by("named"), said_by()
    publish(cast, named)
    publish(cast, unnamed)
    leaving.hand_over(cast.aster.pk, cast.borealis.pk)
    assert statement(cast, "cygnus", publish_also(cast)).publisher_slug == "borealis"
    with pytest.raises(NotFound):
        statement(cast, "borealis", unnamed)
    assert statement(cast, "borealis", named).publisher_slug == "borealis"


def publish_also(cast):
    stix = said_by("named")
    build.publish(cast.viewer("borealis"), stix, everyone=True, tlp=Tlp.GREEN)
    return stix


@pytest.mark.parametrize("later", ["as it was", "revised"])
def test_what_was_withdrawn_comes_back_under_no_second_pseudonym(cast, later):
    stix = said_by()
    publish(cast, stix, "ring")
    withdrawing.withdraw(cast.viewer("aster"), [stix["id"]])
    again = stix | ({"modified": build.later()} if later == "revised" else {})
    assert publish(cast, again, "second", wake=True).get("code") == "pseudonym-stays-in-its-group"


READERS = ("borealis", "cygnus")


@pytest.mark.parametrize("how", ["withdrawn", "narrowed", "revoked", "over"])
@pytest.mark.parametrize("attribution", ["pseudonym", "exchange", "named"])
def test_the_end_is_told_under_the_source_that_the_object_had(cast, attribution, how):
    """To members of the group and to who is named beside it: a reader drops what this source said under this id."""
    stix, to = said_by(attribution, valid_for=timedelta(hours=1)), {"groups": ("ring",), "partners": READERS}
    assert one(build.publish(cast.viewer("aster"), stix, **to))["status"] == "accepted"
    before = {slug: sources_told(cast, slug, stix, after=0) for slug in READERS}
    place = changes.head()
    if how == "withdrawn":
        withdrawing.withdraw(cast.viewer("aster"), [stix["id"]])
    elif how == "revoked":
        revoked = stix | {"revoked": True, "modified": build.later()}
        assert one(build.publish(cast.viewer("aster"), revoked, **to))["status"] == "accepted"
    elif how == "over":
        with time_machine.travel(clock.now() + timedelta(hours=2), tick=False):
            assert retiring.expire() == 1
    else:
        readdressing.readdress(cast.viewer("aster"), stix["id"], Reach(named=True, groups=(cast.ring.pk,)))
    ended = READERS if how != "narrowed" else ("cygnus",)
    after = {slug: sources_told(cast, slug, stix, after=place)[-1:] for slug in ended}
    assert after == {slug: before[slug] for slug in ended}


def sources_told(cast, slug, stix, *, after):
    told = changes.since(cast.viewer(slug), EVERYTHING, after=after, limit=99).changes
    return [(said.publisher_id, said.publisher_name) for said in told if said.stix_id == stix["id"]]
