"""The commands as they are typed, against the real faces: what they print, and with which status they end."""

import json
import sys
import uuid
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from exchange.client import cli, terminal
from exchange.client.api import Client
from indicators.stix import making
from partners.scopes import Scope
from tests import build


@pytest.fixture
def run(live_server, monkeypatch):
    """Type a command with a key; returns its exit status, its standard output and its standard error."""

    def type_in(key: str, *words: str, stdin: str | None = None):
        monkeypatch.setenv("EXCHANGE_URL", live_server.url)
        monkeypatch.setenv("EXCHANGE_API_KEY", key)
        monkeypatch.setenv("COLUMNS", "40")
        said = CliRunner().invoke(cli.app, list(words), input=stdin, catch_exceptions=False)
        return said.exit_code, said.stdout, said.stderr

    return type_in


def commands(app: typer.Typer, path=()):
    for command in app.registered_commands:
        yield (*path, command.name or command.callback.__name__), command
    for group in app.registered_groups:
        yield from commands(group.typer_instance, (*path, group.name))


def test_every_command_speaks_json_but_those_of_the_simulation():
    without = {
        " ".join(path) for path, command in commands(cli.app) if "as_json" not in command.callback.__annotations__
    }
    assert {one.partition(" ")[0] for one in without} <= {"simulate"}


@pytest.mark.django_db(transaction=True)
def test_objects_end_by_id_and_by_file_and_come_back_only_when_asked_for(run, tmp_path):
    cast = build.the_cast()
    ours = [making.account_pattern() for _ in range(4)]
    ids = [one["id"] for one in ours]
    bundle, listed = tmp_path / "b.json", tmp_path / "ids.txt"
    bundle.write_text(json.dumps({"type": "bundle", "id": "bundle--1", "objects": ours[:2]}))
    listed.write_text(f"# mine\n\n{ids[2]}\n")
    for file in (bundle, tmp_path / "rest.json"):
        file.write_text(json.dumps({"objects": ours}) if file.name == "rest.json" else bundle.read_text())
    rest = tmp_path / "rest.json"
    key = cast.keys["aster"]
    assert run(key, "publish", str(rest), "--group", "ring")[0] == 0
    status, out, _ = run(key, "withdraw", "--file", str(bundle), "--file", str(listed), ids[0])
    assert (status, out.splitlines()) == (0, [f"{one}  withdrawn" for one in (ids[0], ids[1], ids[2])])
    status, out, _ = run(key, "withdraw", ids[0], "indicator--x")
    assert (status, out.splitlines()) == (
        1,
        [f"{ids[0]}  already withdrawn", "indicator--x  not withdrawn: You hold no such object. (not-found)"],
    )
    status, out, _ = run(key, "publish", str(rest), "--json")
    assert (status, json.loads(out)["counts"]) == (
        0,
        {"accepted": 0, "unchanged": 1, "withdrawn": 3, "waiting": 0, "quarantined": 0, "refused": 0},
    )
    assert json.loads(run(key, "publish", str(rest), "--wake", "--json")[1])["counts"]["accepted"] == 3
    status, out, _ = run(key, "revoke", "--file", "-", "--json", stdin=rest.read_text())
    assert (status, [one["status"] for one in json.loads(out)["results"]]) == (0, ["accepted"] * 4)
    assert run(key, "revoke", ids[3])[1] == f"{ids[3]}  already revoked\n"
    assert run(cast.keys["borealis"], "blocklist")[1] == ""


@pytest.mark.django_db(transaction=True)
def test_what_nobody_sees_for_want_of_a_definition_is_said(run, tmp_path):
    cast = build.the_cast()
    made = making.account_pattern() | {"object_marking_refs": [f"marking-definition--{uuid.uuid4()}"]}
    file = tmp_path / "one.json"
    file.write_text(json.dumps({"objects": [made]}))
    status, _, said = run(cast.keys["aster"], "publish", str(file), "--group", "ring")
    assert (status, said.count("\n")) == (0, 1)
    assert said.startswith(f"one.json[0] {made['id']}: taken, but hidden, marking-unresolved at /object_marking_refs: ")
    (mark,) = json.loads(run(cast.keys["aster"], "publish", str(file), "--json")[1])["marks"]
    assert (mark["id"], mark["code"]) == (made["id"], "marking-unresolved")


