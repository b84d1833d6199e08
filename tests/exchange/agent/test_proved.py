"""Broken on purpose: whatever happens, the set and its hash are the exchange's afterwards, and the list follows the set."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from exchange.agent import explaining, jobs, status, sync, telling
from exchange.agent import policy as policies
from exchange.agent.blocklist import Blocklist
from exchange.client import Client
from exchange.client.errors import ApiError, Unreachable
from exchange.client.keeping import Kept
from exchange.lists import pages
from exchange.stix import words
from exchange.tokens import epochs, forms
from tests import forked
from tests.drilling import LONG
from tests.exchange.agent.fake import FakeExchange

AGENT = ["-c", "from exchange.agent.cli import main; main()"]


@pytest.fixture
def fake():
    made = FakeExchange()
    yield made
    made.close()


@pytest.fixture
def same(fake, job):
    """Whether what is held is what the log says, and the hash over it the rows' own."""

    def holds():
        with closing(jobs.open_store(job)) as store:
            assert store.proof() == store.recount()
            return sorted(store.held()) == sorted(fake.held(len(fake.log)))

    return holds


def filled(fake, client, job, count=5):
    for number in range(count):
        fake.publish("aster", f"i{number}", f"v{number}")
    sync.run_once(client, job)


def test_a_body_that_is_cut_under_200_is_discarded_and_asked_for_again(fake, client, job, same, lines):
    filled(fake, client, job)
    fake.remove("aster", "i0")
    for cut in (1, 40, 400):
        fake.cut = cut
        with pytest.raises(Unreachable):
            sync.run_once(client, job)
        assert "v0" in lines()
    sync.run_once(client, job)
    assert same()
    assert "v0" not in lines()


def test_an_object_whose_bytes_are_altered_on_the_way_breaks_the_page(fake, client, job, same):
    filled(fake, client, job)
    fake.publish("aster", "i9", "v9")
    fake.altered = [fake.page(5, 10).replace(b'"object":{"id": "i9"', b'"object":{"id": "i8"')]
    with pytest.raises(Unreachable):
        sync.run_once(client, job)
    sync.run_once(client, job)
    assert same()


def test_a_set_that_differs_is_filled_anew_while_the_old_one_stays(fake, client, job, same, lines):
    filled(fake, client, job)
    with closing(sqlite3.connect(job.store_path)) as store, store:
        store.execute("DELETE FROM held WHERE stix_id = 'i1'")
        store.execute("DELETE FROM entry WHERE stix_id = 'i1'")
    fake.publish("aster", "i1", "w1")  # the hash is only wrong once a change meets the row that is missing
    fake.broken_after = 1
    with pytest.raises(ApiError):
        sync.run_once(client, job)
    assert "v2" in lines()
    done = sync.run_once(client, job)
    assert done.started_over
    assert same()
    assert lines() == ["v0", "v2", "v3", "v4", "w1"]


def test_a_removal_of_the_first_of_many_pages_is_in_force_before_the_last_came(fake, client, job, lines, monkeypatch):
    filled(fake, client, job)
    fake.remove("aster", "i0")
    for number in range(9):
        fake.publish("aster", f"j{number}", f"w{number}")
    monkeypatch.setattr(sync, "_LONGEST_PULL_S", 0.0)
    small = replace(job, page=2)
    assert sync.run_once(client, small, wait_s=1).changes == 2
    assert lines() == ["v1", "v2", "v3", "v4", "w0"]
    assert sync.run_once(client, small).changes == 8, "who does not wait is given all of it"
    assert "w8" in lines()


def test_an_exchange_that_contradicts_itself_empties_no_list(fake, client, job, lines):
    filled(fake, client, job)
    wrong = pages.Writer()
    fake.altered = [wrong.trailer("0:5", more=False, set_key="00" * 32, set_count=9, set_hash="11" * 32)] * 9
    with pytest.raises(Unreachable):
        sync.run_once(client, job)
    assert lines() == ["v0", "v1", "v2", "v3", "v4"]


def test_restored_to_an_earlier_point(fake, client, job, same):
    filled(fake, client, job)
    fake.restore(3)
    assert sync.run_once(client, job).started_over
    assert same()


