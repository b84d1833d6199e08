"""Which entries of lists a version gives stands beside it, and says what its holding carries, whatever became of that.

`StixObject.listed` is read by pages of the log in the place of the values; null says to look for them.
"""

from __future__ import annotations

import importlib
import json

import orjson
import pytest
from django.db import connection

from indicators.ending import withdrawing
from indicators.feeds.filters import Filter
from indicators.log import changes
from indicators.models import Carries, Holding, StixObject, TokenValue, Unlisted
from indicators.stix import making
from indicators.values import carrying
from tests import build
from tests.indicators.api.caller import Caller

pytestmark = pytest.mark.django_db

HOST = "relay.shared-proxy.net"
_MIGRATION = importlib.import_module("indicators.migrations.0058_list")


@pytest.fixture
def cast(settings):
    settings.ALLOW_EXAMPLE_VALUES = True
    return build.the_cast()


def the_same(stix_id):
    """What is carried under an id, and what stands beside its newest version."""
    held = Holding.unrestricted.get(stix_id=stix_id)
    with connection.cursor() as cursor:
        asked = carrying.LISTED.format(kind="coalesce(o.kind, h.stix_type)", holding="h.id")
        cursor.execute(
            f"SELECT {asked}, o.listed FROM indicators_holding h"
            " JOIN indicators_stixobject o ON o.id = h.newest_id WHERE h.id = %(id)s",
            {"id": held.pk, "viewer": held.publisher_id},
        )
        return cursor.fetchone()


def told(viewer, stix_id):
    """The entries of the last change of an id, as bytes."""
    return [
        one.entries for one in changes.since(viewer, Filter(), after=0, limit=99).changes if one.stix_id == stix_id
    ][-1]


def a_host(value=HOST, **more):
    return making.account_pattern("gateway_host", carrier={"value": value}, **more)


def test_each_subkind_and_a_classical_object_say_the_same_in_both_ways(cast):
    strange = {"type": "domain-name", "spec_version": "2.1", "id": f"domain-name--{'0' * 7}1-0000-4000-8000-{'0' * 12}"}
    made = [
        a_host(),
        making.account_pattern(),
        making.account_pattern("net", carrier={"value": "185.220.101.0/24"}),
        strange | {"value": 'straße-\u0001"\\.example'},
    ]
    answer = build.publish(cast.viewer("aster"), *made, groups=("ring",))
    for one, result in zip(made, build.results(answer), strict=True):
        if result["status"] == "accepted":
            carried, beside = the_same(one["id"])
            assert carried == beside, one["type"]
            assert told(cast.viewer("borealis"), one["id"]) == beside
    assert json.loads(the_same(made[0]["id"])[1])[0]["value"] == HOST


def test_who_leaves_something_out_is_told_the_same_bytes_of_all_else(cast):
    one, own = a_host(), a_host("lb.own-host.net")
    build.publish(cast.viewer("aster"), one, own, groups=("ring",))
    before = told(cast.viewer("borealis"), one["id"])
    value = TokenValue.objects.get(value="lb.own-host.net")
    Unlisted.objects.create(partner=cast.borealis, token_value=value)
    assert told(cast.viewer("borealis"), one["id"]) == before
    assert told(cast.viewer("borealis"), own["id"]) == "[]"
    assert told(cast.viewer("aster"), own["id"]) != "[]"


def test_a_value_that_is_judged_otherwise_gives_no_entry_whoever_writes_that(cast):
    one = a_host()
    build.publish(cast.viewer("aster"), one, groups=("ring",))
    with connection.cursor() as cursor:  # as the release before does, which knows nothing of it
        cursor.execute("UPDATE indicators_carries SET suppressed_by = 'benign-listed'")
    assert the_same(one["id"]) == ("[]", None)
    assert told(cast.viewer("borealis"), one["id"]) == "[]"


def test_a_version_that_is_the_newest_again_gives_what_is_carried_then(cast):
    first = a_host()
    build.publish(cast.viewer("aster"), first, groups=("ring",))
    second = a_host("other.shared-proxy.net") | {
        "id": first["id"],
        "created": first["created"],
        "modified": build.later(),
    }
    build.publish(cast.viewer("aster"), second, groups=("ring",))
    assert json.loads(told(cast.viewer("borealis"), first["id"]))[0]["value"] == "other.shared-proxy.net"
    newest = Holding.unrestricted.get(stix_id=first["id"]).newest_id
    withdrawing.withdraw_versions(cast.viewer("aster"), first["id"], {newest})
    carried, beside = the_same(first["id"])
    assert json.loads(carried)[0]["value"] == HOST
    assert beside in (None, carried)
    assert told(cast.viewer("borealis"), first["id"]) == carried


def test_what_is_woken_says_what_is_carried(cast):
    one = a_host()
    build.publish(cast.viewer("aster"), one, groups=("ring",))
    withdrawing.withdraw(cast.viewer("aster"), [one["id"]])
    StixObject.unrestricted.update(listed="[]")  # as if it had been judged otherwise when it came
    build.publish(cast.viewer("aster"), one, groups=("ring",), wake=True)
    carried, beside = the_same(one["id"])
    assert carried == beside
    assert json.loads(beside)[0]["value"] == HOST


def test_what_the_release_before_stored_is_told_alike_and_filled_with_the_same_bytes(cast):
    made = [a_host(), making.account_pattern(), making.account_pattern("net", carrier={"value": "185.220.101.0/24"})]
    build.publish(cast.viewer("aster"), *made, groups=("ring",))
    Carries.unrestricted.filter(holding__stix_id=made[2]["id"]).update(suppressed_by="benign-listed")
    before = {one["id"]: told(cast.viewer("borealis"), one["id"]) for one in made}
    StixObject.unrestricted.update(listed=None)
    assert {one["id"]: told(cast.viewer("borealis"), one["id"]) for one in made} == before
    with connection.schema_editor() as editor:
        _MIGRATION.fill(None, editor)
    assert {one["id"]: the_same(one["id"])[1] for one in made} == before
    assert orjson.loads(before[made[2]["id"]]) == []


def test_changes_carry_the_entries_as_they_stand(cast):
    one = a_host()
    build.publish(cast.viewer("aster"), one, groups=("ring",))
    answer = orjson.loads(Caller(cast.keys["borealis"]).get("changes").content)["changes"]
    entry = next(each for each in answer if each["id"] == one["id"])["entries"]
    assert entry == [
        {"kind": "account-pattern", "subkind": "gateway_host", "scheme": "clear", "key_epoch": "", "value": HOST}
    ]
