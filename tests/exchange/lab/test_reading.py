"""A lab's accounts from its own files, under its own names."""

import sqlite3
from datetime import UTC, datetime

import polars as pl
import pytest

from exchange.client.errors import Unusable
from exchange.lab import features, reading

MAP = """
group = "ring"
[source]
file = "{file}"
[columns]
account = "id"
created = "at"
email = "mail"
addresses = "ips"
flagged = "fraud"
"""


def read(tmp_path, text):
    (tmp_path / "map.toml").write_text(text)
    return pl.concat(list(reading.portions(reading.read_map(tmp_path / "map.toml"))))


def assert_anna(frame):
    assert frame.columns == ["account", "created", "email", "addresses", "flagged", features.NO_TIME]
    row = frame.row(0, named=True)
    assert row["account"] == "7"
    assert row["created"] == datetime(2026, 11, 28, 13, tzinfo=UTC)
    assert row["addresses"] == ["198.51.100.7", "198.51.100.8"]
    assert row["flagged"] is True
    assert frame["flagged"].to_list() == [True, False]


def test_csv_with_lists_as_json(tmp_path):
    (tmp_path / "a.csv").write_text(
        'id,at,mail,ips,fraud\n7,2026-11-28T13:00:00Z,a@b.example,"[""198.51.100.7"",""198.51.100.8""]",YES\n8,,,,\n'
    )
    assert_anna(read(tmp_path, MAP.format(file="a.csv")))


def test_json_lines(tmp_path):
    (tmp_path / "a.jsonl").write_text(
        '{"id":7,"at":"2026-11-28T14:00:00+01:00","mail":"a@b.example","ips":["198.51.100.7","198.51.100.8"],"fraud":true}\n'
        '{"id":8,"at":null,"mail":null,"ips":[],"fraud":false}\n'
    )
    assert_anna(read(tmp_path, MAP.format(file="a.jsonl")))


def test_several_parquet_files_by_a_pattern(tmp_path):
    one = {"id": ["7"], "at": [datetime(2026, 11, 28, 13)], "mail": ["a@b.example"], "fraud": [1]}
    pl.DataFrame(one | {"ips": [["198.51.100.7", "198.51.100.8"]]}).write_parquet(tmp_path / "a1.parquet")
    pl.DataFrame(one | {"id": ["8"], "ips": [["198.51.100.9"]], "fraud": [0]}).write_parquet(tmp_path / "a2.parquet")
    assert_anna(read(tmp_path, MAP.format(file="a*.parquet")))


def test_a_query_of_a_database(tmp_path):
    store = sqlite3.connect(tmp_path / "lab.sqlite")
    store.execute("CREATE TABLE a (id, at, mail, ips, fraud)")
    store.execute(
        "INSERT INTO a VALUES ('7', 1795870800, 'a@b.example', '[\"198.51.100.7\",\"198.51.100.8\"]', 1), ('8', NULL, NULL, NULL, 0)"
    )
    store.commit()
    store.close()
    source = 'sql = "SELECT * FROM a ORDER BY id"\ndatabase = "sqlite:///lab.sqlite"'
    assert_anna(read(tmp_path, MAP.replace('file = "{file}"', source)))


@pytest.mark.parametrize(
    "moments",
    [
        ["2026-11-28T13:00:00Z", "2026-11-28T14:00:00+01:00", "2026-11-28T13:00:00.5Z"],
        ["2026-11-28 13:00:00", "2026-11-28 13:00:00.25"],
        [1795870800, 1795870800],
        [1795870800.25],
        [1795870800000, 1795870800000000, 1795870800000000000],
        ["1795870800", " 1795870800000 ", "1.7958708e9"],
        ["2026-11-28T13:00:00Z", "1795870800", None, ""],
    ],
)
def test_a_time_is_a_text_or_a_number_since_1970_however_fine(tmp_path, moments):
    accounts = [str(number) for number in range(len(moments))]
    pl.DataFrame({"id": accounts, "at": moments}).write_parquet(tmp_path / "a.parquet")
    text = '[source]\nfile = "a.parquet"\n[columns]\naccount = "id"\ncreated = "at"\n'
    found = read(tmp_path, text)
    assert {moment.replace(microsecond=0) for moment in found["created"] if moment} == {
        datetime(2026, 11, 28, 13, tzinfo=UTC)
    }
    assert found["created"].null_count() == sum(moment in (None, "") for moment in moments)
    assert not found[features.NO_TIME].any()