@pytest.mark.parametrize("hour_s", [-3600, 3600])
def test_a_clock_an_hour_off_changes_neither_the_set_nor_the_list(fake, client, job, same, lines, hour_s):
    ends = datetime.now(tz=UTC) + timedelta(seconds=hour_s / 2)
    begins = datetime.now(tz=UTC) + timedelta(seconds=hour_s / 2)
    fake.publish("aster", "i1", "ends", valid_until=ends.isoformat())
    fake.publish("aster", "i2", "begins", valid_from=begins.isoformat())
    fake.clock = time.time() + hour_s  # as the exchange has it, the agent's clock is an hour off
    sync.run_once(client, job)
    assert same()
    assert lines() == (["begins"] if hour_s > 0 else ["ends"])
    with closing(jobs.open_store(job)) as store:
        assert abs(status.of(job, store).clock_s - hour_s) < 30


def test_renewals_travel_alone(fake, client, job, same):
    filled(fake, client, job, count=50)
    fake.publish("aster", "i7", "v7", valid_until="2126-01-01T00:00:00Z")
    assert sync.run_once(client, job).changes == 1
    assert same()


@pytest.mark.parametrize("many", [1_000, pytest.param(10_000, marks=LONG)])
def test_thousands_published_and_revoked(fake, client, job, same, lines, many):
    filled(fake, client, job)
    for number in range(many):
        fake.publish("borealis", f"b{number}", f"w{number}")
    sync.run_once(client, job)
    assert len(lines()) == many + 5
    for number in range(many):
        fake.remove("borealis", f"b{number}")
    sync.run_once(client, job)
    assert same()
    assert len(lines()) == 5


def test_two_agents_on_one_key_hold_the_same(fake, client, job, tmp_path, same):
    other = replace(job, path=tmp_path / "other.txt", state_dir=tmp_path / "other")
    filled(fake, client, job)
    sync.run_once(client, other)
    fake.remove("aster", "i1")
    sync.run_once(client, other)
    sync.run_once(client, job)
    assert same()
    with closing(jobs.open_store(job)) as one, closing(jobs.open_store(other)) as two:
        assert list(one.held()) == list(two.held())


def test_a_full_disk_leaves_the_last_good_set_and_the_next_pass_mends_it(fake, client, job, same, monkeypatch):
    filled(fake, client, job)
    with closing(jobs.open_store(job)) as store:
        pages_now = store._db.execute("PRAGMA page_count").fetchone()[0]
    for number in range(2_000):
        fake.publish("aster", f"n{number}", f"n{number}")
    opened = sync.Store.__init__

    def small(self, path, **more):
        opened(self, path, **more)
        self._db.execute(f"PRAGMA max_page_count = {pages_now + 4}")

    with monkeypatch.context() as context:
        context.setattr(sync.Store, "__init__", small)
        with pytest.raises(sqlite3.OperationalError, match="full"):
            sync.run_once(client, job)
    with closing(jobs.open_store(job)) as store:
        assert len(list(store.held())) == 5
        assert store.proof() == store.recount()
    sync.run_once(client, job)
    assert same()


def test_a_poisoned_row_is_held_and_stands_in_no_list(fake, client, job, same, lines):
    filled(fake, client, job)
    fake.publish("aster", "bad", "v8\n0.0.0.0/0", "=cmd")
    done = sync.run_once(client, job)
    assert same()
    assert done.refused == 2
    assert lines() == ["v0", "v1", "v2", "v3", "v4"]


def test_what_an_older_exchange_told_by_its_log_is_proved_once_it_has_a_delta(fake, client, job, same):
    fake.proved = False
    filled(fake, client, job)
    fake.proved = True
    with closing(jobs.open_store(job)) as store:
        store.put("no delta until", "")
    assert sync.run_once(client, job).started_over
    assert same()


def command(fake, *arguments, kept_in=None):
    environment = {"EXCHANGE_URL": fake.url, "EXCHANGE_API_KEY": "exk_test", "PATH": "/usr/bin:/bin"}
    if kept_in is not None:
        environment["EXCHANGE_STATE_DIR"] = str(kept_in)
    return subprocess.run(
        [*forked.python(), *AGENT, *map(str, arguments)], env=environment, capture_output=True, text=True, check=False
    )


def test_verify_diff_and_status_prove_the_list(fake, client, job):
    filled(fake, client, job)
    of = ("-o", job.path, "--state", job.state_dir)
    done = command(fake, "verify", *of)
    assert (done.returncode, done.stdout.split(",")[0]) == (0, "5 objects")
    assert command(fake, "diff", *of).returncode == 0
    told = json.loads(command(fake, "status", *of, "--json").stdout)
    assert (told["held"], told["differed"], told["verified"] is not None) == (5, 0, True)
    with closing(sqlite3.connect(job.store_path)) as store, store:
        store.execute("DELETE FROM held WHERE stix_id = 'i1'")
    assert "altered from outside" in command(fake, "verify", *of).stderr
    done = command(fake, "diff", *of)
    assert (done.returncode, done.stdout.split()[:3]) == (1, ["+", "aster", "i1"])


