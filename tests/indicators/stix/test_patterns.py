"""Patterns: what the grammar takes is taken, in bounded time and stack; what they match on is read."""

import itertools
import json
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stix2patterns.v21.pattern import ParseException, Pattern

from indicators.stix import budget, making, parsing, patterns
from indicators.stix.drafts import TokenValue, Unreadable
from tests.indicators.stix import shared
from tests.strategies import examples

#: Refused by that tool for what a hash or a qualifier says, not by the grammar: sloppy and kept.
GRAMMATICAL = ("FAIL: 'f00' is not a valid SHA-256 hash", "FAIL: Duplicate qualifier type encountered: WITHIN")


@shared.needed
def test_the_grammar_is_that_of_the_reference():
    for case in shared.lines("vectors", "stix-patterns", "grammar.jsonl"):
        taken = case["valid"] or case.get("message") in GRAMMATICAL
        assert (patterns.check(case["pattern"], "stix") is None) == taken, case


@shared.needed
def test_every_pattern_that_the_reference_can_match_is_taken():
    cases = json.loads(shared.read(shared.ROOT / "vectors" / "stix-patterns" / "matcher.json"))["cases"]
    for case in cases:
        refused = str(case["expect"]).startswith("error:Parse")
        assert (patterns.check(case["pattern"], "stix") is None) != refused, case


@pytest.mark.parametrize(
    "pattern",
    [
        "[app:id='com.example.spy']",
        "[configuration-profile:id = '1']",
        "[domain-name:value = 'a.example' OR domain-name:value = 'b.example']",
        "[file:hashes.'SHA-256' = 'aa' AND file:name = 'it\\'s']",
        "[process:pid > 5 AND process:name LIKE '%a'] FOLLOWEDBY [url:value MATCHES 'x'] WITHIN 5 SECONDS",
    ],
)
def test_sloppy_but_grammatical_patterns_are_taken(pattern):
    assert patterns.check(pattern, "stix") is None


