"""Beat begins what is due, also where its clock was set back, with a restart and without one."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from celery.beat import Service

from exchange import clock
from exchange.celery import app

pytestmark = pytest.mark.django_db(transaction=True)
_NOW = clock.now()


@pytest.fixture
def begun(broker, monkeypatch, tmp_path):
    """Begins beat with two entries, in the place of the one before, whose file it reads."""
    every = {name: app.conf.beat_schedule[name] for name in ("beat", "forget")}
    monkeypatch.setitem(app.conf, "beat_schedule", every)
    schedulers = []

    def end():
        while schedulers:
            schedulers.pop().close()

    def begin():
        end()
        file = str(tmp_path / "schedule")
        service = Service(app, scheduler_cls=app.conf.beat_scheduler, schedule_filename=file)
        schedulers.append(service.scheduler)
        return service.scheduler

    yield begin
    end()


def sent(scheduler, broker, *, at):
    """How many messages it sends at a time."""
    before = broker()
    with time_machine.travel(at, tick=False):
        while scheduler.tick() == 0:
            pass
    return broker() - before


@pytest.mark.parametrize("restarted", [False, True])
def test_a_clock_that_was_set_back_stops_nothing(begun, broker, restarted):
    ahead, minute = _NOW + timedelta(hours=1), timedelta(minutes=1)
    with time_machine.travel(ahead, tick=False):
        beat = begun()
    assert sent(beat, broker, at=ahead + minute) == 1
    beat = begun() if restarted else beat
    assert sent(beat, broker, at=_NOW) == 0
    assert sent(beat, broker, at=_NOW + minute) == 1
    assert sent(beat, broker, at=_NOW + timedelta(hours=2)) == 2


def test_what_is_begun_each_hour_is_begun_though_beat_begins_more_often(begun, broker):
    with time_machine.travel(_NOW, tick=False):
        begun()
    for minutes, count in ((40, 1), (80, 2)):
        assert sent(begun(), broker, at=_NOW + timedelta(minutes=minutes)) == count
