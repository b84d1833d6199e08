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
        ({"spec_version": 2.1}, "unsupported-version", "/spec_version"),
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
        ({"revoked": "true"}, "wrong-type", "/revoked"),
        ({"confidence": 101}, "out-of-range", "/confidence"),
        ({"confidence": True}, "out-of-range", "/confidence"),
        ({"confidence": 70.5}, "out-of-range", "/confidence"),
        ({"created_by_ref": ["identity"]}, "wrong-type", "/created_by_ref"),
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
    ],
)
def test_sloppy_but_readable_objects_are_taken(changes):
    assert isinstance(read(**changes), Draft)


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
