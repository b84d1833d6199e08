"""Looking up many ids at once, through the one rule."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests import build
from tests.indicators.api.caller import Caller, at, code, read

pytestmark = pytest.mark.django_db
ABSENT = "indicator--00000000-0000-4000-8000-000000000000"


@pytest.fixture
def cast():
    return build.the_cast()


def lookup(cast, name, *ids):
    return Caller(cast.keys[name]).send("POST", "objects/lookup", {"ids": list(ids)})


def test_each_id_is_answered_with_what_may_be_seen_under_it(cast):
    ours, theirs = build.an_indicator(), build.an_indicator()
    build.publish(cast.viewer("aster"), ours)
    build.publish(cast.viewer("cygnus"), theirs)
    answer = read(lookup(cast, "borealis", theirs["id"], ABSENT, ours["id"], ours["id"]))
    assert [one["id"] for one in answer["objects"]] == [ours["id"]]
    (statement,) = answer["objects"][0]["statements"]
    assert statement["object"] == ours
    assert statement["publisher"]["slug"] == "aster"
    assert read(lookup(cast, "dorado", ours["id"], ABSENT)) == {"objects": []}


def test_it_answers_what_single_look_ups_answer(cast):
    made = [build.an_indicator(tlp_word="green") for _ in range(5)]
    build.publish(cast.viewer("aster"), *made)
    build.publish(cast.viewer("borealis"), *made[:2])
    ids = [one["id"] for one in made]
    many = read(lookup(cast, "cygnus", *ids))["objects"]
    for stix_id, found in zip(ids, many, strict=True):
        assert found == {"id": stix_id, **read(Caller(cast.keys["cygnus"]).get(f"objects/{stix_id}"))}


def test_the_number_of_queries_does_not_grow_with_the_ids(cast):
    made = [build.an_indicator(tlp_word="green") for _ in range(50)]
    build.publish(cast.viewer("aster"), *made)
    lookup(cast, "borealis", ABSENT)  # the first use of a key is written down
    counted = []
    for ids in ([made[0]["id"]], [one["id"] for one in made]):
        with CaptureQueriesContext(connection) as queries:
            read(lookup(cast, "borealis", *ids))
        counted.append(len(queries))
    assert counted[0] == counted[1] <= 5


@pytest.mark.parametrize(
    ("sent", "why", "where"),
    [
        ({}, "bad-ids", "/ids"),
        ({"ids": []}, "bad-ids", "/ids"),
        ({"ids": [ABSENT] * 201}, "bad-ids", "/ids"),
        ({"ids": [ABSENT, 7]}, "bad-id", "/ids/1"),
        ({"ids": ["a\0"]}, "bad-id", "/ids/0"),
        ({"ids": ABSENT}, "wrong-type", "/ids"),
        ({"values": [ABSENT]}, "unknown-property", "/values"),
    ],
)
def test_what_cannot_be_looked_up_is_refused(cast, sent, why, where):
    answer = Caller(cast.keys["aster"]).send("POST", "objects/lookup", sent)
    assert (code(answer, 422), at(answer)) == (why, where)
