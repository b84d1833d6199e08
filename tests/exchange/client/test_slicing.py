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
