"""The brake: what is told is applied, what is merely missing after a new beginning is kept, publisher by publisher."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.agent import jobs, sync
from exchange.agent import policy as policies
from exchange.client import Client
from exchange.client.errors import ApiError
from tests.exchange.agent.fake import FakeExchange
from tests.strategies import examples


def many(fake, publisher, count, *, begin=0):
    for number in range(begin, begin + count):
        fake.publish(publisher, f"{publisher}{number}", f"{publisher}-{number:03}")


def braked(done):
    return [(each.name, each.entries) for each in done.braked]


def test_removals_that_are_told_are_applied_whatever_their_number(fake, client, job, lines):
    many(fake, "aster", 400)
    many(fake, "borealis", 3)
    sync.run_once(client, job)
    for number in range(400):
        fake.remove("aster", f"aster{number}")
    fake.publish("borealis", "b9", "honest")
    done = sync.run_once(client, job)
    assert lines() == ["borealis-000", "borealis-001", "borealis-002", "honest"]
    assert braked(done) == []


def test_after_a_new_beginning_only_the_publisher_that_misses_much_is_kept(fake, client, job, lines):
    many(fake, "aster", 100)
    many(fake, "borealis", 100)
    sync.run_once(client, job)
    fake.restore(0)
    many(fake, "borealis", 90)
    fake.publish("cygnus", "c", "new")
    done = sync.run_once(client, job)
    assert braked(done) == [("Aster", 100)]
    assert lines() == [f"aster-{n:03}" for n in range(100)] + [f"borealis-{n:03}" for n in range(90)] + ["new"]


def test_everything_else_goes_on_while_a_publisher_is_braked(fake, client, job, lines):
    many(fake, "aster", 50)
    sync.run_once(client, job)
    fake.restore(0)
    sync.run_once(client, job)
    fake.publish("borealis", "b", "new")
    fake.remove("aster", "aster0")  # the log tells it after all
    fake.publish("aster", "aster1", "revised")
    done = sync.run_once(client, job)
    assert lines() == sorted([f"aster-{n:03}" for n in range(2, 50)] + ["new", "revised"])
    assert braked(done) == [("Aster", 48)]


def test_what_is_kept_stays_kept_at_the_next_new_beginning_until_a_person_lets_it_go(fake, client, job, lines):
    many(fake, "aster", 50)
    sync.run_once(client, job)
    fake.restore(0)
    sync.run_once(client, job)
    many(fake, "aster", 300, begin=100)
    sync.run_once(client, job)
    fake.forget_cursors()
    assert braked(sync.run_once(client, job)) == [("Aster", 50)]
    done = sync.run_once(client, replace(job, allow_shrink=True))
    assert (len(lines()), braked(done)) == (300, [])


def test_many_publishers_that_each_miss_a_few_are_kept_where_together_they_miss_much(fake, client, job, lines):
    for name in "abcdefgh":
        many(fake, name, 10)
    sync.run_once(client, job)
    fake.restore(0)
    done = sync.run_once(client, job)
    assert (len(lines()), len(done.braked)) == (80, 8)


def test_a_small_loss_passes(fake, client, job, lines):
    many(fake, "aster", 20)
    sync.run_once(client, job)
    fake.restore(0)
    assert braked(sync.run_once(client, job)) == []
    assert lines() == []


def test_what_ends_leaves_also_when_it_is_kept(fake, client, job, lines):
    for number in range(50):
        fake.publish("aster", f"i{number}", f"v{number}", valid_until="2020-01-01T00:00:00Z" if number else "")
    sync.run_once(client, job)
    fake.restore(0)
    assert braked(sync.run_once(client, job)) == []  # what had ended is not missed
    assert lines() == []


def test_where_the_store_is_lost_the_list_itself_says_what_is_missing(fake, client, job, lines):
    for form in ("text", "csv", "jsonl"):
        made = replace(job, path=job.path.with_suffix(f".{form}"), form=form)
        many(fake, "aster", 100)
        sync.run_once(client, made)
        before = made.path.read_text()
        made.store_path.write_bytes(b"this is no database" * 100)
        fake.restore(0)
        fake.publish("borealis", "b", "new")
        done = sync.run_once(client, made)
        assert braked(done) == [("unknown", 100)]
        assert done.entries == 101
        made.store_path.write_bytes(b"this is no database" * 100)
        fake.restore(0)
        many(fake, "aster", 100)
        fake.publish("borealis", "b", "new")
        assert braked(sync.run_once(client, made)) == []  # all of it is there again
        assert len(made.path.read_text().splitlines()) == len(before.splitlines()) + 1
        fake.restore(0)


def test_rehearsing_alters_neither_the_list_nor_what_the_agent_holds(fake, client, job, lines):
    many(fake, "aster", 100)
    sync.run_once(client, job)
    fake.restore(0)
    rehearsed = sync.run_once(client, replace(job, allow_shrink=True), rehearse=True)
    assert (rehearsed.entries, rehearsed.braked) == (0, ())
    assert len(lines()) == 100
    assert braked(sync.run_once(client, job)) == [("Aster", 100)]


def test_a_beginning_that_is_interrupted_goes_on_where_it_was_and_the_old_list_stands_meanwhile(
    fake, client, job, lines
):
    small = replace(job, page=10)
    many(fake, "aster", 30)
    sync.run_once(client, small)
    fake.forget_cursors()
    fake.publish("aster", "late", "late")
    sync.run_once(client, small)
    fake.forget_cursors()
    fake.publish("aster", "later", "later")
    fake.broken_after = 2
    with pytest.raises(ApiError, match="unavailable"):
        sync.run_once(client, small)
    assert len(lines()) == 31
    fake.asked.clear()
    sync.run_once(client, small)
    assert len(lines()) == 32
    assert not [path for path in fake.asked if "cursor=" not in path]  # none from the beginning


publishers = st.sampled_from(["aster", "borealis", "cygnus"])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), publishers, st.integers(0, 59), st.integers(1, 40)),
        st.tuples(st.just("remove"), publishers, st.integers(0, 59), st.integers(1, 40)),
        st.tuples(st.just("sync"), st.none(), st.none(), st.none()),
        st.tuples(st.just("lose cursors"), st.none(), st.none(), st.none()),
        st.tuples(st.just("restore"), st.none(), st.integers(0, 100), st.none()),
    ),
    max_size=12,
)


@settings(max_examples=examples(40), deadline=None)
@given(steps=steps, page=st.integers(3, 50))
def test_after_any_history_the_file_is_the_servers_list_but_for_what_braked_publishers_keep(
    tmp_path_factory, steps, page
):
    directory = tmp_path_factory.mktemp("agent")
    job = jobs.Job(path=directory / "list.txt", state_dir=directory / "state", page=page)
    fake = FakeExchange()
    try:
        with Client(fake.url, "exk_test", retries=0) as client:
            for action, publisher, first, count in [*steps, ("sync", None, None, None)]:
                if action == "publish":
                    many(fake, publisher, count, begin=first)
                elif action == "remove":
                    for number in range(first, first + count):
                        fake.remove(publisher, f"{publisher}{number}")
                elif action == "lose cursors":
                    fake.forget_cursors()
                elif action == "restore":
                    fake.restore(len(fake.log) * first // 100)
                else:
                    done = sync.run_once(client, job)
                    held, servers = set(job.path.read_text().splitlines()), fake.list()
                    kept = held - servers
                    assert servers <= held
                    assert {value.partition("-")[0].title() for value in kept} <= {each.name for each in done.braked}
                    assert len(kept) == sum(each.entries for each in done.braked)
    finally:
        fake.close()


def test_what_the_brake_keeps_of_a_lost_store_stays_listed_under_the_default_policy(fake, client, job, lines):
    """It is not known any more who said it; it stood in the list, so it was above the floors."""
    judged = replace(job, policy=policies.Policy())
    for number in range(30):
        for publisher in ("aster", "borealis"):
            fake.publish(publisher, f"i{number}", f"v{number:02}")
    sync.run_once(client, judged)
    assert len(lines()) == 30
    for path in job.state_dir.iterdir():
        path.unlink()
    fake.restore(0)
    assert sync.run_once(client, judged).braked
    assert len(lines()) == 30
    with closing(jobs.open_store(judged)) as store:
        store.release()
        sync.put(judged, store)
    assert lines() == []


NET = {"kind": "account-pattern", "subkind": "net", "scheme": "", "key_epoch": ""}


def nets(fake, count):
    for number in range(count):
        entry = {**NET, "value": f"203.0.113.{number}/32"}
        fake._write("upsert", "aster", f"i{number}", entries=[entry], confidence=80)


@pytest.fixture
def lost(fake, client, job):
    """A list of networks whose store is lost, at an exchange that is restored to nothing."""

    def make(**settings):
        made = replace(job, **settings)
        nets(fake, 30)
        assert sync.run_once(client, made).entries == 30
        made.store_path.write_bytes(b"this is no database" * 100)
        fake.restore(0)
        return made

    return make


@pytest.mark.parametrize(
    ("form", "kind"), [("text", ""), ("text", "account-pattern"), ("nftables", ""), ("envoy", "account-pattern")]
)
def test_what_a_devices_list_holds_is_kept_where_the_store_is_lost(client, lost, form, kind):
    made = lost(form=form, kind=kind)
    before = made.path.read_bytes()
    done = sync.run_once(client, made)
    assert (done.entries, braked(done)) == (30, [("unknown", 30)])
    assert b"203.0.113.7" in made.path.read_bytes()
    assert len(made.path.read_bytes().splitlines()) == len(before.splitlines())


@pytest.mark.parametrize("form", ["text", "nftables", "csv"])
def test_an_allowlist_wins_over_what_the_brake_keeps_of_a_lost_store(client, lost, form):
    made = lost(form=form)
    allow = {"name": "ours", "values": ["203.0.113.8/31", "203.0.113.7"]}
    judged = policies.read({"without_floors": ["two-publishers"], "allow": [allow]}, beside=made.path.parent)
    done = sync.run_once(client, replace(made, policy=judged))
    assert done.entries == 27
    listed = made.path.read_text()
    assert "203.0.113.6" in listed
    assert not any(f"203.0.113.{number}" in listed for number in (7, 8, 9))


def test_in_shadow_mode_nothing_of_a_lost_store_is_enforced(client, lost):
    made = lost(form="text")
    judged = policies.read({"mode": "shadow"}, beside=made.path.parent)
    assert sync.run_once(client, replace(made, policy=judged)).entries == 0
