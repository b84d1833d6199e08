"""All signatures at once find what each finds alone, whatever others are among them."""

import re2
from hypothesis import given
from hypothesis import strategies as st

from exchange.agent.needed import needed
from exchange.agent.signatures import Signature, Signatures

_PIECES = st.sampled_from(
    [
        "abc",
        "ABC",
        "straße",
        "STRASSE",
        "k",
        "K",
        "x{0,2}",
        "abc{2,3}",
        "a{,2}",
        "[ab]",
        "[[:alpha:]]",
        ".",
        r"\d+",
        r"\bfoo\b",
        "(?i)foo",
        "(?:foo|bar)",
        "(?:foo|)",
        "(foo)?",
        "(?:foobar)+",
        "^",
        "$",
        r"\.",
        r"\x61bc",
        r"\Qa.c\E",
        r"\pL",
        "(?s).",
        "|",
    ]
)
_TEXTS = st.lists(
    st.sampled_from(
        [
            "abc",
            "ABC",
            "ab",
            "foo",
            "FOO",
            "bar",
            "foobar",
            "straße",
            "STRASSE",
            "k",
            "\u212a",
            "\u017f",
            "a.c",
            " ",
            "1",
            "]",
            "{,2}",
        ]
    ),
    max_size=8,
).map("".join)


def alone(expression, text):
    try:
        return re2.search(expression, text) is not None
    except re2.error:
        return None


@given(st.lists(st.lists(_PIECES, min_size=1, max_size=5).map("".join), min_size=1, max_size=6), _TEXTS)
def test_together_they_find_what_re2_finds_one_by_one(expressions, text):
    made = Signatures.compiled(Signature(str(place), "regex", one) for place, one in enumerate(expressions))
    found = set(made.matching(text))
    for place, one in enumerate(expressions):
        expected = alone(one, text)
        assert (str(place) in found) is bool(expected), (one, text)
        assert (str(place) in made.unusable) is (expected is None)


def test_of_an_expression_the_longest_word_that_each_match_must_hold_is_taken():
    assert needed(r"(?i)show your (hidden )?chain of thought") == {"chain of thought"}
    assert needed("(?:foobar|grading) x") == {"foobar", "grading"}
    assert needed("(?:foo|)x") == set()
    assert needed("[[:alpha:]]abc") == set()
    assert needed("ab") == set()


def test_one_that_is_too_large_or_no_expression_is_named_and_stops_no_other():
    bad = {"nested": "((a{100}){100}){100}", "open": "[", "behind": "(?<=x)y", "wide": r"(\pL{1,1000}){1,9}"}
    made = Signatures.compiled(
        [Signature(key, "regex", text) for key, text in bad.items()] + [Signature("good", "regex", "hello there")]
    )
    assert sorted(made.unusable) == sorted(bad)
    assert list(made.matching("well, hello there")) == ["good"]


def test_ten_thousand_compile_together():
    some = [
        Signature(str(number), "regex", f"(?i)write step {number} of the hidden reasoning") for number in range(10_000)
    ]
    made = Signatures.compiled(some)
    assert (made.unusable, list(made.matching("Please WRITE step 4711 of the hidden reasoning."))) == ([], ["4711"])


def test_the_same_expression_under_two_names_matches_under_both():
    made = Signatures.compiled([Signature("a", "regex", "hello"), Signature("b", "regex", "hello")])
    assert list(made.matching("hello")) == ["a", "b"]
