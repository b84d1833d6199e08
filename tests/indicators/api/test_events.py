"""Server-sent events: hints as they happen, for the eyes of their reader, and never longer than the key holds."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import connection, connections
from django.test import Client

from exchange import clock, incarnation
from exchange.memory import Memory
from exchange.web.shares import Share
from indicators.api import events
from indicators.feeds import proving
from indicators.log import waking
from indicators.stix import making
from partners import keys, sight
from partners.groups import life
from partners.keys import auth
from partners.models import ApiKey, Membership
from partners.scopes import Scope
from partners.waking import wake
from tests import build
from tests.indicators.api.caller import API, Caller, code, read
from tests.indicators.api.test_waking import LONG_S, listener  # noqa: F401 - a fixture
from tests.waiting import DEADLINE_S, until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def own_streams(monkeypatch):
    """What a stream of another test left open counts for nothing here."""
    monkeypatch.setattr(events, "STREAMS", Share(64))


@pytest.fixture
def cast(transactional_db):
    return build.the_cast()


@pytest.fixture(autouse=True)
def listening(listener, monkeypatch):  # noqa: F811 - the fixture
    monkeypatch.setattr(events, "LONGEST_S", float(LONG_S))
    monkeypatch.setattr(events, "_HEARTBEAT_S", 0.3)
    monkeypatch.setattr(waking, "RECHECK_S", 0.3)


class Reading(threading.Thread):
    """A stream that is read in a thread of its own, event by event."""

    def __init__(self, key: str, path: str = "events", **headers: str) -> None:
        super().__init__(daemon=True)
        self.events, self.comments, self.leave = [], 0, False
        self._answer = Client().get(API + path, headers=build.bearer(key) | headers)
        self.status = self._answer.status_code
        self.start()

    def run(self) -> None:
        text = ""
        try:
            for chunk in self._answer.streaming_content:
                text += chunk.decode()
                while "\n\n" in text:
                    block, _, text = text.partition("\n\n")
                    self._take(block)
                if self.leave:
                    return
        finally:
            self._answer.close()
            connections.close_all()

    def _take(self, block: str) -> None:
        lines = [line.partition(": ") for line in block.split("\n")]
        found = {name: value for name, _, value in lines if name}
        if not found:
            self.comments += 1
            return
        self.events.append((found["event"], found.get("id", ""), json.loads(found["data"])))

    def named(self, name: str) -> list:
        return [one for one in self.events if one[0] == name]

    def told(self) -> list[str]:
        return [change["id"] for _, _, data in self.named("change") for change in data["changes"]]

    def go(self) -> None:
        """Leave before it ends, at the next sign of life."""
        self.leave = True
        while self.is_alive():
            wake()
            self.join(timeout=0.1)

    def end(self) -> str:
        """Why it ended."""
        self.join(timeout=DEADLINE_S)
        assert not self.is_alive()
        assert self.events[-1][0] == "end"
        return self.events[-1][2]["code"]


@contextmanager
def an_open_stream(key: str, path: str = "events", **headers: str):
    reading = Reading(key, path, **headers)
    until(lambda: reading.named("open"))
    yield reading
    reading.go()


@pytest.mark.slow
def test_a_stream_tells_what_changes_from_now_on_to_whom_may_see_it(cast):
    aster, borealis, cygnus = (Caller(cast.keys[name]) for name in ("aster", "borealis", "cygnus"))
    before = build.an_indicator()
    aster.push(before)
    with an_open_stream(borealis.key) as inside, an_open_stream(cygnus.key) as outside:
        one, two = build.an_indicator(), build.an_indicator()
        aster.push(one)
        aster.push(two, query="?everyone=true&tlp=green")
        until(lambda: len(inside.told()) == 2 and len(outside.told()) == 1)
        assert inside.told() == [one["id"], two["id"]]
        assert outside.told() == [two["id"]]
        (change, *_) = inside.named("change")[0][2]["changes"]
        assert change == {
            "op": "upsert",
            "reason": "published",
            "id": one["id"],
            "type": "indicator",
            "kind": "account-pattern",
        }
        assert set(inside.named("change")[0][2]) == {"feed", "urgent", "changes", "more"}


def folded(stream):
    """What somebody holds who applies what a stream told."""
    held = set()
    for _, _, said in stream.named("change"):
        for one in said["changes"]:
            (held.add if one["op"] == "upsert" else held.discard)(one["id"])
    return held


def test_a_feed_that_moves_by_itself_is_streamed_by_its_set_and_pulled_by_its_delta(cast, monkeypatch):
    """What a commit brings at once; what it makes of others' objects when the set is asked for anew."""
    monkeypatch.setattr(proving, "_MOVES", timedelta(0))
    monkeypatch.setattr(proving, "_SHARE", float("inf"))
    monkeypatch.setattr(proving, "_TOGETHER", float("inf"))
    monkeypatch.setattr(events, "_MOVES_S", 0.2)
    aster, borealis, cygnus = (Caller(cast.keys[name]) for name in ("aster", "borealis", "cygnus"))
    feed = read(borealis.send("POST", "feeds", {"name": "two", "text": "publishers:>=2"}), 201)["id"]
    one, two = (making.account_pattern(carrier={"token": making.token("ab" * 32)}) for _ in range(2))
    with an_open_stream(borealis.key, f"events?feed={feed}") as stream:
        place = stream.named("open")[0][1]
        aster.push(one)
        borealis.push(two)
        until(lambda: set(stream.told()) == {one["id"], two["id"]})
        (_, reached, said) = stream.named("change")[-1]
        assert (said["feed"], said["urgent"]) == (feed, False)
        assert borealis.send("POST", f"objects/{two['id']}/withdraw", {}).status_code == 204
        until(lambda: len(folded(stream)) == 0)
    for cursor, count in ((place, 2), (reached, 2)):
        *rows, _ = borealis.get(f"feeds/{feed}/delta?cursor={cursor}").content.splitlines()
        assert len(rows) == count
    with an_open_stream(borealis.key, f"events?feed={feed}", **{"Last-Event-ID": reached}) as again:
        until(lambda: set(again.told()) == {one["id"], two["id"]})
    assert code(cygnus.get(f"events?feed={feed}"), 404) == "not-found"