def test_sync_acknowledges_what_it_applied(fake, client, job):
    fake.publish("aster", "i1", "v1")
    of = ("-o", job.path, "--state", job.state_dir)
    for _ in range(2):
        assert command(fake, "sync", "--once", *of).returncode == 0
    with closing(jobs.open_store(job)) as store:
        assert [(ack["set_count"], ack["set_hash"]) for ack in fake.acks] == [store.proof()] * 2
    assert len({ack["instance"] for ack in fake.acks}) == 1


def test_run_once_in_shadow_says_how_many_would_be_blocked(fake, tmp_path):
    fake.publish("aster", "i1", "v1", "v2")
    fake.publish("borealis", "i2", "v1", "v2")
    settings = tmp_path / "agent.toml"
    settings.write_text('[policy]\nmode = "shadow"\n[[output]]\ntype = "file"\npath = "list.txt"\n')
    done = command(fake, "run", "--once", "--config", settings)
    assert "shadow: 2 would be blocked" in done.stdout + done.stderr
    assert (tmp_path / "list.txt").read_text() == ""


def test_explain_says_who_says_it_and_what_decided(fake, client, job):
    job = replace(job, policy=policies.Policy())
    ours = {"extensions": {words.EXTENSION_ID: {"subkind": "email", "control": "compromised_victim"}}}
    fake.publish("aster", "i1", "a")
    fake.publish("borealis", "i2", "a")
    fake.log[1]["object"] = {"id": "i2", **ours}
    fake.publish("aster", "i3", "b")
    sync.run_once(client, job)
    of = ("-o", job.path, "--state", job.state_dir)
    told = command(fake, "explain", "a", *of).stdout
    assert "below the floor victims" in told
    assert "Borealis: i2" in told
    assert "below the floor two-publishers" in command(fake, "explain", "i3", *of).stdout
    assert "nobody says anything" in command(fake, "explain", "c", *of).stdout


def test_explain_says_of_a_raw_value_what_is_said_of_its_tokens(fake, client, job, tmp_path):
    fake.publish("aster", "i1", "ab" * 32)
    sync.run_once(client, job)
    now = datetime.now(UTC)
    with Kept(tmp_path / "tokens.db") as kept:
        for quarter in epochs.looked_up_under(now):
            wanted = {forms.input_bytes("email", form): b"\xab" * 32 for form in forms.of("email", "anna@mail.example")}
            kept.keep_tokens(quarter, wanted, ends=now + timedelta(days=9))
    of = ("-o", job.path, "--state", job.state_dir)
    bare = command(fake, "explain", "anna@mail.example", *of)
    assert bare.returncode == 1
    assert "--subkind email makes them" in bare.stdout
    assert "--subkind" not in command(fake, "explain", "relay.example", *of).stdout
    told = command(fake, "explain", "Anna@Mail.example", *of, "--subkind", "email", kept_in=tmp_path)
    assert (told.returncode, "Aster: i1" in told.stdout) == (0, True), told.stderr
    assert "anna" not in told.stdout.lower()
    for subkind, says in (("email", "no email"), ("net", "leave --subkind out"), ("phrase", "say which group")):
        refused = command(fake, "explain", "no address", *of, "--subkind", subkind, kept_in=tmp_path)
        assert refused.returncode == 2
        assert says in " ".join(refused.stderr.split()), refused.stderr


def test_the_kill_switch_takes_a_publisher_or_the_feed_out_of_the_list_and_not_out_of_the_set(
    fake, client, job, same, lines
):
    filled(fake, client, job)
    fake.publish("borealis", "i9", "w")
    sync.run_once(client, job)
    of = ("-o", job.path, "--state", job.state_dir)
    command(fake, "disarm", *of, "--publisher", "Aster")
    assert lines() == ["w"]
    command(fake, "disarm", *of)
    assert lines() == []
    sync.run_once(client, job)
    assert lines() == []
    assert same()
    command(fake, "rearm", *of)
    command(fake, "rearm", *of, "--publisher", "Aster")
    assert len(lines()) == 6


