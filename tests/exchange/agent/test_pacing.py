"""How long an exchange is left alone: as it asks for, never for ever, and not in step with others."""

from __future__ import annotations

import pytest

from exchange.agent.pacing import LONGEST_S, Pace
from exchange.client.errors import ApiError, Unreachable
from exchange.lists import pages


class Asking:
    """A store that knows what the exchange asked for."""

    def __init__(self, seconds):
        self._seconds = str(seconds)

    def get(self, name):
        return self._seconds


@pytest.mark.parametrize(("asked", "least"), [("", 1), (0, 1), (20, 20), (1e300, LONGEST_S)])
def test_after_an_answer_without_news(asked, least):
    rests = {Pace().rest_s(Asking(asked), news=False) for _ in range(9)}
    assert all(0.9 * least < one <= 1.2 * least for one in rests)
    assert len(rests) == 9, "with jitter"


def test_news_is_asked_for_at_once_but_not_for_ever():
    pace, rests = Pace(), []
    for _ in range(30):
        pace.asks()
        rests.append(pace.rest_s(Asking(20), news=True))
    assert rests[:8] == [0.0] * 8
    assert all(19 < one <= 24 for one in rests[12:])
    assert Pace().rest_s(Asking(0), news=True) == 0.0


def test_after_a_failure_the_longer_of_what_is_asked_for_and_twice_as_long_each_time():
    pace = Pace()
    assert [pace.pause_s(Unreachable("x")) for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert [pace.pause_s(ApiError(503, {}, retry_after=word)) for word in ("1", "", "soon", "-1")] == [60] * 4
    pace.rest_s(Asking(0), news=True)
    assert 30 <= pace.pause_s(ApiError(429, {}, retry_after="30")) <= 36
    assert pace.pause_s(ApiError(429, {}, retry_after="9" * 400)) == 2
    assert LONGEST_S <= pace.pause_s(ApiError(429, {}, retry_after="86400")) <= 1.2 * LONGEST_S


@pytest.mark.parametrize("said", [float("inf"), float("nan"), 1e300, -1])
def test_no_trailer_silences_an_agent_or_makes_it_old_for_ever(said):
    writer = pages.Writer()
    body = writer.trailer("1", more=False, min_wait_s=said, stale_after_s=said)
    try:
        trailer = pages.read([body]).trailer
    except pages.Incomplete:
        return
    assert 0 <= trailer.min_wait_s <= 400_000_000
    assert 0 <= trailer.stale_after_s <= 400_000_000
