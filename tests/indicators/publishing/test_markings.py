"""Markings under ids of a publisher's own: what leads nowhere is as RED, and what its definition then changes."""

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from exchange.errors import NotFound
from indicators import reading
from indicators.ending import leaving, withdrawing
from indicators.log import appending, changes
from indicators.models import Marked
from indicators.publishing import awaiting, confirming, readdressing
from indicators.publishing.reach import Reach
from indicators.stix import tlp
from partners.ceilings import Ceiling, Width
from partners.groups import steering
from partners.keys import auth
from partners.tlp import Tlp
from tests import build
from tests.indicators.test_publishing import a_note, told

pytestmark = pytest.mark.django_db
FIELD = Path(__file__).resolve().parents[4] / "shared" / "data" / "field"


@pytest.fixture
def cast():
    return build.the_cast()


@pytest.fixture
def aster(cast):
    return cast.viewer("aster")


@pytest.fixture
def borealis(cast):
    return cast.viewer("borealis")


def a_definition(word="amber", *, day=1, marking_id="", **more):
    return {
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": marking_id or f"marking-definition--{uuid.uuid4()}",
        "created": f"2026-01-{day:02}T00:00:00.000Z",
        "definition_type": "tlp",
        "definition": {"tlp": word},
    } | more


def a_statement(words="Copyright", **more):
    return a_definition(definition_type="statement", definition={"statement": words}, **more)


def marked(*definitions, **more):
    return a_note(object_marking_refs=[one["id"] for one in definitions], **more)


def sees(viewer, stix):
    try:
        return bool(reading.statements(viewer, stix["id"]))
    except NotFound:
        return False


def status(answer):
    return [result.get("code", result["status"]) for result in build.results(answer)]


def marking_of(viewer, stix):
    return Tlp(reading.own_object(viewer, stix["id"]).tlp)


def test_what_leads_nowhere_is_seen_by_the_partners_that_the_push_names_and_nobody_else(cast, aster, borealis):
    note = marked(a_definition())
    answer = build.publish(aster, note, groups=("ring",), partners=("cygnus",))
    (result,) = build.results(answer)
    assert (result["status"], result["marks"][-1]["code"]) == ("accepted", "marking-unresolved")
    assert (sees(borealis, note), sees(cast.viewer("cygnus"), note)) == (False, True)
    assert marking_of(aster, note) is Tlp.RED


def test_nobody_sees_it_in_a_push_to_everyone(cast, aster, borealis):
    note = marked(a_definition())
    build.publish(aster, note, everyone=True)
    assert not sees(borealis, note)
    assert told(borealis) == []


@pytest.mark.parametrize("definition", [a_definition("amber"), a_statement()], ids=["a TLP", "a statement"])
def test_the_definition_brings_it_to_those_whom_its_push_named_and_they_are_told(cast, aster, borealis, definition):
    note = marked(definition)
    build.publish(aster, note, groups=("ring",))
    place = changes.head()
    assert status(build.publish(aster, definition, partners=("cygnus",))) == ["accepted"]
    assert told(borealis, after=place) == [("upsert", "granted", note["id"])]
    assert told(cast.viewer("cygnus"), after=place) == [("upsert", "published", definition["id"])]
    assert sees(borealis, note)
    assert marking_of(aster, note) is Tlp.AMBER
    assert not Marked.unrestricted.filter(asked__isnull=False).exists()


def test_a_default_audience_is_what_the_push_asked_for_even_if_a_group_was_joined_since(cast, aster):
    definition = a_definition()
    note = marked(definition)
    build.publish(aster, note)
    second = build.a_ring(cast.aster, cast.cygnus, slug="second")
    again = auth.viewer_of_key(cast.keys["aster"])
    assert second.pk in again.group_ids
    build.publish(again, definition, groups=("ring",))
    assert sees(cast.viewer("borealis"), note)
    assert not sees(cast.viewer("cygnus"), note)


@pytest.mark.parametrize("red_first", [True, False])
def test_a_definition_that_says_red_leaves_it_with_its_publisher(aster, borealis, red_first):
    definition = a_definition("red")
    note = marked(definition)
    for one in (definition, note) if red_first else (note, definition):
        build.publish(aster, one, groups=("ring",))
    assert not sees(borealis, note)
    assert not Marked.unrestricted.filter(asked__isnull=False).exists()


@pytest.mark.skipif(not FIELD.is_dir(), reason="the shared inputs are not beside the repository")
@pytest.mark.parametrize("names", [("03a", "03b"), ("03b", "03a")], ids=" then ".join)
def test_nobody_sees_the_object_of_the_field_whatever_comes_first(cast, aster, borealis, names):
    for name in names:
        (path,) = FIELD.glob(f"{name}-*.json")
        build.publish(aster, *json.loads(path.read_bytes())["objects"], groups=("ring",))
    assert not any(sees(viewer, {"id": stix_id}) for viewer in (borealis, cast.viewer("cygnus")) for stix_id in _ids())