HOSTILE = {
    "an OR chain of 29 KB": ("[" + " OR ".join(["a:b = 'some value'"] * 1_350) + "]", "pattern-too-long"),
    "400 parentheses": ("[" + "(" * 400 + "a:b = 'c'" + ")" * 400 + "]", "pattern-too-complex"),
    "400 parentheses outside": ("(" * 400 + "[a:b = 'c']" + ")" * 400, "pattern-too-complex"),
    "300 comparisons, no plain ones": ("[" + " OR ".join(["a:b NOT = 1"] * 300) + "]", "pattern-too-complex"),
    "brackets without an end": ("[" * 8_000, "pattern-too-complex"),
    "quotation marks": ("'" * 8_000, "pattern-too-complex"),
    "blanks": (" " * 8_000 + "x", "bad-pattern"),
    "plain, and then not": ("[" + " OR ".join(["a:b='c'"] * 500) + "] x", "pattern-too-complex"),
    "blanks before the end": ("[a:b='c'" + " " * 8_000 + "x]", "bad-pattern"),
    "NOT again and again": ("[a:b " + "NOT " * 1_500 + "= 1]", "pattern-too-complex"),
    "a long path": ("[a:" + "b." * 4_000 + "= 1]", "pattern-too-complex"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_patterns_are_refused_quickly(name):
    pattern, code = HOSTILE[name]
    began = time.process_time()
    assert patterns.check(pattern, "stix").code == code
    assert time.process_time() - began < 2


HUGE = {
    "a whole number of 5,000 digits": f"[a:b = {'9' * 5_000}]",
    "a fraction of 5,000 digits": f"[a:b = 0.{'9' * 5_000}]",
    "repeated very often": f"[a:b = 1] REPEATS {'9' * 5_000} TIMES",
    "within a long time": f"[a:b = 1] WITHIN {'9' * 300}.5 SECONDS",
    "an index without an end": f"[a:b[{'9' * 5_000}] = 1]",
    "a backtracking expression": "[a:b MATCHES '" + "(a+)+" * 500 + "$']",
}


@pytest.mark.parametrize("name", HUGE)
def test_huge_numbers_and_expressions_are_judged_quickly_and_never_raise(name):
    began = time.process_time()
    verdict = patterns.check(HUGE[name], "stix")
    assert verdict is None or verdict.code in {"bad-pattern", "pattern-too-complex"}
    assert time.process_time() - began < 1


@shared.needed
def test_every_pattern_of_the_references_equivalences_is_taken():
    for case in shared.lines("vectors", "stix-patterns", "equivalence.jsonl"):
        assert patterns.check(case["a"], "stix") is None, case
        assert patterns.check(case["b"], "stix") is None, case


LARGEST = {
    "comparisons": "[" + " AND ".join(f"a:b{i} NOT IN ('x', {i})" for i in range(patterns.MAX_TERMS)) + "]",
    "nesting": "[" + "(a:b > 1.5 AND " * (patterns.MAX_DEPTH - 1) + "a:b = 'c'" + ")" * (patterns.MAX_DEPTH - 1) + "]",
    "nested observations": "(" * (patterns.MAX_DEPTH - 1) + "[a:b = true]" + ")" * (patterns.MAX_DEPTH - 1),
    "observations": " FOLLOWEDBY ".join(["[a:b = 1.5]"] * patterns.MAX_TERMS),
    "qualifiers": "[a:b = 'c']" + " REPEATS 5 TIMES" * 300,
    "a long list": "[a:b IN (" + ",".join(["1"] * 480) + ")]",
    "a long path": "[a:" + "b." * 480 + "c = 1.5]",
}


@pytest.mark.parametrize("name", LARGEST)
def test_the_largest_pattern_within_the_bounds_fits_a_deep_stack(name):
    def deeper(levels: int) -> object:
        return deeper(levels - 1) if levels else patterns.check(LARGEST[name], "stix")

    used = 0
    frame = sys._getframe()
    while frame := frame.f_back:
        used += 1
    assert deeper(max(0, sys.getrecursionlimit() - 450 - used)) is None


def test_a_stack_without_room_refuses_and_does_not_raise():
    patterns._parsed.cache_clear()
    used = 0
    frame = sys._getframe()
    while frame := frame.f_back:
        used += 1

    def deeper(levels: int) -> object:
        return deeper(levels - 1) if levels else patterns.check(LARGEST["nesting"], "stix")

    assert deeper(sys.getrecursionlimit() - used - 60).code == "pattern-too-complex"


def test_other_pattern_languages_are_text_with_a_bound():
    assert patterns.check("rule x { condition: ((((( }", "yara") is None
    assert patterns.check("x" * (patterns.MAX_CHARS_OF_OTHERS + 1), "yara").code == "pattern-too-long"


pieces = st.sampled_from([
    "[", "]", "(", ")", " ", "\t", "AND", "OR", "NOT", "=", "!=", ">=", "LIKE", "MATCHES", "IN", "a", "a-b", "a:b", "b.c",
    "file:hashes.'SHA-256'", "[*]", "[0]", "[01]", "'x'", r"'\''", r"'\n'", "1", "-1", "01", "1.5", "true", "t:b=1",
    "[a:b='x']", "a:b = 'x'", " AND a:b LIKE 'x'", " OR a:c != 5", "é", "\u00a0", "\x1c", "a:AND='x'", "h'ff'",
    " IN ('x','y')", " IN('x')", "IN ()", ",", "NOT IN ( 'x' , 'y' )",
])  # fmt: skip


@settings(max_examples=examples(200))
@given(st.lists(pieces, min_size=1, max_size=7).map("".join), st.booleans())
def test_the_short_cut_takes_nothing_that_the_grammar_does_not(text, wrap):
    pattern = f"[a:b{text}]" if wrap else text
    try:
        Pattern(pattern)
    except ParseException:
        assert patterns.check(pattern, "stix") is not None
    else:
        assert patterns.check(pattern, "stix") is None


def clear(domain: str, value: str, suppressed_by: str = "") -> TokenValue:
    return TokenValue(domain, "clear", "", value, suppressed_by)


@pytest.mark.parametrize(
    ("pattern", "values"),
    [
        ("[domain-name:value = 'Evil.Example.']", [clear("domain-name:value", "evil.example")]),
        ("[domain-name:value='a.example'] OR [ipv4-addr:value = '192.0.2.1/32']", [
            clear("domain-name:value", "a.example"), clear("ipv4-addr:value", "192.0.2.1/32")]),
        ("[ipv6-addr:value = '2001:DB8:0::1']", [clear("ipv6-addr:value", "2001:db8::/64")]),
        ("[ipv6-addr:value = '::ffff:192.0.2.1']", [clear("ipv6-addr:value", "192.0.2.1/32")]),
        (f"[file:hashes.'SHA-256' = '{'AA' * 32}']", [clear("file:hashes.sha256", "aa" * 32)]),
        (f"[file:hashes.MD5 = '{'bb' * 16}' OR file:hashes.sha1 = '{'cc' * 20}']", [
            clear("file:hashes.md5", "bb" * 16), clear("file:hashes.sha1", "cc" * 20)]),
        ("[ipv4-addr:value IN ('192.0.2.1', '192.0.2.2') OR url:value = 'HTTP://X.example']", [
            clear("ipv4-addr:value", "192.0.2.1/32"), clear("ipv4-addr:value", "192.0.2.2/32"),
            clear("url:value", "http://x.example/"), clear("domain-name:value", "x.example", "match-only")]),
        ("[ipv4-addr:value NOT IN ('192.0.2.1')]", []),
        ("[app:id='Com.Example']", [clear("app:id", "Com.Example")]),
        (r"[url:value = 'https://x.example/it\'s\\']", [clear("url:value", r"https://x.example/it's\ ".strip())]),
        ("[url:value = 'x OR [domain-name:value = y]']", []),
        ("[autonomous-system:number = 'x']", []),
        ("[autonomous-system:number = 64496]", [clear("autonomous-system:number", "as64496")]),
        ("([domain-name:value = 'a.example'])", [clear("domain-name:value", "a.example")]),
        ("[(domain-name:value = 'a.example' OR hostname:value IN ('B.example'))]", [
            clear("domain-name:value", "a.example"), clear("hostname:value", "b.example")]),
        ("([domain-name:value = 'a(b).example'] OR ([url:value = 'http://a.example/(x)']))", [
            clear("url:value", "http://a.example/(x)")]),
        ("[domain-name:value LIKE 'A.example']", [clear("domain-name:value", "a.example")]),
        ("[email-addr:value = 'MAILTO:Anna@GoogleMail.com']", [clear("email-addr:value", "anna@gmail.com")]),
        ("[cryptocurrency-wallet:value = 'bitcoin:1BoatSLRHtKNngkdXEeobR76b53LETtpyT?amount=1']", [
            clear("cryptocurrency-wallet:value", "1BoatSLRHtKNngkdXEeobR76b53LETtpyT")]),
        ("[domain-name:value = 'b.example\ngmail.com']", []),
        ("[url:value = 'http://a.example/x\n0.0.0.0/0']", []),
        ("[url:value = 'http://a.example/\u202ex']", []),
        ("[url:value = 'http://a.example/\u2028x']", []),
        ("[url:value = 'http://a.example/\u0085x']", []),
        ("[ipv4-addr:value = '# not an address']", []),
        ("[file:name = 'a.exe']", []),
        ("[domain-name:value = 'a.example' AND file:name = 'b']", []),
        ("[domain-name:value != 'a.example']", []),
        ("[domain-name:value LIKE '%.example']", []),
    ],
)  # fmt: skip
def test_the_values_of_a_plain_pattern_are_read_and_normalised(pattern, values):
    assert patterns.check(pattern, "stix") is None
    assert list(patterns.clear_values(pattern)) == values


def test_a_value_that_is_named_twice_counts_once():
    found = patterns.clear_values("[url:value = 'http://a.example/' OR url:value = 'HTTP://a.example']")
    assert [value.domain for value in found] == ["url:value", "domain-name:value"]


@pytest.mark.parametrize(
    ("source", "taken"),
    [("a+b", True), ("(?i)ignore (all )?previous", True), (r"(a)\1", False), ("(?=a)", False), ("(", False),
     ("((a{100}){100}){100}", False)],
)  # fmt: skip
def test_an_expression_is_of_linear_time_and_bounded_memory(source, taken):
    refused = patterns.check_regex(source, "/here")
    assert (refused is None) == taken
    assert taken or (refused.code, refused.field) == ("bad-regex", "/here")


@pytest.fixture
def spent(monkeypatch):
    """A batch that has used up its time; afterwards none has begun."""
    monkeypatch.setattr(budget, "SECONDS", 0.0)
    budget.begin()
    yield
    del budget._local.left


def test_what_a_batch_has_no_time_for_is_refused_and_what_is_plain_or_known_is_read(spent):
    slow = "[(file:name = 'never seen' OR file:size > 5) AND file:size > 7]"
    assert patterns.check(slow, "stix").code == "batch-too-costly"
    assert patterns.check("[file:name = 'a' AND file:size > 5]", "stix") is None
    assert patterns.check_regex("never seen+", "/here").code == "batch-too-costly"
    del budget._local.left
    assert patterns.check(slow, "stix") is None  # outside of a batch
    budget.begin()
    assert patterns.check(slow, "stix") is None  # it is known


def test_each_batch_has_its_own_time_and_is_answered_object_by_object(monkeypatch):
    def batch(salt):
        made = [
            making.account_pattern() | {"pattern": f"[(file:size > {salt + number}) AND file:size > 0]"}
            for number in range(20)
        ]
        read = parsing.read_batch(json.dumps({"objects": made}).encode())
        return [element.refusal.code if isinstance(element, Unreadable) else "read" for element in read]

    assert set(batch(1_000)) == {"read"}
    clock = itertools.count()
    monkeypatch.setattr(budget.time, "thread_time", lambda: next(clock) * 0.25)  # each takes a quarter of a second
    for salt in (2_000, 3_000):
        assert batch(salt) == ["read"] * 8 + ["batch-too-costly"] * 12
