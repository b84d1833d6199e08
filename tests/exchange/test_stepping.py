"""Work in steps: done side by side, what is silent keeps nobody waiting, and each ends by its own deadline."""

from __future__ import annotations

import socket
import time
from contextvars import ContextVar
from queue import SimpleQueue

import pytest

from exchange.stepping import READ, Late, Many, finish
from tests.waiting import DEADLINE_S


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def hearing(end, *, within_s=DEADLINE_S):
    yield end.fileno(), READ, time.monotonic() + within_s
    return end.recv(10)


def test_one_is_done_to_its_end(pair):
    ours, theirs = pair
    theirs.send(b"said")
    assert finish(hearing(ours)) == b"said"
    with pytest.raises(Late):
        finish(hearing(ours, within_s=0.01))


def test_what_says_nothing_keeps_no_other_waiting(pair):
    ours, theirs = pair
    ended = SimpleQueue()
    with Many("test", tell=ended.put) as many, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as silent:
        silent.bind("")
        many.begin("silent", hearing(silent, within_s=0.5))
        many.begin("other", hearing(ours))
        theirs.send(b"said")
        assert ended.get(timeout=DEADLINE_S) == [("other", b"said")]
        ((tag, how),) = ended.get(timeout=DEADLINE_S)
        assert tag == "silent"
        assert isinstance(how, Late)


def test_what_is_ready_too_late_is_late(pair):
    ours, theirs = pair
    theirs.send(b"said")
    ended = SimpleQueue()
    with Many("test", tell=ended.put) as many:
        many.begin("late", hearing(ours, within_s=-1))
        ((_, how),) = ended.get(timeout=DEADLINE_S)
        assert isinstance(how, Late)


def test_one_that_raises_ends_alone_and_the_end_waits_for_all(pair):
    ours, theirs = pair

    def broken():
        raise ValueError
        yield

    def nowhere():
        yield -1, READ, time.monotonic() + DEADLINE_S

    ended = SimpleQueue()
    with Many("test", tell=ended.put) as many:
        many.begin("broken", broken())
        many.begin("nowhere", nowhere())
        many.begin("other", hearing(ours))
        theirs.send(b"said")
    found = {}
    while not ended.empty():
        found |= dict(ended.get())
    assert found.pop("other") == b"said"
    assert {tag: type(how) for tag, how in found.items()} == {"broken": ValueError, "nowhere": ValueError}


def test_each_has_a_context_of_its_own():
    word = ContextVar("word", default="")
    ended = SimpleQueue()

    def says(what, end):
        before = word.set(what)
        yield end.fileno(), READ, time.monotonic() + DEADLINE_S
        found = word.get()
        word.reset(before)
        return found

    pairs = [socket.socketpair() for _ in range(3)]
    with Many("test", tell=ended.put) as many:
        for number, (ours, _) in enumerate(pairs):
            many.begin(number, says(f"said {number}", ours))
        for _, theirs in pairs:
            theirs.close()
    found = {}
    while not ended.empty():
        found |= dict(ended.get())
    assert found == {number: f"said {number}" for number in range(3)}
    for ours, _ in pairs:
        ours.close()


def test_each_goes_on_in_the_context_of_who_began_it_and_changes_it_for_nobody_else():
    said = ContextVar("said", default="nothing")
    heard, ended = [], []

    def listening(name):
        here, there = socket.socketpair()
        with here, there:
            there.send(b".")
            heard.append(said.get())
            said.set(name)
            yield here.fileno(), READ, time.monotonic() + DEADLINE_S
            heard.append(said.get())

    with Many("two", tell=ended.extend) as many:
        for name in ("one", "two"):
            said.set(f"by {name}")
            many.begin(name, listening(name))
    assert len(ended) == 2
    assert sorted(heard) == ["by one", "by two", "one", "two"]
    assert said.get() == "by two"
