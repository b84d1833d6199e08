"""Versions of one holding: the newest wins in whatever order they come, revoked is final, and none is lost silently."""

import itertools
import json
import uuid
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exchange import clock
from indicators import reading
from indicators.ending import withdrawing
from indicators.feeds.filters import EVERYTHING
from indicators.log import changes
from indicators.models import StixObject
from indicators.reading.selecting import Selection
from tests import build
from tests.indicators.publishing.test_markings import a_definition
from tests.strategies import examples

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast():
    return build.the_cast()


@pytest.fixture
def aster(cast):
    return cast.viewer("aster")


def a_note(modified: str, **more) -> dict:
    return {
        "type": "note",
        "spec_version": "2.1",
        "id": "note--00000000-0000-4000-8000-000000000001",
        "created": "2026-01-01T00:00:00.000Z",
        "modified": modified,
        "content": modified,
        "object_refs": ["tool--00000000-0000-4000-8000-000000000001"],
    } | more


def published(aster, *objects) -> list[tuple[str, str | None]]:
    answer = build.publish(aster, *objects)
    return [(result["status"], result.get("code")) for result in build.results(answer)]


def held(aster, stix_id: str, versions: str = "last") -> list[str]:
    return [json.loads(said.body)["modified"] for said in reading.statements(aster, stix_id, versions=versions)]


MOMENTS = ("2026-01-02T00:00:00Z", "2026-01-02T00:00:00.000001Z", "2026-01-02T00:00:00.5Z", "2026-01-03T00:00:00.00Z")


@pytest.mark.parametrize("one_batch", [True, False], ids=["one batch", "one by one"])
@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_the_newest_wins_in_whatever_order_versions_come_and_all_are_served(aster, order, one_batch):
    notes = [a_note(MOMENTS[place]) for place in order]
    if one_batch:
        assert published(aster, *notes) == [("accepted", None)] * 4
    else:
        for note in notes:
            assert published(aster, note) == [("accepted", None)]
    assert held(aster, notes[0]["id"]) == [MOMENTS[3]]
    assert sorted(held(aster, notes[0]["id"], "all")) == sorted(MOMENTS)


SAME = ("2026-01-02T00:00:00Z", "2026-01-02T00:00:00.0Z", "2026-01-02T00:00:00.000Z", "2026-01-02T00:00:00.000000000Z")


@pytest.mark.parametrize("one_batch", [True, False], ids=["one batch", "one by one"])
@pytest.mark.parametrize(("first", "second"), list(itertools.permutations(SAME, 2)))
def test_one_moment_written_in_two_ways_is_one_version(aster, first, second, one_batch):
    notes = [a_note(first), a_note(second)]
    told = published(aster, *notes) if one_batch else [*published(aster, notes[0]), *published(aster, notes[1])]
    assert told == [("accepted", None), ("refused", "version-conflict")]
    assert held(aster, notes[0]["id"], "all") == [first]
    assert published(aster, notes[0]) == [("unchanged", None)]


FINE = ("2026-01-02T00:00:00.000001Z", "2026-01-02T00:00:00.0000014Z", "2026-01-02T00:00:00.000001999Z")


@pytest.mark.parametrize("one_batch", [True, False], ids=["one batch", "one by one"])
@pytest.mark.parametrize(("first", "second"), list(itertools.permutations(FINE, 2)))
def test_versions_that_differ_below_a_microsecond_do_not_collide_silently(aster, first, second, one_batch):
    notes = [a_note(first), a_note(second)]
    told = published(aster, *notes) if one_batch else [*published(aster, notes[0]), *published(aster, notes[1])]
    assert told == [("accepted", None), ("refused", "version-too-fine")]
    assert held(aster, notes[0]["id"], "all") == [first]
    assert published(aster, notes[0]) == [("unchanged", None)]