@pytest.mark.parametrize("listed", ["198.51.100.7", "198.51.100.7/32", "198.51.100.0/28"])
@pytest.mark.parametrize("asked", ["198.51.100.7", "198.51.100.7/32", "::ffff:198.51.100.7"])
def test_explain_and_check_say_the_same_of_an_address_however_it_is_written(fake, client, job, listed, asked):
    entry = {"kind": "account-pattern", "subkind": "net", "scheme": "", "key_epoch": "", "value": listed}
    fake._write("upsert", "aster", "i1", entries=[entry], confidence=None)
    sync.run_once(client, job)
    blocklist = Blocklist([job.store_path], policy=job.policy)
    assert blocklist.check("net", asked).word == "block"
    assert blocklist.check("net", "198.51.100.16").word == "none"
    with closing(jobs.open_store(job)) as store:
        found = explaining.of(asked, {"": store}, job.policy, now=jobs.now(store))
        assert [one.verdict.word for one in found] == ["block"]
        assert "no confidence said" in explaining.text(asked, found)
        assert explaining.of("198.51.100.16", {"": store}, job.policy, now=jobs.now(store)) == []
        allowed = policies.read({"allow": [{"name": "ours", "values": ["198.51.100.7"]}]}, beside=job.path)
        policy = replace(job.policy, allowed=allowed.allowed)
        found = explaining.of(asked, {"": store}, policy, now=jobs.now(store))
        assert [one.verdict.suppressed_by for one in found] == ["ours"]


def test_the_kill_switch_takes_a_name_however_it_is_written_and_refuses_one_of_whom_nothing_is_held(
    fake, client, job, lines
):
    filled(fake, client, job, count=2)
    fake.publish("borealis", "i9", "w")
    sync.run_once(client, job)
    of = ("-o", job.path, "--state", job.state_dir)
    told = command(fake, "disarm", *of, "--publisher", "ASTER").stdout
    assert told == "Switched off: Aster; 2 entries left, 1 stay.\n"
    assert lines() == ["w"]
    refused = command(fake, "disarm", *of, "--publisher", "nosuch")
    assert refused.returncode == 2
    assert "of: Aster, Borealis." in " ".join(refused.stderr.split())
    assert command(fake, "rearm", *of, "--publisher", "nosuch").returncode == 2
    told = command(fake, "rearm", *of, "--publisher", "aster").stdout
    assert told == "Switched off: nothing; 2 entries came back, 3 stay.\n"
    told = command(fake, "disarm", *of, "--publisher", "cirrus-labs", "--in-advance").stdout
    assert "Nothing held is of cirrus-labs" in told
    fake.publish("Cirrus Labs", "i10", "x")
    sync.run_once(client, job)
    assert "x" not in lines()


@pytest.mark.parametrize("again", [(), ("i1",)])
@pytest.mark.parametrize("said", ["Nova", "Aster", "p1"])
def test_a_publisher_that_was_renamed_is_one_to_the_kill_switch_by_either_name(fake, client, job, lines, said, again):
    def publish(stix_id, value, *, name):
        entry = {"kind": "account-pattern", "subkind": "email", "scheme": "hmac-sha256", "key_epoch": "1"}
        more = {"publisher": {"id": "p1", "name": name}, "entries": [entry | {"value": value}], "confidence": 80}
        fake.log.append({"op": "upsert", "id": stix_id, "valid_from": None, "valid_until": None, **more})

    publish("i1", "v", name="Aster")
    sync.run_once(client, job)
    of = ("-o", job.path, "--state", job.state_dir, "--publisher")
    assert "Switched off: Aster; 1 entries left" in command(fake, "disarm", *of, "Aster").stdout
    publish("i2", "w", name="Nova")
    for stix_id in again:
        publish(stix_id, "v", name="Nova")
    sync.run_once(client, job)
    assert lines() == []
    told = command(fake, "rearm", *of, said)
    assert told.stdout == "Switched off: nothing; 2 entries came back, 2 stay.\n", told.stderr
    assert lines() == ["v", "w"]
    command(fake, "disarm", *of, "Nova")
    assert lines() == []


def test_by_default_one_publisher_alone_is_not_listed(fake, tmp_path):
    fake.publish("aster", "i1", "a")
    target = tmp_path / "list.txt"
    said = command(fake, "sync", "--once", "-o", target).stderr
    assert "of the 1 objects that are held nothing is to be blocked" in said
    assert "nothing is to be blocked" in command(fake, "status", "-o", target).stdout
    fake.publish("borealis", "i2", "b")
    fake.publish("cygnus", "i3", "b")
    assert "nothing is" not in command(fake, "sync", "--once", "-o", target).stderr
    assert target.read_text() == "b\n"
    command(fake, "sync", "--once", "-o", target, "--without-floor", "two-publishers")
    assert target.read_text() == "a\nb\n"
    done = command(fake, "sync", "--once", "-o", target, "--without-floor", "two")
    assert "two-publishers, victims" in done.stderr


