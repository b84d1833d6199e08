"""Pushes beyond what a process takes in at once are told to come back."""

from __future__ import annotations

import gzip
import threading
import uuid

import pytest
from django.test import RequestFactory

from exchange import bodies, pressure, problems
from exchange.errors import TooLarge, TooMany

ONE, OTHER = uuid.uuid4(), uuid.uuid4()


def gate():
    return pressure.Gate(most=100, most_of_partner=60)


def test_one_push_is_always_let_in():
    with gate().taking(1_000, of=ONE):
        pass


def test_a_partner_cannot_keep_the_others_out():
    full = gate()
    with full.taking(50, of=ONE):
        with pytest.raises(TooMany), full.taking(20, of=ONE):
            pass
        with full.taking(50, of=OTHER):
            pass


def test_beyond_what_the_process_takes_nobody_is_let_in():
    full = gate()
    with full.taking(50, of=ONE), full.taking(40, of=OTHER), pytest.raises(TooMany), full.taking(20, of=uuid.uuid4()):
        pass


def test_room_is_given_back_also_after_a_failure():
    full = gate()
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), full.taking(90, of=ONE):
            1 / 0  # noqa: B018
    with full.taking(90, of=OTHER):
        pass


def test_the_answer_says_when_to_come_back():
    with pytest.raises(TooMany) as raised, gate().taking(50, of=ONE) as _, gate().taking(1, of=ONE):
        raise TooMany
    response = problems.answer(raised.value)
    assert (response.status_code, response["Retry-After"]) == (429, "1")


def test_a_push_holds_its_room_while_it_is_worked_on(monkeypatch):
    monkeypatch.setattr(pressure, "GATE", gate())
    factory = RequestFactory()
    body = b"x" * 50
    with bodies.taken_in(factory.generic("POST", "/", body), of=ONE) as taken:
        assert taken == body
        with pytest.raises(TooMany), bodies.taken_in(factory.generic("POST", "/", body), of=ONE):
            pass
    with bodies.taken_in(factory.generic("POST", "/", body), of=ONE):
        pass


def test_what_is_packed_counts_as_what_it_may_unpack_to(monkeypatch):
    monkeypatch.setattr(pressure, "GATE", gate())
    packed = RequestFactory().generic("POST", "/", gzip.compress(b"x" * 10), headers={"Content-Encoding": "gzip"})
    with pressure.GATE.taking(50, of=OTHER), pytest.raises(TooMany), bodies.taken_in(packed, of=ONE):
        pass


def test_a_push_that_is_too_large_is_told_so_however_full_it_is(monkeypatch):
    monkeypatch.setattr(pressure, "GATE", gate())
    monkeypatch.setattr(bodies, "MAX_BATCH_BYTES", 30)
    with pressure.GATE.taking(100, of=OTHER), pytest.raises(TooLarge):
        with bodies.taken_in(RequestFactory().generic("POST", "/", b"x" * 60), of=ONE):
            pass


def test_many_threads_leave_nothing_behind():
    full = pressure.Gate(most=10_000, most_of_partner=10_000)

    def work():
        for _ in range(500):
            with full.taking(3, of=ONE):
                pass

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not full._taken
