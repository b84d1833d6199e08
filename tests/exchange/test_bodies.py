"""Bodies of pushes: bounded as sent and as unpacked, gzip undone, and a cut connection noticed."""

import gzip
import io

import pytest
from django.test import RequestFactory

from exchange import bodies
from exchange.errors import Malformed, TooLarge, UnsupportedMedia


def a_request(body, *, encoding="", **environ):
    headers = {"Content-Encoding": encoding} if encoding else {}
    request = RequestFactory().post("/", body, content_type="application/json", headers=headers)
    request.META |= environ
    return request


def chunked(body):
    request = a_request(b"")
    request.META |= {"wsgi.input": io.BytesIO(body), "wsgi.input_terminated": True}
    return request


@pytest.mark.parametrize("encoding", ["", "identity"])
def test_a_plain_body_is_read_up_to_its_bound(encoding):
    assert bodies.read(a_request(b"x" * 10, encoding=encoding), max_bytes=10) == b"x" * 10
    with pytest.raises(TooLarge):
        bodies.read(a_request(b"x" * 11, encoding=encoding), max_bytes=10)


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "GZIP"])
def test_gzip_is_undone_member_after_member(encoding):
    packed = gzip.compress(b"one,", mtime=0) + gzip.compress(b"", mtime=0) + gzip.compress(b"two", mtime=0)
    assert bodies.read(a_request(packed, encoding=encoding)) == b"one,two"


def test_what_unpacks_beyond_the_bound_is_not_unpacked():
    bomb = gzip.compress(b"\0" * 1_000_000, mtime=0)
    for packed in (bomb, gzip.compress(b"x", mtime=0) + bomb):
        with pytest.raises(TooLarge):
            bodies.read(a_request(packed, encoding="gzip"), max_bytes=10_000)
    assert len(bodies.read(a_request(bomb, encoding="gzip"), max_bytes=1_000_000)) == 1_000_000


@pytest.mark.parametrize(
    "body", [b"plain", gzip.compress(b"x" * 100, mtime=0)[:-5], gzip.compress(b"x", mtime=0) + b"rest"]
)
def test_what_is_not_whole_gzip_is_malformed(body):
    with pytest.raises(Malformed):
        bodies.read(a_request(body, encoding="gzip"))


@pytest.mark.parametrize("encoding", ["br", "zstd", "deflate", "gzip, gzip"])
def test_other_encodings_are_refused(encoding):
    with pytest.raises(UnsupportedMedia):
        bodies.read(a_request(b"x", encoding=encoding))


def test_a_body_shorter_than_announced_is_malformed():
    with pytest.raises(Malformed, match="before it was complete"):
        bodies.read(a_request(b"x", CONTENT_LENGTH="5"))


def test_a_body_without_a_length_is_read_to_its_end_within_the_bound():
    assert bodies.read(chunked(b"x" * 10), max_bytes=10) == b"x" * 10
    with pytest.raises(TooLarge):
        bodies.read(chunked(b"x" * 11), max_bytes=10)
