"""The command: what it owes its hook, what it says, what its exit status means, and that entries end without a server."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from exchange.agent import acknowledging, following, hook
from tests import forked
from tests.postgres import ROOT
from tests.waiting import DEADLINE_S, until

AGENT = ["-c", "from exchange.agent.cli import main; main()"]
#: What one publisher says is listed, so that one is enough here.
FLOORLESS = ("--without-floor", "two-publishers")


@pytest.fixture
def agent(fake, tmp_path):
    """Run the command to its end."""

    def run(*arguments, **more):
        environment = os.environ | {"EXCHANGE_URL": fake.url, "EXCHANGE_API_KEY": "exk_test"}
        return subprocess.run(
            [*forked.python(), *AGENT, *map(str, arguments), *(FLOORLESS if arguments[0] == "sync" else ())],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            **more,
        )

    return run


@pytest.fixture(name="following")
def _following(fake, tmp_path):
    """Start the command with --follow; ended when the test is. Pytest shows what it says where that fails."""
    started = []

    def start(*arguments):
        environment = os.environ | {"EXCHANGE_URL": fake.url, "EXCHANGE_API_KEY": "exk_test"}
        process = subprocess.Popen(
            [sys.executable, *AGENT, "sync", "--follow", *map(str, arguments), *FLOORLESS], cwd=ROOT, env=environment
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def soon(seconds):
    return (datetime.now(tz=UTC) + timedelta(seconds=seconds)).isoformat()


def held(path):
    return path.read_text().splitlines() if path.exists() else None


def test_entries_begin_and_end_at_their_moment_while_the_exchange_is_away(fake, following, tmp_path):
    target = tmp_path / "list.txt"
    fake.publish("aster", "i1", "stays")
    process = following("--output", target)
    until(lambda: held(target) == ["stays"], of=process)
    for seconds in (2, 6, 20, 60):  # until they come before their moment does, however slow the machine
        fake.publish("aster", "i3", "begins", valid_from=(turn := soon(seconds)))
        fake.publish("aster", "i2", "ends", valid_until=turn)
        if until(lambda: {"ends", "begins"} & set(held(target))) == {"ends"}:
            break
        fake.remove("aster", "i3")
        until(lambda: held(target) == ["stays"])
    else:
        pytest.fail("what ends in a minute did not come within it")
    fake.close()
    until(lambda: held(target) == ["begins", "stays"], within_s=2 * DEADLINE_S)


def test_a_pass_that_finds_nobody_ends_what_has_ended_all_the_same(fake, agent, tmp_path):
    target = tmp_path / "list.txt"
    fake.publish("aster", "i1", "ends", valid_until=soon(1))
    assert agent("sync", "--once", "-o", target).returncode == 0
    fake.broken = [(403, {"code": "no", "detail": "No."})] * 9
    time.sleep(1.1)
    assert agent("sync", "--once", "-o", target).returncode == 2
    assert held(target) == []


def test_the_hook_is_owed_until_it_exits_0_and_no_health_is_touched_before(fake, agent, tmp_path):
    target, health, ran = tmp_path / "list.txt", tmp_path / "healthy", tmp_path / "ran"
    script = tmp_path / "hook"
    script.write_text("#!/bin/sh\nexit 7\n")
    script.chmod(0o755)
    asked = ("sync", "--once", "-o", target, "--on-change", script, "--health-file", health)
    fake.publish("aster", "i1", "a")
    done = agent(*asked)
    assert (done.returncode, held(target), health.exists()) == (4, ["a"], False)
    assert "ended with 7" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 2  # what was done, and what failed
    assert agent(*asked).returncode == 4  # nothing new, and owed still
    script.write_text(f"#!/bin/sh\ntouch {ran}\n")
    assert agent(*asked).returncode == 0
    assert (ran.exists(), health.exists()) == (True, True)
    ran.unlink()
    assert agent(*asked).returncode == 0
    assert not ran.exists()


def test_following_runs_the_hook_again_until_it_is_good(fake, following, tmp_path):
    target, health, runs = tmp_path / "list.txt", tmp_path / "healthy", tmp_path / "runs"
    script = tmp_path / "hook"
    script.write_text(f"#!/bin/sh\necho >> {runs}\n[ $(wc -l < {runs}) -ge 3 ]\n")
    script.chmod(0o755)
    fake.publish("aster", "i1", "a")
    process = following("--output", target, "--on-change", script, "--health-file", health)
    until(runs.exists, of=process)
    assert not health.exists()
    until(health.exists, of=process)
    assert len(runs.read_text()) == 3


def test_a_list_that_its_command_did_not_load_is_not_acknowledged(fake, client, job, monkeypatch):
    monkeypatch.setattr(acknowledging, "LATE_S", 0.0)
    hooked = replace(job, hook=True)
    good, bad = (following.Means(say=print, warn=print, command=word) for word in ("true", "false"))
    fake.publish("aster", "i1", "a")
    following.once(client, hooked, good)
    fake.publish("aster", "i2", "b")
    with pytest.raises(hook.HookFailed):
        following.once(client, hooked, bad)
    following.acknowledge(client, hooked, good)
    assert [ack["set_count"] for ack in fake.acks] == ([1, 1] if fake.proved else [])
    following.once(client, hooked, good)
    assert [ack["set_count"] for ack in fake.acks] == ([1, 1, 2] if fake.proved else [])
    late = [[one["part"] for one in ack.get("late", [])] for ack in fake.acks]
    assert late == ([[], ["command"], []] if fake.proved else [])


def test_a_command_that_is_not_there_is_one_sentence(fake, agent, tmp_path):
    fake.publish("aster", "i1", "a")
    done = agent("sync", "--once", "-o", tmp_path / "list.txt", "--on-change", tmp_path / "none")
    assert done.returncode == 4
    assert "Traceback" not in done.stderr
    assert "No such file" in done.stderr


@pytest.mark.parametrize("place", ["missing/deep", "file/below"])
def test_what_this_machine_does_not_let_us_is_one_sentence_and_a_status_of_its_own(fake, agent, tmp_path, place):
    (tmp_path / "file").write_text("")
    (tmp_path / "state").mkdir()
    fake.publish("aster", "i1", "a")
    done = agent("sync", "--once", "-o", tmp_path / place / "list.txt", "--state", tmp_path / "state")
    assert (done.returncode, len(done.stderr.strip().splitlines())) == (3, 1)
    assert done.stderr.startswith("exchange-agent: ")


def test_a_full_disk_neither_loses_the_store_nor_the_list(fake, agent, tmp_path):
    """A limit of the size of files stands for the disk (setrlimit(2))."""
    import resource

    target = tmp_path / "list.txt"
    fake.publish("aster", "i1", "a")
    assert agent("sync", "--once", "-o", target).returncode == 0
    for number in range(3_000):
        fake.publish("aster", f"n{number}", f"v{number:05}")
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    done = agent(
        "sync", "--once", "-o", target, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, 65_536))
    )
    assert (done.returncode, len(done.stderr.strip().splitlines())) == (3, 1)
    assert held(target) == ["a"]
    fake.asked.clear()
    assert agent("sync", "--once", "-o", target).returncode == 0
    assert len(held(target)) == 3_001
    assert "cursor=" in fake.asked[0]


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_the_modes_of_files_follow_the_umask(fake, agent, tmp_path, umask):
    target, metrics = tmp_path / "list.txt", tmp_path / "agent.prom"
    fake.publish("aster", "i1", "a")
    assert agent("sync", "--once", "-o", target, "--metrics-file", metrics, umask=umask).returncode == 0
    assert {stat.S_IMODE(path.stat().st_mode) for path in (target, metrics)} == {0o666 & ~umask}


def test_text_has_two_names(fake, agent, tmp_path):
    fake.publish("aster", "i1", "a")
    for name in ("text", "txt"):
        assert agent("sync", "--once", "-o", tmp_path / name, "--format", name).returncode == 0
        assert held(tmp_path / name) == ["a"]


def test_it_says_its_version(agent):
    done = agent("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("exchange-agent 0.")


def test_what_is_braked_shows_in_status_exit_code_health_and_metrics_until_one_command_lets_it_go(
    fake, agent, tmp_path
):
    target, health, metrics = tmp_path / "list.txt", tmp_path / "healthy", tmp_path / "agent.prom"
    asked = ("sync", "--once", "-o", target, "--health-file", health, "--metrics-file", metrics)
    for number in range(50):
        fake.publish("aster", f"i{number}", f"v{number:02}")
    assert agent(*asked).returncode == 0
    assert agent("status", "-o", target).returncode == 0
    health.unlink()
    fake.restore(0)
    fake.publish("borealis", "b", "new")
    done = agent(*asked)
    assert done.returncode == 1
    assert "50 entries of Aster" in done.stderr
    assert not health.exists()
    assert 'exchange_agent_braked_entries{publisher="Aster"} 50' in metrics.read_text()
    said = agent("status", "-o", target, "--json")
    assert said.returncode == 1
    assert json.loads(said.stdout)["braked"] == [{"publisher": "Aster", "entries": 50}]
    assert agent("release", "-o", target, "--publisher", "Astre").returncode == 2
    assert agent("release", "-o", target).returncode == 0
    assert held(target) == ["new"]
    assert agent(*asked).returncode == 0
    assert health.exists()


def test_what_is_released_leaves_the_list_of_an_agent_that_is_at_work(fake, agent, following, tmp_path):
    target = tmp_path / "list.txt"
    for number in range(50):
        fake.publish("aster", f"i{number}", f"v{number:02}")
    agent("sync", "--once", "-o", target)
    fake.restore(0)
    following("--output", target)
    until(lambda: agent("status", "-o", target).returncode == 1)
    assert agent("release", "-o", target).returncode == 0
    until(lambda: held(target) == [])


def test_status_tells_of_a_list_that_somebody_edited(fake, agent, tmp_path):
    target = tmp_path / "list.txt"
    fake.publish("aster", "i1", "a", "b")
    agent("sync", "--once", "-o", target)
    target.write_text("a\nx\n")
    said = agent("status", "-o", target, "--json")
    assert (said.returncode, json.loads(said.stdout)["differing"]) == (1, 2)


def test_metrics_are_prometheus_text(fake, agent, tmp_path):
    from prometheus_client.parser import text_string_to_metric_families

    metrics = tmp_path / "agent.prom"
    fake.publish("aster", "i1", "a")
    agent("sync", "--once", "-o", tmp_path / "list.txt", "--metrics-file", metrics)
    found = {family.name: family.samples[0].value for family in text_string_to_metric_families(metrics.read_text())}
    assert found["exchange_agent_entries"] == 1
    assert found["exchange_agent_failing"] == 0
    assert time.time() - found["exchange_agent_last_success_timestamp_seconds"] < 60


UNIT = ROOT / "deploy" / "exchange-agent.service"
UNITS = [UNIT, UNIT.with_name("exchange-agent-run.service")]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_the_unit_is_one_to_systemd(tmp_path, unit):
    there = tmp_path / unit.name
    there.write_text(unit.read_text().replace("/opt/exchange/bin/exchange-agent", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", there], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_units_command_runs_as_it_is_written(fake, following, tmp_path):
    """With its directories below another root, as systemd would make them."""
    words = re.search(r"^ExecStart=(.*)$", UNIT.read_text(), re.MULTILINE)[1].split()
    assert words[1:3] == ["sync", "--follow"]
    arguments = [f"{tmp_path}{word}" if word.startswith("/") else word for word in words[3:] if word[0] != "$"]
    for name in ("etc/exchange-agent", "var/lib/exchange-agent", "run/exchange-agent"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "etc/exchange-agent/key").write_text("exk_test")
    (tmp_path / "etc/exchange-agent/key").chmod(0o600)
    fake.publish("aster", "i1", "a")
    process = following(*arguments)
    until((tmp_path / "run/exchange-agent/healthy").exists, of=process)
    assert held(tmp_path / "var/lib/exchange-agent/blocklist.txt") == ["a"]
    assert "exchange_agent_entries 1" in (tmp_path / "var/lib/exchange-agent/agent.prom").read_text()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=DEADLINE_S) == 0
