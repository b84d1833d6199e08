"""The agent: the file equals the feed, whatever happens in between."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from exchange.agent import cli, jobs, sync
from exchange.client import Client
from exchange.client.errors import ApiError, Unreachable, Unusable
from tests.drilling import LONG
from tests.exchange.agent.fake import FakeExchange
from tests.postgres import ROOT
from tests.strategies import examples


def lines(job):
    return job.path.read_text().splitlines()


def test_what_is_published_is_in_the_file_sorted_and_each_value_once(fake, client, job):
    fake.publish("aster", "i1", "b", "a")
    fake.publish("borealis", "i2", "a")
    done = sync.run_once(client, job)
    assert (lines(job), done.written) == (["a", "b"], True)


def test_a_value_stays_until_the_last_who_carries_it_lets_go(fake, client, job):
    fake.publish("aster", "i1", "a")
    fake.publish("borealis", "i1", "a")
    sync.run_once(client, job)
    fake.remove("aster", "i1")
    sync.run_once(client, job)
    assert lines(job) == ["a"]
    fake.remove("borealis", "i1")
    sync.run_once(client, job)
    assert lines(job) == []


def test_a_revision_replaces_what_the_object_carried(fake, client, job):
    fake.publish("aster", "i1", "a", "b")
    fake.publish("aster", "i1", "c")
    sync.run_once(client, job)
    assert lines(job) == ["c"]


def test_nothing_new_writes_nothing(fake, client, job):
    fake.publish("aster", "i1", "a")
    sync.run_once(client, job)
    before = job.path.stat()
    assert sync.run_once(client, job).written is False
    assert job.path.stat().st_ino == before.st_ino


def test_what_has_ended_leaves_the_file_before_its_remove_comes(fake, client, job):
    turn = datetime.now(tz=UTC) + timedelta(hours=1)
    fake.publish("aster", "i1", "a", valid_until=turn.isoformat())
    fake.publish("aster", "i2", "b")
    sync.run_once(client, job)
    assert lines(job) == ["a", "b"]
    with time_machine.travel(turn + timedelta(seconds=1)):
        sync.run_once(client, job)
    assert lines(job) == ["b"]


def test_a_cursor_that_is_not_taken_starts_over_without_an_empty_list_in_between(fake, client, job):
    fake.publish("aster", "i1", "a")
    sync.run_once(client, job)
    fake.forget_cursors()
    fake.log.clear()
    fake.publish("aster", "i2", "b")
    done = sync.run_once(client, job)
    assert (lines(job), done.started_over) == (["b"], True)


def test_a_server_that_fails_leaves_the_file_as_it_was(fake, client, job):
    fake.publish("aster", "i1", "a")
    sync.run_once(client, job)
    for status in (401, 403, 404, 500, 503):
        fake.broken.append((status, {"code": "x", "detail": "no"}))
        with pytest.raises((ApiError, Unreachable)):
            sync.run_once(client, job)
        assert lines(job) == ["a"]


def test_a_small_list_may_lose_everything(fake, client, job):
    for number in range(20):
        fake.publish("aster", f"i{number}", f"v{number}")
    sync.run_once(client, job)
    for number in range(20):
        fake.remove("aster", f"i{number}")
    sync.run_once(client, job)
    assert lines(job) == []


def test_a_damaged_store_is_begun_anew(fake, client, job):
    fake.publish("aster", "i1", "a")
    sync.run_once(client, job)
    job.store_path.write_bytes(b"this is no database" * 100)
    sync.run_once(client, job)
    assert lines(job) == ["a"]


def test_another_filter_does_not_inherit_the_old_ones_entries(fake, client, job):
    fake.publish("aster", "i1", "a")
    sync.run_once(client, job)
    narrower = jobs.Job(path=job.path, state_dir=job.state_dir, kind="prompt-signature")
    fake.log.clear()
    sync.run_once(client, narrower)
    assert lines(job) == []


def test_two_agents_never_keep_one_list(job):
    with jobs.alone(job), pytest.raises(Unusable, match="Another agent"), jobs.alone(job):
        pass


def test_rehearsing_writes_nothing(fake, client, job):
    fake.publish("aster", "i1", "a")
    assert sync.run_once(client, job, rehearse=True).entries == 1
    assert not job.path.exists()


@pytest.mark.parametrize("word", ["--rehearse", "--dry-run"])
def test_a_dry_run_goes_by_both_names(fake, job, word):
    fake.publish("aster", "i1", "a")
    said = ["sync", word, "--output", str(job.path), "--url", fake.url]
    done = CliRunner().invoke(cli.app, said, env={"EXCHANGE_API_KEY": "exk_test"}, catch_exceptions=False)
    assert (done.exit_code, job.path.exists()) == (0, False)
    assert "nothing was written" in done.output


@pytest.mark.parametrize("form", ["csv", "jsonl", "text"])
def test_each_format_holds_the_same_values(fake, client, tmp_path, form):
    fake.publish("aster", "i1", 'with"quotes",and,commas', confidence=60)
    fake.publish("borealis", "i2", 'with"quotes",and,commas', confidence=90)
    job = jobs.Job(path=tmp_path / f"list.{form}", state_dir=tmp_path / "state", form=form)
    sync.run_once(client, job)
    text = job.path.read_text()
    if form == "text":
        assert text == 'with"quotes",and,commas\n'
        return
    rows = list(csv.DictReader(text.splitlines())) if form == "csv" else [json.loads(text)]
    assert rows[0]["value"] == 'with"quotes",and,commas'
    assert int(rows[0]["confidence"]) == 90
    assert rows[0]["sources"] in ("Aster|Borealis", ["Aster", "Borealis"])
    assert int(rows[0]["publishers"]) == 2


def test_what_says_no_confidence_is_below_every_floor_but_none(fake, client, job):
    fake.publish("aster", "i1", "sure", confidence=90)
    fake.publish("aster", "i2", "silent", confidence=None)
    for floor, values in ((0, ["silent", "sure"]), (1, ["sure"]), (100, [])):
        sync.run_once(client, replace(job, min_confidence=floor))
        assert lines(job) == values


def test_what_is_not_plain_is_in_no_list_and_is_counted(fake, client, job):
    fake.publish("aster", "i1", "a", "b\n0.0.0.0/0", "c\u2028d")
    done = sync.run_once(client, job)
    assert (lines(job), done.entries, done.refused) == (["a"], 1, 2)


def test_the_file_keeps_its_mode_and_no_temporary_file_stays(fake, client, job):
    job.path.write_text("old\n")
    job.path.chmod(0o640)
    fake.publish("aster", "i1", "a")
    sync.run_once(client, job)
    assert job.path.stat().st_mode & 0o777 == 0o640
    assert [entry.name for entry in job.path.parent.iterdir() if entry.is_file()] == ["list.txt"]


ids = st.sampled_from(["i1", "i2", "i3", "i4"])
publishers = st.sampled_from(["aster", "borealis"])
actions = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), publishers, ids, st.frozensets(st.sampled_from("abcde"), max_size=3)),
        st.tuples(st.just("remove"), publishers, ids, st.just(frozenset())),
        st.tuples(st.just("sync"), st.just(""), st.just(""), st.just(frozenset())),
        st.tuples(st.just("lose cursors"), st.just(""), st.just(""), st.just(frozenset())),
    ),
    max_size=25,
)


@settings(max_examples=examples(25))
@given(steps=actions, page=st.integers(1, 4))
@pytest.mark.slow
def test_after_any_sequence_the_file_equals_the_model(tmp_path_factory, steps, page):
    directory = tmp_path_factory.mktemp("agent")
    job = jobs.Job(path=directory / "list.txt", state_dir=directory / "state", page=page)
    model: dict[tuple[str, str], frozenset[str]] = {}
    fake = FakeExchange()
    try:
        with Client(fake.url, "exk_test", retries=0) as client:
            for action, publisher, stix_id, values in [*steps, ("sync", "", "", frozenset())]:
                if action == "publish":
                    fake.publish(publisher, stix_id, *sorted(values))
                    model[publisher, stix_id] = values
                elif action == "remove":
                    fake.remove(publisher, stix_id)
                    model.pop((publisher, stix_id), None)
                elif action == "lose cursors":
                    fake.forget_cursors()
                else:
                    sync.run_once(client, job)
                    assert lines(job) == sorted(set().union(*model.values())) if model else lines(job) == []
    finally:
        fake.close()


@pytest.mark.core
@pytest.mark.parametrize(
    "delays_s", [(0.15, 0.3), pytest.param((0.25, 0.35, 0.4, 0.45, 0.5), marks=LONG)], ids=["two", "five"]
)
def test_kill_9_at_any_moment_converges_at_the_next_run(fake, tmp_path, delays_s):
    """The command itself, killed after ever longer delays; then one whole run."""
    for number in range(3_000):
        fake.publish("aster", f"i{number}", f"v{number:05}")
    target = tmp_path / "list.txt"
    environment = os.environ | {"EXCHANGE_URL": fake.url, "EXCHANGE_API_KEY": "exk_test"}
    command = [sys.executable, "-c", "from exchange.agent.cli import main; main()"]
    command += ["sync", "--once", "--output", str(target), "--without-floor", "two-publishers"]
    wanted = [f"v{number:05}" for number in range(3_000)]
    for delay_s in delays_s:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
        time.sleep(delay_s)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not target.exists() or target.read_text().splitlines() == wanted
    assert subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True).returncode == 0
    assert target.read_text().splitlines() == wanted


def test_the_command_says_what_is_wrong_in_one_line(tmp_path):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EXCHANGE_")}
    command = [sys.executable, "-c", "from exchange.agent.cli import main; main()"]
    command += ["sync", "--once", "--output", str(tmp_path / "x")]
    done = subprocess.run(
        command, cwd=ROOT, env=environment | {"HOME": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.strip() == "exchange-agent: Which exchange? Set EXCHANGE_URL, or give --url."