def an_address(**more):
    return {"type": "ipv4-addr", "id": f"ipv4-addr--{uuid.uuid4()}", "value": "198.51.100.7"} | more


def told_since(viewer, after):
    return [(c.op, c.reason, c.stix_id) for c in changes.since(viewer, EVERYTHING, after=after, limit=99).changes]


@pytest.mark.parametrize("one_batch", [True, False], ids=["one batch", "one by one"])
def test_an_observable_is_corrected_by_its_publishers_later_bytes(cast, aster, one_batch):
    """It has no `modified` that could be raised; OpenCTI and MISP send it again with another score or label."""
    borealis = cast.viewer("borealis")
    first = an_address(x_score=10)
    second, third = first | {"x_score": 20}, first | {"x_score": 30, "x_label": "reseller"}
    if one_batch:
        assert published(aster, first, first, second, third) == [
            *(("accepted", None), ("unchanged", None), ("accepted", None), ("accepted", None))
        ]
    else:
        for stix in (first, second, third):
            assert published(aster, stix) == [("accepted", None)]
            assert published(aster, stix) == [("unchanged", None)]
            assert [json.loads(one.body) for one in reading.statements(borealis, first["id"])] == [stix]
    for versions in ("last", "first", "all"):
        found = reading.page(borealis, Selection(stix_ids=(first["id"],), versions=versions), limit=9).statements
        assert [json.loads(one.body) for one in found] == [third]
    kept = StixObject.unrestricted.filter(holding__stix_id=first["id"]).order_by("correction")
    assert [(one.correction, json.loads(one.body)) for one in kept] == [(0, first), (1, second), (2, third)]
    place = changes.head()
    assert published(aster, first) == [("accepted", None)]  # older bytes again are a correction again
    assert told_since(borealis, place) == [("upsert", "revised", first["id"])]
    assert [json.loads(one.body) for one in reading.statements(aster, first["id"])] == [first]


def test_a_correction_that_revokes_ends_the_observable_and_no_later_one_brings_it_back(cast, aster):
    address = an_address()
    assert published(aster, address, address | {"revoked": True}) == [("accepted", None)] * 2
    assert published(aster, address | {"x_score": 1}) == [("refused", "revoked-is-final")]
    assert [one.revoked for one in reading.statements(cast.viewer("borealis"), address["id"])] == [True]


def test_what_is_withdrawn_is_corrected_only_by_who_wakes_it(cast, aster):
    address = an_address()
    published(aster, address)
    withdrawing.withdraw(aster, [address["id"]])
    other = address | {"x_score": 1}
    assert published(aster, other)[0][0] == "withdrawn"
    assert [one["status"] for one in build.results(build.publish(aster, other, wake=True))] == ["accepted"]
    (said,) = reading.statements(cast.viewer("borealis"), address["id"], versions="all")
    assert json.loads(said.body) == other
    withdrawing.withdraw(aster, [address["id"]])
    assert not reading.holds(aster, address["id"])


def test_the_definition_of_a_marking_is_corrected_where_that_tightens_it(cast, aster):
    definition = a_definition("amber")
    note = a_note(MOMENTS[0], object_marking_refs=[definition["id"]])
    assert published(aster, definition, note) == [("accepted", None)] * 2
    assert reading.holds(cast.viewer("borealis"), note["id"])
    looser = a_definition("green", marking_id=definition["id"])
    assert published(aster, looser) == [("refused", "marking-loosened")]
    free = definition | {"definition_type": "statement", "definition": {"statement": "free"}}
    assert published(aster, free) == [("refused", "marking-loosened")]
    named = definition | {"name": "Ours"}
    red = a_definition("red", marking_id=definition["id"])
    assert published(aster, named, red, definition) == [
        *(("accepted", None), ("accepted", None), ("refused", "marking-loosened"))
    ]
    assert not reading.holds(cast.viewer("borealis"), note["id"])