def test_a_stream_that_broke_off_goes_on_where_it_was(cast):
    aster, borealis = Caller(cast.keys["aster"]), Caller(cast.keys["borealis"])
    with an_open_stream(borealis.key) as first:
        aster.push(build.an_indicator())
        until(lambda: first.told())
        place = first.named("change")[-1][1]
    missed = build.an_indicator()
    aster.push(missed)
    with an_open_stream(borealis.key, **{"Last-Event-ID": place}) as again:
        until(lambda: again.told())
        assert again.told() == [missed["id"]]
    assert [one["id"] for one in read(borealis.get(f"changes?cursor={place}"))["changes"]] == [missed["id"]]


def test_a_place_of_the_delta_feed_is_one_of_the_stream(cast):
    aster, borealis = Caller(cast.keys["aster"]), Caller(cast.keys["borealis"])
    cursor = read(borealis.get("changes"))["cursor"]
    one = build.an_indicator()
    aster.push(one)
    with an_open_stream(borealis.key, f"events?cursor={cursor}") as reading:
        until(lambda: reading.told())
        assert reading.told() == [one["id"]]


@pytest.mark.slow
def test_a_place_of_another_partner_or_filter_is_refused(cast):
    borealis, cygnus = Caller(cast.keys["borealis"]), Caller(cast.keys["cygnus"])
    cursor = read(borealis.get("changes"))["cursor"]
    assert code(cygnus.get(f"events?cursor={cursor}"), 400) == "bad-cursor"
    assert code(borealis.get(f"events?kind=account-pattern&cursor={cursor}"), 400) == "bad-cursor"
    assert code(borealis.get("events", Last_Event_ID="forged"), 400) == "bad-cursor"


def ends_by_a_wake(reading: Reading, act) -> str:
    """How a stream ends of whom nobody asks by the clock."""
    act()
    return reading.end()


@pytest.fixture
def nobody_is_asked_by_the_clock(monkeypatch):
    """Nor does a stream end by it, which asks once more."""
    monkeypatch.setattr(waking, "RECHECK_S", 3_600.0)
    monkeypatch.setattr(events, "LONGEST_S", 3_600.0)


def test_revoking_the_key_ends_its_streams(cast, nobody_is_asked_by_the_clock):
    key = ApiKey.objects.get(public_id=keys.public_id_of(cast.keys["borealis"]))
    with an_open_stream(cast.keys["borealis"]) as reading, an_open_stream(cast.keys["aster"]) as other:
        assert ends_by_a_wake(reading, lambda: keys.revoke(key)) == "invalid-key"
        assert other.is_alive()
    assert Client().get(API + "events", headers=build.bearer(cast.keys["borealis"])).status_code == 401


