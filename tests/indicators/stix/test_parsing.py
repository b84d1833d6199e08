"""From bytes to drafts: bytes kept exactly, bad objects alone refused, nothing slow and nothing that blows up."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.errors import Malformed, TooLarge
from indicators.stix import parsing, slicing
from indicators.stix.drafts import Draft, Unreadable


def an_object(number: int = 1, *, name: str = '"x"') -> bytes:
    """`name` is JSON, or what pretends to be."""
    found = f'{{"type":"identity","id":"identity--00000000-0000-4000-8000-{number:012d}","name":{name}}}'
    return found.encode("utf-8", "surrogatepass")


def a_bundle(*objects: bytes) -> bytes:
    return (
        b'{"type":"bundle","id":"bundle--00000000-0000-4000-8000-000000000001","objects":[' + b",".join(objects) + b"]}"
    )


LONE = an_object(name=r'"\ud800"')


def codes(elements) -> list[str]:
    return [element.refusal.code if isinstance(element, Unreadable) else "read" for element in elements]


BAD = {
    "lone high surrogate": (an_object(name=r'"\ud800"'), "lone-surrogate"),
    "lone low surrogate": (an_object(name=r'"\udc00"'), "lone-surrogate"),
    "surrogates in the wrong order": (an_object(name=r'"\udc00\ud800"'), "lone-surrogate"),
    "two high surrogates and a low one": (an_object(name=r'"\ud800\ud800\udc00"'), "lone-surrogate"),
    "bytes that are not UTF-8": (an_object(name='"@"').replace(b"@", b"\xff\xfe"), "not-utf8"),
    "a surrogate in UTF-8": (an_object(name='"@"').replace(b"@", b"\xed\xa0\x80"), "not-utf8"),
    "a doubled key": (an_object(name='1,"name":2'), "duplicate-key"),
    "a doubled key, escaped": (an_object(name=r'1,"n\u0061me":2'), "duplicate-key"),
    "a doubled key, deep inside": (an_object(name='[{"a":{"b":1,"b":2}}]'), "duplicate-key"),
    "an escaped NUL": (an_object(name=r'"a\u0000"'), "nul-character"),
    "an escaped NUL in a key": (an_object(name=r'{"\u0000":1}'), "nul-character"),
    "a raw NUL": (an_object(name='"\0"'), "nul-character"),
    "101 levels": (an_object(name="[" * 100 + "]" * 100), "too-deep"),
    "5,000 levels": (an_object(name="[" * 5_000 + "]" * 5_000), "too-deep"),
    "200,000 levels": (an_object(name="[" * 200_000 + "]" * 200_000), "too-deep"),
    "1e400": (an_object(name="1e400"), "number-out-of-range"),
    "-1E+400": (an_object(name="[-1E+400]"), "number-out-of-range"),
    "300 digits and an exponent": (an_object(name="1" * 300 + "e50"), "number-out-of-range"),
    "400 digits": (an_object(name="1" * 400), "number-out-of-range"),
    "5,000 digits": (an_object(name="1" * 5_000), "number-out-of-range"),
    "NaN": (an_object(name="NaN"), "malformed-json"),
    "a missing comma": (an_object(name='1 "a":2'), "malformed-json"),
    "a raw line feed in a string": (an_object(name='"a\tb\nc"'), "malformed-json"),
    "more than a megabyte": (an_object(name='"' + "x" * parsing.LIMITS.object_bytes + '"'), "object-too-large"),
    "a number": (b"7", "not-an-object"),
    "a string": (b'"identity"', "not-an-object"),
    "a list": (b"[[]]", "not-an-object"),
    "null": (b"null", "not-an-object"),
    "a bundle": (a_bundle(an_object()), "nested-bundle"),
    "no type": (b"{}", "bad-type"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_object_is_refused_alone_and_the_rest_of_its_batch_is_kept(name):
    bad, code = BAD[name]
    first, last = an_object(1), an_object(2)
    elements = parsing.read_batch(a_bundle(first, bad, last))
    assert codes(elements) == ["read", code, "read"]
    assert [element.index for element in elements] == [0, 1, 2]
    assert (elements[0].raw, elements[2].raw) == (first, last)


@pytest.mark.parametrize("name", sorted(set(BAD) - {"a raw line feed in a string"}))
def test_the_same_holds_for_lines(name):
    bad, code = BAD[name]
    elements = parsing.read_batch(b"\n".join([an_object(1), bad, an_object(2), b""]), ndjson=True)
    assert codes(elements) == ["read", code, "read"]


def test_all_bad_objects_of_one_batch_are_told_apart():
    bad = [raw for raw, _ in BAD.values()]
    assert codes(parsing.read_batch(a_bundle(*bad))) == [code for _, code in BAD.values()]


def test_a_bad_object_is_named_by_its_id_where_that_can_be_read():
    known, unknown = parsing.read_batch(a_bundle(an_object(7, name="1e999"), an_object(8, name=r'"\ud800"')))
    assert known.stix_id == "identity--00000000-0000-4000-8000-000000000007"
    assert unknown.stix_id == "identity--00000000-0000-4000-8000-000000000008"


FINE = {
    "an escaped backslash before u0000": r'"\\u0000"',
    "a surrogate pair": r'"\ud83d\ude00"',
    "100 levels": "[" * 99 + "]" * 99,
    "brackets in strings": '"' + "[{" * 500 + '"',
    "a small number with a large exponent": "1e-999",
    "zero with a large exponent": "0e999",
    "300 digits": "1" * 300,
    "a line separator": '"\u2028"',
}


@pytest.mark.parametrize("name", FINE)
def test_what_only_looks_bad_is_kept(name):
    (draft,) = parsing.read_batch(an_object(name=FINE[name]))
    assert isinstance(draft, Draft)


ENVELOPES = {
    "bundle": a_bundle(an_object()),
    "TAXII envelope": b'{"more":false,"objects":[' + an_object() + b"]}",
    "objects first": b'{"objects":[' + an_object() + b'],"type":"bundle"}',
    "bare object": an_object(),
    "blanks everywhere": b' \r\n{ "objects" \t: [\n ' + an_object() + b"\n ] } \n",
    "a list of the same name deeper": b'{"x":{"objects":[1]},"objects":[' + an_object() + b"]}",
    "the same list twice": b'{"x":[' + an_object() + b'],"objects":[' + an_object() + b"]}",
}


@pytest.mark.parametrize("name", ENVELOPES)
def test_every_form_of_envelope_yields_the_bytes_of_its_object(name):
    (draft,) = parsing.read_batch(ENVELOPES[name])
    assert draft.raw == an_object()


@pytest.mark.parametrize("name", ENVELOPES)
def test_the_scanner_reads_the_same_envelopes(name):
    before, _, after = ENVELOPES[name].rpartition(an_object())
    broken = before + LONE + after
    (element,) = parsing.read_batch(broken)
    assert element.refusal.code == "lone-surrogate"


def test_an_object_that_has_a_property_named_objects_is_an_object():
    body = b'{"type":"observed-data","id":"observed-data--00000000-0000-4000-8000-000000000001","objects":{"0":{}}}'
    (draft,) = parsing.read_batch(body)
    assert (draft.stix_type, draft.raw) == ("observed-data", body)


NOT_READ = {
    "nothing": (b"", "malformed-json"),
    "blanks": (b" \n", "malformed-json"),
    "text": (b"hello", "malformed-json"),
    "braces with text": (b"{not json}", "malformed-json"),
    "UTF-16": (a_bundle(an_object()).decode().encode("utf-16"), "malformed-json"),
    "cut off": (a_bundle(an_object())[:-3], "malformed-json"),
    "cut off in a string": (a_bundle(an_object())[:40], "malformed-json"),
    "something after the end": (a_bundle(an_object()) + b"x", "malformed-json"),
    "two documents": (a_bundle(an_object()) * 2, "malformed-json"),
    "two documents with a bad object": (a_bundle(LONE) * 2, "malformed-json"),
    "a missing comma beside a bad object": (a_bundle(an_object() + LONE), "malformed-json"),
    "a comma too many beside a bad object": (a_bundle(LONE)[:-2] + b",]}", "malformed-json"),
    "a list": (b"[" + an_object() + b"]", "not-stix"),
    "null": (b"null", "not-stix"),
    "a number": (b"1", "not-stix"),
    "objects that are no list": (b'{"objects":{}}', "not-stix"),
    "objects that are null": (b'{"objects":null}', "not-stix"),
    "objects twice": (b'{"objects":[' + an_object() + b'],"objects":[]}', "duplicate-key"),
    "objects twice, escaped": (b'{"objects":[' + an_object() + rb'],"obj\u0065cts":[]}', "duplicate-key"),
    "objects twice and a bad one": (b'{"objects":[' + LONE + b'],"objects":[]}', "duplicate-key"),
    "a bundle with its objects elsewhere": (b'{"type":"bundle","Objects":[' + an_object() + b"]}", "not-stix"),
    "a bundle twice": (b'{"type":"bundle"}\n{"type":"bundle"}', "malformed-json"),
    "a type twice": (b'{"type":"bundle","type":"bundle"}', "duplicate-key"),
    "an object twice": (an_object() * 2, "malformed-json"),
    "an object and half": (an_object() + b',"x"', "malformed-json"),
    "an empty object": (b"{}", "empty-batch"),
    "an empty list with a broken string behind": (b'{"objects":[],"id":"\xff"}', "malformed-json"),
}


@pytest.mark.parametrize("name", NOT_READ)
def test_a_body_that_is_no_envelope_is_malformed(name):
    body, code = NOT_READ[name]
    with pytest.raises(Malformed) as told:
        parsing.read_batch(body)
    assert told.value.code == code


@pytest.mark.parametrize("body", [a_bundle(an_object()) + b"\n" + a_bundle(an_object()), a_bundle(LONE) * 2])
def test_of_two_documents_the_place_of_the_second_is_told(body):
    with pytest.raises(Malformed) as told:
        parsing.read_batch(body)
    first = a_bundle(LONE if LONE in body else an_object())
    second = body.index(first, 1)
    assert f"byte {second}." in told.value.detail


@pytest.mark.parametrize(
    "body",
    [
        b'{"type":"bundle"}',
        b' {"id":"bundle--1","spec_version":"2.0","type":"bundle"}\n',
        b'\xef\xbb\xbf{"type":"bundle"}',
        b'{"type":"bundle","id":"bundle--1","objects":[]}',
        b'{"objects":[ ]}',
        b'{"objects":[],"more":false}',
    ],
)
def test_a_bundle_without_objects_is_legal_and_holds_nothing(body):
    assert parsing.read_batch(body) == []


def test_a_byte_order_mark_is_passed_over():
    for ndjson in (False, True):
        (draft,) = parsing.read_batch(b"\xef\xbb\xbf" + an_object(), ndjson=ndjson)
        assert draft.raw == an_object()


def test_lines_without_an_object_are_an_empty_batch():
    with pytest.raises(Malformed) as told:
        parsing.read_batch(b"\n \r\n", ndjson=True)
    assert told.value.code == "empty-batch"


def test_too_many_objects_are_too_large():
    few = parsing.Limits(objects=2)
    three = [an_object(number) for number in range(3)]
    for body, ndjson in ((a_bundle(*three), False), (a_bundle(*three[:2], LONE), False), (b"\n".join(three), True)):
        with pytest.raises(TooLarge) as told:
            parsing.read_batch(body, ndjson=ndjson, limits=few)
        assert told.value.code == "too-many-objects"


HOSTILE = {
    "ten million brackets": b"[" * 10_000_000,
    "ten million brackets in an object": a_bundle(an_object())[:-2] + b',{"a":' + b"[" * 10_000_000,
    "two million nested objects": b'{"a":' * 2_000_000,
    "ten million commas": b'{"objects":[1' + b",1" * 5_000_000 + b"]}",
    "three million small objects": b'{"objects":[{}' + b",{}" * 3_000_000 + b"]}",
    "five million pairs of brackets": b'{"objects":[{"a":"\\ud800","b":[' + b"[]," * 5_000_000 + b"0]}]}",
    "a string of escapes": b'{"objects":["' + b'\\"' * 5_000_000 + b'\xff"]}',
    "a string without end": b'{"objects":["' + b"\\\\" * 5_000_000,
    "many times the word": b'{"objects":[1],"x":[' + b'"objects",' * 1_000_000 + b"1]}",
    "ten million lines": b"\n" * 10_000_000 + b"{}",
}


@pytest.mark.parametrize("ndjson", [False, True])
@pytest.mark.parametrize("name", HOSTILE)
def test_no_body_takes_long_or_breaks_the_reader(name, ndjson):
    began = time.process_time()
    try:
        elements = parsing.read_batch(HOSTILE[name], ndjson=ndjson)
    except (Malformed, TooLarge):
        elements = []
    assert not any(isinstance(element, Draft) for element in elements)
    assert time.process_time() - began < 5


blanks = st.text(alphabet=" \t\r\n", max_size=3)
#: Everything that JSON can say, without what is refused; `pieces` writes it in one of many spellings.
scalars = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
values = st.recursive(
    scalars | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=15,
)


@st.composite
def spelled_objects(draw) -> bytes:
    """An identity with any further properties, in any spelling."""
    extra = draw(st.dictionaries(texts.map(lambda word: f"x_{word}"), values, max_size=5))
    data = {"type": "identity", "id": f"identity--{draw(st.uuids(version=4))}", **extra}
    gap = draw(blanks)
    spelled = json.dumps(
        data,
        ensure_ascii=draw(st.booleans()),
        indent=draw(st.none() | st.integers(0, 3)),
        separators=("," + gap, gap + ":" + gap),
    )
    return spelled.encode()


@given(st.lists(spelled_objects(), min_size=1, max_size=6), blanks, st.booleans())
def test_slices_are_exact_whatever_the_spelling(objects, gap, with_bad):
    space = gap.encode()
    listed = (space + b"," + space).join(objects + [LONE] * with_bad)
    body = space + b'{"x":"]}",' + space + b'"objects":' + space + b"[" + space + listed + space + b"]" + space + b"}"
    elements = parsing.read_batch(body)
    assert [element.raw for element in elements[: len(objects)]] == objects
    assert codes(elements) == ["read"] * len(objects) + ["lone-surrogate"] * with_bad
    assert json.loads(elements[0].raw) == json.loads(objects[0])


fragments = st.sampled_from([
    b"{", b"}", b"[", b"]", b",", b":", b" ", b'"objects"', b'"type"', b'"bundle"', b'"a"', b'"\\""', b"1", b"null",
    b'"objects":[', b'{"objects":[', b"]}", b"{}", an_object(),
])  # fmt: skip


@given(st.lists(fragments, max_size=14).map(b"".join) | st.binary(max_size=40))
def test_both_ways_of_slicing_agree(body):
    """What the fast way reads, the scanner reads likewise; what the scanner reads beyond that is told per object."""
    fast = _outcome(slicing.of_document, body)
    scanned = _outcome(slicing._scan, body)
    if isinstance(fast, slicing.Sliced) and isinstance(scanned, slicing.Sliced):
        if not fast.objects:  # told from a bare object by its type, at which the scanner looks in envelopes only
            return
        assert fast.bare == scanned.bare
        assert len(fast.objects) == len(scanned.objects)
        pairs = zip(fast.objects, scanned.objects, strict=True)
        assert all(ours == theirs for ours, theirs in pairs if ours.startswith((b"{", b"[")))
    elif isinstance(scanned, slicing.Sliced):
        assert scanned.bare or fast in {"malformed-json", "not-stix"}


def _outcome(slice_it, body):
    try:
        return slice_it(body, at_most=100)
    except (Malformed, TooLarge) as error:
        return error.code
