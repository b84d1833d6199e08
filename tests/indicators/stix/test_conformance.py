"""STIX 2.1 by its MUSTs: what is wrong is named by code, place and section, never by value; all else is left alone."""

import importlib.util
import json
import re
import time
from pathlib import Path

import pytest
from hypothesis import given

from indicators.stix import conformance, making, oasis, parsing, rules, tlp, vocabulary
from tests import strategies

UUID4 = "8a1d1f5e-0d8e-4c6b-9a39-1f6a3c5d7e90"
UUID5 = "8a1d1f5e-0d8e-5c6b-9a39-1f6a3c5d7e90"
TIMES = {"created": "2026-01-31T08:00:00.000Z", "modified": "2026-01-31T09:00:00.000Z"}
STATED = tlp.ID_OF["green"]


def an_object(stix_type: str, **more) -> dict:
    """The least that all domain and relationship objects have."""
    made = {"type": stix_type, "spec_version": "2.1", "id": f"{stix_type}--{UUID4}"} | TIMES | more
    return {name: value for name, value in made.items() if value is not ...}


def an_observable(stix_type: str, **more) -> dict:
    return {"type": stix_type, "id": f"{stix_type}--{UUID5}"} | more


def wrong(data: dict) -> list[tuple[str, str]]:
    return [(problem.code, problem.field) for problem in conformance.problems(data)]


RELATIONSHIP = {"relationship_type": "uses", "source_ref": f"campaign--{UUID4}", "target_ref": f"tool--{UUID4}"}
FINE = [
    making.account_pattern(tlp_word="amber"),
    making.payment_fingerprint(),
    making.prompt_signature("regex"),
    *vocabulary.extension_definitions(schemas_url="https://exchange.example/schemas"),
    vocabulary.token_object(kind="account-pattern", subkind="email", token=making.token("ab" * 32)),
    an_object("campaign", name="x", first_seen="2026-01-01T00:00:00Z", last_seen="2026-01-01T00:00:00.0Z"),
    an_object("identity", name="x", identity_class="of a new kind"),
    an_object("relationship", **RELATIONSHIP),
    an_object("x-their-type", anything={"goes": [1, None, {"A B": "c"}]}, their_property=1.5),
    an_object("campaign", name="x", id="campaign--0199a2f4-1111-7abc-9abc-0123456789ab"),
    an_object("note", content="x", object_refs=[f"x-their-type--{UUID4}"], extensions={f"extension-definition--{UUID4}": {"extension_type": "property-extension", "any_thing": 1}}),
    an_object("indicator", pattern="[file:name = 'foo:bar']", pattern_type="stix", valid_from="2026-01-01T00:00:00Z"),
    an_object("indicator", pattern="app:id", pattern_type="sigma", valid_from="2026-01-01T00:00:00Z"),
    an_object("marking-definition", modified=..., definition_type="statement", definition={"statement": "c"}),
    an_object("language-content", object_ref=f"campaign--{UUID4}", contents={"de-CH": {"name": "x"}}),
    an_object("observed-data", first_observed="2026-01-01T00:00:00Z", last_observed="2026-01-01T00:00:00Z", number_observed=1, objects={"0": {"type": "ipv4-addr", "value": "198.51.100.7"}}),
    an_object("campaign", name="Königin", lang="de", granular_markings=[{"selectors": ["name"], "marking_ref": STATED}, {"selectors": ["id"], "lang": "de"}]),
    an_observable("ipv6-addr", value="2001:db8::1/64"),
    an_observable("email-addr", value="a@example.org", belongs_to_ref=f"user-account--{UUID5}"),
    an_observable("file", name="x", hashes={"SHA-256": "ab" * 32, "x-their-hash": "anything"}),
    an_observable("x-their-observable", value=1),
    an_observable("process", id=f"process--{UUID4}", pid=1, created_time="2026-01-01T00:00:00Z"),
]  # fmt: skip


@pytest.mark.parametrize("data", FINE, ids=lambda data: data["type"])
def test_what_the_specification_allows_is_left_alone(data):
    assert wrong(data) == []


