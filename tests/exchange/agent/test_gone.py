"""What went is told to whoever asks: when, and why; and it stands in no list and in no set."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from exchange.agent import explaining, gone, jobs, status, sync


@pytest.fixture
def explained(job):
    """What is said of a value, for programs and for a person."""

    def of(value):
        with closing(jobs.open_store(job)) as store:
            found = explaining.of(value, {"": store}, job.policy, now=jobs.now(store))
            return [explaining.document(one) for one in found], explaining.text(value, found)

    return of


@pytest.mark.parametrize("reason", [*sorted(gone.WORDS), "of-a-later-exchange"])
def test_what_was_removed_is_told_with_its_time_and_reason(fake, client, job, explained, lines, reason):
    fake.publish("aster", "i1", "a")
    fake.publish("aster", "i2", "b")
    sync.run_once(client, job)
    at = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)
    fake.remove("aster", "i1", reason=reason, date_added=at.isoformat())
    sync.run_once(client, job)
    (told,), text = explained("a")
    assert (told["value"], told["action"], told["said"], told["independent_publishers"]) == ("a", "none", [], 0)
    assert told["went"] == [{"publisher": "Aster", "id": "i1", "reason": reason, "at": at.isoformat()}]
    assert "nobody says it any more" in text
    assert f"went {at:%Y-%m-%d %H:%M:%S} UTC" in text
    assert gone.WORDS.get(reason, reason) in text
    assert explained("i1")[0] == [told]  # by the object's id, too
    assert lines() == ["b"]
    assert not explained("b")[0][0]["went"]
    assert "in the 30 days that are remembered" in explained("c")[1]


def test_what_one_says_no_more_stands_beside_what_another_says(fake, client, job, explained):
    fake.publish("aster", "i1", "a", "b")
    fake.publish("borealis", "i2", "a")
    sync.run_once(client, job)
    fake.publish("aster", "i1", "b")  # a newer version
    sync.run_once(client, job)
    (told,), text = explained("a")
    assert [one["publisher"] for one in told["said"]] == ["Borealis"]
    assert [(one["publisher"], one["reason"]) for one in told["went"]] == [("Aster", gone.REVISED)]
    assert "a newer version of the object does not say it" in text
    fake.publish("aster", "i1", "a", "b")
    sync.run_once(client, job)
    assert explained("a")[0][0]["went"] == []  # it came back


def test_what_a_fill_misses_and_what_the_brake_let_go_is_told(fake, client, job, explained, lines):
    fake.publish("aster", "i0", "v")
    for number in range(30):
        fake.publish("borealis", f"i{number}", f"w{number}")
    sync.run_once(client, job)
    del fake.log[0]
    fake.forget_cursors()
    sync.run_once(client, job)
    assert explained("v")[0][0]["went"][0]["reason"] == gone.MISSING
    fake.restore(2)
    sync.run_once(client, job)
    assert "w9" in lines()
    assert explained("w9")[0][0]["went"] == []  # kept by the brake
    with closing(jobs.open_store(job)) as store:
        store.release()
    assert explained("w9")[0][0]["went"][0]["reason"] == gone.RELEASED
    for number in range(2, 30):
        fake.publish("borealis", f"i{number}", f"w{number}")
    fake.forget_cursors()
    sync.run_once(client, job)
    assert explained("w9")[0][0]["went"] == []  # the next fill has it again


def test_what_went_is_forgotten_in_time_and_in_number(fake, client, job, explained, monkeypatch):
    monkeypatch.setattr(gone, "MOST", 3)
    for number in range(6):
        fake.publish("aster", f"i{number}", f"v{number}")
    sync.run_once(client, job)
    for number in range(5):
        fake.remove("aster", f"i{number}", reason="revoked")
        sync.run_once(client, job)
    assert [bool(explained(f"v{number}")[0]) for number in range(6)] == [False, False, True, True, True, True]
    with closing(jobs.open_store(job)) as store:
        assert status.of(job, store).went == {"revoked": 3}
        assert "3 revoked" in "\n".join(status.words(status.of(job, store)))
    with closing(sqlite3.connect(job.store_path)) as store, store:
        old = (datetime.now(UTC) - gone.KEPT).isoformat()
        store.execute("UPDATE gone SET at = ? WHERE value = 'v4'", (old,))
    sync.run_once(client, job)  # nothing new: it is forgotten all the same
    assert not explained("v4")[0]
    assert explained("v3")[0]


def test_a_page_that_was_not_applied_tells_nothing_of_what_it_would_have_taken(fake, client, job, explained):
    fake.publish("aster", "i1", "a")
    sync.run_once(client, job)
    with closing(jobs.open_store(job)) as store:
        removed = {"op": "remove", "publisher": {"id": "aster", "name": "Aster"}, "id": "i1", "reason": "revoked"}
        with pytest.raises(sqlite3.Error):
            store.apply([removed], cursor=["9"])  # which breaks at its end
    assert explained("a")[0][0]["went"] == []


def test_a_store_of_before_remembers_from_now_on_and_is_not_filled_anew(fake, client, job, explained):
    fake.publish("aster", "i1", "a")
    sync.run_once(client, job)
    with closing(sqlite3.connect(job.store_path)) as store, store:
        store.execute("DROP TABLE gone")
    fake.remove("aster", "i1", reason="disputed")
    assert not sync.run_once(client, job).started_over
    assert json.dumps(explained("a")[0]).count("disputed") == 1
