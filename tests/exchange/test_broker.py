"""The broker in PostgreSQL, as many send to it at once and as a worker waits on it."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from celery.contrib.testing.worker import start_worker
from kombu.transport.pgmq import _NotifyWaiter

from exchange import brokers
from exchange.celery import app
from exchange.health import beat_seen
from tests.waiting import DEADLINE_S, until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.slow
def test_threads_that_send_at_once_lose_nothing_and_do_not_wait_for_each_other(broker):
    start = threading.Barrier(12)

    def send():
        start.wait()
        for _ in range(10):
            beat_seen.delay()

    with ThreadPoolExecutor(12) as pool:
        for sent in [pool.submit(send) for _ in range(12)]:
            sent.result()
    assert broker() == 120


def test_a_worker_hears_of_a_task_within_moments_and_drains_what_waits(broker, monkeypatch):
    heard, woken, wait = [], [], _NotifyWaiter.wait
    monkeypatch.setattr(beat_seen, "run", lambda: heard.append(True))
    monkeypatch.setattr(_NotifyWaiter, "wait", lambda *told: woken.append(wait(*told)))
    with start_worker(app, pool="threads", concurrency=4, perform_ping_check=False, shutdown_timeout=DEADLINE_S):
        beat_seen.delay()  # opens the sender's connections
        until(lambda: heard)
        woken.clear()
        for number in range(2, 12):
            beat_seen.delay()
            until(lambda wanted=number: len(heard) == wanted)
        assert woken.count(True) > 5, "it is told, and does not only look from time to time"
        for _ in range(100):
            beat_seen.delay()
        until(lambda: len(heard) == 111)
        until(lambda: broker() == 0)


def test_one_thread_of_a_worker_reads_from_the_broker():
    """With it, a worker whose hands were full when RabbitMQ went was deaf afterwards, of some 10 restarts once."""
    assert not app.conf.worker_enable_prefetch_count_reduction


def test_a_worker_knows_each_task_of_the_schedule():
    asked = (
        "from exchange.celery import app; app.loader.import_default_modules();"
        "print({entry['task'] for entry in app.conf.beat_schedule.values()} - set(app.tasks))"
    )
    told = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True, env=os.environ)
    assert told.stdout.strip() == "set()"


def test_another_broker_that_vanished_keeps_nobody_for_long():
    assert brokers.options("amqps://user:password@mq.example//")["write_timeout"] <= 10
    for scheme in ("redis", "rediss", "sentinel"):
        given = brokers.options(f"{scheme}://redis.example:6379/0")
        assert given["socket_timeout"] <= 10
        assert given["visibility_timeout"] > app.conf.task_time_limit