def test_streams_that_are_open_across_a_restore_end_with_start_over(cast):
    aster, borealis = Caller(cast.keys["aster"]), Caller(cast.keys["borealis"])
    with an_open_stream(borealis.key) as one, an_open_stream(borealis.key) as other:
        last = one.events[-1][1]
        incarnation.begin()
        aster.push(build.an_indicator())
        assert (one.end(), other.end()) == ("start-over", "start-over")
        assert one.told() == other.told() == []
    assert code(borealis.get("events", Last_Event_ID=last), 410) == "start-over"


def test_a_hint_of_what_begins_later_carries_nothing_to_enforce(cast):
    aster = Caller(cast.keys["aster"])
    with an_open_stream(cast.keys["borealis"]) as reading:
        begins = clock.rfc3339(clock.now() + timedelta(days=5))
        aster.push(build.an_indicator(valid_from=begins))
        until(reading.told)
        ((_, _, said),) = reading.named("change")
    assert [set(change) for change in said["changes"]] == [{"op", "reason", "id", "type", "kind"}]


def a_feed(caller: Caller) -> str:
    return read(caller.send("POST", "feeds", {"name": "f", "text": "kind:account-pattern"}), 201)["id"]


def test_a_stream_of_a_feed_ends_once_its_filter_is_changed(cast, nobody_is_asked_by_the_clock):
    caller = Caller(build.a_key(cast.borealis))
    feed = a_feed(caller)
    with an_open_stream(caller.key, f"events?feed={feed}") as reading:
        change = {"text": "kind:prompt-signature"}
        assert ends_by_a_wake(reading, lambda: caller.send("PATCH", f"feeds/{feed}", change)) == "start-over"


def test_a_stream_of_a_feed_goes_on_under_another_name_and_ends_once_it_is_deleted(cast):
    caller = Caller(build.a_key(cast.borealis))
    feed = a_feed(caller)
    with an_open_stream(caller.key, f"events?feed={feed}") as reading:
        place = reading.events[0][1]
        read(caller.send("PATCH", f"feeds/{feed}", {"name": "another name"}))
        until(lambda: reading.comments)
        caller.ask("DELETE", f"feeds/{feed}")
        build.publish(cast.viewer("aster"), build.an_indicator(), groups=("ring",))
        until(lambda: reading.named("end"))
        assert reading.named("end")[0][2] == {"code": "not-found"}
    assert code(caller.get("events?feed=" + feed, Last_Event_ID=place), 404) == "not-found"


def test_suspending_the_partner_ends_its_streams(cast, nobody_is_asked_by_the_clock):
    with an_open_stream(cast.keys["borealis"]) as reading:
        operator = auth.viewer_of_user(build.a_user(cast.operator))
        said = ends_by_a_wake(reading, lambda: life.suspend(cast.borealis, by=operator, why="A leak."))
        assert said == "invalid-key"


@pytest.mark.slow
def test_what_a_group_is_told_after_one_left_it_is_not_told_on_the_open_stream(cast):
    aster, borealis = Caller(cast.keys["aster"]), Caller(cast.keys["borealis"])
    with an_open_stream(borealis.key) as reading:
        with sight.changing([cast.borealis.pk]):
            Membership.objects.filter(partner=cast.borealis).update(until=clock.now())
        hidden, shown = build.an_indicator(), build.an_indicator()
        aster.push(hidden)
        aster.push(shown, query="?everyone=true&tlp=green")
        until(lambda: shown["id"] in reading.told())
        assert hidden["id"] not in reading.told()


@pytest.mark.slow
def test_a_key_for_some_groups_is_told_of_these_only(cast):
    build.a_ring(cast.aster, cast.borealis, slug="second")
    narrow = keys.issue(cast.borealis, name="n", scopes=[Scope.READ], groups=[cast.ring.pk])[1]
    aster = Caller(cast.keys["aster"])
    with an_open_stream(narrow) as reading:
        hidden, shown = build.an_indicator(), build.an_indicator()
        aster.push(hidden, query="?groups=second")
        aster.push(shown, query="?groups=ring")
        until(lambda: shown["id"] in reading.told())
        assert hidden["id"] not in reading.told()


