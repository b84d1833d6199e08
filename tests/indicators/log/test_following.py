"""Who follows the log gives others their turn, however much is committed meanwhile, and has itself sent again."""

from __future__ import annotations

import pytest

from exchange.hints import SENDER
from indicators.log import following
from indicators.opinions import bounding, flooding, recording, tallying
from indicators.sight import relining
from indicators.telling import notifying, subscribing
from tests import build

pytestmark = pytest.mark.django_db
#: More steps than this are one too many without end.
_TOO_MANY = 20


@pytest.fixture
def busy(monkeypatch):
    """Has somebody commit something after each step that a module takes."""
    monkeypatch.setattr(following, "MOST_S", 0)
    cast, committed = build.the_cast(), []

    def commit_after(module, name):
        step = getattr(module, name)

        def stepped(*told, **named):
            reached = step(*told, **named)
            build.publish(cast.viewer("aster"), build.an_indicator(), groups=("ring",))
            committed.append(reached)
            assert len(committed) < _TOO_MANY, "it goes on for as long as others commit"
            return reached

        monkeypatch.setattr(module, name, stepped)
        return cast

    return commit_after


@pytest.mark.parametrize(
    ("follower", "module", "step"),
    [
        (bounding, bounding, "find"),
        (flooding, tallying, "find"),
        (recording, recording, "find"),
        (relining, relining, "step"),
    ],
)
def test_a_follower_ends_and_has_itself_sent_again(busy, monkeypatch, follower, module, step):
    sent = []
    monkeypatch.setattr(SENDER, "send_soon", sent.append)
    busy(module, step)
    follower.catch_up()
    assert follower.catch_up in sent


def test_a_sweep_ends_and_asks_for_another(busy, hints):
    cast = busy(notifying, "_take_up")
    subscribing.subscribe(cast.viewer("cygnus"), url="https://receiver.example/hook", feed_id=None)
    build.publish(cast.viewer("aster"), build.an_indicator(), groups=("ring",))
    notifying.sweep()
    assert hints["notifying"]
