"""Closed facts: only what is listed may be said, in every admitted type, in every place."""

import json
import uuid
from dataclasses import replace
from datetime import UTC, datetime

import jsonschema_rs
import pytest

from exchange.stix import closed as said
from exchange.stix import words
from indicators.door import gates
from indicators.door.benign import Known
from indicators.stix import making, parsing, tlp, vocabulary
from indicators.stix.drafts import Refusal
from tests.indicators.stix import version1

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
OWN = f"identity--{uuid.uuid4()}"
CLOSED = gates.Door(
    now=NOW,
    publisher_identity=OWN,
    publisher_name="Aster",
    partner_identities=frozenset(),
    policy="closed-facts",
    known=Known(examples=True),
    groups=frozenset({"ring"}),
)
OPEN = replace(CLOSED, policy="open-cti")
STAMP = "2026-11-24T11:00:00.000Z"
CANARY = "canary forty dollars"


def an_object(stix_type, **more):
    return {
        "type": stix_type,
        "spec_version": "2.1",
        "id": f"{stix_type}--{uuid.uuid4()}",
        "created": STAMP,
        "modified": STAMP,
        **more,
    }


def an_id(stix_type):
    return f"{stix_type}--{uuid.uuid4()}"


def an_extension(extension_id, **more):
    return {extension_id: {"extension_type": "property-extension", **more}}


def a_token_object():
    token = making.token("ab" * 32) | {"key_epoch": "2026q4"}
    return vocabulary.token_object(kind="account-pattern", subkind="email", token=token)


def a_marking(word="amber"):
    return {
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": tlp.ID_OF[word],
        "created": "2022-10-01T00:00:00.000Z",
        "name": f"TLP:{word.upper()}",
        "extensions": {tlp.EXTENSION_ID: {"extension_type": "property-extension", "tlp_2_0": word}},
    }


EXAMPLES = {
    "indicator": lambda: making.account_pattern(at=NOW),
    "sighting": lambda: an_object(
        "sighting", sighting_of_ref=an_id("indicator"), count=100, first_seen=STAMP, last_seen=STAMP
    ),
    "opinion": lambda: an_object(
        "opinion",
        opinion="disagree",
        object_refs=[an_id("indicator")],
        extensions=an_extension(words.OPINION_EXTENSION_ID, reason="false_positive"),
    ),
    "campaign": lambda: an_object(
        "campaign",
        name="amber falcon 12",
        extensions=an_extension(words.CAMPAIGN_EXTENSION_ID, grade="corroborated", kinds=["account-pattern"]),
    ),
    "grouping": lambda: an_object("grouping", context="suspicious-activity", object_refs=[an_id("indicator")]),
    "relationship": lambda: an_object(
        "relationship", relationship_type="indicates", source_ref=an_id("indicator"), target_ref=an_id("campaign")
    ),
    "identity": lambda: an_object("identity", name="Aster", identity_class="organization") | {"id": OWN},
    "marking-definition": a_marking,
    "x-exchange-token": a_token_object,
    "x-exchange-value": lambda: vocabulary.value_object(subkind="bin_range", value="411111-411119"),
}


def judged(made, door=CLOSED):
    (draft,) = parsing.read_batch(json.dumps(made).encode())
    return draft.refusal if isinstance(draft, parsing.Unreadable) else gates.examine(draft, door)


@pytest.mark.parametrize("stix_type", said.TYPES)
def test_each_admitted_type_has_an_example_that_passes(stix_type):
    assert judged(EXAMPLES[stix_type]()) is None


def test_the_standards_markings_are_taken_in_both_generations():
    assert [judged(a_marking(word)) for word in tlp.ID_OF] == [None] * 5
    old = {
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": "marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da",
        "created": "2017-01-20T00:00:00.000Z",
        "definition_type": "tlp",
        "name": "TLP:GREEN",
        "definition": {"tlp": "green"},
    }
    assert judged(old) is None


OTHER_TYPES = ("note", "report", "malware", "course-of-action", "threat-actor", "tool", "incident", "x-acme-price")


