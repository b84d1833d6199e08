"""What is no match: another scope, what is not listed, what ended, what the newest version says no more."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest

from exchange import clock
from indicators import matching, reading
from indicators.ending import retiring, withdrawing
from indicators.feeds.filters import EVERYTHING, Filter
from indicators.log import changes
from indicators.models import Holding
from indicators.reading.selecting import Selection
from indicators.stix import making
from tests import build
from tests.indicators.api.caller import Caller
from tests.indicators.test_matching import SAME, classical, ends, found, say

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast():
    return build.the_cast()


def test_a_fingerprint_of_a_payment_provider_is_compared_within_its_scope_alone(cast):
    said = [
        (who, making.payment_fingerprint("psp_fp", carrier={"token": SAME}, extension={"psp_scope": scope * 16}))
        for who, scope in (("aster", "ab"), ("borealis", "cd"), ("cygnus", "ab"))
    ]
    for who, stix in said:
        build.publish(cast.viewer(who), stix, everyone=True)
    assert found(cast, "aster") == [{said[0][1]["id"], said[2][1]["id"]}]


def test_what_one_source_says_twice_is_matched_with_nothing_in_lists(cast):
    """Equal values and overlapping networks, whatever others say of them unseen; until another source says so in sight."""
    nets = [making.account_pattern("net", carrier={"value": f"185.77.147.{rest}"}) for rest in ("0/24", "7/32")]
    build.publish(cast.viewer("aster"), *nets, everyone=True)
    twice = say(cast, "aster", 2, everyone=True)
    hidden = making.account_pattern("net", carrier={"value": "185.77.147.7/32"})
    build.publish(cast.viewer("borealis"), hidden, partners=("aster",))
    say(cast, "borealis", partners=("aster",))
    reader = cast.viewer("cygnus")

    def matched():
        return {said.stix_id for said in reading.page(reader, Selection(matched=True), limit=10).statements}

    assert matched() == set()
    (theirs,) = say(cast, "borealis", everyone=True)
    assert matched() == {*twice, theirs}


@pytest.mark.parametrize(
    ("make", "subkind"),
    [
        (making.account_pattern, "cluster_rule"),
        (making.payment_fingerprint, "billing_rule"),
        *((making.prompt_signature, subkind) for subkind in ("regex", "nova_rule", "feature_rule")),
    ],
)
def test_rules_and_texts_match_by_the_hash_of_the_pattern_and_give_no_entry(cast, make, subkind):
    one, two = make(subkind), make(subkind)
    for who, stix in (("aster", one), ("borealis", two)):
        assert build.publish(cast.viewer(who), stix, everyone=True).counts["accepted"] == 1
    (match,) = matching.newest(cast.viewer("cygnus"), limit=10).matches
    assert (match.domain, match.scheme, match.key_epoch) == (subkind, "sha256", "")
    assert match.value == hashlib.sha256(one["pattern"].encode()).hexdigest()
    assert ends(match) == {one["id"], two["id"]}
    for wanted, count in ((EVERYTHING, 2), (Filter.of(with_entries=True), 0)):
        told = changes.since(cast.viewer("cygnus"), wanted, after=0, limit=10).changes
        assert ([change.entries for change in told], len(told)) == (["[]"] * count, count)


def test_what_is_there_to_be_matched_only_meets_what_is_listed(cast):
    urls = [classical("[url:value = 'https://relay.example/']") for _ in range(2)]
    build.publish(cast.viewer("aster"), urls[0], everyone=True)
    build.publish(cast.viewer("borealis"), urls[1], everyone=True)
    domains = [match.domain for match in matching.newest(cast.viewer("cygnus"), limit=10).matches]
    assert domains == ["url:value"], "the host of either is aside"
    host = classical("[domain-name:value = 'relay.example']")
    build.publish(cast.viewer("cygnus"), host, everyone=True)
    newest = matching.newest(cast.viewer("aster"), limit=10).matches[0]
    assert (newest.domain, ends(newest)) == ("host", {host["id"], *(url["id"] for url in urls)})


def test_a_value_whose_place_lies_beyond_what_is_read_first_is_found_there_and_once(cast):
    """Addresses alone do not meet in their host, so the newest rows that carry it are no place of it."""
    url, host = (
        classical(f"[{said}]")
        for said in ("url:value = 'https://relay.example/'", "domain-name:value = 'relay.example'")
    )
    build.publish(cast.viewer("borealis"), url, groups=("ring",))
    build.publish(cast.viewer("aster"), host, groups=("ring",))
    build.publish(cast.viewer("aster"), *(classical(url["pattern"]) for _ in range(20)), groups=("ring",))
    matches = matching.newest(cast.viewer("borealis"), limit=10).matches
    assert [one.domain for one in matches] == ["url:value", "host"]
    assert ends(matches[1]) == {url["id"], host["id"]}
    assert matching.recent(cast.viewer("borealis"), since=clock.now() - timedelta(days=1), most=10).count == 2


@pytest.mark.slow
def test_what_ended_leaves_at_once(cast):
    (mine,) = say(cast, "aster")
    for end in (revoke, withdraw, narrow, expire):
        theirs = making.account_pattern(carrier={"token": SAME})
        build.publish(cast.viewer("borealis"), theirs, everyone=True)
        assert found(cast, "aster") == [{mine, theirs["id"]}], end
        end(cast, theirs)
        assert found(cast, "aster") == [], end
        assert Caller(cast.keys["aster"]).get("objects?q=" + "cd" * 32).status_code == 200


def revoke(cast, stix):
    build.publish(cast.viewer("borealis"), stix | {"revoked": True, "modified": build.later()}, everyone=True)


def withdraw(cast, stix):
    withdrawing.withdraw(cast.viewer("borealis"), [stix["id"]])


def narrow(cast, stix):
    Caller(build.a_key(cast.borealis)).send("PUT", f"objects/{stix['id']}/audience", {"partners": ["cygnus"]})


def expire(cast, stix):
    moment = clock.now() - timedelta(minutes=1)
    Holding.unrestricted.filter(stix_id=stix["id"]).update(valid_until=moment)
    retiring.expire_due()


def test_a_value_is_that_of_the_newest_version_also_where_that_is_taken_back(cast):
    (mine,) = say(cast, "aster")
    first = making.account_pattern(carrier={"token": SAME})
    build.publish(cast.viewer("borealis"), first, everyone=True)
    other = making.account_pattern(carrier={"token": making.token("ef" * 32)})
    second = other | {"id": first["id"], "created": first["created"], "modified": build.later()}
    build.publish(cast.viewer("borealis"), second, everyone=True)
    assert found(cast, "aster") == []
    newest = Holding.unrestricted.get(stix_id=first["id"]).newest_id
    withdrawing.withdraw_versions(cast.viewer("borealis"), first["id"], [newest])
    assert found(cast, "aster") == [{mine, first["id"]}]
