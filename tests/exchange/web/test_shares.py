"""Fair shares: one alone gets half, a newcomer always finds some, and nobody waits behind another's queue."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.web.dues import Dues
from exchange.web.limits import Limits
from exchange.web.reading import Request
from exchange.web.shares import Job, Share, Stranger, Turns


def filled(share: Share, peer: str) -> int:
    count = 0
    while share.take(peer):
        count += 1
    return count


def test_alone_one_gets_half_and_those_who_follow_half_of_the_rest():
    share = Share(64)
    assert [filled(share, peer) for peer in ("one", "two", "three")] == [32, 16, 8]


def asking(peer):
    request = Request()
    request.peer = peer
    return request


def test_the_agents_of_five_labs_all_wait_in_one_process_and_one_lab_alone_takes_half_of_the_room():
    dues, limits = Dues(Limits()), Limits()
    assert all(dues.may_wait(asking(f"lab {number % 5}")) for number in range(250))
    alone = Dues(limits)
    assert sum(alone.may_wait(asking("lab")) for _ in range(limits.waits)) == limits.waits // 2
    assert alone.may_wait(asking("another"))


@given(st.integers(2, 200), st.lists(st.integers(0, 9), max_size=400))
def test_while_something_is_free_a_newcomer_finds_it(total, takers):
    share = Share(total)
    held = sum(share.take(taker) for taker in takers)
    assert share.held() == held <= total
    assert share.take("new") is (held < total)


def test_what_is_given_back_may_be_taken_again():
    share = Share(4)
    assert filled(share, "one") == 2
    share.give("one")
    assert share.take("one")
    for _ in range(2):
        share.give("one")
    assert share.held() == 0


def test_strangers_from_however_many_networks_leave_half_to_those_who_are_known():
    share = Share(1_024)
    each = [filled(share, Stranger(number)) for number in range(2_000)]
    assert sum(each) <= 512
    assert max(each) - min(each[:5]) < 400
    assert filled(share, "known") >= 255
    assert filled(share, "another") >= 127


def test_a_stranger_finds_room_beside_one_who_takes_all_that_they_may():
    share = Share(1_024)
    filled(share, Stranger("one"))
    assert filled(share, Stranger("two")) > 50
    assert share._held[Stranger("one")] + share._held[Stranger("two")] == share.held()


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.integers(1, 9)), max_size=60))
def test_what_strangers_give_back_is_counted_back_too(amounts):
    share = Share(100)
    taken = [(Stranger(number) if stranger else number, amount) for number, stranger, amount in amounts]
    for peer, amount in taken:
        share.add(peer, amount)
    for peer, amount in taken:
        share.give(peer, amount)
    assert (share.held(), share._held) == (0, {})


def job(peer: str, weight: int = 0) -> Job:
    return Job(peer, weight, lambda: None)


def order(turns: Turns, count: int) -> list[str]:
    taken = []
    for _ in range(count):
        next_ = turns.take()
        assert next_ is not None
        taken.append(next_.peer)
        turns.done(next_)
    return taken


def test_peers_work_in_turn_however_many_each_has_waiting():
    turns = Turns(slots=2, heaviest=100)
    for peer in ("one", "one", "one", "one", "two", "three"):
        turns.put(job(peer))
    assert order(turns, 6) == ["one", "two", "three", "one", "one", "one"]
    assert turns.take() is None
    assert turns.idle()


def test_one_never_works_on_all_slots():
    turns = Turns(slots=8, heaviest=100)
    for _ in range(8):
        turns.put(job("one"))
    running = [turns.take() for _ in range(8)]
    assert sum(one is not None for one in running) == 2, "all threads share one interpreter lock"
    turns.put(job("two"))
    assert turns.take().peer == "two"


@pytest.mark.parametrize("slots", range(2, 20))
def test_of_however_few_slots_each_who_comes_finds_one_while_one_is_free(slots):
    turns = Turns(slots=slots, heaviest=100)
    for peer in ("one", "one", "one", "two", "two"):
        turns.put(job(peer))
    assert {turns.take().peer, turns.take().peer} == {"one", "two"}


class Clock:
    def __init__(self):
        self.now = 1_000.0

    def __call__(self):
        return self.now


def begun(turns: Turns, peer: str) -> list[Job]:
    """All that may begin of ten jobs of a peer; those that may not are thrown away."""
    for _ in range(10):
        turns.put(job(peer))
    taken = []
    while next_ := turns.take():
        taken.append(next_)
    turns._queues.clear()
    return taken


def worked(turns: Turns, clock: Clock, taken: list[Job], seconds: float) -> None:
    clock.now += seconds
    for one in taken:
        turns.done(one)


def test_who_keeps_threads_busy_while_others_work_gets_one_until_they_paused():
    clock = Clock()
    turns = Turns(slots=14, heaviest=100, clock=clock)
    for _ in range(3):
        taken = begun(turns, "one")
        assert len(taken) == 4, "alone"
        worked(turns, clock, taken, 1.0)
    worked(turns, clock, begun(turns, "two"), 0.01)
    taken = begun(turns, "one")
    assert len(taken) == 1, "of one who took four seconds in each"
    for _ in range(20):  # and so it stays while they go on
        worked(turns, clock, taken, 0.5)
        worked(turns, clock, begun(turns, "two"), 0.01)
        taken = begun(turns, "one")
        assert len(taken) == 1
    worked(turns, clock, taken, 0.0)
    clock.now += 3.0
    worked(turns, clock, begun(turns, "two"), 0.01)
    assert len(begun(turns, "one")) == 4, "they paused"


def test_one_more_is_of_use_where_somebody_waits_who_may_begin_and_nobody_has_begun_for_a_moment():
    clock = Clock()
    turns = Turns(slots=14, heaviest=100, clock=clock)
    assert turns.stands_still_in(0.5) is None, "nobody waits"
    assert turns.put(job("one")), "nobody works"
    first = turns.take()
    assert not turns.put(job("two"))
    assert turns.stands_still_in(0.5) == 0.5
    clock.now += 0.375
    assert turns.stands_still_in(0.5) == 0.125
    clock.now += 0.5
    assert turns.stands_still_in(0.5) == 0.0
    second = turns.take()
    assert turns.stands_still_in(0.5) is None, "all have begun"
    held = begun(turns, "three")
    turns.put(job("three"))
    clock.now += 1.0
    assert turns.stands_still_in(0.5) is None, "who waits has as many as they may"
    worked(turns, clock, [first, second, *held], 0.0)
    assert turns.stands_still_in(0.5) == 0.0


def test_who_works_now_and_then_may_work_on_several_beside_others():
    clock = Clock()
    turns = Turns(slots=14, heaviest=100, clock=clock)
    for _ in range(200):
        for peer in ("one", "two"):
            taken = begun(turns, peer)
            assert len(taken) == 4
            worked(turns, clock, taken, 0.01)
        clock.now += 0.1


def test_who_worked_once_is_forgotten():
    clock = Clock()
    turns = Turns(slots=14, heaviest=100, clock=clock)
    for number in range(1_000):
        worked(turns, clock, begun(turns, f"peer-{number}"), 0.0)
    clock.now += 60.0
    worked(turns, clock, begun(turns, "one"), 0.0)
    assert list(turns._worked._peers) == ["one"]


def test_heavy_work_of_one_follows_each_other_and_their_light_work_does_not_wait_for_it():
    turns = Turns(slots=14, heaviest=100)
    for weight in (10, 10, 0):
        turns.put(job("one", weight))
    turns.put(job("two", 10))
    first, *others = [turns.take() for _ in range(3)]
    assert (first.peer, first.weight) == ("one", 10)
    assert sorted((one.peer, one.weight) for one in others) == [("one", 0), ("two", 10)]
    assert turns.take() is None
    turns.done(first)
    assert turns.take().weight == 10


def test_heavy_work_is_bounded_and_light_work_passes_it():
    turns = Turns(slots=8, heaviest=100)
    for peer, weight in (("one", 80), ("two", 60), ("three", 10), ("four", 0)):
        turns.put(job(peer, weight))
    first = turns.take()
    assert first.peer == "one"
    assert turns.take().peer == "four", "three would overtake two, which waits for room"
    assert turns.take() is None
    turns.done(first)
    assert [turns.take().peer, turns.take().peer] == ["two", "three"]


def test_what_is_heavier_than_all_room_works_alone():
    turns = Turns(slots=8, heaviest=100)
    turns.put(job("one", 1_000))
    turns.put(job("two", 1_000))
    first = turns.take()
    assert turns.take() is None
    turns.done(first)
    assert turns.take().peer == "two"


def test_many_threads_leave_nothing_behind():
    turns, share = Turns(slots=4, heaviest=100), Share(50)

    def work(peer):
        for number in range(300):
            turns.put(job(peer, number % 60))
            if share.take(peer):
                share.give(peer)
            while taken := turns.take():
                turns.done(taken)

    threads = [threading.Thread(target=work, args=(number % 3,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    while taken := turns.take():
        turns.done(taken)
    assert turns.idle()
    assert share.held() == 0


def test_strangers_from_however_many_networks_take_turns_as_one():
    turns = Turns(slots=8, heaviest=100)
    for number in range(100):
        turns.put(job(Stranger(number)))
    for _ in range(3):
        turns.put(job("known"))
    assert order(turns, 8) == ["0", "known", "1", "known", "2", "known", "3", "4"]
    assert sum(turns.take() is not None for _ in range(8)) == 2, "as one who is known"
    turns.put(job("known"))
    assert turns.take().peer == "known"