def test_what_is_no_time_is_left_out_and_counted(tmp_path):
    (tmp_path / "a.csv").write_text(
        "id,at,mail,ips,fraud\n1,2026-11-28T13:00:00Z,a@b.example,,\n2,soon,,,\n3,9,,,\n4,,,,\n"
    )
    found = read(tmp_path, MAP.format(file="a.csv"))
    assert found["created"].is_null().to_list() == [False, True, True, True]
    assert features.derive(found).wrong["created"] == 2
    (tmp_path / "a.csv").write_text("id,at,mail,ips,fraud\n1,soon,,,\n2,later,,,\n")
    with pytest.raises(Unusable, match="created: a time is such as"):
        read(tmp_path, MAP.format(file="a.csv"))


@pytest.mark.parametrize(
    "flags",
    [[True, False, None], [1, 0, None], [1.0, 0.0, None], ["1.0", "0.0", None], ["Yes", " no ", ""], ["T", "f", ""]],
)
def test_a_flag_is_a_word_or_a_number(tmp_path, flags):
    pl.DataFrame({"id": ["1", "2", "3"], "fraud": flags}, strict=False).write_parquet(tmp_path / "a.parquet")
    text = '[source]\nfile = "a.parquet"\n[columns]\naccount = "id"\nflagged = "fraud"\n'
    assert read(tmp_path, text)["flagged"].to_list() == [True, False, False]


def test_a_flag_that_says_neither_yes_nor_no_is_named_and_not_taken_for_no(tmp_path):
    (tmp_path / "a.csv").write_text("id,at,mail,ips,fraud\n1,,,,confirmed fraud\n2,,,,ok\n")
    with pytest.raises(Unusable, match=r"\[columns\] flagged: a value is neither of true") as raised:
        read(tmp_path, MAP.format(file="a.csv"))
    assert "confirmed" not in str(raised.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("[source]", "[sources]"), "no such table or key: sources"),
        (('account = "id"', ""), "account is needed"),
        (('account = "id"', 'account = "id"\nname = "n"'), "name is none of"),
        (('file = "a.csv"', ""), "names a file"),
        (('file = "a.csv"', 'sql = "x"\ndatabase = "mysql://x"'), "database is sqlite"),
        (('group = "ring"', 'group = "ring"\npayment = {subkind = "card"}'), "[payment] subkind is one of"),
        (('group = "ring"', 'group = "ring"\npayment = {subkind = "psp_fp"}'), "32 hexadecimal digits"),
        (('group = "ring"', 'group = "ring"\nderive = {skip = ["words"]}'), "skip: words is none of"),
        (('group = "ring"', 'group = "ring"\nevidence = {days = 91}'), "days is 1 to 90"),
        (('group = "ring"', 'group = "ring"\nevidence = {publisher_action = "banned"}'), "publisher_action is one of"),
        (('file = "a.csv"', 'file = "none.csv"'), "no such file"),
        (('file = "a.csv"', 'file = "map.toml"'), "is none of .parquet"),
        (('account = "id"', 'account = "who"'), "no column who; there are: id"),
    ],
)
def test_what_is_wrong_in_a_map_is_named(tmp_path, change, said):
    (tmp_path / "a.csv").write_text("id,at,mail,ips,fraud\n7,,,,\n")
    with pytest.raises(Unusable) as raised:
        read(tmp_path, MAP.format(file="a.csv").replace(*change))
    assert said in str(raised.value)


def test_an_account_that_is_named_twice_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("id,at,mail,ips,fraud\n7,,,,\n7,,,,\n")
    with pytest.raises(Unusable, match="named twice"):
        read(tmp_path, MAP.format(file="a.csv"))
