"""Long work leaves every other moment to the others; work of usual size never rests."""

from __future__ import annotations

import gzip

import pytest

from exchange import bodies, pace
from exchange.errors import Malformed
from indicators.stix import budget


@pytest.fixture
def clock(monkeypatch):
    """The time of the thread's processor, moved by the test; and how long was rested."""

    class Clock:
        now, rested = 5.0, []

    monkeypatch.setattr(pace.time, "thread_time", lambda: Clock.now)
    monkeypatch.setattr(pace.time, "sleep", Clock.rested.append)
    yield Clock
    Clock.rested = []


def test_it_rests_as_long_as_it_works_once_it_is_long(clock):
    clock.rested.clear()
    work = pace.Pace()
    for milliseconds in range(1, 111):
        clock.now = 5.0 + milliseconds / 1_000
        work.step()
    assert 19 <= len(clock.rested) <= 21, "after 50 ms, each 3 ms"
    assert set(clock.rested) == {pace.REST_S}


def test_a_batch_of_what_is_slow_to_read_rests_and_another_begins_anew(clock):
    clock.rested.clear()

    def read(seconds, times):
        budget.begin()
        for _ in range(times):
            with budget.spending():
                clock.now += seconds

    read(0.002, 20)
    read(0.002, 20)
    assert clock.rested == []
    read(0.01, 50)
    assert 44 <= len(clock.rested) <= 46


def test_who_sends_members_without_number_waits_for_the_answer(monkeypatch, rf):
    waited = []
    monkeypatch.setattr(bodies.time, "sleep", waited.append)
    sent = gzip.compress(b"", mtime=0) * 200_000
    with pytest.raises(Malformed, match="gzip members"):
        bodies.read(rf.post("/", sent, content_type="application/json", headers={"Content-Encoding": "gzip"}))
    assert waited == [len(sent) / 40_000_000]
