"""The demo waits while its processes run, and no longer: it says which one ended, and where its log is."""

import os
import sys
import threading

import pytest

from exchange.demo import __main__ as demo
from exchange.demo import children as starting
from exchange.demo import ports
from exchange.demo.children import Children
from tests.waiting import DEADLINE_S


@pytest.fixture
def children():
    made = Children(os.environ, say=print)
    yield made
    made.stop()


def test_a_process_that_ends_ends_the_wait_and_its_log_is_named(children, tmp_path):
    children.add("runs", [sys.executable, "-c", "import time; time.sleep(600)"], log=tmp_path / "logs/runs.log")
    children.add("beat", [sys.executable, "-c", "raise SystemExit(3)"], log=tmp_path / "logs/beat.log")
    with pytest.raises(demo._CannotStart) as told:
        demo._wait_until_ready(children, f"http://127.0.0.1:{ports.free()}/readyz", logs=tmp_path / "logs")
    assert f"beat ended with 3: {tmp_path}/logs/beat.log" in str(told.value)
    assert "make demo again" in str(told.value)


def test_a_demo_that_is_never_ready_names_its_logs_and_no_address(children, tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "_READY_S", 0.5)
    children.add("runs", [sys.executable, "-c", "import time; time.sleep(600)"], log=tmp_path / "logs/runs.log")
    with pytest.raises(demo._CannotStart) as told:
        demo._wait_until_ready(children, f"http://127.0.0.1:{ports.free()}/readyz", logs=tmp_path / "logs")
    assert f"logs are in {tmp_path}/logs" in str(told.value)
    assert "make demo again" in str(told.value)
    assert "http" not in str(told.value)


def test_a_look_at_a_process_that_a_signal_broke_off_keeps_nobody_from_stopping(tmp_path, monkeypatch):
    """`Popen.poll` takes a lock, and what a signal's handler raises within it leaves it taken for good."""
    monkeypatch.setattr(starting, "_STOP_S", 0.1)
    monkeypatch.setattr(starting, "_KILLED_S", 0.1)
    made = Children(os.environ, say=print)
    made.add("runs", [sys.executable, "-c", "import time; time.sleep(600)"], log=tmp_path / "runs.log")
    process = made.all[0].process
    process._waitpid_lock.acquire()
    stops = threading.Thread(target=made.stop, daemon=True)
    stops.start()
    stops.join(timeout=DEADLINE_S)
    process._waitpid_lock.release()
    assert not stops.is_alive()
    assert process.wait(timeout=DEADLINE_S) < 0