def test_a_quiet_stream_shows_life_and_ends_in_time(cast, monkeypatch):
    monkeypatch.setattr(events, "_HEARTBEAT_S", 0.5)
    monkeypatch.setattr(events, "LONGEST_S", 3.0)
    with an_open_stream(cast.keys["borealis"]) as reading:
        assert reading.end() == "time-is-up"
        assert reading.comments >= 1


def test_streams_are_bounded_and_whoever_comes_new_finds_a_place(cast, monkeypatch):
    monkeypatch.setattr(events, "STREAMS", Share(8))
    borealis, cygnus, aster = (cast.keys[name] for name in ("borealis", "cygnus", "aster"))
    opened = [Reading(borealis) for _ in range(4)]
    assert code(Caller(borealis).get("events"), 429) == "too-many-streams"
    assert Caller(borealis).get("events").headers["Retry-After"] == "5"
    opened += [Reading(cygnus), Reading(cygnus)]
    assert code(Caller(cygnus).get("events"), 429) == "too-many-streams"
    opened.append(Reading(aster))
    assert {one.status for one in opened} == {200}
    for one in opened:
        one.leave = True
    for one in opened:
        one.go()
    last = Reading(borealis)
    assert last.status == 200, "places are given back"
    last.go()


def test_streams_of_one_key_that_are_woken_together_look_once(cast, monkeypatch):
    looks, really = [], events.changes.since
    monkeypatch.setattr(events, "_TOGETHER_S", 30.0)
    monkeypatch.setattr(events.changes, "since", lambda viewer, *a, **k: (looks.append(1), really(viewer, *a, **k))[1])
    borealis, cygnus = cast.keys["borealis"], cast.keys["cygnus"]
    pushed = build.an_indicator()
    with an_open_stream(borealis) as reading:
        place = {"Last-Event-ID": reading.named("open")[0][1]}
        Caller(cygnus).push(pushed, query="?everyone=true&tlp=green")
        until(lambda: reading.told())
    monkeypatch.setattr(events, "_FOUND", Memory(most=8))
    looks.clear()
    other = build.a_key(cast.borealis)
    for key, looked in ((borealis, 1), (borealis, 1), (other, 2), (other, 2)):
        answer = Client().get(API + "events", headers=build.bearer(key) | place)
        assert b"event: open" in answer.steps.step()
        assert pushed["id"].encode() in answer.steps.step()
        assert len(looks) == looked
        answer.close()


def test_a_reader_that_leaves_gives_its_place_back(cast):
    answer = Client().get(API + "events", headers=build.bearer(cast.keys["borealis"]))
    next(iter(answer.streaming_content))
    assert events.STREAMS.held() == 1
    answer.close()
    assert events.STREAMS.held() == 0


def test_an_open_stream_holds_no_connection(cast):
    with an_open_stream(cast.keys["borealis"]), an_open_stream(cast.keys["cygnus"]):
        until(lambda: taken(connection.pool.get_stats()) <= 1)  # the test's own


def taken(stats: dict) -> int:
    return stats["pool_size"] - stats["pool_available"]


def test_the_head_of_a_stream_opens_none(cast):
    answer = Client().head(API + "events", headers=build.bearer(cast.keys["borealis"]))
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    assert events.STREAMS.held() == 0


# The long poll is asked again, too


@pytest.mark.parametrize("act", ["revoke", "suspend"])
def test_a_long_poll_of_a_key_that_ends_is_refused_as_soon_as_that_is_committed(
    cast, nobody_is_asked_by_the_clock, act
):
    """What ends the key wakes whoever waits under it."""
    borealis = Caller(cast.keys["borealis"])
    cursor = read(borealis.get("changes"))["cursor"]
    answers = []

    def ask():
        answers.append(borealis.get(f"changes?cursor={cursor}&wait={LONG_S}"))
        connections.close_all()

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    until(lambda: waking.LISTENER._waiting == 1)
    if act == "revoke":
        keys.revoke(ApiKey.objects.get(public_id=keys.public_id_of(borealis.key)))
    else:
        life.suspend(cast.borealis, by=auth.viewer_of_user(build.a_user(cast.operator)), why="A leak.")
    thread.join(timeout=DEADLINE_S)
    (answer,) = answers
    assert code(answer, 401) == "invalid-key"
