"""Look-ups in a process of their own follow what the agent's store says: nothing that went stays blocked."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from exchange.agent import policy as policies
from exchange.agent import renewing
from exchange.agent.damage import Damaged
from exchange.agent.store import Store
from tests import forked
from tests.exchange.agent.fake import FakeExchange
from tests.exchange.agent.test_lookup import Lab, command, publish, settings
from tests.postgres import ROOT
from tests.waiting import until

NET = "198.51.100.7"


@pytest.fixture
def fake():
    made = FakeExchange()
    yield made
    made.close()


@pytest.fixture
def lab(tmp_path, monkeypatch):
    monkeypatch.setattr(renewing, "LOOK_S", 0.02)
    return Lab(tmp_path / "all.sqlite")


def stamped(**after):
    return (datetime.now(UTC) + timedelta(**after)).isoformat()


def test_a_value_that_goes_or_comes_is_followed_by_look_ups_that_were_loaded_before(lab):
    lab.say("net", NET)
    with renewing.renewed([lab.path]) as blocklist:
        assert blocklist.check("net", NET).word == "block"
        lab.end(1)
        lab.end(2, "borealis")
        until(lambda: blocklist.check("net", NET).word == "none")
        lab.say("net", "198.51.100.9")
        until(lambda: blocklist.check("net", "198.51.100.9").word == "block")


def test_a_store_that_says_nothing_new_is_not_read_again(lab, monkeypatch):
    lab.say("net", NET)
    looks, reads = [], []
    monkeypatch.setattr(renewing, "_looks", lambda paths, real=renewing._looks: looks.append(1) or real(paths))
    with renewing.renewed([lab.path]) as blocklist:
        blocklist.reload = lambda: reads.append(1)
        with closing(Store(lab.path)) as store:  # an answer without news has another cursor
            store.apply([], cursor="another")
        seen = len(looks)
        until(lambda: len(looks) > seen + 2)
    assert not reads


def test_the_kill_switch_is_followed_both_ways(lab):
    lab.say("net", NET)
    with renewing.renewed([lab.path]) as blocklist, closing(Store(lab.path)) as store:
        store.kill(["*"])
        until(lambda: blocklist.check("net", NET).word == "none")
        store.kill([])
        until(lambda: blocklist.check("net", NET).word == "block")


def test_an_end_that_comes_by_itself_is_followed(lab):
    lab.say("net", NET)
    with closing(Store(lab.path)) as store:
        store._db.execute("UPDATE entry SET valid_until = ?", [stamped(seconds=1).replace("+00:00", "Z")])
    with renewing.renewed([lab.path]) as blocklist:
        until(lambda: blocklist.check("net", NET).word == "none")


def test_the_end_of_a_regex_is_a_turn_too_and_is_followed(lab):
    lab.say("regex", "", pattern="hidden chain", publishers=["aster"])
    end = stamped(seconds=1.5)
    with closing(Store(lab.path)) as store:
        said = ["regex", "hidden chain", 80, None, end.replace("+00:00", "Z")]
        store._db.execute("UPDATE held SET signature = ?", [json.dumps(said)])
        assert store.next_turn(now=datetime.now(UTC)) == datetime.fromisoformat(end)
    with renewing.renewed([lab.path]) as blocklist:
        assert blocklist.signatures()
        until(lambda: not blocklist.signatures())


def test_what_became_old_is_judged_as_the_policy_says_of_it(lab, tmp_path):
    lab.say("net", NET)
    policy = policies.read({"stale": {"block": "drop"}}, beside=tmp_path)
    with closing(Store(lab.path)) as store:
        store.put("last success", stamped())
        store.put("stale after", "3600")
        with renewing.renewed([lab.path], policy=policy) as blocklist:
            assert blocklist.check("net", NET).word == "block"
            store.put("last success", stamped(hours=-2))
            until(lambda: blocklist.check("net", NET).suppressed_by == "stale")


def test_a_store_that_cannot_be_read_for_a_moment_ends_nothing(lab, monkeypatch):
    lab.say("net", NET)
    with renewing.renewed([lab.path]) as blocklist:
        troubles = iter([sqlite3.OperationalError("disk I/O error"), PermissionError("no"), Damaged("no store")])

        def looks(paths, real=renewing._looks):
            for trouble in troubles:
                raise trouble
            return real(paths)

        monkeypatch.setattr(renewing, "_looks", looks)
        lab.end(1)
        lab.end(2, "borealis")
        until(lambda: blocklist.check("net", NET).word == "none")


def test_filter_lets_through_what_was_removed_while_it_runs(fake, tmp_path):
    path = settings(tmp_path, fake)
    publish(fake, NET)
    assert command("run", "--config", path, "--once").returncode == 0
    program = [*forked.python(), "-c", "from exchange.agent.cli import main; main()", "filter", "--config", str(path)]
    environment = os.environ | {"EXCHANGE_STATE_DIR": str(tmp_path / "kept")}
    process = subprocess.Popen(
        program, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )

    def asked():
        process.stdin.write(f"net\t{NET}\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())["action"]

    try:
        assert asked() == "block"
        for publisher in ("aster", "borealis"):
            fake._write("remove", publisher, f"indicator--{NET}-0")
        assert command("run", "--config", path, "--once").returncode == 0
        until(lambda: asked() == "none", of=process)
    finally:
        process.stdin.close()
        process.wait()