def test_a_client_without_retries_and_one_with_read_the_same(fake):
    fake.publish("aster", "i1", "a")
    fake.cut = 3
    with Client(fake.url, "exk_test", retries=2) as patient:
        assert len(patient.delta().rows) == 1


def test_a_list_that_nobody_refreshed_for_too_long_is_old_and_drops_what_the_policy_says(fake, client, job, lines):
    said = {"stale": {"block": "drop"}, "without_floors": list(policies.Floor)}
    job = replace(job, policy=policies.read(said, beside=job.path))
    filled(fake, client, job)
    with closing(jobs.open_store(job)) as store:
        store.put("stale after", "3600")
        store.put("last success", (datetime.now(tz=UTC) - timedelta(hours=2)).isoformat())
        assert status.of(job, store).stale
        sync.put(job, store)
        assert lines() == []
        status.note_success(store)
        sync.put(job, store)
    assert len(lines()) == 5


def test_a_beginner_starts_from_the_snapshot_and_goes_on_by_the_delta(fake, client, job, same, lines):
    for number in range(8):
        fake.publish("aster", f"i{number}", f"v{number}")
    fake.snapshots = [(202, {"state": "making"}), (200, fake.page(0, 100))]
    fake.remove("aster", "i0")
    done = sync.run_once(client, replace(job, page=3))
    assert same()
    assert lines() == [f"v{number}" for number in range(1, 8)]
    assert (done.entries, fake.snapshots) == (7, [])
    assert len([path for path in fake.asked if "/delta" in path]) == 1
    assert "cursor=" in fake.asked[0]


@pytest.mark.parametrize("broken", ["cut", "wrong", "500"])
def test_a_snapshot_that_is_not_whole_is_forgotten_and_the_delta_read_from_the_beginning(
    fake, client, job, same, broken
):
    for number in range(8):
        fake.publish("aster", f"i{number}", f"v{number}")
    whole = fake.page(0, 100)
    answers = {
        "cut": (200, whole[:-40]),
        "wrong": (200, whole.replace(b'"set_count": 8', b'"set_count":9', 1)),
        "500": (500, {}),
    }
    fake.snapshots = [answers[broken]]
    sync.run_once(client, replace(job, page=3))
    assert same()


def test_after_a_reset_the_snapshot_is_asked_for_again(fake, client, job, same):
    filled(fake, client, job)
    fake.forget_cursors()
    fake.snapshots = [(200, fake.page(0, 100))]
    assert sync.run_once(client, job).started_over
    assert same()
    assert fake.snapshots == []


def test_a_fill_says_how_far_it_is_to_who_watches_and_to_status(fake, client, job):
    for number in range(8):
        fake.publish("aster", f"i{number}", f"v{number}")
    fake.snapshots = [(202, {"state": "making"}), (200, fake.page(0, 100))]
    said, seen = [], []

    def watch(words):
        said.append(words)
        with closing(jobs.open_store(job)) as store:
            found = status.after_writing(job, store)
            seen.append((status.document(found)["filling"], status.words(found)[1:3]))

    sync.run_once(client, replace(job, progress=watch))
    assert said[0] == "the exchange makes the feed's file"
    assert said[-1] == "100 % of the feed's file read"
    assert seen[-1] == (said[-1], ["not filled yet", f"being filled: {said[-1]}"])
    fake.forget_cursors()
    said.clear()
    sync.run_once(client, replace(job, page=3, progress=watch))
    assert said == ["3 changes read", "6 changes read"]
    with closing(jobs.open_store(job)) as store:
        assert status.after_writing(job, store).filling == ""


def test_progress_is_told_now_and_then_and_not_of_what_is_done_before(monkeypatch):
    now, told = [0.0], []
    monkeypatch.setattr(telling.time, "monotonic", lambda: now[0])
    progress = telling.progress("list.txt", to=told.append)
    for at in (1, 2, 4, 5, 9):
        now[0] = at
        progress(f"{at} %")
    assert told == ["list.txt is being filled: 4 %", "list.txt is being filled: 9 %"]


def test_a_list_of_one_feed_is_verified_against_that_feed(fake, client, job):
    filled(fake, client, replace(job, feed="3f0c"))
    assert jobs.known_job(job.path, state=job.state_dir).feed == "3f0c"
    done = command(fake, "verify", "-o", job.path, "--state", job.state_dir)
    assert (done.returncode, done.stdout.split(",")[0]) == (0, "5 objects")
    assert command(fake, "diff", "-o", job.path, "--state", job.state_dir).returncode == 0
