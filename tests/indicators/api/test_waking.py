"""Waiting for the next change: woken by a commit, holding no connection, bounded, and back after a lost listener."""

from __future__ import annotations

import contextlib
import os
import threading
import time

import psycopg
import pytest
from django.db import connection, connections

from exchange import pooling
from exchange.lists import pages
from indicators.api import changes
from indicators.api import deltas as delta_views
from indicators.feeds import deltas
from indicators.log import waking
from partners import keys
from partners.groups import life, membership
from partners.keys import auth
from partners.models import ApiKey, Group, Partner
from tests import build
from tests.indicators.api.caller import Caller, read
from tests.waiting import DEADLINE_S, until

pytestmark = pytest.mark.django_db(transaction=True)
#: Who waits for so long and is answered by the deadline was woken.
LONG_S = 10 * int(DEADLINE_S)


@pytest.fixture
def pair(transactional_db):
    """Two who share a group."""
    aster, borealis = build.a_partner("Aster"), build.a_partner("Borealis")
    build.a_ring(aster, borealis)
    return Caller(build.a_key(aster)), Caller(build.a_key(borealis))


@pytest.fixture(autouse=True)
def listener(monkeypatch, transactional_db):
    """A listener of the test's own, ended with it, so that none outlives its database."""
    fresh = Mortal()
    monkeypatch.setattr(waking, "LISTENER", fresh)
    monkeypatch.setattr(waking, "_RECONNECT_S", 0.1)
    monkeypatch.setattr(changes, "_MAX_WAIT_S", LONG_S)
    yield fresh

    def end() -> str:
        raise SystemExit  # ends the thread that asks

    monkeypatch.setattr(pooling, "direct", end)
    until(lambda: not [hang_up(pid) for pid in listeners()] and not any(map(is_listening, threading.enumerate())))


class Mortal(waking.Listener):
    """A listener whose thread ends quietly when it is told to."""

    def _listen(self) -> None:
        with contextlib.suppress(SystemExit):
            super()._listen()


def is_listening(thread: threading.Thread) -> bool:
    return thread.name == "exchange-waking"


def hang_up(pid: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [pid])


def listeners() -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query = 'LISTEN exchange_changes'"
        )
        return [pid for (pid,) in cursor.fetchall()]


class Asking(threading.Thread):
    """A request in a thread of its own."""

    def __init__(self, caller: Caller, path: str) -> None:
        super().__init__(daemon=True)
        self._caller, self._path = caller, path
        self.start()

    def run(self) -> None:
        started = time.monotonic()
        try:
            self.raw = self._caller.get(self._path)
        finally:
            self.took_s = time.monotonic() - started
            connections.close_all()

    def result(self) -> dict:
        self.join(timeout=DEADLINE_S)
        return read(self.raw)

    def page(self) -> pages.Page:
        self.join(timeout=DEADLINE_S)
        return pages.read([self.raw.content])


def test_who_waits_is_told_as_soon_as_something_is_committed(pair, listener):
    aster, borealis = pair
    cursor = read(borealis.get("changes"))["cursor"]
    asking = Asking(borealis, f"changes?cursor={cursor}&wait={LONG_S}")
    until(lambda: listener._waiting == 1)
    one = build.an_indicator()
    aster.push(one)
    assert [change["id"] for change in asking.result()["changes"]] == [one["id"]]


def test_those_who_are_woken_together_are_woken_once_however_much_is_heard(pair, listener, monkeypatch):
    """Others are woken by each; who lined up together after the first waits out the rest, and then hears of all."""
    aster, _ = pair
    called = {"together": 0, "alone": 0}

    def line_up(who: str) -> None:
        heard = listener.told if who == "together" else listener.heard

        def woken() -> None:
            called[who] += 1
            line_up(who)

        assert listener.listen(woken, heard=heard, together=who == "together")

    line_up("together")
    line_up("alone")
    until(lambda: called == {"together": 1, "alone": 1})  # what came while nobody listened
    monkeypatch.setattr(waking, "TOGETHER_S", 3_600)
    for told in range(2, 5):
        aster.push(build.an_indicator())
        until(lambda: called["alone"] == told)  # noqa: B023
        assert called["together"] == 1
    behind = listener.heard
    monkeypatch.setattr(waking, "TOGETHER_S", 0)
    aster.push(build.an_indicator())
    until(lambda: called["together"] == 2 and listener.told > behind)
    assert not listener.listen(list, heard=behind, together=True), "it was heard already"


def test_what_is_there_already_is_not_waited_for(pair):
    aster, borealis = pair
    aster.push(build.an_indicator())
    asking = Asking(borealis, f"changes?wait={LONG_S}")
    assert len(asking.result()["changes"]) == 1


def test_who_waits_in_vain_is_answered_in_time_with_a_cursor_to_go_on(pair):
    _, borealis = pair
    asking = Asking(borealis, "changes?wait=1")
    answer = asking.result()
    assert (answer["changes"], answer["more"]) == ([], False)
    assert asking.took_s >= 0.9
    assert read(borealis.get(f"changes?cursor={answer['cursor']}"))["changes"] == []


