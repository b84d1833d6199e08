"""A table of raw values is read whole, or it is told what of it was not."""

import pytest

from exchange.client import tables
from exchange.client.errors import Unusable

MAP = """
[says]
review = "machine"
publisher_action = "observed"

[says_from]
confidence = "score"

[[indicator]]
column = "address"
subkind = "net"
says = { entry_program = "api", shared_infra = "vpn" }
"""


def read(tmp_path, text, encoding="utf-8"):
    (tmp_path / "map.toml").write_text(MAP)
    table = tmp_path / "table.csv"
    table.write_bytes(text.encode(encoding))
    every = list(tables.build_all(table, tables.read_map(tmp_path / "map.toml"), tokeniser=None))
    return [
        (one.line, one.indicator["pattern"]) if isinstance(one, tables.Built) else (one.line, one.column, one.said)
        for one in every
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "has no column address"),
        ("address\n198.51.100.7\n", "has no column score"),
        ("address;score\n198.51.100.7;80\n", "separated by another mark than a comma"),
        ("address\tscore\n198.51.100.7\t80\n", "separated by another mark than a comma"),
        ("address,score,address\n198.51.100.7,80,203.0.113.9\n", "has two columns address"),
        ('address,score\n198.51.100.7,80\n"203.0.113.9,80\n198.51.100.8,80\n', "after line 2"),
        ('address,score\n"198.51.100.7"x,80\n', "after line 1"),
    ],
)
def test_what_is_no_table_is_told_and_nothing_of_it_is_built(tmp_path, text, told):
    with pytest.raises(Unusable, match=told) as raised:
        read(tmp_path, text)
    assert "198.51" not in str(raised.value)
    assert "203.0" not in str(raised.value)


def test_a_line_with_more_cells_than_the_header_is_told_and_the_others_are_built(tmp_path):
    """Such as where a comma of a prompt stands in no quotation marks: what is before it is not what was meant."""
    text = "address,score\n198.51.100.7,80\n198.51.100.8,70,more\n\n198.51.100.9\n"
    assert read(tmp_path, text) == [
        (3, "", "more cells than the header has columns"),
        (2, "[ipv4-addr:value = '198.51.100.7']"),
        (5, "[ipv4-addr:value = '198.51.100.9']"),
    ]


def test_what_another_column_says_wrong_is_told_by_that_column(tmp_path):
    (tmp_path / "map.toml").write_text(MAP)
    (tmp_path / "t.csv").write_text("address,score\n198.51.100.7,x\n198.51.100.8,101\n198.51.100.9,80\nnone,80\n")
    every = tables.build_all(tmp_path / "t.csv", tables.read_map(tmp_path / "map.toml"), tokeniser=None)
    told = [one for one in tables.checked(every) if isinstance(one, tables.NotBuilt)]
    assert [(one.line, one.column, one.source) for one in told] == [
        (2, "address", "score"),
        (3, "address", "score"),
        (5, "address", ""),
    ]
    assert [one.said.endswith("(from column score)") for one in told] == [True, True, False]
    assert told[1].document()["from_column"] == "score"


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ('"machine"', '"a_machine"', "map.toml: address: review: one of "),
        ('"machine"', "[1]", "map.toml: address: review: one of "),
        ('"vpn"', '"vpn", first_seen = "soon"', "map.toml: address: first_seen: a time such as "),
        ("\n[says]", 'tlp = "pink"\n[says]', "map.toml: address: tlp: one of "),
    ],
)
def test_a_wrong_word_of_the_map_stops_at_once(tmp_path, right, wrong, told):
    (tmp_path / "map.toml").write_text(MAP.replace(right, wrong))
    with pytest.raises(Unusable, match=told):
        tables.read_map(tmp_path / "map.toml")


def test_what_is_not_utf_8_is_told_by_its_line(tmp_path):
    with pytest.raises(Unusable, match=r"table\.csv: line 3 is not UTF-8; save the file as UTF-8$"):
        read(tmp_path, "address,score\n198.51.100.7,80\nM\u00fcller,80\n", "latin-1")


def test_columns_that_the_map_does_not_name_may_have_any_names(tmp_path):
    text = "note,note,,address,score\nx,y,z,198.51.100.7,80\n"
    assert read(tmp_path, text, "utf-8-sig") == [(2, "[ipv4-addr:value = '198.51.100.7']")]
