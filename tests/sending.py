"""Messages one by one, in the test's own thread: as a worker's desk sends them, but for its portions and its threads."""

from __future__ import annotations

import orjson

from exchange import outbound
from indicators.telling import attempting, claiming, delivering, notifying, writing
from indicators.telling.attempting import Outcome


def receivers(monkeypatch):
    """What receivers are sent, read from JSON; they take everything, and no worker is asked to send."""
    bodies = []

    def post(url, body, *, headers, timeout_s, max_bytes, keeps):
        bodies.append(orjson.loads(body))
        return outbound.Reply(200, None, b"")

    monkeypatch.setattr(outbound, "post", post)
    monkeypatch.setattr(notifying, "wake", lambda count=1: None)
    return bodies


def claim():
    """The next delivery, claimed; None where there is none."""
    return next(iter(claiming.claim(1)), None)


def attempt(delivery):
    """Written and posted: how that ended."""
    ((_, letter),) = writing.write([delivery])
    return letter if isinstance(letter, Outcome) else attempting.post(letter)


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
