"""What somebody else marks more strictly is not passed on more openly; what one may not see changes nothing."""

import uuid

import pytest

from exchange.errors import NotFound
from indicators import reading
from indicators.ending import withdrawing
from indicators.stix import tlp
from tests import build
from tests.indicators.test_publishing import a_note

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast():
    return build.the_cast()


def status(answer):
    return [result.get("code", result["status"]) for result in build.results(answer)]


def marked(stix, word):
    return stix | {"object_marking_refs": [tlp.ID_OF[word]]}


def sees(viewer, stix):
    try:
        return bool(reading.statements(viewer, stix["id"]))
    except NotFound:
        return False


@pytest.mark.parametrize(("source", "relay"), [("red", "amber"), ("amber+strict", "green"), ("amber", "clear")])
def test_a_relay_does_not_mark_more_openly_than_the_source_that_it_sees(cast, source, relay):
    note = a_note()
    build.publish(cast.viewer("aster"), marked(note, source), partners=("borealis",))
    borealis = cast.viewer("borealis")
    altered = marked(note, relay) | {"content": "altered", "modified": "2026-06-01T00:00:00Z"}
    capitals = altered | {"id": f"note--{note['id'][6:].upper()}"}
    for one in (marked(note, relay), altered, capitals):
        assert status(build.publish(borealis, one, everyone=True)) == ["tlp-below-source"]
    assert status(build.publish(borealis, marked(note, source), partners=("cygnus",))) == ["accepted"]
    assert status(build.publish(borealis, altered, everyone=True)) == ["tlp-below-source"]


def test_a_marking_given_by_the_batch_counts_as_one_in_the_bytes(cast):
    note = a_note()
    build.publish(cast.viewer("aster"), note, partners=("borealis",), tlp=build.Tlp.RED)
    assert status(build.publish(cast.viewer("borealis"), note, groups=("ring",))) == ["tlp-below-source"]


def test_what_one_may_not_see_changes_no_answer(cast):
    """Two worlds: in one somebody holds the same id hidden from the relay, in the other nobody does."""
    answers = []
    for hidden in (True, False):
        note = a_note()
        if hidden:
            build.publish(cast.viewer("aster"), marked(note, "red"), partners=("borealis",))
        cygnus = cast.viewer("cygnus")
        for stix in (marked(note, "clear"), marked(note, "green") | {"modified": "2026-06-01T00:00:00Z"}):
            (result,) = build.results(build.publish(cygnus, stix, everyone=True))
            answers.append((hidden, {**result, "id": None}))
    assert [one for hidden, one in answers if hidden] == [one for hidden, one in answers if not hidden]
    assert {one["status"] for _, one in answers} == {"accepted"}


def test_who_held_it_first_or_shows_it_no_further_is_not_stopped_by_others(cast):
    aster, borealis, note = cast.viewer("aster"), cast.viewer("borealis"), a_note()
    build.publish(borealis, marked(note, "amber"), groups=("ring",))
    build.publish(aster, marked(note, "red"), partners=("borealis",))
    later = marked(note, "amber") | {"modified": "2026-06-01T00:00:00Z"}
    assert status(build.publish(borealis, later, groups=("ring",))) == ["accepted"]
    assert status(build.publish(borealis, marked(later, "green") | {"modified": "2026-06-02T00:00:00Z"})) == [
        "accepted"
    ]
    assert status(build.publish(borealis, later | {"revoked": True, "modified": "2026-06-03T00:00:00Z"})) == [
        "accepted"
    ]


def test_a_source_that_is_withdrawn_binds_no_more(cast):
    aster, borealis, note = cast.viewer("aster"), cast.viewer("borealis"), a_note()
    build.publish(aster, marked(note, "red"), partners=("borealis",))
    withdrawing.withdraw(aster, [note["id"]])
    assert status(build.publish(borealis, marked(note, "green"), groups=("ring",))) == ["accepted"]


def test_nobody_blocks_the_id_of_an_observable_by_marking_it(cast):
    observable = {"type": "ipv4-addr", "spec_version": "2.1", "id": f"ipv4-addr--{uuid.uuid4()}", "value": "192.0.2.1"}
    build.publish(cast.viewer("aster"), marked(observable, "red"), partners=("borealis",))
    borealis = cast.viewer("borealis")
    assert status(build.publish(borealis, marked(observable, "green"), groups=("ring",))) == ["accepted"]


def test_the_same_bytes_of_an_observable_are_a_relay(cast):
    observable = {"type": "ipv4-addr", "spec_version": "2.1", "id": f"ipv4-addr--{uuid.uuid4()}", "value": "192.0.2.1"}
    build.publish(cast.viewer("aster"), observable, partners=("borealis",), tlp=build.Tlp.RED)
    assert status(build.publish(cast.viewer("borealis"), observable, groups=("ring",))) == ["tlp-below-source"]


