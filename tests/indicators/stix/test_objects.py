"""One parsed object to a draft: what must be readable is checked, everything else is the producer's own."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indicators.stix import objects, parsing
from indicators.stix.drafts import Draft, Refusal, Unreadable
from tests.indicators.stix import shared

UUID = "00000000-0000-4000-8000-000000000001"
INDICATOR = {
    "type": "indicator",
    "spec_version": "2.1",
    "id": f"indicator--{UUID}",
    "created": "2026-01-31T08:00:00.000Z",
    "modified": "2026-01-31T09:00:00.123456789Z",
    "pattern": "[domain-name:value = 'evil.example']",
    "pattern_type": "stix",
    "valid_from": "2026-01-31T08:00:00Z",
}


def read(**changes) -> Draft | Refusal:
    data = {name: value for name, value in (INDICATOR | changes).items() if value is not ...}
    return objects.draft(0, json.dumps(data).encode(), data)


def test_what_the_columns_need_is_read_from_the_object():
    draft = read(name=" A  name\n", confidence=70, revoked=True, valid_until="2026-02-01T00:00:00Z")
    assert draft.title == "A name"
    assert (draft.confidence, draft.revoked, draft.pattern_type) == (70, True, "stix")
    assert draft.created == datetime(2026, 1, 31, 8, tzinfo=UTC)
    assert draft.valid_until == datetime(2026, 2, 1, tzinfo=UTC)


def test_a_version_is_kept_as_written_and_cut_to_microseconds_for_the_column():
    draft = read()
    assert draft.version == "2026-01-31T09:00:00.123456789Z"
    assert draft.modified == datetime(2026, 1, 31, 9, microsecond=123456, tzinfo=UTC)


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"type": ...}, "bad-type", "/type"),
        ({"type": 1}, "bad-type", "/type"),
        ({"type": "Indicator"}, "bad-type", "/type"),
        ({"type": "x"}, "bad-type", "/type"),
        ({"type": "bundle", "id": f"bundle--{UUID}"}, "nested-bundle", "/type"),
        ({"spec_version": "3.0"}, "unsupported-version", "/spec_version"),
        ({"spec_version": 3}, "unsupported-version", "/spec_version"),
        ({"id": ...}, "bad-id", "/id"),
        ({"id": f"malware--{UUID}"}, "bad-id", "/id"),
        ({"id": "indicator--1"}, "bad-id", "/id"),
        ({"id": f"indicator--{UUID}\n"}, "bad-id", "/id"),
        ({"id": f"indicator--{{{UUID}}}"}, "bad-id", "/id"),
        ({"created": "yesterday"}, "bad-timestamp", "/created"),
        ({"created": 1}, "bad-timestamp", "/created"),
        ({"modified": "2026-01-31T08:00:00+01:00"}, "bad-timestamp", "/modified"),
        ({"modified": "2026-101-31T08:00:00Z"}, "bad-timestamp", "/modified"),
        ({"modified": "2026-02-30T08:00:00Z"}, "bad-timestamp", "/modified"),
        ({"modified": "2026-01-31T08:00:00Z\n"}, "bad-timestamp", "/modified"),
        ({"modified": "٢٠٢٦-01-31T08:00:00Z"}, "bad-timestamp", "/modified"),
        ({"valid_until": "2026-01-31"}, "bad-timestamp", "/valid_until"),
        ({"valid_from": ...}, "missing-property", "/valid_from"),
        ({"valid_from": None}, "missing-property", "/valid_from"),
        ({"pattern": ...}, "missing-property", "/pattern"),
        ({"pattern": ["x"]}, "missing-property", "/pattern"),
        ({"pattern_type": ""}, "missing-property", "/pattern_type"),
        ({"pattern_type": "x" * 61}, "too-long", "/pattern_type"),
        ({"pattern": "[ipv5-addr"}, "bad-pattern", "/pattern"),
        ({"revoked": "perhaps"}, "wrong-type", "/revoked"),
        ({"revoked": ""}, "wrong-type", "/revoked"),
        ({"revoked": 2}, "wrong-type", "/revoked"),
        ({"revoked": [True]}, "wrong-type", "/revoked"),
        ({"object_marking_refs": None}, "wrong-type", "/object_marking_refs"),
        ({"object_marking_refs": "TLP:RED"}, "wrong-type", "/object_marking_refs"),
        ({"granular_markings": {}}, "wrong-type", "/granular_markings"),
        ({"modified": "2026-01-31T08:00:00.١٢٣Z"}, "bad-timestamp", "/modified"),
        ({"modified": "2026-01-31T24:00:00Z"}, "bad-timestamp", "/modified"),
        ({"modified": "2026-01-31T22:59:60Z"}, "bad-timestamp", "/modified"),
        ({"modified": "9999-12-31T23:59:60Z"}, "bad-timestamp", "/modified"),
    ],
)
def test_what_cannot_be_read_is_refused_by_its_field(changes, code, field):
    refusal = read(**changes)
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.field) == (code, field)


@pytest.mark.parametrize(
    "changes",
    [
        {"spec_version": ...},
        {"spec_version": "2.0"},
        {"modified": "2020-01-01T00:00:00Z"},  # before created, as in a real framework
        {"id": "indicator--00000000-0000-0000-0000-000000000000"},
        {"id": "indicator--ABCDEF00-0000-1000-8000-00000000000F"},
        {"created_by_ref": "identity--not-available"},
        {"x_custom": {"any": [1, None, {"thing": True}]}, "labels": "not a list", "lang": 5},
        {"extensions": {"extension-definition--x": {}}},
        {"extensions": []},
        {"modified": None},
        {"spec_version": ..., "pattern_type": ...},
        {"confidence": "85", "revoked": None, "created_by_ref": ["identity"], "labels": None},
    ],
)
def test_sloppy_but_readable_objects_are_taken(changes):
    assert isinstance(read(**changes), Draft)


@pytest.mark.parametrize(
    ("written", "held", "marks"),
    [
        (85, 85, []),
        (85.0, 85, []),
        (0, 0, []),
        (100, 100, []),
        (101, None, ["out-of-range"]),
        (-1, None, ["out-of-range"]),
        (70.5, None, ["wrong-type"]),
        ("85", None, ["wrong-type"]),
        (True, None, ["wrong-type"]),
        (None, None, ["wrong-type"]),
        ([85], None, ["wrong-type"]),
    ],
)
def test_a_confidence_that_is_no_whole_number_up_to_100_is_unknown_and_marked(written, held, marks):
    draft = read(confidence=written)
    assert draft.confidence == held
    assert [mark.code for mark in draft.marks if mark.field == "/confidence"] == marks


@pytest.mark.parametrize(
    ("written", "meant"),
    [(True, True), (False, False), (None, False), (0, False), (0.0, False), ("false", False), ("False", False),
     (1, True), (1.0, True), ("true", True), ("TRUE", True)],
)  # fmt: skip
def test_what_revokes_beyond_doubt_revokes_and_what_does_not_does_not(written, meant):
    draft = read(revoked=written)
    assert draft.revoked is meant
    assert ("wrong-type" in [mark.code for mark in draft.marks if mark.field == "/revoked"]) is (
        not isinstance(written, bool)
    )


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        ("2.1", "2.1"),
        ("2.0", "2.0"),
        (..., "2.0"),
        (None, "2.0"),
        (2.1, "2.1"),
        (2, "2.0"),
        (2.0, "2.0"),
        (True, "2.0"),
    ],
)
def test_a_spec_version_that_is_no_string_is_marked(written, read_as):
    draft = read(spec_version=written)
    assert draft.spec_version == read_as
    assert ("/spec_version" in [mark.field for mark in draft.marks]) is (written != "2.1")


@pytest.mark.parametrize("spec_version", [..., "2.0", 2.0, None])
def test_an_indicator_of_stix_2_0_need_not_name_the_language_of_its_pattern(spec_version):
    draft = read(spec_version=spec_version, pattern_type=...)
    assert (draft.pattern_type, draft.spec_version) == ("stix", "2.0")
    assert [token.value for token in draft.tokens] == ["evil.example"]
    assert {"/pattern_type", "/spec_version"} <= {mark.field for mark in draft.marks}


def test_of_an_indicator_of_stix_2_0_the_pattern_is_checked_as_of_any_other():
    assert read(spec_version=..., pattern_type=..., pattern="rule x { }").code == "bad-pattern"
    unknown = read(spec_version=..., pattern_type=..., pattern="[app:id = 'x']")
    assert "unknown-pattern-object" in [mark.code for mark in unknown.marks]


def test_an_indicator_of_stix_2_1_names_the_language_of_its_pattern():
    refusal = read(pattern_type=...)
    assert (refusal.code, refusal.field) == ("missing-property", "/pattern_type")


def test_a_leap_second_is_the_moment_after_it_and_its_fraction_is_kept():
    draft = read(created="2016-12-31T23:59:60Z", modified="2016-12-31T23:59:60.250Z")
    assert draft.created == datetime(2017, 1, 1, tzinfo=UTC)
    assert draft.modified == datetime(2017, 1, 1, microsecond=250_000, tzinfo=UTC)
    assert draft.version == "2016-12-31T23:59:60.250Z"


def test_an_id_is_held_in_lower_case_and_its_bytes_as_they_came():
    draft = read(id=INDICATOR["id"].upper().replace("INDICATOR", "indicator").replace("1", "A"))
    assert draft.stix_id == INDICATOR["id"].replace("1", "a")
    assert b"00A" in draft.raw


@pytest.mark.parametrize(
    "name", ["created_by_ref", "sighting_of_ref", "source_ref", "object_refs", "where_sighted_refs"]
)
@pytest.mark.parametrize("value", [None, 7, True, {"id": 1}, [None, 7, ["x"]], [], ""])
def test_references_that_are_none_are_marked(name, value):
    stix_type = "relationship" if name == "source_ref" else "report" if name == "object_refs" else "sighting"
    data = {"type": stix_type, "spec_version": "2.1", "id": f"{stix_type}--{UUID}", "created": INDICATOR["created"]}
    data |= {"modified": INDICATOR["created"], name: value}
    draft = objects.draft(0, json.dumps(data).encode(), data)
    assert f"/{name}" in {"/".join(mark.field.split("/")[:2]) for mark in draft.marks}


@pytest.mark.parametrize("stix_type", ["x-mitre-tactic", "campaign", "ipv4-addr", "something-new"])
def test_objects_of_every_type_are_taken_without_dates_or_names(stix_type):
    data = {"type": stix_type, "id": f"{stix_type}--{UUID}"}
    draft = objects.draft(3, json.dumps(data).encode(), data)
    assert (draft.index, draft.title, draft.version, draft.modified) == (3, stix_type, None, None)


def test_a_title_is_bounded():
    assert len(read(name="x" * 5_000).title) == 200


@given(st.dictionaries(st.sampled_from(sorted(INDICATOR)), st.none() | st.integers() | st.text() | st.lists(st.text())))
def test_any_value_of_any_property_is_read_or_refused(changes):
    assert isinstance(read(**changes), Draft | Refusal)


@shared.needed
@pytest.mark.parametrize("path", shared.bundles(), ids=lambda path: path.name)
def test_real_objects_are_read_with_their_exact_bytes(path):
    body = shared.read(path)
    elements = parsing.read_batch(body)
    refused = [element.refusal for element in elements if isinstance(element, Unreadable)]
    bad_month = "INVALID" in path.name  # one timestamp in it has the month 101
    assert [refusal.code for refusal in refused] == ["bad-timestamp"] * bad_month
    whole = json.loads(body)
    place = 0
    for element, meant in zip(elements, whole.get("objects", [whole]), strict=True):
        if isinstance(element, Draft):
            place = body.index(element.raw, place) + len(element.raw)
            assert json.loads(element.raw) == meant


@shared.needed
def test_what_the_reference_validator_takes_is_taken():
    refused = [
        case["test"]
        for case in shared.lines("vectors", "stix-validator", "objects.jsonl.gz")
        if case["valid_must_only"] and case["instance"].get("type") != "bundle"
        for element in parsing.read_batch(json.dumps(case["instance"]).encode())
        if isinstance(element, Unreadable)
    ]
    assert not refused
