"""Strict and lenient intake: what is marked and how it is found again, and that no mark ever widens an audience."""

import uuid

import pytest

from indicators.models import StixObject
from indicators.stix import conformance, tlp
from partners.models import Group
from tests import build
from tests.indicators.api.caller import code, read

TIMES = {"created": "2026-01-31T08:00:00.000Z", "modified": "2026-01-31T09:00:00.000Z"}


def a_campaign(**more) -> dict:
    made = {"type": "campaign", "spec_version": "2.1", "id": f"campaign--{uuid.uuid4()}", "name": "x"} | TIMES | more
    return {name: value for name, value in made.items() if value is not ...}


def an_app(**more) -> dict:
    pattern = {"pattern": "[app:id='org.example']", "pattern_type": "stix", "valid_from": "2026-01-01T00:00:00Z"}
    return a_campaign(**pattern, **more) | {"type": "indicator", "id": f"indicator--{uuid.uuid4()}"}


SLOPPY = {
    "unknown-pattern-object": an_app(),
    "missing-spec-version": a_campaign(spec_version=...),
    "old-spec-version": a_campaign(spec_version="2.0"),
    "modified-before-created": a_campaign(modified="2025-01-31T09:00:00.000Z"),
    "timestamp-precision": a_campaign(modified="2026-01-31T09:00:00Z"),
    "bad-value": a_campaign() | {"type": "opinion", "id": f"opinion--{uuid.uuid4()}", "opinion": "meh", "object_refs": [a_campaign()["id"]]},
    "bad-reference": a_campaign(created_by_ref="identity--not-available"),
    "altered-marking": {"type": "marking-definition", "spec_version": "2.1", "id": tlp.ID_OF["red"], "created": TIMES["created"], "definition_type": "tlp", "definition": {"tlp": "white"}, "name": "x"},
}  # fmt: skip


@pytest.mark.parametrize("mark", SLOPPY)
def test_a_lenient_group_takes_what_is_sloppy_marks_it_and_keeps_its_bytes(aster, borealis, mark):
    answer = read(aster.push(SLOPPY[mark], query="?groups=ring"))
    (result,) = answer["results"]
    assert result["status"] == "accepted"
    assert mark in [each["code"] for each in result["marks"]]
    (seen,) = read(borealis.get(f"objects?mark={mark}"))["objects"]
    assert seen["object"] == SLOPPY[mark]
    assert mark in [each["code"] for each in seen["marks"]]
    assert read(borealis.get("objects?unmarked=true"))["objects"] == []


@pytest.mark.parametrize("mark", sorted(set(SLOPPY) - {"unknown-pattern-object"}))
def test_a_strict_group_refuses_the_same_as_not_listed(cast, aster, mark):
    Group.objects.filter(pk=cast.ring.pk).update(policy=Group.Policy.CLOSED_FACTS)
    (result,) = read(aster.push(SLOPPY[mark], query="?groups=ring"))["results"]
    assert (result["status"], result["code"]) == ("refused", "not-listed")
    assert not StixObject.unrestricted.exists()


def test_the_strictest_of_several_groups_decides(cast, aster):
    build.a_ring(cast.aster, slug="strict", policy=Group.Policy.CLOSED_FACTS)
    sloppy = a_campaign(spec_version=...)
    (result,) = read(aster.push(sloppy, query="?groups=ring,strict"))["results"]
    assert (result["status"], result["code"]) == ("refused", "not-listed")
    (result,) = read(aster.push(sloppy, query="?groups=ring"))["results"]
    assert result["status"] == "accepted"


def test_what_conforms_has_no_marks(aster):
    fine = build.an_indicator(tlp_word="green")
    (result,) = read(aster.push(fine))["results"]
    assert "marks" not in result
    (seen,) = read(aster.get("objects?unmarked=true"))["objects"]
    assert seen["object"]["id"] == fine["id"]
    assert "marks" not in seen
    assert read(aster.get(f"objects?mark={','.join(conformance.WORDS)}"))["objects"] == []


