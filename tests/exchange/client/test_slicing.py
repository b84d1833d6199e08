"""Cutting a file into objects touches no byte of them."""

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.client import slicing
from exchange.client.errors import Unusable

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)
objects = st.dictionaries(st.text(max_size=8), json_values, max_size=5)


@given(
    st.lists(objects, max_size=5),
    st.sampled_from([None, 1, 4]),
    st.booleans(),
    st.dictionaries(st.text(max_size=6).filter(lambda key: key != "objects"), json_values, max_size=3),
)
def test_the_slices_of_a_bundle_are_its_objects_as_they_were_written(made, indent, ascii_only, around):
    written = [json.dumps(one, indent=indent, ensure_ascii=ascii_only).encode(errors="surrogatepass") for one in made]
    try:
        body = b"{" + b"".join(
            json.dumps(k).encode() + b" : " + json.dumps(v).encode() + b" ,\n" for k, v in around.items()
        )
        body += b'"objects" : [ ' + b" ,\n ".join(written) + b" ] }"
        body.decode()
    except UnicodeDecodeError:
        return
    assert list(slicing.slices(body)) == written


def test_lines_are_objects(tmp_path):
    path = tmp_path / "some.ndjson.gz"
    path.write_bytes(gzip.compress(b'{"a": 1.10}\n\n {"b":2}\n'))
    assert list(slicing.objects_in(path)) == [b'{"a": 1.10}', b'{"b":2}']


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"objects":[{}]}{"objects":[{}]}', "character 16"),
        (b'{"type": "note"}\n{\n"type": "note"}', "character 17"),
        (b'{"objects":[{}]} x', "character 17"),
        (b'{"objects":[{"a":1}],"objects":[{"a":2}]}', "duplicate-key"),
        (rb'{"objects":[{"a":1}],"obj\u0065cts":[{"a":2}]}', "duplicate-key"),
        (b'{"type":"bundle","type":"bundle"}', "duplicate-key"),
        (b'{"type":"bundle","Objects":[{}]}', "holds something"),
        (b'{"objects":[{},]}', "Not JSON"),
        (b'{"objects":[{}],}', "Not JSON"),
    ],
)
def test_what_would_be_lost_in_silence_is_an_error_before_anything_is_sent(body, said):
    with pytest.raises(Unusable, match=said):
        next(slicing.slices(body), None)


def test_bundles_line_by_line_are_all_their_objects():
    lines = b'{"objects":[{"a":1},{"a":2}]}\n{"type":"bundle","objects":[{"a": 3}]}\n{"type":"x-list","objects":[4]}'
    taken = [b'{"a":1}', b'{"a":2}', b'{"a": 3}', b'{"type":"x-list","objects":[4]}']
    assert list(slicing.slices(lines)) == taken


def test_a_bundle_without_objects_holds_nothing():
    assert list(slicing.slices(b'{"type": "bundle", "id": "bundle--56179490-9cd4-4f8f-a282-0440b492d909"}')) == []


def test_an_object_with_a_type_of_its_own_is_itself_whatever_it_holds():
    assert list(slicing.slices(b'{"type": "x-list", "objects": [1]}')) == [b'{"type": "x-list", "objects": [1]}']


def test_a_byte_order_mark_is_passed_over():
    assert list(slicing.slices(b'\xef\xbb\xbf{"objects": [{"a": 1}]}')) == [b'{"a": 1}']


def test_zeros_behind_gzip_are_padding(tmp_path):
    path = tmp_path / "x.json.gz"
    path.write_bytes(gzip.compress(b'{"objects": [{"a": 1}]}') + bytes(1_024))
    assert list(slicing.objects_in(path)) == [b'{"a": 1}']


def test_a_single_object_is_itself():
    assert list(slicing.slices(b' {"type": "note"} \n')) == [b'{"type": "note"}']


@pytest.mark.parametrize(
    "body", [b"", b"[1]", b"\xff", b'{"objects":[{"a":1}', b'{"objects":[{} {}]}', b'{"objects":[' + b"[" * 100_000]
)
def test_what_is_no_stix_file_is_said_to_be_none(body):
    with pytest.raises(Unusable):
        list(slicing.slices(body))


@pytest.mark.parametrize("content", [b"\x1f\x8bnot gzip", gzip.compress(b"x" * 99, mtime=0)[:-9]])
def test_a_broken_gzip_file_is_said_to_be_one(tmp_path, content):
    path = tmp_path / "x.json.gz"
    path.write_bytes(content)
    with pytest.raises(Unusable, match="gzip"):
        list(slicing.objects_in(path))