def test_what_can_be_dated_is_not_corrected_without_a_date(aster):
    note = a_note(MOMENTS[0], created=MOMENTS[0])
    assert published(aster, note) == [("accepted", None)]
    undated = {name: value for name, value in note.items() if name != "modified"} | {"content": "other"}
    assert published(aster, undated) == [("refused", "version-conflict")]


def test_an_id_is_not_held_both_with_and_without_a_version(aster):
    address = {"type": "ipv4-addr", "id": f"ipv4-addr--{uuid.uuid4()}", "value": "198.51.100.7"}
    assert published(aster, address) == [("accepted", None)]
    assert published(aster, address | {"modified": MOMENTS[0]}) == [("refused", "version-conflict")]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_revoked_is_final_and_what_came_before_it_may_come_after(aster, order):
    notes = (a_note(MOMENTS[0]), a_note(MOMENTS[1]), a_note(MOMENTS[3], revoked=True))
    for place in order:
        assert published(aster, notes[place]) == [("accepted", None)]
    assert published(aster, a_note("2026-02-01T00:00:00.000Z")) == [("refused", "revoked-is-final")]
    assert held(aster, notes[0]["id"]) == [MOMENTS[3]]
    assert len(held(aster, notes[0]["id"], "all")) == 3


VERSIONS = st.lists(st.booleans(), min_size=2, max_size=5)  # by age, whether it is revoked


@settings(max_examples=examples(25), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(revoked=VERSIONS, order=st.randoms(use_true_random=False), one_batch=st.booleans())
@pytest.mark.slow
def test_what_is_seen_does_not_depend_on_the_order_in_which_versions_and_revocations_come(
    aster, revoked, order, one_batch
):
    stix_id = f"note--{uuid.uuid4()}"
    notes = [
        a_note(f"2026-01-{day:02}T00:00:00.000Z", id=stix_id) | ({"revoked": True} if ends else {})
        for day, ends in enumerate(revoked, 1)
    ]
    coming = order.sample(notes, len(notes))
    for batch in [coming] if one_batch else [[note] for note in coming]:
        assert {status for status, code in published(aster, *batch) if code != "revoked-is-final"} <= {"accepted"}
    first = next((place for place, ends in enumerate(revoked) if ends), len(revoked))
    seen = notes[:first] + [note for note in notes[first:] if note.get("revoked")]
    assert held(aster, stix_id) == [seen[-1]["modified"]]
    assert sorted(held(aster, stix_id, "all")) == [note["modified"] for note in seen]
    told = [one for one in changes.since(aster, EVERYTHING, after=0, limit=9_999).changes if one.stix_id == stix_id]
    assert told[-1].op == ("remove" if any(revoked) else "upsert")
    again = published(aster, *notes)  # a nightly dump of all of them
    assert [status for status, _ in again] == ["unchanged" if note in seen else "refused" for note in notes]


def test_of_a_member_whose_clock_was_fast_the_revocation_counts_though_its_clock_is_right_now(aster):
    """shared/data/field 04a and 04b, with dates of today."""
    ahead = (clock.now() + timedelta(minutes=10)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    live = build.an_indicator() | {"modified": ahead}
    assert published(aster, live) == [("accepted", None)]
    right = clock.now().strftime("%Y-%m-%dT%H:%M:%S.999Z")
    assert published(aster, live | {"modified": right, "revoked": True}) == [("accepted", None)]
    (said,) = reading.statements(aster, live["id"], versions="all")
    assert said.revoked
    assert published(aster, live) == [("refused", "revoked-is-final")]


def test_publishers_hold_their_versions_apart():
    cast = build.the_cast()
    aster, borealis = cast.viewer("aster"), cast.viewer("borealis")
    assert published(aster, a_note(MOMENTS[3], revoked=True)) == [("accepted", None)]
    assert published(borealis, a_note(MOMENTS[3]), a_note("2026-02-01T00:00:00.000Z")) == [("accepted", None)] * 2
