"""Settings are read from the environment: typed, and a wrong value stops the start with a sentence."""

import re
from pathlib import Path

import pytest

from exchange import env

ROOT = Path(__file__).resolve().parents[2]
#: What no operator sets: of the demo, and what a command says of itself.
NOT_OPERATORS = {"DEMO_JSON", "DEMO_LABS", "EXCHANGE_COMMAND", "PORT"}
#: What libpq reads by itself.
LIBPQ = {"PGSSLMODE", "PGSSLROOTCERT"}


@pytest.fixture
def setting(monkeypatch):
    def put(value):
        monkeypatch.setenv("SETTING", value)

    monkeypatch.delenv("SETTING", raising=False)
    return put


def test_an_unset_and_an_empty_variable_are_the_same(setting):
    assert env.text("SETTING", "else") == "else"
    setting("  ")
    assert env.text("SETTING", "else") == "else"


def test_what_must_be_there_stops_the_start(setting):
    with pytest.raises(SystemExit, match="SETTING: must be set: the reason"):
        env.required("SETTING", why="the reason")


@pytest.mark.parametrize(
    ("value", "meant"), [("1", True), ("Yes", True), ("true", True), ("0", False), ("no", False), ("FALSE", False)]
)
def test_a_flag_is_said_in_few_ways(setting, value, meant):
    setting(value)
    assert env.flag("SETTING", default=not meant) is meant


@pytest.mark.parametrize("value", ["2", "on", "t"])
def test_any_other_flag_stops_the_start(setting, value):
    setting(value)
    with pytest.raises(env.BadEnvironment):
        env.flag("SETTING", default=False)


@pytest.mark.parametrize("value", ["ten", "1.5", "-1", "11"])
def test_a_number_out_of_bounds_stops_the_start(setting, value):
    setting(value)
    with pytest.raises(env.BadEnvironment):
        env.number("SETTING", 5, least=0, most=10)


def test_a_choice_is_one_of_a_closed_set(setting):
    setting("two")
    assert env.choice("SETTING", "one", of=("one", "two")) == "two"
    setting("three")
    with pytest.raises(env.BadEnvironment, match="one, two"):
        env.choice("SETTING", "one", of=("one", "two"))


def test_words_are_separated_by_commas(setting):
    setting(" a.example, ,b.example ,")
    assert env.words("SETTING") == ["a.example", "b.example"]


def test_a_language_is_there_once_its_catalogue_is(setting, tmp_path):
    assert env.languages("SETTING", tmp_path) == [("en", "en")]
    setting("pt-BR, en")
    with pytest.raises(env.BadEnvironment, match="of pt-br there is no compiled catalogue"):
        env.languages("SETTING", tmp_path)
    (tmp_path / "pt_BR/LC_MESSAGES").mkdir(parents=True)
    (tmp_path / "pt_BR/LC_MESSAGES/django.mo").touch()
    assert env.languages("SETTING", tmp_path) == [("en", "en"), ("pt-br", "pt-br")]
    setting("../de")
    with pytest.raises(env.BadEnvironment, match="such as de"):
        env.languages("SETTING", tmp_path)


def test_a_database_url_gives_up_its_parts(setting):
    setting("postgresql://me%40home:p%2Fw@db.internal:6543/the%20name?sslmode=verify-full")
    found = env.database("SETTING")
    assert (found["USER"], found["PASSWORD"]) == ("me@home", "p/w")
    assert (found["HOST"], found["PORT"], found["NAME"]) == ("db.internal", "6543", "the name")
    assert found["OPTIONS"] == {"sslmode": "verify-full"}


def test_a_socket_directory_is_given_as_host(setting):
    setting("postgresql://postgres:@/postgres?host=%2Fvar%2Frun%2Fa%20b")
    found = env.database("SETTING")
    assert (found["HOST"], found["PORT"], found["OPTIONS"]) == ("/var/run/a b", "", {})


@pytest.mark.parametrize("value", ["mysql://a/b", "/tmp/db", "postgresql://host:port/name"])
def test_another_kind_of_url_stops_the_start_and_is_not_repeated(setting, value):
    setting(value)
    with pytest.raises(env.BadEnvironment) as stopped:
        env.database("SETTING")
    assert value not in str(stopped.value)


def test_a_seed_is_32_bytes_or_absent(monkeypatch):
    monkeypatch.delenv("SEED", raising=False)
    assert env.seed("SEED") == b""
    monkeypatch.setenv("SEED", "0f" * 32)
    assert env.seed("SEED") == b"\x0f" * 32
    for wrong in ("0f" * 31, "zz" * 32, "0f"):
        monkeypatch.setenv("SEED", wrong)
        with pytest.raises(SystemExit, match="SEED: must be"):
            env.seed("SEED")


@pytest.mark.parametrize(
    ("host", "port", "shown"),
    [
        ("db.internal", "6432", "pgmq://db.internal:6432"),
        ("10.0.0.5", "", "pgmq://10.0.0.5:5432"),
        ("/var/run/postgresql", "", "pgmq://localhost"),
        ("", "", "pgmq://localhost"),
        ("one,two", "", "pgmq://localhost"),
        ("2001:db8::5", "", "pgmq://localhost"),
    ],
)
def test_the_broker_in_the_database_is_shown_where_it_is(host, port, shown):
    assert env.shown_broker(host, port) == shown


def test_a_file_may_hold_what_a_variable_says(monkeypatch, tmp_path):
    monkeypatch.delenv("SEED", raising=False)
    held = tmp_path / "seed"
    held.write_text("0f" * 32 + "\n")
    monkeypatch.setenv("SEED_FILE", str(held))
    assert env.seed("SEED") == b"\x0f" * 32
    monkeypatch.setenv("SEED", "1f" * 32)
    assert env.seed("SEED") == b"\x1f" * 32
    monkeypatch.delenv("SEED")
    monkeypatch.setenv("SEED_FILE", str(tmp_path / "none"))
    with pytest.raises(env.BadEnvironment, match="SEED_FILE: names a file that cannot be read"):
        env.text("SEED")


def test_each_setting_stands_in_the_example_and_each_of_the_example_is_read():
    code = "\n".join(
        path.read_text() for room in ("exchange", "partners", "indicators") for path in (ROOT / room).rglob("*.py")
    )
    example = (ROOT / "deploy/env.example").read_text()
    read = set(re.findall(r"\benv\.[a-z_]+\(\s*\"([A-Z][A-Z_]+)\"", code)) - NOT_OPERATORS
    assert len(read) > 40
    assert {name for name in read if not re.search(rf"\b{name}\b", example)} == set()
    given = set(re.findall(r"^#?([A-Z][A-Z_]+)=", example, re.MULTILINE)) - LIBPQ
    assert {name for name in given if f'"{name}"' not in code} == set()