WRONG = {
    "no version": (an_object("campaign", name="x", spec_version=...), "missing-spec-version", "/spec_version"),
    "an old version": (an_object("campaign", name="x", spec_version="2.0"), "old-spec-version", "/spec_version"),
    "no name": (an_object("campaign"), "missing-property", "/name"),
    "a number as name": (an_object("campaign", name=7), "wrong-type", "/name"),
    "null": (an_object("campaign", name="x", description=None), "wrong-type", "/description"),
    "an empty list": (an_object("campaign", name="x", labels=[]), "empty", "/labels"),
    "an empty list of their own": (an_object("campaign", name="x", x_list=[]), "empty", "/x_list"),
    "no milliseconds": (an_object("campaign", name="x", created="2026-01-31T08:00:00Z"), "timestamp-precision", "/created"),
    "modified before": (an_object("campaign", name="x", modified="2026-01-31T07:59:59.999Z"), "modified-before-created", "/modified"),
    "by a nanosecond": (an_object("campaign", name="x", created="2026-01-31T08:00:00.000000002Z", modified="2026-01-31T08:00:00.000000001Z"), "modified-before-created", "/modified"),
    "no such day": (an_object("campaign", name="x", first_seen="2026-02-30T00:00:00Z"), "bad-timestamp", "/first_seen"),
    "no time zone": (an_object("campaign", name="x", first_seen="2026-02-20T00:00:00"), "bad-timestamp", "/first_seen"),
    "an end before": (an_object("campaign", name="x", first_seen="2026-02-02T00:00:00Z", last_seen="2026-02-01T00:00:00Z"), "end-before-start", "/last_seen"),
    "an end at its start": (an_object("relationship", **RELATIONSHIP, start_time="2026-02-02T00:00:00Z", stop_time="2026-02-02T00:00:00.000Z"), "end-before-start", "/stop_time"),
    "a validity that ends at once": (an_object("indicator", pattern="x", pattern_type="yara", valid_from="2026-01-01T00:00:00Z", valid_until="2026-01-01T00:00:00Z"), "end-before-start", "/valid_until"),
    "another id": (an_object("campaign", name="x", id=f"tool--{UUID4}"), "bad-id", "/id"),
    "a UUID of no variant": (an_object("campaign", name="x", id="campaign--00000000-0000-0000-0000-000000000000"), "bad-id", "/id"),
    "a creator that is none": (an_object("campaign", name="x", created_by_ref=f"tool--{UUID4}"), "bad-reference", "/created_by_ref"),
    "a marking that is none": (an_object("campaign", name="x", object_marking_refs=[STATED, f"tool--{UUID4}"]), "bad-reference", "/object_marking_refs/1"),
    "a relationship to a relationship": (an_object("relationship", **RELATIONSHIP | {"target_ref": f"relationship--{UUID4}"}), "bad-reference", "/target_ref"),
    "a relationship from a word": (an_object("relationship", **RELATIONSHIP | {"source_ref": "they"}), "bad-reference", "/source_ref"),
    "a sighting somewhere else": (an_object("sighting", sighting_of_ref=f"tool--{UUID4}", where_sighted_refs=[f"tool--{UUID4}"]), "bad-reference", "/where_sighted_refs/0"),
    "a mailbox of a file": (an_observable("email-addr", value="a@example.org", belongs_to_ref=f"file--{UUID5}"), "bad-reference", "/belongs_to_ref"),
    "confidence": (an_object("campaign", name="x", confidence=101), "out-of-range", "/confidence"),
    "a port": (an_observable("network-traffic", protocols=["tcp"], src_ref=f"ipv4-addr--{UUID5}", src_port=70000), "out-of-range", "/src_port"),
    "latitude": (an_object("location", latitude=91, longitude=1), "out-of-range", "/latitude"),
    "latitude alone": (an_object("location", latitude=1), "bad-combination", ""),
    "an opinion of its own": (an_object("opinion", opinion="meh", object_refs=[f"tool--{UUID4}"]), "bad-value", "/opinion"),
    "a reserved name": (an_object("campaign", name="x", severity="high"), "reserved-name", ""),
    "a name in capitals": (an_object("campaign", name="x", Their_Property=1), "bad-name", ""),
    "a name of two letters": (an_object("campaign", name="x", ab=1), "bad-name", ""),
    "an extension by name": (an_object("campaign", name="x", extensions={"their thing": {"a": 1}}), "bad-name", "/extensions"),
    "an extension of no type": (an_object("campaign", name="x", extensions={f"extension-definition--{UUID4}": {"a": 1}}), "missing-property", f"/extensions/extension-definition--{UUID4}/extension_type"),
    "an extension of a wrong type": (an_object("campaign", name="x", extensions={f"extension-definition--{UUID4}": {"extension_type": "theirs"}}), "bad-value", f"/extensions/extension-definition--{UUID4}/extension_type"),
    "a selector of nothing": (an_object("campaign", name="x", granular_markings=[{"selectors": ["description"], "marking_ref": STATED}]), "bad-selector", "/granular_markings/0/selectors/0"),
    "a selector beyond a list": (an_object("campaign", name="x", labels=["a"], granular_markings=[{"selectors": ["labels.[1]"], "marking_ref": STATED}]), "bad-selector", "/granular_markings/0/selectors/0"),
    "a marking and a language": (an_object("campaign", name="x", granular_markings=[{"selectors": ["name"], "marking_ref": STATED, "lang": "de"}]), "bad-combination", "/granular_markings/0"),
    "a language": (an_object("campaign", name="x", lang="español"), "bad-language", "/lang"),
    "a translation into nothing": (an_object("language-content", object_ref=f"campaign--{UUID4}", contents={"i n": {"name": "x"}}), "bad-name", "/contents"),
    "a translation of no property": (an_object("language-content", object_ref=f"campaign--{UUID4}", contents={"de": {"A": "x"}}), "bad-name", "/contents/de"),
    "an altered TLP": (an_object("marking-definition", modified=..., id=STATED, definition_type="tlp", definition={"tlp": "white"}), "altered-marking", ""),
    "a TLP of its own": (an_object("marking-definition", modified=..., definition_type="tlp", definition={"tlp": "red"}), "altered-marking", ""),
    "an empty marking": (an_object("marking-definition", modified=...), "missing-property", "/definition_type"),
    "a marking without words": (an_object("marking-definition", modified=..., definition_type="statement", definition={}), "missing-property", "/definition/statement"),
    "a marking of itself": (an_object("marking-definition", modified=..., definition_type="statement", definition={"statement": "c"}, object_marking_refs=[f"marking-definition--{UUID4}"]), "self-reference", "/object_marking_refs"),
    "an extension-definition's properties": (an_object("extension-definition", name="x", schema="x", version="1", extension_types=["new-sdo"], extension_properties=["abc"]), "bad-combination", ""),
    "a hash": (an_observable("file", hashes={"MD5": "x"}), "bad-hash", "/hashes/MD5"),
    "a hash's name": (an_observable("file", hashes={"a b": "x"}), "bad-name", "/hashes"),
    "an address": (an_observable("ipv4-addr", value="300.1.1.1"), "bad-format", "/value"),
    "a longer address": (an_observable("ipv6-addr", value="fe80::1/129"), "bad-format", "/value"),
    "a mailbox": (an_observable("email-addr", value="John <john@example.org>"), "bad-format", "/value"),
    "a random process": (an_observable("process", pid=1), "bad-id", "/id"),
    "an account without a name": (an_observable("user-account", display_name="x"), "bad-id", "/id"),
    "observed twice": (an_object("observed-data", first_observed="2026-01-01T00:00:00Z", last_observed="2026-01-01T00:00:00Z", number_observed=1, objects={"0": {"type": "ipv4-addr", "value": "x"}}, object_refs=[f"ipv4-addr--{UUID5}"]), "bad-format", "/objects/0/value"),
    "a domain object observed": (an_object("observed-data", first_observed="2026-01-01T00:00:00Z", last_observed="2026-01-01T00:00:00Z", number_observed=1, object_refs=[f"tool--{UUID4}"]), "bad-reference", "/object_refs/0"),
    "an app": (an_object("indicator", pattern="[app:id='org.example']", pattern_type="stix", valid_from="2026-01-01T00:00:00Z"), "unknown-pattern-object", "/pattern"),
    "an app among others": (an_object("indicator", pattern="[url:value = 'http://x' OR configuration-profile:id = 'y']", pattern_type="stix", valid_from="2026-01-01T00:00:00Z"), "unknown-pattern-object", "/pattern"),
    "a CVE under another name": (an_object("vulnerability", name="x", external_references=[{"source_name": "nvd", "external_id": "CVE-2026-12345"}]), "bad-combination", "/external_references/0"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_breaks_the_specification_is_named_by_code_and_place(name):
    data, code, pointer = WRONG[name]
    assert (code, pointer) in wrong(data)


@pytest.mark.parametrize("name", WRONG)
def test_a_problem_says_what_and_where_in_the_specification_and_repeats_no_value(name):
    for problem in conformance.problems(WRONG[name][0]):
        assert re.search(r"\(STIX 2\.1 §\d(\.\d+)+\)\.$", problem.message)
        assert problem.message.startswith(conformance.WORDS[problem.code])


def test_every_code_is_told_of_at_least_once():
    told = {problem.code for data, *_ in WRONG.values() for problem in conformance.problems(data)}
    assert told == set(conformance.WORDS)


def test_a_key_that_may_be_a_value_ends_the_pointer():
    data = an_observable("file", name="x", hashes={"someone@example.org": 1, "MD5": "x"})
    told = repr(conformance.problems(data))
    assert "example.org" not in told
    assert "/hashes/MD5" in told


LARGE = {
    "references": {"object_refs": ["x"] * 100_000},
    "names": {"object_refs": [f"tool--{UUID4}"]} | {f"A{number}": 1 for number in range(60_000)},
    "nothings": {"object_refs": [f"tool--{UUID4}"]} | {f"x_{number}": None for number in range(60_000)},
    "far away": {"object_refs": [f"tool--{UUID4}"] * 30_000 + ["x"]},
}


@pytest.mark.parametrize("name", LARGE)
def test_a_large_object_is_judged_in_bounded_time_with_bounded_marks(name):
    data = an_object("report", name="x", published="2026-01-01T00:00:00Z", **LARGE[name])
    began = time.process_time()
    assert 0 < len(conformance.problems(data)) <= conformance.MAX_MARKS
    assert time.process_time() - began < 1.5


def test_a_place_in_a_long_list_is_named_as_it_is_in_the_whole():
    data = an_object("campaign", name="x", labels=["x"] * 1_234 + [7])
    assert wrong(data) == [("wrong-type", "/labels/1234")]


HOSTILE = {
    "a long word": "a" * 8_000,
    "many quotes": "'" * 8_000,
    "many types": "[" + " OR ".join(["a:b = 1"] * 600) + "]",
    "many backslashes": "[a:b = '" + "\\\\" * 3_900,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_pattern_is_looked_through_in_linear_time(name):
    data = an_object("indicator", pattern=HOSTILE[name], pattern_type="stix", valid_from="2026-01-01T00:00:00Z")
    began = time.thread_time()
    rules.broken(data)
    assert time.thread_time() - began < 5.0, "of the processor; by the square it takes minutes"


def test_the_schemas_are_as_oasis_published_them():
    found = importlib.util.find_spec("stix2validator")
    theirs = Path(found.submodule_search_locations[0]) / "schemas-2.1" / "schemas"
    ours = sorted(oasis._FILES.glob("*/*.json"))
    assert len(ours) == 56
    assert all((theirs / path.parent.name / path.name).read_bytes() == path.read_bytes() for path in ours)


@given(strategies.any_stix())
def test_whatever_an_object_holds_it_is_judged_and_never_raises(data):
    for problem in conformance.problems(data):
        assert problem.code in conformance.WORDS


@given(strategies.valid_stix())
def test_objects_made_by_the_book_have_no_marks(data):
    assert wrong(data) == []


@given(strategies.broken_stix())
def test_an_object_with_one_thing_broken_is_told_so(broken):
    data, code = broken
    assert code in {found for found, _ in wrong(data)}


@given(strategies.valid_stix(), strategies.unknown_properties())
def test_what_is_unknown_is_never_refused_and_survives_byte_for_byte(data, unknown):
    raw = json.dumps(data | unknown).encode()
    (draft,) = parsing.read_batch(raw)
    assert draft.raw == raw
    assert draft.marks == ()


def test_what_is_inside_of_observed_data_is_looked_at_until_there_are_enough_marks(monkeypatch):
    looked = []
    real = conformance.oasis.is_valid
    monkeypatch.setattr(conformance.oasis, "is_valid", lambda *asked: looked.append(asked) or real(*asked))
    held = {str(number): {"type": "process"} for number in range(1_000)}
    data = {"type": "observed-data", "id": f"observed-data--{UUID4}", "objects": held}
    assert len(conformance.problems(data)) == conformance.MAX_MARKS
    assert len(looked) <= 3 * conformance.MAX_MARKS
