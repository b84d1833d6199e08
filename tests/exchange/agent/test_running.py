"""`run` from within: what its thread that judges takes in, whatever breaks around it."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
import time
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from exchange.agent import acknowledging, cli, counting, explaining, jobs, loading, output, outputs
from exchange.agent.blocklist import Blocklist
from exchange.agent.configuration import Settings
from exchange.agent.policy import Policy
from exchange.agent.running import Agent
from exchange.agent.sidecar import Sidecar
from exchange.agent.suspects import Wanted
from exchange.client.config import Config
from exchange.client.errors import ApiError
from exchange.stix import words
from tests.exchange.agent.fake import FakeExchange
from tests.exchange.agent.receiver import Receiver
from tests.waiting import until

FIRST, SECOND, THIRD = "198.51.100.1", "198.51.100.2", "198.51.100.3"


@pytest.fixture
def fake():
    made = FakeExchange()
    yield made
    made.close()


@pytest.fixture
def made(fake, tmp_path):
    """An agent of one feed or several, with look-ups."""

    def make(**more):
        state = tmp_path / "state"
        followed = more.pop("jobs", (jobs.Job(state / "all", state, page=2),))
        found = Config(fake.url, "exk_test")
        agent = Agent(Settings(found, state, Policy(), followed, **more), say=print, warn=print)
        for job in followed:
            pull(agent, job)
        agent.blocklist = Blocklist(agent.settings.stores, policy=agent.settings.policy, noting=True)
        return agent

    return make


def pull(agent, job=None):
    with agent._client(retries=0) as client:
        agent._pull(client, job or agent.settings.jobs[0], wait_s=0)


@contextmanager
def keeping(agent):
    """The thread that judges is at work."""
    thread = threading.Thread(target=agent._keep, kwargs={"switched": agent._state()[1]}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        agent.stop()
        thread.join()


def say(fake, value, **more):
    for publisher in ("aster", "borealis"):
        fake._write("upsert", publisher, f"indicator--{value}", **({"entries": [net(value)], "confidence": 80} | more))


def net(value):
    return {"kind": "account-pattern", "subkind": "net", "scheme": "", "key_epoch": "", "value": value}


def revoke(fake, *values):
    for value in values:
        for publisher in ("aster", "borealis"):
            fake.remove(publisher, f"indicator--{value}", reason="revoked")


def words_of(agent, *values):
    return [agent.blocklist.check("net", value).word for value in values]


def test_what_was_applied_before_a_pull_broke_leaves_look_ups(fake, made):
    say(fake, FIRST)
    say(fake, SECOND)
    agent = made()
    assert words_of(agent, FIRST, SECOND) == ["block", "block"]
    revoke(fake, FIRST, SECOND)
    fake.broken_after = 1
    with keeping(agent):
        with pytest.raises(ApiError):
            pull(agent)
        until(lambda: words_of(agent, FIRST, SECOND) == ["none", "block"])
        pull(agent)
        until(lambda: words_of(agent, FIRST, SECOND) == ["none", "none"])


def test_a_signature_of_a_page_before_a_pull_broke_is_tried(fake, made):
    agent = made()
    for name in ("one", "two", "three"):
        said = {"extensions": {words.EXTENSION_ID: {"subkind": "regex"}}, "pattern": f"(?i)thought {name}"}
        fake._write("upsert", "aster", f"indicator--{name}", entries=[], confidence=80, object=said)
    fake.broken_after = 1
    with keeping(agent):
        with pytest.raises(ApiError):
            pull(agent)
        until(lambda: agent.blocklist.check_prompt("thought two").signatures)


@pytest.mark.parametrize("beside", [False, True], ids=["one feed", "beside a feed of another kind"])
def test_look_ups_leave_out_what_a_feeds_kind_and_min_confidence_leave_out(fake, made, tmp_path, monkeypatch, beside):
    monkeypatch.setenv("EXCHANGE_STATE_DIR", str(tmp_path / "kept"))
    state, token = tmp_path / "state", "ab" * 32
    par = {"kind": "payment-fingerprint", "subkind": "par", "scheme": "oprf-ristretto255-sha512", "value": token}
    say(fake, FIRST, confidence=90)
    say(fake, SECOND, confidence=20)
    say(fake, THIRD, confidence=None)
    say(fake, token, entries=[{**par, "key_epoch": "2026q4"}])
    regex = {"extensions": {words.EXTENSION_ID: {"subkind": "regex"}}, "pattern": "(?i)hidden thought"}
    fake._write("upsert", "aster", "indicator--r", entries=[], confidence=80, object=regex)
    sure = jobs.Job(state / "sure", state, kind="account-pattern", min_confidence=70)
    other = jobs.Job(state / "other", state, kind="payment-fingerprint", min_confidence=90)
    agent = made(jobs=(sure, other) if beside else (sure,))
    with loading.looking_up(agent.settings) as agent.blocklist:
        for _ in ("read whole", "read again value by value"):
            assert words_of(agent, FIRST, SECOND, THIRD) == ["block", "none", "none"]
            assert agent.blocklist.check("par", token).word == "none"
            assert agent.blocklist.check_prompt("hidden thought").signatures == ()
            agent.blocklist.update([FIRST, SECOND, THIRD, token])
        assert {said.value for said in agent.said()} == {FIRST}
        say(fake, SECOND, confidence=70)
        pull(agent)
        agent.blocklist.update([SECOND])
        assert words_of(agent, SECOND) == ["block"]
        agent.blocklist.taken_met()
        fake._write("upsert", "cygnus", "indicator--unsure", entries=[net(FIRST)], confidence=20)
        pull(agent)
        agent.blocklist.check("net", FIRST)
        assert sorted(agent.blocklist.taken_met()) == [f"indicator--{FIRST}"]


def test_explain_says_what_min_confidence_leaves_out(fake, made, tmp_path):
    say(fake, FIRST, confidence=20)
    job = jobs.Job(tmp_path / "state" / "sure", tmp_path / "state", min_confidence=70)
    made(jobs=(job,))
    with closing(jobs.open_store(job)) as store:
        (found,) = explaining.of(FIRST, {"sure": store}, Policy(), now=jobs.now(store), parts={"sure": job.part})
    assert (found.verdict.word, found.said, len(found.left)) == ("none", [], 2)
    assert [each["left_out"] for each in explaining.document(found)["said"]] == [True, True]
    assert "none, because the kind or min_confidence that was asked for leaves out" in explaining.text(FIRST, [found])


@pytest.mark.parametrize("ahead_s", [600, -600])
def test_entries_begin_and_end_by_the_exchanges_clock(fake, made, tmp_path, ahead_s):
    fake.clock = time.time() + ahead_s
    turn = datetime.fromtimestamp(fake.clock + 6, UTC).isoformat()
    say(fake, FIRST, valid_until=turn)
    say(fake, SECOND, valid_from=turn)
    target = tmp_path / "list.txt"
    agent = made(outputs=(("file", outputs.File(target)),))
    with keeping(agent):
        until(lambda: words_of(agent, FIRST, SECOND) == ["none", "block"] and held(target) == [SECOND])


def held(path):
    return path.read_text().splitlines() if path.exists() else None


def test_counts_that_cannot_be_written_stop_nothing_and_are_kept(fake, made, tmp_path):
    say(fake, FIRST)
    target, met = tmp_path / "list.txt", tmp_path / "state" / "met.sqlite"
    agent = made(outputs=(("file", outputs.File(target)),), metrics_file=tmp_path / "none" / "metrics")
    warned = []
    agent.warn = agent.returns.warn = warned.append
    met.mkdir()
    with keeping(agent):
        assert words_of(agent, FIRST) == ["block"]
        until(lambda: any("counts" in one for one in warned) and place(agent) == proof(agent))
        with agent._client(retries=0) as client:
            agent.returns.acknowledge(client, agent.settings.jobs[0], at_once=True)
        assert fake.acks
        revoke(fake, FIRST)
        pull(agent)
        until(lambda: words_of(agent, FIRST) == ["none"] and held(target) == [])
        met.rmdir()
        until(lambda: counting.report(tmp_path / "state", days=1))
    saved = sum(row["hits"] for row in counting.report(tmp_path / "state", days=1))
    assert saved == agent.counts()["blocked"] > 0
    assert {one.partition(":")[0] for one in warned} == {"counts", "counts to tell", "metrics_file"}
    assert len(warned) == 3, "each is told once"


def test_a_store_that_cannot_be_read_is_looked_at_again_in_a_moment_not_without_a_pause(fake, made, monkeypatch):
    agent = made()
    looks, paused = [], []

    def unreadable():
        looks.append(True)
        if len(looks) > 30:
            agent.stop()
        raise sqlite3.OperationalError("unable to open database file")

    def pause(seconds):
        paused.append(seconds)
        if len(paused) == 3:
            agent.stop()

    monkeypatch.setattr(Agent, "_state", lambda self: unreadable())
    monkeypatch.setattr(agent._stop, "wait", pause)
    agent._changed.set()  # a pull has brought something that could not be taken in yet
    agent._keep(switched="")
    assert len(looks) == len(paused) == 3


def test_counts_and_suspects_are_told_where_nothing_is_listed(made, tmp_path, fake):
    say(fake, FIRST)
    file = tmp_path / "suspects.jsonl"
    file.write_text("no JSON\n")
    wanted = Wanted((file,))
    agent = made(suspects=wanted)
    agent.blocklist = Blocklist(agent.settings.stores, suspects=wanted)
    words_of(agent, FIRST)
    revoke(fake, FIRST)
    pull(agent)
    agent.blocklist.update([FIRST])
    assert (len(agent.blocklist), agent.about()["blocked"]) == (0, 1)
    assert agent.about()["suspects"]["problem"]


def test_an_output_that_hangs_keeps_up_neither_look_ups_nor_the_kill_switch_nor_files(fake, made, tmp_path):
    say(fake, FIRST)
    say(fake, SECOND)
    target = tmp_path / "list.txt"
    with closing(Receiver()) as receiver:
        receiver.gate.clear()
        slow = replace(receiver.sink, timeout_s=3_600)
        agent = made(outputs=(("webhook 1", slow), ("file 2", outputs.File(target))))
        try:
            with keeping(agent):
                until(lambda: held(target) == [FIRST, SECOND] and receiver.heard)
                revoke(fake, FIRST)
                pull(agent)
                until(lambda: words_of(agent, FIRST, SECOND) == ["none", "block"] and held(target) == [SECOND])
                with closing(jobs.open_store(agent.settings.jobs[0])) as store:
                    store.kill(["*"])
                until(lambda: words_of(agent, SECOND) == ["none"] and held(target) == [])
                assert (receiver.heard, receiver.holds) == (1, {}), "it hangs still"
                receiver.gate.set()
                until(lambda: receiver.heard == 2 and receiver.holds == {})
        finally:
            receiver.gate.set()


def test_what_is_acknowledged_is_in_force_in_every_part_and_what_hangs_shows(fake, made, tmp_path, monkeypatch):
    monkeypatch.setattr(acknowledging, "LATE_S", 0.0)
    say(fake, FIRST)
    with closing(Receiver()) as receiver:
        agent = made(outputs=(("webhook 1", replace(receiver.sink, timeout_s=3_600)), ("f", file_of(tmp_path))))
        try:
            with keeping(agent):
                before = proof(agent)
                until(lambda: place(agent) == before)
                receiver.gate.clear()
                say(fake, SECOND)
                pull(agent)
                until(lambda: words_of(agent, SECOND) == ["block"] and held(tmp_path / "list.txt") == [FIRST, SECOND])
                until(lambda: receiver.heard == 2)
                assert place(agent) == before != proof(agent)
                acknowledge(agent)
                assert (fake.acks[-1]["set_count"], fake.acks[-1]["set_hash"]) == before
                (late,) = fake.acks[-1]["late"]
                assert (late["part"], late["count"]) == ("webhook", 1), "its kind, not what it is called"
                parts = agent.stands()["parts"]
                assert [name for name, one in parts.items() if one["behind_s"] > 0] == ["webhook 1"]
                lines = agent.metrics().decode().splitlines()
                assert 'exchange_agent_part_behind_seconds{part="look-ups"} 0.0' in lines
                assert 'exchange_agent_part_behind_seconds{part="webhook 1"} 0.0' not in lines
                receiver.gate.set()
                until(lambda: place(agent) == proof(agent))
                acknowledge(agent)
                assert (fake.acks[-1]["set_count"], fake.acks[-1]["set_hash"]) == proof(agent)
                assert "late" not in fake.acks[-1]
        finally:
            receiver.gate.set()


def test_after_a_restart_what_cannot_be_reached_is_late_at_what_was_in_force_before(fake, made, tmp_path, monkeypatch):
    monkeypatch.setattr(acknowledging, "LATE_S", 0.0)
    say(fake, FIRST)
    with closing(Receiver()) as receiver:
        agent = made(outputs=(("webhook 1", replace(receiver.sink, timeout_s=3_600)),))
        with keeping(agent):
            before = proof(agent)
            until(lambda: place(agent) == before)
            acknowledge(agent)
    say(fake, SECOND)
    again = made(outputs=(("webhook 1", receiver.sink),))  # nobody listens there any more
    with keeping(again):
        until(lambda: again.stands()["parts"]["webhook 1"]["problem"])
        assert place(again) is None
        acknowledge(again)
    assert len(fake.acks) == 2
    assert (fake.acks[-1]["set_count"], fake.acks[-1]["set_hash"]) == before != proof(again)
    assert [one["part"] for one in fake.acks[-1]["late"]] == ["webhook"]


def test_an_exchange_that_knows_of_no_late_parts_is_told_the_rest(fake, client):
    fake.unknown = {"late"}
    said = {"instance": "i", "cursor": "0:1"}
    acknowledging.tell(
        client, "all", said | {"late": acknowledging.late([("file", 61.5), ("file", 99.0), ("redis", 1)])}
    )
    assert fake.acks == [said | {"late": [{"part": "file", "count": 2, "behind_s": 99}]}, said]
    fake.unknown = {"cursor"}
    with pytest.raises(ApiError):
        acknowledging.tell(client, "all", said)


def test_look_ups_that_could_not_be_brought_up_to_date_are_not_acknowledged(fake, made, monkeypatch, tmp_path):
    say(fake, FIRST)
    agent = made(unix=tmp_path / "check.sock")

    def full(values):
        raise sqlite3.OperationalError("disk I/O error")

    with keeping(agent):
        before = proof(agent)
        until(lambda: place(agent) == before)
        monkeypatch.setattr(agent.blocklist, "update", full)
        monkeypatch.setattr(agent.blocklist, "reload", lambda: full(()))
        revoke(fake, FIRST)
        pull(agent)
        until(lambda: "state" in agent._troubles)
        assert (place(agent), words_of(agent, FIRST)) == (before, ["block"])
        monkeypatch.undo()
        until(lambda: place(agent) == proof(agent) and words_of(agent, FIRST) == ["none"])


def test_a_pass_whose_output_fails_says_so_and_acknowledges_nothing(fake, made, tmp_path):
    say(fake, FIRST)
    with closing(Receiver()) as receiver:
        receiver.fails = {1}
        agent = made(outputs=(("webhook 1", receiver.sink), ("f", file_of(tmp_path))))
        assert agent.once() is False
        assert (held(tmp_path / "list.txt"), fake.acks) == ([FIRST], [])
        assert agent.once() is True
        assert fake.acks[-1]["set_hash"] == proof(agent)[1]


@pytest.mark.parametrize("trouble", ["nothing new", "failure"])
def test_run_leaves_the_exchange_alone_as_long_as_it_asks_for(fake, made, monkeypatch, trouble):
    agent, waited = made(), []

    def wait(seconds):
        waited.append(seconds)
        if len(waited) == 3:
            agent._stop.set()

    monkeypatch.setattr(agent._stop, "wait", wait)
    fake.min_wait, fake.retry_after = 40, "41"
    if trouble == "failure":
        fake.broken = [(429, {"code": "busy", "detail": "Wait."})] * 9
    agent._follow(agent.settings.jobs[0])
    least = 40 if trouble == "nothing new" else 41
    assert all(least - 2 < one <= 1.2 * least for one in waited[1:])


def file_of(tmp_path):
    return outputs.File(tmp_path / "list.txt")


def proof(agent):
    with closing(jobs.open_store(agent.settings.jobs[0])) as store:
        return store.proof()


def place(agent):
    found = agent.in_force.place("all")
    return found and (found.set_count, found.set_hash)


def acknowledge(agent):
    with agent._client(retries=0) as client:
        agent.returns.acknowledge(client, agent.settings.jobs[0], at_once=True)


@contextmanager
def answering(agent):
    """The sidecar is at work on the socket that the settings name."""
    loop = asyncio.new_event_loop()
    sidecar = Sidecar(agent.blocklist, told=agent.stands)
    servers = loop.run_until_complete(sidecar.serve(unix=agent.settings.unix))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        for server in servers:
            server.close()
        left = asyncio.all_tasks(loop)
        for each in left:
            each.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left))
        loop.close()


def status_of(path, *words):
    return CliRunner().invoke(cli.app, ["status", "--config", str(path), *words], catch_exceptions=False)


def test_status_tells_which_part_of_run_hangs(fake, made, tmp_path):
    say(fake, FIRST)
    settings = tmp_path / "agent.toml"
    settings.write_text('state = "state"\n[lookup]\nunix = "check.sock"\n')
    with closing(Receiver()) as receiver:
        agent = made(outputs=(("hook", receiver.sink), ("f", file_of(tmp_path))), unix=tmp_path / "check.sock")
        done = status_of(settings)
        assert (done.exit_code, "none answers" in done.output) == (0, True)
        receiver.fails = set(range(99))
        with keeping(agent), answering(agent):
            until(lambda: "answered 502" in status_of(settings).output)
            told = json.loads(status_of(settings, "--json").output)
            assert status_of(settings).exit_code == 1
            assert (told["feeds"]["all"]["held"], told["feeds"]["all"]["entries"]) == (2, 2)
            assert [name for name, one in told["parts"].items() if one["behind_s"]] == ["hook"]
            assert "look-ups: holds all that came" in status_of(settings).output
            receiver.fails = set()
            until(lambda: status_of(settings).exit_code == 0)


def test_a_file_that_is_being_written_is_written_to_its_end_before_run_ends(fake, made, tmp_path, monkeypatch):
    say(fake, FIRST)
    begun, let = threading.Event(), threading.Event()
    replaced = output.replace

    def slow(path, content):
        begun.set()
        let.wait()
        replaced(path, content)

    monkeypatch.setattr(output, "replace", slow)
    agent = made(outputs=(("f", file_of(tmp_path)),))
    with keeping(agent):
        until(begun.is_set)
        agent.stop()
        threading.Timer(0.2, let.set).start()
    assert held(tmp_path / "list.txt") == [FIRST]
