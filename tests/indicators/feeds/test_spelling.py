"""One filter, three spellings: each reads what the others write, and nothing unknown is ever everything."""

from __future__ import annotations

import json
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.errors import Refused
from indicators.feeds import former, spelling, tree
from indicators.feeds.filters import Filter, parse
from indicators.feeds.tree import EVERYTHING, Node
from tests.indicators.feeds.trees import TREES


@given(TREES)
def test_what_is_written_is_read_as_the_same_filter_in_each_spelling(node: Node) -> None:
    line, document, address = spelling.write_text(node), spelling.write_json(node), spelling.write_parameters(node)
    assert spelling.read_text(line) == node
    assert spelling.read_json(json.loads(json.dumps(document))) == node
    assert spelling.read_parameters(dict(parse_qsl(urlencode(address)))) == node
    assert spelling.write_text(spelling.read_text(line)) == line


@given(st.lists(TREES, min_size=1, max_size=4))
def test_the_order_in_which_a_filter_is_written_does_not_matter(parts: list[Node]) -> None:
    try:
        one = tree.every(parts)
    except Refused:
        return
    assert one == tree.every(reversed(parts)) == tree.every([*parts, *parts])


@given(st.text(max_size=60))
def test_any_line_is_a_filter_or_an_error_that_points_into_it(line: str) -> None:
    try:
        node = spelling.read_text(line)
    except spelling.BadText as refused:
        character = refused.character
    except Refused:
        character = line.index("\0")
    else:
        assert (node == EVERYTHING) == (not line.strip())
        return
    assert 0 <= character <= len(line)


@pytest.mark.parametrize(
    ("line", "character", "code"),
    [
        ("kindd:account-pattern", 1, "unknown-filter"),
        ("kind:account-pattern knid:x", 22, "unknown-filter"),
        ("kind:account-pattern,paymnt", 22, "unknown-kind"),
        ("subkind:mail", 9, "unknown-subkind"),
        ("confidence:>=101", 14, "bad-filter"),
        ("confidence:>=", 14, "bad-filter"),
        ("until:7d", 7, "bad-filter"),
        ("until:<7", 8, "bad-filter"),
        ("kind:>=account-pattern", 8, "bad-filter"),
        ('label:"open', 7, "bad-filter"),
        ("(kind:account-pattern", 22, "bad-filter"),
        ("kind:account-pattern)", 21, "bad-filter"),
        ("severity:>=high,low", 16, "bad-filter"),
        ("http://x.example", 1, "unknown-filter"),
        ("colour:1", 1, "unknown-filter"),
        ("(" * 11 + "a" + ")" * 11, 11, "bad-filter"),
    ],
)
def test_an_error_names_the_character(line: str, character: int, code: str) -> None:
    with pytest.raises(spelling.BadText) as refused:
        spelling.read_text(line)
    assert (refused.value.character + 1, refused.value.code) == (character, code)
    assert refused.value.detail.startswith(f"Character {character}: ")


@pytest.mark.parametrize(
    ("document", "at"),
    [
        ({"knid": ["account-pattern"]}, "/filter/knid"),
        ({"kind": []}, "/filter/kind"),
        ({"kind": ["x"]}, "/filter/kind"),
        ({"confidence": {}}, "/filter/confidence"),
        ({"confidence": {"=>": 5}}, "/filter/confidence"),
        ({"confidence": {">=": True}}, "/filter/confidence"),
        ({"any": []}, "/filter/any"),
        ({"all": {"kind": ["account-pattern"]}}, "/filter/all"),
        ({"not": {}}, "/filter"),
        ({"any": [{"kind": ["account-pattern"]}, {"kind": ["x"]}]}, "/filter/any/1/kind"),
        ({"kinds": ["x"]}, "/filter/kinds"),
        ({"kinds": [], "kind": ["account-pattern"]}, "/filter/kinds"),
    ],
)
def test_json_that_says_nothing_known_is_an_error_at_its_member(document: dict[str, object], at: str) -> None:
    with pytest.raises(Refused) as refused:
        parse(document)
    assert refused.value.at == at


def test_a_filter_is_bounded() -> None:
    deep: dict[str, object] = {"kind": ["account-pattern"]}
    for _ in range(30):
        deep = {"all": [{"any": [deep, {"type": ["indicator"]}]}]}
    for line in (" ".join(f"label:l{place}" for place in range(61)), "x" * 2_001):
        with pytest.raises(Refused):
            spelling.read_text(line)
    with pytest.raises(Refused):
        parse(deep)


def test_the_six_former_fields_are_read_as_what_they_meant() -> None:
    publisher = "5c0ffee0-0000-4000-8000-000000000001"
    said = {"kinds": ["account-pattern"], "publishers": [publisher], "min_confidence": 50, "with_entries": True}
    assert former.is_former(said)
    expected = f"confidence:>=50 entries:true kind:account-pattern publisher:{publisher}"
    assert spelling.write_text(parse(said).tree) == expected
    assert parse({"kinds": [], "subkinds": [], "min_confidence": 0, "with_entries": False}).tree == EVERYTHING
    assert parse({"publishers": {">=": 2}}).text == "publishers:>=2"


def test_what_could_be_said_before_is_still_bound_to_the_same_cursors() -> None:
    wanted = Filter.of(kinds=("prompt-signature", "account-pattern"), min_confidence=50, with_entries=True)
    assert wanted.scope == "kinds=('account-pattern', 'prompt-signature');min_confidence=50;with_entries=True"
    assert Filter().scope == ""
    assert Filter(spelling.read_text("-kind:account-pattern")).scope == "-kind:account-pattern"


def test_narrowing_keeps_what_both_let_through() -> None:
    both = Filter.of(kinds=("account-pattern", "prompt-signature")).narrowed(kinds=("account-pattern",))
    assert both == Filter.of(kinds=("account-pattern",))
    neither = Filter.of(kinds=("account-pattern",)).narrowed(kinds=("prompt-signature",))
    assert neither.text == "kind:account-pattern kind:prompt-signature"
