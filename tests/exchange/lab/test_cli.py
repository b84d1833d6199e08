"""`exchange-lab` as a lab's people run it: five labs, a map each, and an exchange with its key service."""

import csv
import json
import re
from functools import partialmethod

import pytest
from typer.testing import CliRunner

from exchange.client.api import Client
from exchange.client.errors import ExchangeClientError, Unusable
from exchange.client.pinning import KeyNotYet
from exchange.lab import cli
from exchange.lab.bench import Open
from exchange.lab.cli import app
from exchange.lab.state import State
from exchange.simulate.accounts import files
from exchange.simulate.accounts.story import tell
from exchange.simulate.accounts.told import LABS, Format, Told
from exchange.tokens.forms import Scheme
from partners.scopes import Scope
from tests import build, keyservice
from tests.exchange.agent.test_lookup import Lab as Agent
from tests.indicators.campaigns.sending import Pooling

SMALL = Told(accounts=500, fraudulent=100, seed=2, blind=("cygnus",), operators=1)


@pytest.fixture
def story(tmp_path):
    files.write(tell(SMALL), tmp_path, form=Format.CSV)
    for lab in LABS:
        path = tmp_path / lab / "map.toml"
        path.write_text('group = "pool"\n' + path.read_text() + '\n[derive]\nskip = ["skeleton"]\n')
    return tmp_path


class Lab:
    """One lab's terminal."""

    def __init__(self, folder, key, url):
        self.folder = folder
        self.environment = {"EXCHANGE_URL": url, "EXCHANGE_API_KEY": key, "EXCHANGE_STATE_DIR": str(folder / "kept")}

    def __call__(self, command, *arguments, fails=False):
        state = [] if command == "--help" else ["--state", str(self.folder / "lab.db")]
        maps = ["--map", str(self.folder / "map.toml")] if command in {"load", "run", "rehearse", "indicators"} else []
        result = CliRunner().invoke(app, [command, *arguments, *state, *maps], env=self.environment)
        if fails:
            assert isinstance(result.exception, ExchangeClientError), result.output
            return str(result.exception)
        assert result.exit_code == 0, f"{result.output}\n{result.exception!r}"
        return result.stdout


@pytest.mark.django_db(transaction=True)
def test_five_labs_with_a_map_each_find_the_campaign_and_say_why(story, live_server, monkeypatch, settings):
    store = keyservice.served(monkeypatch, settings)
    pool = Pooling(5, interval_s=0)
    scopes = (Scope.EVIDENCE, Scope.GROUP_KEYS, Scope.TOKENISE, Scope.READ)
    labs = {
        lab: Lab(story / lab, build.a_key(partner, *scopes), live_server.url)
        for lab, partner in zip(LABS, pool.partners.values(), strict=True)
    }
    for one in labs.values():
        assert "Accounts" in one("load")
    for _ in range(4):
        for one in labs.values():
            one("run", "--rounds", "1", "--every", "0", "--output", str(one.folder / "suspects.jsonl"))
    true = {(row["lab"], row["account"]) for row in csv.DictReader((story / "truth.csv").open()) if row["operator"]}
    found = {
        (lab, json.loads(line)["account"])
        for lab, one in labs.items()
        for line in (one.folder / "suspects.jsonl").read_text().splitlines()
    }
    assert len(found & true) >= 0.7 * len(true)
    assert len(found & true) >= 0.8 * len(found)
    blind = labs["cygnus"]
    assert {account for lab, account in found & true if lab == "cygnus"}
    looked_at(blind, next(account for lab, account in sorted(found & true) if lab == "cygnus"))
    signed(labs["aster"])
    fitted(labs["aster"], story)
    published(labs["aster"], live_server.url, pool)
    store.close()


def published(lab, url, pool):
    target = lab.folder / "indicators.jsonl"
    lab("indicators", "--output", str(target))
    lines = [json.loads(line) for line in target.read_text().splitlines()]
    assert {one["name"] for one in lines} >= {"account-pattern: device", "prompt-signature: phrase"}
    with Client(url, build.a_key(pool.partners["aster"], Scope.PUBLISH, Scope.READ)) as client:
        result = client.publish(target, groups=["pool"])
    assert result.counts["accepted"] == len(lines), result.refusals[:3]


def signed(lab):
    """The lab's agent holds a signature that prompts of accounts match which were loaded before."""
    account = json.loads((lab.folder / "suspects.jsonl").read_text().splitlines()[0])["account"]
    rows = {row["account"]: row for row in csv.DictReader((lab.folder / "accounts.csv").open())}
    prompt = json.loads(rows[account]["prompts"])[0]
    Agent(lab.folder / "all.sqlite").say("regex", "", pattern=re.escape(prompt), publishers=["borealis"])
    path = lab.folder / "map.toml"
    path.write_text(path.read_text() + '[signatures]\nagent = "all.sqlite"\n')
    lab("load")
    assert json.loads(lab("status", "--json"))["with_a_signature"] >= 1
    found = json.loads(lab("explain", account, "--json"))
    assert found["signatures"] == ["indicator--1"]
    assert found["reason"].endswith("sent a prompt that a signature matches")


