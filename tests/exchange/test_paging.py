"""Cursors open for the viewer and the filter that they were made for, and say nothing to anybody."""

import base64
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange import paging, sealing
from exchange.errors import Malformed

ASTER, BOREALIS = uuid.uuid4(), uuid.uuid4()


@given(
    position=st.lists(
        st.integers(-(2**63), 2**63 - 1) | st.text(max_size=20).filter(lambda t: "\0" not in t), max_size=3
    )
)
def test_a_cursor_comes_back_as_it_was_made(position):
    cursor = paging.seal(position, viewer=ASTER, scope="changes")
    assert paging.unseal(cursor, viewer=ASTER, scope="changes") == position
    assert cursor.isascii()
    assert not set(cursor) - set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def test_a_cursor_is_worthless_to_another_viewer_and_for_another_filter():
    cursor = paging.seal([7], viewer=ASTER, scope="changes;kind=a")
    for viewer, scope in ((BOREALIS, "changes;kind=a"), (ASTER, "changes;kind=b"), (ASTER, "objects;kind=a")):
        with pytest.raises(Malformed) as refused:
            paging.unseal(cursor, viewer=viewer, scope=scope)
        assert refused.value.code == "bad-cursor"


@given(forged=st.text(max_size=600) | st.binary(max_size=80).map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_what_we_did_not_make_is_refused(forged):
    with pytest.raises(Malformed):
        paging.unseal(forged, viewer=ASTER, scope="changes")


@given(at=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_one_flipped_bit_is_noticed(at, flip):
    raw = bytearray(base64.urlsafe_b64decode(paging.seal([123_456], viewer=ASTER, scope="changes") + "=="))
    raw[at % len(raw)] ^= flip
    with pytest.raises(Malformed):
        paging.unseal(base64.urlsafe_b64encode(raw).decode(), viewer=ASTER, scope="changes")


def test_a_place_cannot_be_read_from_its_cursor():
    near, far = (paging.seal([seq], viewer=ASTER, scope="changes") for seq in (1_000, 1_001))
    same = sum(one == other for one, other in zip(near, far, strict=True))
    assert same < len(near) / 2


def test_an_old_secret_still_opens_what_it_sealed(settings):
    cursor = paging.seal([7], viewer=ASTER, scope="changes")
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another secret key, long enough to be one of ours, surely"
    assert paging.unseal(cursor, viewer=ASTER, scope="changes") == [7]
    settings.SECRET_KEY_FALLBACKS = []
    with pytest.raises(Malformed):
        paging.unseal(cursor, viewer=ASTER, scope="changes")


def test_what_is_sealed_for_one_purpose_opens_for_no_other():
    sealed = sealing.seal(b"secret", purpose="webhook")
    with pytest.raises(sealing.Broken):
        sealing.unseal(sealed, purpose="cursor")
