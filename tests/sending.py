"""Messages one by one, in the test's own thread: as a worker's desk sends them, but for its portions and its threads."""

from __future__ import annotations

import orjson

from exchange import outbound
from exchange.stepping import finish
from indicators.telling import attempting, claiming, delivering, notifying, writing
from indicators.telling.attempting import Outcome


def receivers(monkeypatch):
    """What receivers are sent, read from JSON; they take everything, and no worker is asked to send."""
    bodies = []

    def post(url, body, **_):
        bodies.append(orjson.loads(body))
        return outbound.Reply(200, None, b"")

    answer_by(monkeypatch, post)
    monkeypatch.setattr(notifying, "wake", lambda count=1: None)
    return bodies


def answer_by(monkeypatch, post):
    """No socket is opened: `post` says at once what a receiver answers, or raises."""

    def posting(url, body, *, headers, timeout_s, max_bytes):
        return post(url, body, headers=headers, timeout_s=timeout_s, max_bytes=max_bytes)
        yield  # which makes it one of steps, without any

    monkeypatch.setattr(outbound, "posting", posting)


def claim():
    """The next delivery, claimed; None where there is none."""
    return next(iter(claiming.claim(1)), None)


def attempt(delivery):
    """Written and posted: how that ended."""
    ((_, letter),) = writing.write([delivery])
    return letter if isinstance(letter, Outcome) else finish(attempting.posting(letter))


def conclude(delivery, outcome):
    """Write down how an attempt ended."""
    delivering.conclude([(delivery, outcome)])


def send_next():
    """Claim the next delivery, make one attempt and write down how it ended; None where there was none."""
    delivery = claim()
    if delivery is None:
        return None
    outcome = attempt(delivery)
    conclude(delivery, outcome)
    return outcome
