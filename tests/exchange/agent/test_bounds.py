"""An exchange that misbehaves keeps no agent busy for ever: each pull comes to an end, and the last good list stays."""

from __future__ import annotations

import itertools
import json
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from exchange.agent import bounds, jobs, status, sync
from exchange.client.errors import Unreachable
from exchange.lists import pages


@pytest.fixture(params=["delta"])
def fake(fake):
    return fake


@pytest.fixture(params=["follows", "fills"])
def job(request, job, fake, client, lines):
    """One that holds a list already, and one that fills its first."""
    if request.param == "follows":
        fake.publish("aster", "i0", "v0")
        sync.run_once(client, job)
        assert lines() == ["v0"]
    return job


@pytest.fixture
def stays(lines):
    """The list is what it was."""
    before = lines()
    return lambda: lines() == before


def a_page(*ids: str, cursor: str) -> bytes:
    writer, pieces = pages.Writer(), []
    for stix_id in ids:
        row = {"op": "remove", "reason": "revoked", "publisher": {"id": "p", "name": "P"}, "id": stix_id, "entries": []}
        pieces.append(writer.row(json.dumps(row).encode()))
    return b"".join([*pieces, writer.trailer(cursor, more=True)])


def test_who_says_for_ever_that_more_is_there_is_left_after_a_time(fake, client, job, stays, monkeypatch):
    monkeypatch.setattr(bounds, "LONGEST_S", 0.4)
    asked, told = len(fake.asked), itertools.chain([True] * 60, itertools.repeat(False))
    fake.endless = lambda cursor: a_page(cursor=cursor) if next(told) else fake.page(0, 9)
    with pytest.raises(Unreachable, match="comes to no end"):
        sync.run_once(client, job)
    assert len(fake.asked) - asked < 20, "what tells nothing is asked for ten times a second at most"
    assert stays()


def test_who_tells_changes_for_ever_is_left_after_so_many(fake, client, job, stays, monkeypatch):
    monkeypatch.setattr(bounds, "MOST_ROWS", 30)
    names = itertools.count()
    fake.endless = lambda cursor: a_page("i7", "i8", cursor=f"c{next(names)}")
    with pytest.raises(Unreachable, match="with 32 changes"):
        sync.run_once(client, job)
    assert stays()
    with closing(jobs.open_store(job)) as store:
        assert (store.filled(), store.get("fresh cursor")) == (0, ""), "what such a fill brought is kept by nobody"


def test_who_tells_one_page_for_ever_is_left_at_once(fake, client, job, stays):
    fake.endless = lambda cursor: a_page("i7", cursor="c")
    with pytest.raises(Unreachable, match="the same page for ever"):
        sync.run_once(client, job)
    assert stays()


def test_no_set_grows_beyond_what_an_exchange_has(fake, client, job, monkeypatch):
    monkeypatch.setattr(pages, "MAX_OBJECTS", 3)
    for number in range(5):
        fake.publish("aster", f"j{number}", f"w{number}")
    with pytest.raises(Unreachable, match="more than 3 objects"):
        sync.run_once(client, job)
    with closing(jobs.open_store(job)) as store:
        assert store.filled() == 0


def test_a_fill_that_is_broken_off_again_and_again_grows_no_further(fake, client, tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "MAX_OBJECTS", 30)
    job = jobs.Job(path=tmp_path / "other.txt", state_dir=tmp_path / "other", page=2)
    for number in range(99):
        fake.publish("aster", f"j{number}", f"w{number}")
    held = []
    for _ in range(5):
        fake.broken_after = 8
        with pytest.raises(Exception, match=r"Try again|more than"):
            sync.run_once(client, job)
        with closing(jobs.open_store(job)) as store:
            held.append(store.filled())
    assert max(held) <= 30, held


def test_a_clock_that_says_the_last_year_there_is_moves_nothing(fake, client, job, lines):
    fake.publish("aster", "i1", "v1", valid_until="2126-01-01T00:00:00Z")
    fake.clock = 253_402_300_000
    sync.run_once(client, job)
    assert "v1" in lines()


@pytest.mark.parametrize("off", [timedelta(days=366), timedelta(days=-366), timedelta(days=1, minutes=5)])
def test_a_clock_more_than_a_day_off_is_told_and_not_used(fake, client, job, lines, off):
    fake.proved = True
    until = datetime.now(UTC) + timedelta(days=80)
    fake.publish("aster", "i1", "v1", valid_until=until.isoformat())
    fake.clock = time.time() + off.total_seconds()
    sync.run_once(client, job)
    assert "v1" in lines()
    with closing(jobs.open_store(job)) as store:
        status.note_success(store)
        found = status.of(job, store)
        assert (found.clock_s, found.good) == (0, False)
        assert found.clock_refused_s == pytest.approx(off.total_seconds(), abs=30)
        assert "which is not believed" in "\n".join(status.words(found))
        store.put("clock", "31536000")  # as an agent of before noted it
        assert jobs.ahead(store) == timedelta(0)
    fake.clock = None
    sync.run_once(client, job)
    with closing(jobs.open_store(job)) as store:
        found = status.of(job, store)
        assert (found.clock_refused_s, found.good) == (0, True)


def test_the_clock_of_a_page_that_is_not_whole_is_not_taken(fake, client, job):
    fake.proved = True
    fake.publish("aster", "i1", "v1")
    sync.run_once(client, job)
    fake.clock = time.time() + 3_600
    fake.cut = 20
    with pytest.raises(Unreachable):
        sync.run_once(client, job)
    with closing(jobs.open_store(job)) as store:
        assert jobs.ahead(store) == timedelta(0)

    sync.run_once(client, job)
    with closing(jobs.open_store(job)) as store:
        assert jobs.ahead(store) > timedelta(minutes=59)