def looked_at(lab, account):
    said = lab("explain", account)
    assert said.startswith(f"{account}: suspect, ")
    document = json.loads(lab("explain", account, "--json"))
    assert document["suspect"]
    assert document["without_largest"] >= 3
    table = lab("suspects", "--format", "csv")
    assert table.startswith("account,score,campaign,grade,reason\n")
    assert account in table
    assert lab("suspects", "--on-one-labs-word", "--format", "text") == lab(
        "suspects", "--on-one-labs-word", "--format", "text"
    )
    status = json.loads(lab("status", "--json"))
    assert status["flagged"] == 0 < status["suspects"]
    before = json.loads(lab("status", "--json"))
    lines = [json.loads(line) for line in lab("rehearse").splitlines()]
    assert all("tokens" in one or "token" in one for one in lines)
    assert json.loads(lab("status", "--json")) == before
    assert "no such account here" in lab("explain", "acct_nobody", fails=True)


def fitted(lab, story):
    truth = [row for row in csv.DictReader((story / "truth.csv").open()) if row["lab"] == "aster"]
    path = lab.folder / "labels.csv"
    path.write_text("account,label\n" + "".join(f"{row['account']},{bool(row['operator'])}\n" for row in truth))
    target = lab.folder / "constants.toml"
    told = json.loads(lab("fit", "--labels", str(path), "--output", str(target), "--json"))
    assert set(told) == {"before", "fitted", "checked"}
    assert 0 <= told["checked"]["recall"] <= 1
    assert "total = " in target.read_text()
    lab("suspects", "--constants", str(target), "--format", "text")


def test_what_is_missing_is_said_in_a_line(tmp_path):
    lab = Lab(tmp_path, "exk_x", "http://127.0.0.1:1")
    assert "exchange-lab load" in lab("status", fails=True)
    assert "map.toml" in lab("load", fails=True)
    (tmp_path / "map.toml").write_text('[source]\nfile = "a.csv"\n[columns]\naccount = "a"\n')
    assert "Which group?" in lab("load", fails=True)
    (tmp_path / "map.toml").write_text('group = "ring"\n[source]\nfile = "a.csv"\n[columns]\naccount = "a"\n')
    with State(tmp_path / "lab.db") as begun:  # as a load that failed leaves it
        begun.begin({Scheme.GROUP: ("ring-2026q4-1",), Scheme.OBLIVIOUS: ("2026q4",)}, payment="par", scope="")
    assert "nothing was loaded yet" in lab("rehearse", fails=True)


def test_help_names_every_command():
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    for command in ("load", "run", "suspects", "explain", "rehearse", "fit", "indicators", "status"):
        assert command in result.output


def test_who_follows_stays_when_the_exchange_does_not_answer_and_others_are_told(tmp_path, monkeypatch):
    (tmp_path / "accounts.csv").write_text("account\na\n")
    (tmp_path / "map.toml").write_text(
        'group = "ring"\n[source]\nfile = "accounts.csv"\n[columns]\naccount = "account"\n'
    )
    one = Lab(tmp_path, "exk_test", "http://127.0.0.1:1")
    monkeypatch.setattr(Client, "__init__", partialmethod(Client.__init__, retries=0))
    assert "does not answer" in one("run", fails=True)
    waited = []

    def wait(seconds):
        waited.append(seconds)
        if len(waited) == 3:
            raise Unusable("enough")

    monkeypatch.setattr(cli.time, "sleep", wait)
    assert one("run", "--follow", "--every", "7", fails=True) == "enough"
    assert waited == [7, 7, 7]


def test_a_key_that_is_not_in_the_log_yet_is_waited_for(tmp_path, monkeypatch):
    """A lab that begins in the first minute of an exchange, or of a quarter, need not come back."""
    (tmp_path / "accounts.csv").write_text("account\na\n")
    (tmp_path / "map.toml").write_text(
        'group = "ring"\n[source]\nfile = "accounts.csv"\n[columns]\naccount = "account"\n'
    )
    one = Lab(tmp_path, "exk_test", "http://127.0.0.1:1")
    waited = []

    def load(_):
        raise KeyNotYet("There is no key yet.")

    def wait(seconds):
        waited.append(seconds)
        if len(waited) == 3:
            raise Unusable("enough")

    monkeypatch.setattr(Open, "load", load)
    monkeypatch.setattr(cli.time, "sleep", wait)
    assert one("run", "--every", "7", fails=True) == "enough"
    assert waited == [2, 2, 2], "it comes in seconds, whatever is between rounds"
    monkeypatch.setattr(cli, "_KEY_COMES_S", -1.0)
    assert "no key yet" in one("run", fails=True), "it is waited for some minutes"
    waited.clear()
    assert one("run", "--follow", "--every", "7", fails=True) == "enough", "who follows waits for good"
