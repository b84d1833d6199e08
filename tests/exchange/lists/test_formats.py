"""A list is written the same from whatever rows say the same, and nothing that is not plain is ever in it."""

from __future__ import annotations

import csv
import io
import json
import sys
import unicodedata
from datetime import UTC, datetime
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.lists import formats, lines
from exchange.lists.lines import Said

SUBKINDS = [
    ("account-pattern", "email"),
    ("account-pattern", "net"),
    ("account-pattern", "email_domain"),
    ("account-pattern", "gateway_host"),
    ("indicator", "domain-name:value"),
    ("indicator", "ipv4-addr:value"),
    ("indicator", "url:value"),
]
ROWS = st.lists(
    st.builds(
        lambda value, kind, publisher, named, confidence, until, number: Said(
            value,
            kind[1],
            "clear",
            "",
            kind[0],
            (publisher if named else "Partner X",),
            (publisher,) if named else (),
            confidence,
            until,
            (f"indicator--{number}",),
        ),
        st.sampled_from(["a.example", "b.example", "192.0.2.1/32", "\u00e9", "Z", "a"]) | st.text(max_size=3),
        st.sampled_from(SUBKINDS),
        st.sampled_from(["Aster", "Borealis", "=Cygnus"]),
        st.booleans(),
        st.none() | st.integers(0, 100),
        st.none() | st.sampled_from([datetime(2030, 1, day, tzinfo=UTC) for day in (1, 2)]),
        st.integers(0, 5),
    ),
    max_size=12,
)


def written(said, form):
    tally = formats.Tally()
    content = b"".join(formats.write(sorted(said, key=lambda one: one.value), form=form, tally=tally))
    return content, tally


def grouped(said):
    """The same as the server asks it: a row for each value, kind and subkind."""
    key = lambda one: one[:5]  # noqa: E731
    for same, rows in groupby(sorted(said, key=key), key=key):
        of = list(rows)
        ends = [one.valid_until for one in of]
        yield Said(
            *same,
            sources=[name for one in of for name in one.sources],
            named=[name for one in of for name in one.named],
            confidence=max((one.confidence for one in of if one.confidence is not None), default=None),
            valid_until=None if None in ends else max(ends),
            ids=[stix_id for one in of for stix_id in one.ids],
        )


@pytest.mark.parametrize("form", formats.FORMS)
@given(said=ROWS, rearranged=st.randoms())
def test_rows_that_say_the_same_are_the_same_bytes(form, said, rearranged):
    shuffled = said.copy()
    rearranged.shuffle(shuffled)
    assert written(said, form)[0] == written(shuffled, form)[0] == written(grouped(said), form)[0]


@given(said=ROWS)
def test_each_value_is_once_in_the_order_of_bytes_and_plain(said):
    content, tally = written(said, "text")
    values = content.decode().split("\n")[:-1]
    assert values == sorted({one.value for one in said if lines.is_plain(one.value)}, key=str.encode)
    assert tally.entries == len(values)
    assert (tally.refused > 0) == any(not lines.is_plain(one.value) for one in said)


@given(said=ROWS)
def test_the_other_formats_read_back_as_what_was_written(said):
    rows = list(csv.DictReader(io.StringIO(written(said, "csv")[0].decode(), newline="")))
    documents = [json.loads(line) for line in written(said, "jsonl")[0].decode().splitlines()]
    assert [row["value"] for row in rows] == [document["value"] for document in documents]
    assert [int(row["publishers"]) for row in rows] == [document["publishers"] for document in documents]
    assert len({(one["value"], one["subkind"], one["kind"]) for one in documents}) == len(documents)


@pytest.fixture(scope="module")
def hostile():
    kinds, characters = {"Cc", "Cf", "Zl", "Zp", "Zs"}, map(chr, range(sys.maxunicode + 1))
    return [character for character in characters if unicodedata.category(character) in kinds]


@pytest.mark.parametrize("form", formats.FORMS)
def test_no_character_that_could_break_or_turn_a_line_is_written(form, hostile):
    said = [Said(f"a{odd}b", "email", "clear", "", "account-pattern", (), (), 1, None, ("i",)) for odd in hostile]
    content, tally = written(said, form)
    assert (tally.entries, tally.refused) == (0, len(hostile))
    assert content == written([], form)[0]


@pytest.mark.parametrize(
    "value", ["=1+1", "+49", "-rf", "@SUM(1)", "", "a b", "a\tb", "a\rb", "\ufeffa", "\ue000", "\ud800"]
)
def test_what_a_spreadsheet_or_a_shell_takes_for_more_than_a_value_is_no_entry(value):
    assert not lines.is_plain(value)


def test_a_name_is_never_a_formula_nor_a_line():
    said = [Said("a", "email", "clear", "", "account-pattern", ("=HYPERLINK(1)", "x\u2028y"), ("a",), 1, None, ("i",))]
    (row,) = csv.DictReader(io.StringIO(written(said, "csv")[0].decode()))
    assert row["sources"] == "'=HYPERLINK(1)|x y"


def test_a_classical_value_joins_ours_and_all_named_publishers_count_once():
    def said(subkind, kind, publisher, named=True):
        return Said("a.example", subkind, "clear", "", kind, (publisher,), (publisher,) * named, 1, None, (publisher,))

    both = [
        said("domain-name:value", "indicator", "Aster"),
        said("gateway_host", "account-pattern", "Borealis"),
        said("gateway_host", "account-pattern", "Aster"),
        said("gateway_host", "account-pattern", "Partner X", named=False),
    ]
    (line,) = lines.of(both)
    assert (line.subkind, line.publishers) == ("gateway_host", 2)
    assert line.sources == ("Aster", "Borealis", "Partner X")
    (alone,) = lines.of(both[3:])
    assert alone.publishers == 1