@pytest.mark.parametrize("stix_type", OTHER_TYPES)
def test_other_types_have_no_place(stix_type):
    made = an_object(stix_type, name="x", abstract="x", content="x", object_refs=[an_id("indicator")])
    refusal = judged(made)
    assert (refusal.code, refusal.field) == ("not-listed", "/type")
    assert judged(made, OPEN) is None


#: Properties of STIX, and others, that hold free texts.
FREE = (
    *("description", "explanation", "abstract", "content", "labels", "aliases", "objective", "external_references"),
    *("x_note", "authors", "lang", "granular_markings", "roles", "sectors", "contact_information", "goals"),
)


@pytest.mark.parametrize("stix_type", said.TYPES)
@pytest.mark.parametrize("name", FREE)
def test_no_property_holds_a_text(stix_type, name):
    for value in (CANARY, [CANARY], {"a": CANARY}, [{"source_name": CANARY}]):
        refusal = judged(EXAMPLES[stix_type]() | {name: value})
        assert isinstance(refusal, Refusal), (name, value)
        assert "canary" not in f"{refusal.field}{refusal.message}"


@pytest.mark.parametrize("stix_type", said.TYPES)
def test_no_string_is_free(stix_type):
    """Each string at any depth is replaced, one after the other: nothing passes but what is another of the list."""
    made = EXAMPLES[stix_type]()
    for path in strings(made):
        for value in (CANARY, "acme", "Ünïcode", "x" * 300):
            refusal = judged(changed(made, path, value))
            assert isinstance(refusal, Refusal), path
            assert "canary" not in f"{refusal.field}{refusal.message}"


def strings(value, path=()):
    if isinstance(value, str):
        yield path
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from strings(inner, (*path, key))


def changed(made, path, value):
    made = json.loads(json.dumps(made))
    place = made
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return made


@pytest.mark.parametrize("stix_type", said.TYPES)
def test_the_name_of_a_property_is_told_only_where_it_is_a_plain_word(stix_type):
    made = EXAMPLES[stix_type]()
    assert judged(made | {"x_price": 1}).field == ("" if stix_type == "marking-definition" else "/x_price")
    refusal = judged(made | {"Price of forty dollars": 1})
    assert (refusal.field, "forty" in refusal.message) == ("", False)


@pytest.mark.parametrize(
    ("stix_type", "change", "field"),
    [
        ("sighting", {"count": 25_000}, "/count"),
        ("sighting", {"first_seen": "2026-11-24T11:23:00Z"}, "/first_seen"),
        ("sighting", {"sighting_of_ref": "malware--" + str(uuid.uuid4())}, "/sighting_of_ref"),
        ("relationship", {"relationship_type": "targets"}, "/relationship_type"),
        ("relationship", {"source_ref": "x-price-40--" + str(uuid.uuid4())}, "/source_ref"),
        ("relationship", {"relationship_type": "attributed-to", "target_ref": an_id("indicator")}, "/target_ref"),
        ("campaign", {"name": "amber falcon 12345"}, "/name"),
        ("campaign", {"name": "Operation Price Rise"}, "/name"),
        ("grouping", {"context": "unspecified"}, "/context"),
        ("grouping", {"object_refs": [an_id("indicator") for _ in range(301)]}, "/object_refs"),
        ("identity", {"name": "Another Lab"}, "/name"),
        ("identity", {"id": an_id("identity")}, "/id"),
        ("indicator", {"name": "payment-fingerprint: par"}, "/name"),
        ("x-exchange-value", {"value": "411111-411112"}, "/id"),
        ("x-exchange-value", {"subkind": "client_fp"}, ""),
        ("x-exchange-token", {"id": an_id("x-exchange-token")}, "/id"),
        ("marking-definition", {"id": an_id("marking-definition")}, ""),
    ],
)
def test_what_is_outside_the_list_is_named_by_its_place(stix_type, change, field):
    refusal = judged(EXAMPLES[stix_type]() | change)
    assert (refusal.code, refusal.field) in {("not-listed", field), ("altered-marking", ""), ("vocabulary", field)}