def _ids():
    (path,) = FIELD.glob("03a-*.json")
    return [one["id"] for one in json.loads(path.read_bytes())["objects"]]


def test_of_several_markings_all_must_be_known_and_the_strictest_holds(aster, borealis):
    one, other = a_definition("green"), a_definition("amber+strict")
    note = a_note(
        object_marking_refs=[one["id"]], granular_markings=[{"selectors": ["content"], "marking_ref": other["id"]}]
    )
    build.publish(aster, note, groups=("ring",))
    build.publish(aster, one, groups=("ring",))
    assert not sees(borealis, note)
    build.publish(aster, other, groups=("ring",))
    assert sees(borealis, note)
    assert marking_of(aster, note) is Tlp.AMBER_STRICT


def test_a_corrected_definition_makes_what_is_held_stricter_and_never_more_open(cast, aster, borealis):
    definition = a_definition("amber")
    note = marked(definition)
    build.publish(aster, definition, note, groups=("ring",))
    build.publish(aster, a_definition("clear", day=2, marking_id=definition["id"]), groups=("ring",))
    assert marking_of(aster, note) is Tlp.AMBER
    later = marked(definition)
    build.publish(aster, later, groups=("ring",))
    assert marking_of(aster, later) is Tlp.AMBER
    place = changes.head()
    build.publish(aster, a_definition("red", day=3, marking_id=definition["id"]), groups=("ring",))
    assert {change for change in told(borealis, after=place) if change[0] == "remove"} == {
        ("remove", "narrowed", note["id"]),
        ("remove", "narrowed", later["id"]),
    }
    assert not sees(borealis, note)


def test_a_definition_that_was_withdrawn_explains_nothing_and_is_not_weakened_by_another(aster, borealis):
    definition = a_definition("red")
    build.publish(aster, definition, groups=("ring",))
    withdrawing.withdraw(aster, [definition["id"]])
    note = marked(definition)
    build.publish(aster, note, groups=("ring",))
    build.publish(aster, a_definition("green", day=2, marking_id=definition["id"]), groups=("ring",))
    assert marking_of(aster, note) is Tlp.RED
    assert not sees(borealis, note)


def test_a_tlp_that_cannot_be_read_explains_nothing(aster, borealis):
    definition = a_definition("TLP:AMBER+STRICT")
    note = marked(definition)
    build.publish(aster, definition, note, groups=("ring",))
    assert marking_of(aster, note) is Tlp.RED
    assert not sees(borealis, note)


def test_what_waits_goes_where_it_is_addressed_anew(cast, aster, borealis):
    definition = a_definition()
    alone, wider = marked(definition), marked(definition)
    build.publish(aster, alone, groups=("ring",))
    build.publish(aster, wider)
    readdressing.readdress(aster, alone["id"], Reach(tlp=Tlp.RED))
    readdressing.readdress(aster, wider["id"], Reach(named=True, partners=(cast.cygnus.pk,), groups=(cast.ring.pk,)))
    assert [sees(cast.viewer("cygnus"), note) for note in (alone, wider)] == [False, True]
    build.publish(aster, definition, groups=("ring",))
    assert [sees(borealis, note) for note in (alone, wider)] == [False, True]
    assert [marking_of(aster, note) for note in (alone, wider)] == [Tlp.RED, Tlp.AMBER]
    readdressing.readdress(aster, wider["id"], Reach(named=True, groups=(cast.ring.pk,)))
    of_it = Marked.unrestricted.filter(object__holding__stix_id=wider["id"])
    assert of_it.exists()
    assert not of_it.filter(asked__isnull=False).exists(), "what waits no more asks for nothing again"


def test_a_revision_of_what_waits_goes_where_the_first_push_asked(aster, borealis):
    definition = a_definition()
    note = marked(definition)
    build.publish(aster, note, groups=("ring",))
    build.publish(aster, note | {"modified": "2026-06-02T00:00:00Z"})
    assert not sees(borealis, note)
    build.publish(aster, {**note, "modified": "2026-06-03T00:00:00Z", "object_marking_refs": [tlp.ID_OF["amber"]]})
    assert sees(borealis, note)


def test_a_revision_that_names_an_unknown_marking_is_kept_back_and_goes_no_further_than_it_was(cast, aster, borealis):
    definition, note = a_definition("green"), a_note()
    build.publish(aster, note, groups=("ring",))
    build.publish(aster, note | {"modified": "2026-06-02T00:00:00Z", "object_marking_refs": [definition["id"]]})
    assert not sees(borealis, note)
    build.publish(aster, definition, groups=("ring",))
    assert (sees(borealis, note), sees(cast.viewer("cygnus"), note)) == (True, False)


