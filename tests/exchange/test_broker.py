"""The broker in PostgreSQL, as many send to it at once and as a worker waits on it."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from celery.contrib.testing.worker import start_worker

from exchange.celery import app
from exchange.health import beat_seen

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


def test_threads_that_send_at_once_lose_nothing_and_do_not_wait_for_each_other(broker):
    start = threading.Barrier(12)

    def send():
        start.wait()
        for _ in range(10):
            beat_seen.delay()

    began = time.monotonic()
    with ThreadPoolExecutor(12) as pool:
        for sent in [pool.submit(send) for _ in range(12)]:
            sent.result()
    assert broker() == 120
    assert time.monotonic() - began < 10


def test_a_worker_hears_of_a_task_within_moments_and_drains_what_waits(broker, monkeypatch):
    heard = []
    monkeypatch.setattr(beat_seen, "run", lambda: heard.append(time.monotonic()))
    with start_worker(app, pool="threads", concurrency=4, perform_ping_check=False, shutdown_timeout=20):
        beat_seen.delay()  # opens the sender's connections
        wait_until(lambda: heard)
        took = []
        for number in range(2, 12):
            sent = time.monotonic()
            beat_seen.delay()
            wait_until(lambda wanted=number: len(heard) == wanted)
            took.append(heard[-1] - sent)
        assert sorted(took)[len(took) // 2] < 0.2
        for _ in range(100):
            beat_seen.delay()
        wait_until(lambda: len(heard) == 111)
        wait_until(lambda: broker() == 0)


def wait_until(condition, timeout_s=20):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.005)