def test_a_mark_that_there_is_not_is_refused_as_a_filter(aster):
    assert code(aster.get("objects?mark=nonsense"), 422) == "unknown-mark"


def test_a_cursor_of_marked_objects_is_for_them_alone(aster):
    aster.push(a_campaign(spec_version=...), a_campaign(spec_version=...))
    following = read(aster.get("objects?mark=missing-spec-version&limit=1"))["next"]
    assert code(aster.get(f"objects?unmarked=true&limit=1&cursor={following}"), 400) == "bad-cursor"


def test_the_security_of_the_door_binds_where_intake_is_lenient(cast, aster):
    card = a_campaign(spec_version=..., name="4111 1111 1111 1111")
    foreign = a_campaign(spec_version=..., created_by_ref=cast.borealis.identity_id)
    results = read(aster.push(card, foreign, b'{"type":"a","type":"b"}', query="?groups=ring"))["results"]
    assert [(result["status"], result["code"]) for result in results] == [
        ("refused", "card-number"),
        ("refused", "foreign-creator"),
        ("refused", "duplicate-key"),
    ]


def a_definition(word: str, *, marking_id: str = "", **more) -> dict:
    return {
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": marking_id or f"marking-definition--{uuid.uuid4()}",
        "created": TIMES["created"],
        "definition_type": "tlp",
        "definition": {"tlp": word},
    } | more


def tlp_seen(caller, stix_id: str) -> str:
    return read(caller.get(f"objects/{stix_id}"))["statements"][0]["tlp"]


@pytest.mark.parametrize("in_one_batch", [True, False])
def test_a_tlp_under_an_id_of_its_own_binds_as_the_standards_does(aster, borealis, in_one_batch):
    definition = a_definition("red")
    held = a_campaign(object_marking_refs=[definition["id"]])
    if in_one_batch:
        aster.push(held, definition)
    else:
        aster.push(definition)
        aster.push(held)
    assert tlp_seen(aster, held["id"]) == "red"
    assert borealis.get(f"objects/{held['id']}").status_code == 404


def test_a_granular_marking_of_that_kind_binds_the_whole_object(aster):
    definition = a_definition("red")
    held = a_campaign(granular_markings=[{"selectors": ["name"], "marking_ref": definition["id"]}])
    aster.push(definition, held)
    assert tlp_seen(aster, held["id"]) == "red"


def test_an_altered_definition_never_weakens_what_its_id_says(aster):
    altered = a_definition("white", marking_id=tlp.ID_OF["red"])
    held = a_campaign(object_marking_refs=[tlp.ID_OF["red"]])
    aster.push(altered, held)
    assert tlp_seen(aster, held["id"]) == "red"


def test_an_altered_definition_that_says_more_than_its_id_is_heeded(aster):
    altered = a_definition("red", marking_id=tlp.ID_OF["green"])
    held = a_campaign(object_marking_refs=[tlp.ID_OF["green"]])
    aster.push(altered, held)
    assert tlp_seen(aster, held["id"]) == "red"


@pytest.mark.parametrize("author", ["borealis", "cygnus", None])
def test_what_others_define_explains_nothing_whether_one_may_see_it_or_not(cast, aster, borealis, cygnus, author):
    definition = a_definition("clear")
    if author:
        {"borealis": borealis, "cygnus": cygnus}[author].push(definition)
    held = a_campaign(object_marking_refs=[definition["id"], tlp.ID_OF["green"]])
    (result,) = read(aster.push(held))["results"]
    assert "marking-unresolved" in [mark["code"] for mark in result["marks"]]
    assert tlp_seen(aster, held["id"]) == "red"
    assert borealis.get(f"objects/{held['id']}").status_code == 404


def test_what_others_define_makes_nothing_stricter_that_one_defines_oneself(aster, borealis):
    definition = a_definition("green")
    borealis.push(a_definition("red", marking_id=definition["id"]))
    held = a_campaign(object_marking_refs=[definition["id"]])
    aster.push(definition, held)
    assert tlp_seen(aster, held["id"]) == "green"
