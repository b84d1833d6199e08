"""Hints: the first soon, many in a row as few, and a broker that fails disturbs nobody."""

from __future__ import annotations

import itertools
import time

from exchange.hints import Sender
from tests.waiting import until


class Counted:
    name = "counted"

    def __init__(self, *, fails: bool = False) -> None:
        self.sent: list[float] = []
        self._fails = fails

    def delay(self) -> None:
        self.sent.append(time.monotonic())
        if self._fails:
            raise OSError("no broker")


def test_a_hint_is_sent_soon():
    sender, task = Sender(), Counted()
    sender.send_soon(task)
    until(lambda: len(task.sent) == 1)


def test_many_in_a_row_are_few_and_the_last_is_never_left_out():
    sender, task = Sender(), Counted()
    last = 0.0
    for _ in range(20_000):
        last = time.monotonic()
        sender.send_soon(task)
    until(lambda: task.sent and task.sent[-1] >= last)
    assert len(task.sent) < 2_000


def test_of_pushes_that_follow_each_other_few_are_told():
    """Each comes when nothing is waiting any more: once the hint of the one before was sent."""
    sender, task = Sender(follows_s=60.0), Counted()
    for count in range(1, 6):
        sender.send_soon(task)
        until(lambda count=count: len(task.sent) == count)
        time.sleep(0.01)
    pauses = [later - earlier for earlier, later in itertools.pairwise(task.sent)]
    assert all(pause >= least for pause, least in zip(pauses, (0.04, 0.08, 0.16, 0.25), strict=True))


def test_a_broker_that_fails_disturbs_nobody():
    sender, task = Sender(), Counted(fails=True)
    for count in (1, 2):
        sender.send_soon(task)
        until(lambda count=count: len(task.sent) == count)
