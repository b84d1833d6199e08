"""CSV of indicators, both ways: a row for each token, and no cell that a spreadsheet runs."""

import csv
import io

import pytest

from exchange.formats import table
from exchange.stix import words
from tests.exchange.formats import ours


def read(out: bytes):
    return ours.split(table.read(out.decode()))


def test_every_subkind_comes_back_as_it_was():
    objects = ours.every()
    out, told = ours.written(table.write, objects)
    assert told == []
    back, losses = read(out)
    assert losses == []
    for document, one in zip(objects, back, strict=True):
        subkind = ours.extension(document)["subkind"]
        assert (one.subkind, one.carried) == (subkind, {words.CARRIED_BY[subkind]: ours.carries(document)})
        assert one.says == ours.says(document)
        assert (one.tlp, one.valid_until, f"indicator--{one.source_id}") == (
            "amber",
            document["valid_until"],
            document["id"],
        )


def test_tokens_of_one_indicator_are_rows_of_one_id():
    made = ours.one("email")
    tokens = [ours.carries(made)[0] | {"value": f"{n:064x}"} for n in (1, 2)]
    ours.extension(made)["tokens"] = tokens
    out, _ = ours.written(table.write, [made, ours.one("phone")])
    assert out.count(b"\n") == 4
    (email, _), _ = read(out)
    assert email.carried == {"tokens": tokens}


def test_what_a_spreadsheet_would_run_is_quoted_and_comes_back():
    made = [ours.one("regex", carrier={"signature": {"regex": text}}) for text in ("=1+1", "@x", "'=y", "'z", "plain")]
    out, told = ours.written(table.write, made)
    cells = [row["value"] for row in csv.DictReader(io.StringIO(out.decode()))]
    assert cells == ["'=1+1", "'@x", "''=y", "''z", "plain"]
    assert ours.codes(told) == [(f"{one['id']}/value", "quoted") for one in made[:4]]
    assert [one.carried["signature"]["regex"] for one in read(out)[0]] == ["=1+1", "@x", "'=y", "'z", "plain"]


def test_nor_is_what_begins_a_cell_where_lines_are_split_at_semicolons():
    texts = ["a;=1+1", "a; @x;-y", "a;'=y", "a;b", "=a;''=1", ";\t1"]
    made = [ours.one("regex", carrier={"signature": {"regex": text}}) for text in texts]
    out, _ = ours.written(table.write, made)
    cells = [row["value"] for row in csv.DictReader(io.StringIO(out.decode()))]
    assert cells[:4] == ["a;'=1+1", "a; '@x;'-y", "a;''=y", "a;b"]
    assert [one.carried["signature"]["regex"] for one in read(out)[0]] == texts


def test_rows_that_say_nothing_of_ours_are_told_by_their_line():
    out, _ = ours.written(table.write, [ours.one("cluster_rule"), ours.one("net")])
    text = out.decode().replace(",cluster_rule,", ",nothing,")
    found, losses = ours.split(table.read(text))
    assert (len(found), ours.codes(losses)) == (1, [("/2/subkind", "no-subkind")])
    wrong = out.decode().replace(",80,", ",much,")
    assert ours.codes(ours.split(table.read(wrong))[1]) == [("/2", "unreadable"), ("/3", "unreadable")]


def test_a_table_that_was_cut_or_shifted_is_not_read_as_if_it_were_whole():
    out, _ = ours.written(table.write, [ours.one("email"), ours.one("net")])
    header, first, second = out.decode().splitlines()
    found, losses = ours.split(table.read("\n".join((header, f"{first},more", second))))
    assert (len(found), ours.codes(losses)) == (1, [("/2", "unreadable")])
    with pytest.raises(csv.Error):
        list(table.read("\n".join((header, f'"{first}', second))))


def test_our_header_is_known_and_another_is_not():
    assert table.is_ours(table.HEADER)
    assert not table.is_ours(["email", "card"])
    assert ours.split(table.read("")) == ([], [])