def test_what_waits_and_is_sent_again_is_judged_by_the_definitions_of_now(cast, aster, borealis):
    """The definition came by a key that may not publish into the group."""
    definition = a_definition()
    note = marked(definition)
    build.publish(aster, note, groups=("ring",))
    weak = replace(aster, ceiling=Ceiling(Tlp.CLEAR, Width.PARTNERS))
    build.publish(weak, definition, partners=("cygnus",))
    assert not sees(borealis, note)
    assert status(build.publish(aster, note)) == ["unchanged"]
    assert sees(borealis, note)


def test_the_door_of_the_place_where_it_goes_is_asked_before(cast, aster, borealis):
    build.a_ring(cast.aster, cast.borealis, slug="closed", policy="closed-facts")
    classical = json.loads(
        '{"type":"indicator","spec_version":"2.1","created":"2026-01-01T00:00:00.000Z",'
        '"modified":"2026-01-01T00:00:00.000Z","pattern":"[domain-name:value = \'x.example\']","pattern_type":"stix",'
        '"valid_from":"2026-01-01T00:00:00Z"}'
    ) | {"id": f"indicator--{uuid.uuid4()}", "object_marking_refs": [f"marking-definition--{uuid.uuid4()}"]}
    assert status(build.publish(cast.viewer("aster"), classical, groups=("closed",))) == ["not-our-kinds"]
    assert status(build.publish(cast.viewer("aster"), classical, groups=("ring",))) == ["accepted"]


def test_what_needs_a_second_person_waits_for_one_and_so_does_its_definition(cast, aster, borealis):
    steering.change(
        auth.viewer_of_user(build.a_user(cast.aster)),
        replace(steering.settings_of(cast.aster), alone=Ceiling(Tlp.AMBER, Width.PARTNERS)),
    )
    aster, definition = cast.viewer("aster"), a_definition()
    note = marked(definition)
    assert status(build.publish(aster, note, groups=("ring",))) == ["waiting"]
    second = auth.viewer_of_user(build.a_user(cast.aster))
    (held,) = awaiting.waiting(second)
    confirming.confirm(second, held.pk)
    assert not sees(borealis, note)
    assert status(build.publish(aster, definition, partners=("cygnus",))) == ["waiting"]
    assert not sees(borealis, note)
    (held,) = awaiting.waiting(second)
    confirming.confirm(second, held.pk)
    assert sees(borealis, note)


def test_red_for_a_group_is_refused_with_a_code(aster, borealis):
    red = a_note(object_marking_refs=[build.red()])
    for audience in ({"groups": ("ring",)}, {"everyone": True}, {"groups": ("ring",), "partners": ("cygnus",)}):
        assert status(build.publish(aster, red, a_note(), **audience)) == ["red-needs-names", "accepted"]
    assert status(build.publish(aster, red, partners=("borealis",))) == ["accepted"]
    assert sees(borealis, red)


def test_why_red_may_not_go_to_a_group_is_told_whatever_the_policies_of_others_say(cast, aster):
    build.a_ring(cast.aster, cast.borealis, slug="closed", policy="closed-facts")
    classical = {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator--{uuid.uuid4()}",
        "created": "2026-01-01T00:00:00.000Z",
        "modified": "2026-01-01T00:00:00.000Z",
        "pattern": "[domain-name:value = 'x.example']",
        "pattern_type": "stix",
        "valid_from": "2026-01-01T00:00:00Z",
        "object_marking_refs": [build.red()],
    }
    assert status(build.publish(cast.viewer("aster"), classical, groups=("ring",))) == ["red-needs-names"]


@pytest.mark.parametrize("words", ["TLP:RED", "tlp: red", " Tlp :Red "])
@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda words: a_note(labels=["x", words]), "/labels/1"),
        (lambda words: a_statement(words), "/definition/statement"),
        (lambda words: a_definition(words), "/definition/tlp"),
        (lambda words: a_statement(name=words), "/name"),
        (lambda words: a_definition("green", name=words), "/name"),
    ],
)
def test_what_says_red_in_words_that_do_not_bind_is_quarantined(aster, make, field, words):
    said = make(words)
    (result,) = build.results(build.publish(aster, said, groups=("ring",)))
    assert (result["status"], result["code"], result["field"]) == ("quarantined", "says-red", field)
    if said["type"] == "marking-definition":
        (result,) = build.results(build.publish(aster, marked(said), groups=("ring",)))
        assert result["marks"][-1]["code"] == "marking-unresolved"