def test_a_change_that_is_not_for_the_waiting_one_ends_no_wait(pair, listener):
    aster, borealis = pair
    asking = Asking(borealis, "changes?wait=2")
    until(lambda: listener._waiting == 1)
    aster.push(build.an_indicator(), query="?tlp=red")
    assert asking.result()["changes"] == []
    assert asking.took_s >= 1.9


def test_waiting_holds_no_connection_of_the_pool(pair, listener):
    aster, borealis = pair
    asking = [Asking(borealis, f"changes?wait={LONG_S}") for _ in range(6)]
    until(lambda: listener._waiting == 6 and len(listeners()) == 1)
    until(lambda: connection.pool.get_stats().get("requests_waiting", 0) == 0)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'"
        )
        assert cursor.fetchone() == (0,)
    time.sleep(0.3)
    assert len(listeners()) == 1, "one listener, however many wait"
    aster.push(build.an_indicator())
    for one in asking:
        one.result()


def test_a_listener_that_lost_its_connection_listens_again(pair, listener):
    aster, borealis = pair
    asking = Asking(borealis, f"changes?wait={LONG_S}")
    until(lambda: len(listeners()) == 1)
    (lost,) = listeners()
    hang_up(lost)
    until(lambda: listeners() not in ([], [lost]))
    one = build.an_indicator()
    aster.push(one)
    assert [change["id"] for change in asking.result()["changes"]] == [one["id"]]


def test_what_came_while_nobody_listened_is_not_slept_over(pair, listener):
    aster, borealis = pair
    asking = Asking(borealis, f"changes?wait={LONG_S}")
    until(lambda: len(listeners()) == 1)
    (lost,) = listeners()
    hang_up(lost)
    aster.push(build.an_indicator())
    assert len(asking.result()["changes"]) == 1


def test_a_forked_process_listens_for_itself(pair, listener, monkeypatch):
    """A fork copies no threads: the number of the process says whether the thread is ours."""
    heard = listener.heard
    assert listener.wait(heard=heard, timeout_s=DEADLINE_S), "the listener says so once it listens"
    first = listeners()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    listener.wait(heard=listener.heard, timeout_s=0.5)
    until(lambda: len(listeners()) == len(first) + 1)


def test_the_address_of_the_database_is_one_that_psycopg_reads(transactional_db):
    with psycopg.connect(pooling.direct()) as opened:
        assert opened.execute("SELECT current_database()").fetchone() == (connection.settings_dict["NAME"],)


@pytest.mark.parametrize("how", ["suspended", "key revoked", "group left"])
def test_who_waits_is_asked_again_who_it_is(pair, how):
    aster, borealis = pair
    operator = auth.viewer_of_user(build.a_user(build.a_partner("Operator", kind="operator")))
    waits = Partner.objects.get(slug="borealis")
    cursor = read(borealis.get("changes"))["cursor"]
    answers = []

    def wait():
        answers.append(borealis.get(f"changes?cursor={cursor}&wait={4 if how == 'group left' else LONG_S}"))
        connections.close_all()

    waiting = threading.Thread(target=wait)
    waiting.start()
    until(lambda: waking.LISTENER._waiting == 1)
    if how == "suspended":
        life.suspend(waits, by=operator, why="A leak.")
    elif how == "key revoked":
        keys.revoke(ApiKey.objects.get(partner=waits))
    else:
        membership.leave(auth.viewer_of_user(build.a_user(waits)), Group.objects.get())
        build.publish(aster.viewer, build.an_indicator())
    waiting.join(timeout=DEADLINE_S)
    (answer,) = answers
    if how == "group left":
        assert read(answer)["changes"] == []
    else:
        assert answer.status_code == 401


def test_many_who_wait_at_one_place_of_a_feed_are_told_the_same_by_few_reads(pair, listener, monkeypatch):
    aster, borealis = pair
    begun = pages.read([borealis.get("feeds/all/delta").content]).trailer.next_cursor
    real, reads = deltas.page, []
    monkeypatch.setattr(deltas, "page", lambda *args, **more: reads.append(more["cursor"]) or real(*args, **more))
    monkeypatch.setattr(delta_views, "_MAX_WAIT_S", LONG_S)
    asking = [Asking(borealis, f"feeds/all/delta?wait={LONG_S}&cursor={begun}") for _ in range(8)]
    until(lambda: listener._waiting == len(asking))
    reads.clear()
    made = build.an_indicator()
    aster.push(made)
    told = [one.page() for one in asking]
    assert all([row["id"] for row in page.rows] == [made["id"]] for page in told)
    assert len({(page.trailer.next_cursor, page.trailer.set_hash) for page in told}) == 1
    assert len(reads) < len(asking)
    reads.clear()
    to = told[0].trailer.next_cursor
    asking = [Asking(borealis, f"feeds/all/delta?wait={LONG_S}&cursor={to}") for _ in range(8)]
    until(lambda: listener._waiting == len(asking))
    assert len(reads) < len(asking), "they come back to wait at one place"
    aster.push(build.an_indicator())
    assert all(len(one.page().rows) == 1 for one in asking)
