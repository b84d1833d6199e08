"""Markings: TLP 2.0 and 1.0 by their ids, and the strictest of several."""

import itertools
import json

import pytest

from indicators.stix import parsing, tlp
from indicators.stix.drafts import Unreadable
from tests.indicators.stix import shared

STATEMENT = "marking-definition--00000000-0000-4000-8000-000000000001"


def a_marked(**markings) -> bytes:
    return json.dumps(
        {"type": "identity", "id": "identity--00000000-0000-4000-8000-000000000001", "name": "x", **markings}
    ).encode()


@pytest.mark.parametrize("pair", list(itertools.product(tlp.WORDS, repeat=2)), ids="-".join)
def test_the_strictest_marking_wins_in_any_order(pair):
    expected = max(pair, key=tlp.WORDS.index)
    assert tlp.strictest([STATEMENT, *(tlp.ID_OF[word] for word in pair)]) == expected


def test_an_object_without_a_tlp_marking_has_none():
    assert tlp.strictest([]) is None
    assert tlp.strictest([STATEMENT]) is None


@shared.needed
@pytest.mark.parametrize("name", ["tlp1-marking-definitions.json", "tlp2-marking-definitions.json"])
def test_the_ids_are_those_of_the_specifications(name):
    for marking in json.loads(shared.read(shared.ROOT / "stix" / "tlp2" / name)):
        word = marking["name"].removeprefix("TLP:").lower().replace("white", "clear")
        assert tlp.strictest([marking["id"]]) == word


def test_a_marking_in_capitals_is_the_same_marking():
    prefix, _, uuid = tlp.ID_OF["red"].partition("--")
    (draft,) = parsing.read_batch(a_marked(object_marking_refs=[f"{prefix}--{uuid.upper()}"]))
    assert draft.tlp == "red"


def test_the_marking_of_one_property_holds_for_the_object():
    granular = [{"selectors": ["name"], "marking_ref": tlp.ID_OF["red"]}, {"selectors": ["name"], "lang": "en"}]
    (draft,) = parsing.read_batch(a_marked(object_marking_refs=[tlp.ID_OF["green"]], granular_markings=granular))
    assert draft.tlp == "red"


@pytest.mark.parametrize(
    ("markings", "field"),
    [
        ({"object_marking_refs": ["TLP:RED"]}, "/object_marking_refs/0"),
        ({"object_marking_refs": ["identity--00000000-0000-4000-8000-000000000001"]}, "/object_marking_refs/0"),
        ({"granular_markings": [{"selectors": ["name"], "marking_ref": "red"}]}, "/granular_markings/0/marking_ref"),
    ],
)
def test_a_marking_that_is_not_named_by_its_identifier_is_refused(markings, field):
    (element,) = parsing.read_batch(a_marked(**markings))
    assert isinstance(element, Unreadable)
    assert (element.refusal.code, element.refusal.field) == ("unknown-marking", field)


@pytest.mark.parametrize(
    "claim",
    [
        {"definition_type": "tlp", "definition": {"tlp": "red"}},
        {"extensions": {"extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d": {"tlp_2_0": "red"}}},
    ],
)
@pytest.mark.parametrize("known", [True, False])
def test_tlp_has_its_own_identifiers_and_no_others(claim, known):
    marking = {"type": "marking-definition", "id": tlp.ID_OF["red"] if known else STATEMENT, **claim}
    (element,) = parsing.read_batch(json.dumps(marking).encode())
    assert isinstance(element, Unreadable) != known
    assert known or element.refusal.code == "unknown-marking"


@pytest.mark.parametrize(
    ("markings", "field"),
    [
        ({"object_marking_refs": tlp.ID_OF["red"]}, "/object_marking_refs"),
        ({"object_marking_refs": None}, "/object_marking_refs"),
        ({"object_marking_refs": [STATEMENT, {"id": tlp.ID_OF["red"]}]}, "/object_marking_refs/1"),
        ({"granular_markings": {}}, "/granular_markings"),
        ({"granular_markings": [tlp.ID_OF["red"]]}, "/granular_markings/0"),
        ({"granular_markings": [{"marking_ref": 1}]}, "/granular_markings/0/marking_ref"),
    ],
)
def test_a_marking_that_cannot_be_read_is_never_taken_for_none(markings, field):
    (element,) = parsing.read_batch(a_marked(**markings))
    assert isinstance(element, Unreadable)
    assert (element.refusal.code, element.refusal.field) == ("wrong-type", field)