def test_what_says_red_and_is_marked_so_is_no_quarantine(aster):
    definition = a_definition("red", name="TLP:RED")
    label = {"labels": ["tlp:red"]}
    assert status(build.publish(aster, definition, partners=("borealis",))) == ["accepted"]
    answer = build.publish(aster, marked(definition, **label), a_note(object_marking_refs=[build.red()], **label))
    assert status(answer) == ["accepted", "accepted"]
    assert status(build.publish(aster, a_note(**label), partners=("borealis",), tlp=Tlp.RED)) == ["accepted"]
    assert status(build.publish(aster, a_note(labels=["not TLP:RED"]), groups=("ring",))) == ["accepted"]


def test_the_heir_of_a_partner_follows_its_markings(cast, aster, borealis):
    definition = a_definition()
    note = marked(definition)
    build.publish(aster, note, groups=("ring",))
    leaving.hand_over(cast.aster.pk, cast.borealis.pk)
    assert Marked.unrestricted.get().partner_id == cast.borealis.pk


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("word", ["amber", "red"])
def test_a_definition_and_its_object_pushed_at_the_same_moment_meet(word):
    cast = build.the_cast()
    aster, borealis = cast.viewer("aster"), cast.viewer("borealis")
    for _ in range(8):
        definition = a_definition(word)
        notes = [marked(definition) for _ in range(5)]

        def push(stix):
            try:
                return status(build.publish(aster, *stix, groups=("ring",)))
            finally:
                connections.close_all()

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(push, [notes, [definition]]))
        assert {sees(borealis, note) for note in notes} == {word != "red"}
    assert not Marked.unrestricted.filter(asked__isnull=False).exists()


def test_a_corrected_definition_tightens_older_versions_too(cast, aster, borealis):
    definition = a_definition("amber")
    note = marked(definition)
    newer = a_note(id=note["id"], modified=build.later(), object_marking_refs=[tlp.ID_OF["amber"]])
    build.publish(aster, definition, note, newer, groups=("ring",))
    assert len(reading.statements(borealis, note["id"], versions="all")) == 2
    build.publish(aster, a_definition("red", marking_id=definition["id"], day=2), groups=("ring",))
    (left,) = reading.statements(borealis, note["id"], versions="all")
    assert left.version == newer["modified"]
    assert len(reading.statements(aster, note["id"], versions="all")) == 2


def test_a_correction_asks_no_more_for_many_objects_than_for_few(aster):
    asked = []
    for count in (2, 40):
        definition = a_definition("amber")
        build.publish(aster, definition, *[marked(definition) for _ in range(count)], groups=("ring",))
        with CaptureQueriesContext(connections["default"]) as captured:
            build.publish(aster, a_definition("red", marking_id=definition["id"], day=2), groups=("ring",))
        asked.append(len(captured))
    assert asked[0] >= asked[1]


def test_nothing_is_altered_while_everybody_waits_for_the_log(aster):
    definition = a_definition("amber")
    build.publish(aster, definition, marked(definition), groups=("ring",))
    with CaptureQueriesContext(connections["default"]) as captured:
        build.publish(aster, a_definition("red", marking_id=definition["id"], day=2), groups=("ring",))
    before, _, after = "; ".join(one["sql"] for one in captured).partition(appending._LOCK)
    assert "UPDATE indicators_" in before
    assert after
    assert "UPDATE indicators_" not in after


@pytest.mark.parametrize("groups", [("pact",), ()], ids=["named", "by default"])
def test_an_allys_waits_as_a_labs_while_what_is_known_of_its_marking_is_within_its_clearance(cast, aster, groups):
    ally = build.a_partner("Lyra", kind="ally")
    build.a_ring(cast.aster, ally, slug="pact")
    lyra, definition, red = build.viewer_of(ally), a_definition("green"), a_definition("red")
    refs = [tlp.ID_OF["amber"], definition["id"]]
    note = a_note(object_marking_refs=refs)
    (result,) = build.results(build.publish(lyra, note, groups=groups))
    assert (result["status"], result["marks"][-1]["code"]) == ("accepted", "marking-unresolved")
    assert not sees(aster, note)
    assert status(build.publish(lyra, note | {"modified": build.later()}, groups=groups)) == ["accepted"]
    strict = a_note(object_marking_refs=[tlp.ID_OF["amber+strict"], definition["id"]])
    assert status(build.publish(lyra, strict, groups=groups)) == ["over-clearance"]
    assert status(build.publish(lyra, marked(definition), groups=groups, tlp=Tlp.AMBER_STRICT)) == ["over-clearance"]
    assert status(build.publish(lyra, definition, groups=groups)) == ["accepted"]
    assert sees(aster, note)
    assert marking_of(lyra, note) is Tlp.AMBER
    beyond = a_note(object_marking_refs=[tlp.ID_OF["amber"], red["id"]])
    assert status(build.publish(lyra, beyond, groups=groups)) == ["accepted"]
    assert status(build.publish(lyra, red, groups=groups)) == ["accepted"]
    assert not sees(aster, beyond), "it stays as it was"