def test_every_command_is_in_the_docs_and_the_version_is_said():
    text = (Path(cli.__file__).parents[1] / "docs" / "client.md").read_text()
    assert [name for (name, *_), _ in commands(cli.app) if f"exchange {name}" not in text] == []
    assert CliRunner().invoke(cli.app, ["--version"]).stdout.startswith("exchange ")


@pytest.mark.django_db(transaction=True)
def test_ids_are_whole_and_slugs_shown_however_narrow_the_terminal(run):
    cast = build.the_cast()
    mine = making.account_pattern(name="\x1b[2J" + "long " * 30)
    build.publish(cast.viewer("aster"), mine, groups=("ring",))
    _, out, _ = run(cast.keys["borealis"], "search")
    _, line = out.splitlines()
    assert mine["id"] in line
    assert line.split()[1] == "aster"
    assert "\x1b" not in out
    assert json.loads(run(cast.keys["borealis"], "search", "--json")[1])["object"]["id"] == mine["id"]
    _, out, _ = run(cast.keys["aster"], "whoami")
    assert "Group       ring: Ring" in out.splitlines()
    assert json.loads(run(cast.keys["aster"], "whoami", "--json")[1])["partner"]["slug"] == "aster"
    _, out, _ = run(cast.keys["aster"], "limits")
    assert "Ended an hour       500; more are disarmed" in out.splitlines()
    assert json.loads(run(cast.keys["aster"], "limits", "--json")[1])["caps_in_force"]["ends"] == 500


@pytest.mark.django_db(transaction=True)
def test_a_subscription_is_paused_resumed_and_looked_at(run):
    key = build.a_key(build.the_cast().aster, Scope.READ, Scope.SUBSCRIBE)
    made = json.loads(run(key, "subscribe", "http://127.0.0.1:9/hook", "--json")[1])
    assert run(key, "pause", made["id"])[1].splitlines() == [f"subscription  {made['id']}", "state         paused"]
    assert run(key, "subscriptions")[1].splitlines()[1].split() == [
        made["id"],
        "paused",
        "everything",
        "all",
        "http://127.0.0.1:9/hook",
    ]
    assert json.loads(run(key, "resume", made["id"], "--json")[1])["state"] == "active"
    assert run(key, "deliveries", made["id"])[1] == "No delivery yet.\n"
    rotated = run(key, "rotate-secret", made["id"], "--overlap", "1")[1].split()
    assert rotated[:3] == ["subscription", made["id"], "secret"]
    assert rotated[3].startswith("whsec_")
    assert rotated[3] != made["secret"]
    again = json.loads(run(key, "rotate-secret", made["id"], "--json")[1])
    assert again["secret"] not in (made["secret"], rotated[3])
    assert json.loads(run(key, "deliveries", made["id"], "--json")[1]) == []


@pytest.mark.django_db(transaction=True)
def test_what_is_not_there_is_named(run, monkeypatch, capsys):
    key = build.a_key(build.the_cast().aster, Scope.READ, Scope.SUBSCRIBE)
    absent = "00000000-0000-4000-8000-000000000000"
    for words, named in (
        (("get", f"indicator--{absent}"), f"objects/indicator--{absent}"),
        (("pause", absent), f"subscriptions/{absent}"),
        (("redeliver", absent), f"deliveries/{absent}/redeliver"),
        (("rotate-secret", absent), f"subscriptions/{absent}/secret"),
        (("blocklist", absent), f"blocklists/{absent}"),
        (("export", "-o", "-", "--feed", absent), f"bundle feed {absent}"),
    ):
        monkeypatch.setattr(sys, "argv", ["exchange", *words])
        with pytest.raises(Exception, match=f"Not found: {named}"):
            run(key, *words)


def test_without_a_terminal_progress_is_a_line_every_few_seconds(monkeypatch, capsys):
    moments = iter([0.0, 1.0, 3.5, 3.5, 4.0, 7.0, 7.0])
    monkeypatch.setattr("time.monotonic", lambda: next(moments))
    advance = terminal.progress_lines("b.json", 2_000)
    for _ in range(4):
        advance(500)
    assert capsys.readouterr().err == "b.json: 1,000 of 2,000 objects\nb.json: 2,000 of 2,000 objects\n"


@pytest.mark.parametrize("wrong", [{"type": "note"}, "indicators.json"])
def test_a_dict_or_a_text_is_not_taken_for_objects(wrong):
    with Client("http://127.0.0.1:9", "exk_x") as client, pytest.raises(TypeError, match="a list of objects"):
        client.publish(wrong)