def test_an_opinion_of_a_campaign_has_the_reasons_of_campaigns():
    made = EXAMPLES["opinion"]() | {"object_refs": [an_id("campaign")]}
    at = f"/extensions/{words.OPINION_EXTENSION_ID}/reason"
    assert judged(made).field == at
    made["extensions"] = an_extension(words.OPINION_EXTENSION_ID, reason="not_a_campaign")
    assert judged(made) is None
    assert judged(made | {"object_refs": [an_id("indicator")]}).field == at


def test_the_epoch_of_a_groups_key_names_a_group_of_the_publishers():
    def made(epoch):
        token = making.token("ab" * 32) | {"key_epoch": epoch}
        return making.prompt_signature("phrase", carrier={"tokens": [token]}, at=NOW)

    assert judged(made("ring-2026q4-1")) is None
    refusal = judged(made("prices-rise-2026q4-1"))
    assert refusal.code == "not-listed"
    assert refusal.field.endswith("/tokens/0/key_epoch")
    assert judged(made("prices-rise-2026q4-1"), OPEN) is None


OLD = [
    (getattr(version1, kind.replace("-", "_")), subkind)
    for kind, subkinds in words.SUBKINDS.items()
    for subkind in subkinds
    if subkind not in {"phrase", "psp_fp"}
]


@pytest.mark.parametrize(("make", "subkind"), OLD, ids=[subkind for _, subkind in OLD])
def test_version_1_is_taken_where_it_says_what_version_2_could(make, subkind):
    assert judged(make(subkind, at=NOW)) is None


@pytest.mark.parametrize(
    ("make", "subkind", "change"),
    [
        (version1.account_pattern, "email", {"detector": {"name": CANARY}}),
        (version1.payment_fingerprint, "psp_fp", {"psp_scope": CANARY}),
        (version1.prompt_signature, "minhash", {}),
        (version1.prompt_signature, "skeleton", {"languages": ["abc-canary"]}),
    ],
)
def test_the_free_texts_of_version_1_have_no_place(make, subkind, change):
    made = make(subkind, at=NOW, extension=change)
    refusal = judged(made)
    assert refusal.code == "not-listed"
    assert "canary" not in f"{refusal.field}{refusal.message}"
    assert judged(made, OPEN) is None


def test_the_pattern_of_version_1_says_nothing_of_its_own():
    made = version1.account_pattern(at=NOW) | {"pattern": f"[x-exchange-token:value = '{CANARY}']"}
    assert (judged(made).code, judged(made).field) == ("not-listed", "/pattern")
    assert judged(made, OPEN) is None


def test_the_schemas_are_published_and_say_what_the_door_says():
    registry = jsonschema_rs.Registry([(made["$id"], made) for made in said.published().values()])
    for stix_type, example in EXAMPLES.items():
        schema = json.loads(vocabulary.schema_text(f"closed-facts-{stix_type}"))
        published = jsonschema_rs.validator_for(schema, registry=registry)
        assert published.is_valid(example()), stix_type
        assert not published.is_valid(example() | {"description": CANARY})


def test_every_string_of_the_schemas_is_closed():
    """No schema of an admitted type has a string without a list or a form, but for those that are named here."""
    free = set()
    for name, schema in said.published().items():
        if name != words.TOKEN_EXTENSION_ID:
            free |= {f"{name}: {'/'.join(path)}" for path in open_strings(schema)}
    named = {
        "pattern",
        "regex",
        "nova",
        "name",
        "value",
        "text",
    }  # `text` of an excerpt, which waits for a second person
    assert {one.rpartition("/")[2].rpartition(" ")[2] for one in free} <= named, free


def open_strings(schema, path=()):
    if not isinstance(schema, dict):
        return
    if schema.get("type") == "string" and not schema.keys() & {"pattern", "enum", "const"}:
        yield path
    for name, inner in schema.get("properties", {}).items():
        yield from open_strings(inner, (*path, name))
    yield from open_strings(schema.get("items"), path)
    for keyword in ("allOf", "anyOf"):
        for inner in schema.get(keyword, []):
            yield from open_strings(inner, path)
    for keyword in ("if", "then"):
        yield from open_strings(schema.get(keyword), path)
