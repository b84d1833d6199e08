"""What an object points to: every id in it, each with its place, and nothing else."""

from __future__ import annotations

import json
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indicators.stix import parsing, references
from indicators.stix.drafts import Ref

_IDS = st.builds(lambda kind, one: f"{kind}--{one}", st.sampled_from(["indicator", "x-odd", "tool"]), st.uuids())
_NAMES = st.sampled_from(["source_ref", "object_refs", "x_ref", "name", "a/b_ref", "til~de_refs", "extensions", "ref"])
_JSON = st.recursive(
    _IDS | st.text(max_size=5) | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=20,
)


def at(document, path):
    """What a JSON pointer leads to (RFC 6901)."""
    for part in path.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        document = document[int(name)] if isinstance(document, list) else document[name]
    return document


def expected(value, *, named=False):
    """The same rule, written otherwise: the ids below a property that refers, and the names in `extensions`."""
    if isinstance(value, dict):
        return [
            ref
            for name, inner in value.items()
            for ref in expected(inner, named=not isinstance(inner, dict) and name.endswith(("_ref", "_refs")))
        ]
    if isinstance(value, list):
        return [ref for inner in value for ref in expected(inner, named=named and isinstance(inner, str))]
    return [value] if named and isinstance(value, str) and "--" in value else []


@given(st.dictionaries(_NAMES, _JSON, max_size=5))
def test_every_reference_is_found_at_its_place(stix):
    found = references.refs(stix)
    assert sorted(ref.target for ref in found) == sorted(expected(stix))
    assert all(at(stix, ref.path).lower() == ref.target for ref in found)


def test_markings_extensions_and_nested_properties_are_references():
    one, marking, extension = (
        f"{kind}--{uuid.uuid4()}" for kind in ("tool", "marking-definition", "extension-definition")
    )
    stix = {
        "created_by_ref": f"identity--{uuid.UUID(int=1)}",
        "object_marking_refs": [marking],
        "granular_markings": [
            {"selectors": ["name"], "marking_ref": marking.upper().replace("MARKING-DEFINITION", "marking-definition")}
        ],
        "extensions": {extension: {"x_refs": [one, 7, "a word"]}, "archive-ext": {"contains_refs": [one]}},
        "name": one,
    }
    assert references.refs(stix) == (
        Ref("/created_by_ref", f"identity--{uuid.UUID(int=1)}"),
        Ref("/object_marking_refs/0", marking),
        Ref("/granular_markings/0/marking_ref", marking),
        Ref(f"/extensions/{extension}/x_refs/0", one),
        Ref("/extensions/archive-ext/contains_refs/0", one),
        Ref(f"/extensions/{extension}", extension),
    )


@pytest.mark.parametrize("name", ["n" * 500, "a" * 100_000])
def test_a_pointer_through_a_long_name_takes_no_more_room_than_400_characters(name):
    one = f"tool--{uuid.uuid4()}"
    found = references.refs({"x": {name: {"a_ref": one, "b_refs": [one] * 50}}})
    assert [ref.target for ref in found] == [one] * len(found)
    assert 0 < len(found) < 52
    assert max(len(ref.path) for ref in found) <= 400


def test_what_a_draft_points_to_is_read_once_with_it():
    one = f"tool--{uuid.uuid4()}"
    stix = {"type": "x-odd", "id": f"x-odd--{uuid.uuid4()}", "x": [[{"seen_ref": one}]]}
    (draft,) = parsing.read_batch(json.dumps(stix).encode())
    assert draft.references == (Ref("/x/0/0/seen_ref", one),)


def test_a_place_is_told_up_to_a_name_that_is_no_plain_word():
    assert references.told("/x/a@example.org/b_ref") == "/x"
    assert references.told("/a~1b/b_ref") == ""
    assert references.told("/object_refs/3") == "/object_refs/3"
