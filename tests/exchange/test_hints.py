"""Hints: the first soon, many in a row as few, and a broker that fails disturbs nobody."""

from __future__ import annotations

import time

from exchange.hints import MOST_PAUSE_S, Sender


class Counted:
    name = "counted"

    def __init__(self, *, fails: bool = False) -> None:
        self.sent: list[float] = []
        self._fails = fails

    def delay(self) -> None:
        self.sent.append(time.monotonic())
        if self._fails:
            raise OSError("no broker")


def wait_for(holds, timeout_s=5.0):
    deadline = time.monotonic() + timeout_s
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert holds()


def test_a_hint_is_sent_soon():
    sender, task = Sender(), Counted()
    sender.send_soon(task)
    wait_for(lambda: len(task.sent) == 1)


def test_many_in_a_row_are_few_and_the_last_is_never_left_out():
    sender, task = Sender(), Counted()
    last = 0.0
    for _ in range(300):
        last = time.monotonic()
        sender.send_soon(task)
        time.sleep(0.001)
    wait_for(lambda: task.sent[-1] >= last, timeout_s=MOST_PAUSE_S + 5)
    assert len(task.sent) < 30


def test_a_broker_that_fails_disturbs_nobody():
    sender, task = Sender(), Counted(fails=True)
    for count in (1, 2):
        sender.send_soon(task)
        wait_for(lambda count=count: len(task.sent) == count)
