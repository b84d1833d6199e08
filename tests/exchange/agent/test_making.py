"""The store is made once, however many threads and processes open it at that moment."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Barrier

import pytest

from exchange.agent import counting, jobs

_AT_ONCE = 4


def _each_writes(job) -> None:
    """At the same moment, as the clock, the hook and whoever asks the exchange do when an agent starts."""
    together = Barrier(_AT_ONCE)

    def write(name):
        together.wait()
        with closing(jobs.open_store(job)) as store:
            store.put(name, "is here")

    names = [str(number) for number in range(_AT_ONCE)]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(write, names))
    with closing(jobs.open_store(job)) as store:
        assert [store.get(name) for name in names] == ["is here"] * _AT_ONCE


@pytest.mark.parametrize("before", [None, b"", b"rubbish" * 1_000], ids=["new", "empty", "damaged"])
def test_nothing_that_is_written_at_the_start_is_lost(tmp_path, before):
    for number in range(8):
        job = jobs.Job(path=tmp_path / f"list-{number}", state_dir=tmp_path / "state")
        job.state_dir.mkdir(exist_ok=True)
        if before is not None:
            job.store_path.write_bytes(before)
        _each_writes(job)


def test_whoever_opens_it_while_it_is_made_does_not_take_it_for_damaged(job, monkeypatch):
    """Another thread opens the store between each two steps of the one that makes it."""
    others = []

    class Watched(sqlite3.Connection):
        def executescript(self, script):
            others.append(pool.submit(lambda: jobs.open_store(job).close()))
            return super().executescript(script)

    with ThreadPoolExecutor(1) as pool:
        connect = sqlite3.connect
        monkeypatch.setattr(sqlite3, "connect", lambda *args, **more: connect(*args, factory=Watched, **more))
        with closing(jobs.open_store(job)) as store:
            made = job.store_path.stat().st_ino
            store.put("cursor", "7")
        assert [one.result() for one in others]
    with closing(jobs.open_store(job)) as store:
        assert (store.get("cursor"), job.store_path.stat().st_ino) == ("7", made)


def test_all_who_begin_at_once_call_the_agent_by_one_name(tmp_path):
    for number in range(20):
        state, together = tmp_path / f"state-{number}", Barrier(_AT_ONCE)

        def name(_, state=state, together=together):
            together.wait()
            return counting.instance(state)

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            called = set(pool.map(name, range(_AT_ONCE)))
        assert called == {(state / "instance").read_text()}
        assert [path.name for path in state.iterdir()] == ["instance"]
