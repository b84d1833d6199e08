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


def test_members_are_bounded_and_each_costs_a_window_at_most(monkeypatch):
    one = gzip.compress(b"x", mtime=0)
    assert bodies.read(a_request(one * 1_000, encoding="gzip")) == b"x" * 1_000
    with pytest.raises(Malformed) as refused:
        bodies.read(a_request(one * 1_001, encoding="gzip"))
    assert refused.value.code == "too-many-gzip-members"

    handed = []
    real = bodies.zlib.decompressobj

    class Counting:
        def __init__(self, wbits):
            self._real = real(wbits)

        def decompress(self, data, most):
            handed.append(len(data))
            return self._real.decompress(data, most)

        def __getattr__(self, name):
            return getattr(self._real, name)

    monkeypatch.setattr(bodies.zlib, "decompressobj", Counting)
    with pytest.raises(Malformed):
        bodies.read(a_request(gzip.compress(b"", mtime=0) * 200_000, encoding="gzip"))
    assert len(handed) <= 1_000
    assert max(handed) <= 16_384  # what zlib copies of the rest, once for each member


@pytest.mark.parametrize("members", [[b"one"], [b"x" * 100_000, b"", b"y"]])
def test_a_member_may_end_anywhere_in_a_window_and_zeros_behind_the_last_are_padding(members):
    packed = b"".join(gzip.compress(each, mtime=0) for each in members)
    for padding in (b"", b"\0", b"\0" * 40_000):
        assert bodies.read(a_request(packed + padding, encoding="gzip")) == b"".join(members)


def test_what_unpacks_to_more_than_a_hundred_times_its_size_is_refused_above_a_megabyte():
    bomb = gzip.compress(b"\0" * 8_000_000, mtime=0)
    with pytest.raises(TooLarge) as refused:
        bodies.read(a_request(bomb, encoding="gzip"))
    assert refused.value.code == "body-too-dense"
    assert len(bodies.read(a_request(gzip.compress(b"\0" * 1_000_000, mtime=0), encoding="gzip"))) == 1_000_000


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