def test_what_waits_for_a_definition_goes_no_further_than_a_source_by_it(cast):
    aster, borealis = cast.viewer("aster"), cast.viewer("borealis")
    definition = {
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": f"marking-definition--{uuid.uuid4()}",
        "created": "2026-01-01T00:00:00.000Z",
        "definition_type": "tlp",
        "definition": {"tlp": "green"},
    }
    note = a_note()
    build.publish(aster, marked(note, "red"), partners=("borealis",))
    build.publish(borealis, note | {"object_marking_refs": [definition["id"]]}, everyone=True)
    build.publish(borealis, definition)
    assert not sees(cast.viewer("cygnus"), note)


def test_a_relay_that_came_after_the_source_stays_bound_when_the_source_is_revised(cast):
    aster, borealis, note = cast.viewer("aster"), cast.viewer("borealis"), a_note()
    build.publish(aster, marked(note, "red"), partners=("borealis",))
    assert status(build.publish(borealis, marked(note, "red"), partners=())) == ["accepted"]
    revised = marked(note, "red") | {"modified": "2026-06-01T00:00:00Z"}
    build.publish(aster, revised, partners=("borealis",))
    altered = marked(note, "clear") | {"content": "altered", "modified": "2026-06-02T00:00:00Z"}
    assert status(build.publish(borealis, altered, everyone=True)) == ["tlp-below-source"]
    build.publish(aster, revised | {"modified": "2026-06-03T00:00:00Z"}, partners=("borealis", "cygnus"))
    assert status(build.publish(borealis, altered, everyone=True)) == ["tlp-below-source"]


def test_who_held_it_first_is_not_stopped_where_what_it_has_revised_waited_for_a_definition(cast):
    aster, borealis, note = cast.viewer("aster"), cast.viewer("borealis"), a_note()
    definition = {
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": f"marking-definition--{uuid.uuid4()}",
        "created": "2026-01-01T00:00:00.000Z",
        "definition_type": "tlp",
        "definition": {"tlp": "green"},
    }
    waits = note | {"object_marking_refs": [definition["id"]]}
    build.publish(borealis, waits, everyone=True)
    build.publish(aster, marked(note, "red"), partners=("borealis",))
    build.publish(borealis, waits | {"modified": "2026-06-01T00:00:00Z"}, everyone=True)
    build.publish(borealis, definition)
    assert sees(cast.viewer("cygnus"), note)


def test_an_older_version_that_was_more_open_is_no_leave_to_show_a_newer_one_so(cast):
    """What counts is how openly it is shown now: its publisher narrowed it itself."""
    aster, borealis, note = cast.viewer("aster"), cast.viewer("borealis"), a_note()
    build.publish(aster, marked(note, "red"), partners=("borealis",))
    assert status(build.publish(borealis, marked(note, "red"), partners=())) == ["accepted"]
    withdrawing.withdraw(aster, [note["id"]])
    opened = marked(note, "green") | {"modified": "2026-06-01T00:00:00Z"}
    assert status(build.publish(borealis, opened, everyone=True)) == ["accepted"]  # nobody marks it any more
    narrowed = marked(note, "red") | {"modified": "2026-06-02T00:00:00Z"}
    assert status(build.publish(borealis, narrowed, partners=())) == ["accepted"]
    assert status(build.publish(aster, marked(note, "red"), partners=("borealis",), wake=True)) == ["accepted"]
    again = marked(note, "green") | {"modified": "2026-06-03T00:00:00Z"}
    assert status(build.publish(borealis, again, everyone=True)) == ["tlp-below-source"]


@pytest.mark.parametrize("had", [True, False], ids=["held as strictly", "not held"])
def test_a_revocation_shows_no_more_openly_either_and_ends_the_holding_all_the_same(cast, had):
    aster, borealis, note = cast.viewer("aster"), cast.viewer("borealis"), a_note()
    build.publish(aster, marked(note, "red"), partners=("borealis",))
    if had:
        assert status(build.publish(borealis, marked(note, "red"), partners=("cygnus",))) == ["accepted"]
    ends = marked(note, "clear") | {"revoked": True, "modified": "2026-06-01T00:00:00Z"}
    (answer,) = build.results(build.publish(borealis, ends, everyone=True))
    assert (answer["status"], answer.get("code")) == (
        ("accepted", "content-dropped") if had else ("refused", "tlp-below-source")
    )
    assert not sees(cast.viewer("cygnus"), note)
    (again,) = build.results(build.publish(borealis, ends, everyone=True))
    assert again["status"] == ("unchanged" if had else "refused"), "as the first answer said"
