"""Who is told, and by what receivers: a clock that stands, and answers that a test decides."""

import json

import pytest
import time_machine

from exchange import outbound
from indicators.telling import notifying
from tests import build, sending
from tests.indicators.telling.stage import START


@pytest.fixture
def time():
    with time_machine.travel(START, tick=False) as travelling:
        yield travelling


@pytest.fixture
def cast(db):
    return build.the_cast()


@pytest.fixture
def reader(cast):
    return cast.viewer("borealis")


@pytest.fixture
def answers(monkeypatch):
    """What receivers answer, in turn (the last one stays), and what they were sent: address, message, headers."""
    said, sent = [outbound.Reply(200, None, b"")], []

    def post(url, body, *, headers, **_):
        sent.append((url, json.loads(body), headers))
        reply = said[0] if len(said) == 1 else said.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply

    sending.answer_by(monkeypatch, post)
    monkeypatch.setattr(notifying, "wake", lambda count=1: None)  # no broker: messages are sent by hand
    return said, sent
