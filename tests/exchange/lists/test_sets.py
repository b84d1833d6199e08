"""The set hash and the page of the delta: as the published vectors have them, whatever is cut or altered."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.lists import pages, sets
from tests.postgres import ROOT

VECTORS = json.loads((ROOT / "exchange" / "docs" / "delta-vectors.json").read_text())
PAGE = VECTORS["page"]["text"].encode()
NUMBERS = st.lists(st.integers(0, 2**256 - 1), max_size=20)


def test_elements_and_sums_are_those_of_the_vectors():
    key, total = bytes.fromhex(VECTORS["set_key"]), sets.SetHash()
    assert total.hex == VECTORS["empty"]["set_hash"]
    for each in VECTORS["elements"]:
        assert sets.moment(each["valid_until"]) == each["end"]
        number = sets.element(key, source=each["publisher"], stix_id=each["id"], sha256=each["sha256"], end=each["end"])
        total.add(number)
        assert (f"{number:064x}", total.count, total.hex) == (
            each["element"],
            each["set_count_after"],
            each["set_hash_after"],
        )


def test_sums_wrap():
    total = sets.SetHash()
    for number in VECTORS["sum_wraps"]["elements"]:
        total.add(int(number, 16))
    assert total.hex == VECTORS["sum_wraps"]["set_hash"]


@given(NUMBERS, NUMBERS, st.randoms())
def test_in_any_order_and_after_any_coming_and_going_equal_sets_have_equal_hashes(stay, go, chance):
    acts = [(number, True) for number in stay + go]
    chance.shuffle(acts)
    acts += [(number, False) for number in go]
    gone, straight = sets.SetHash(), sets.SetHash()
    for number, comes in acts:
        (gone.add if comes else gone.drop)(number)
    for number in stay:
        straight.add(number)
    assert gone == straight == sets.SetHash.read(straight.count, straight.hex)


def test_no_part_of_an_element_can_pass_for_another():
    with pytest.raises(ValueError, match="NUL"):
        sets.element(b"k" * 32, source="a\0b", stix_id="c", sha256="", end="")


def test_the_page_of_the_vectors_is_read_whole_in_pieces_of_any_size():
    for size in (1, 7, len(PAGE)):
        page = pages.read(PAGE[at : at + size] for at in range(0, len(PAGE), size))
        assert len(page.rows) == page.trailer.rows == VECTORS["page"]["rows"]
        assert page.trailer.set_hash == VECTORS["page"]["set_hash"]


@given(st.integers(0, len(PAGE) - 1))
def test_a_page_that_is_cut_anywhere_is_not_whole(cut):
    with pytest.raises(pages.Incomplete):
        pages.read([PAGE[:cut]])


@given(st.integers(0, PAGE.rindex(b'{"trailer"') - 1), st.integers(1, 255))
def test_a_page_with_one_byte_altered_in_its_rows_is_not_whole(place, by):
    altered = bytearray(PAGE)
    altered[place] ^= by
    with pytest.raises(pages.Incomplete):
        pages.read([bytes(altered)])


def test_what_stands_behind_the_trailer_makes_it_no_page():
    with pytest.raises(pages.Incomplete):
        pages.read([PAGE, b'{"op":"remove"}\n'])


def test_a_row_of_a_later_protocol_is_skipped_and_counted():
    writer = pages.Writer()
    page = pages.read([writer.row(b'{"op":"annotate"}'), writer.trailer("c", more=False)])
    assert (page.rows, page.skipped, page.trailer.set_hash) == ([], 1, None)


def test_an_object_nested_as_deep_as_it_likes_breaks_the_page_and_not_the_reader():
    writer = pages.Writer()
    with pytest.raises(pages.Incomplete):
        pages.read([writer.row(b'{"op":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), writer.trailer("c")])
