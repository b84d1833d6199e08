"""What no request waits for is done all the same: soon, once for many, and when the process ends."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
import threading
import time

import pytest
from structlog.contextvars import bound_contextvars, clear_contextvars

from exchange import access_log
from exchange.soon import Soon
from tests.waiting import DEADLINE_S


def test_many_wishes_are_one_piece_of_work_and_each_is_followed_by_one():
    times: list[float] = []
    done = threading.Event()

    def work() -> None:
        times.append(time.monotonic())
        done.set()

    soon = Soon("test", work, within_s=0.05)
    for _ in range(100):
        soon.ask()
    assert done.wait(DEADLINE_S)
    assert len(times) == 1
    done.clear()
    asked = time.monotonic()
    soon.ask()
    assert done.wait(DEADLINE_S)
    assert times[-1] >= asked


def test_work_that_fails_is_tried_again(monkeypatch):
    monkeypatch.setattr("exchange.soon._AGAIN_S", 0.01)
    tries = threading.Semaphore(0)

    def work() -> None:
        tries.release()
        raise OSError("no")

    soon = Soon("test", work, within_s=0.001)
    soon.ask()
    for _ in range(3):
        assert tries.acquire(timeout=DEADLINE_S)


PROGRAM = """
import multiprocessing
from exchange.soon import Soon
def child():
    soon = Soon("test", lambda: print("done", flush=True), within_s=60)
    soon.ask()
if __name__ == "__main__":
    {run}
"""


@pytest.mark.parametrize(
    "run", ["child()", "p = multiprocessing.get_context('fork').Process(target=child); p.start(); p.join()"]
)
def test_what_is_still_wanted_is_done_when_the_process_ends(run):
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(run=run)], capture_output=True, text=True, timeout=DEADLINE_S, check=True
    )
    assert ended.stdout == "done\n"


@pytest.fixture
def said(monkeypatch):
    """The lines of requests, which nothing else writes meanwhile."""
    clear_contextvars()
    lines = access_log.Lines(most=3)
    monkeypatch.setattr(access_log, "LINES", lines)
    monkeypatch.setattr(access_log._SOON, "ask", lambda: None)
    logger = logging.getLogger("exchange.access")
    logger.setLevel(logging.INFO)

    def written() -> list[dict]:
        sink = io.StringIO()
        with monkeypatch.context() as patched:
            patched.setattr(sys, "stderr", sink)
            lines.write()
        return [json.loads(line) for line in sink.getvalue().splitlines()]

    yield written
    logger.setLevel(logging.NOTSET)


def test_a_line_says_who_asked_what_and_what_was_answered(said):
    with bound_contextvars(request_id="r-1234567", partner="aster"):
        access_log.note(method="GET", path="/livez", status=200, ms=0.1)
    (line,) = said()
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "request",
        "level": "info",
        "request_id": "r-1234567",
        "partner": "aster",
        "method": "GET",
        "path": "/livez",
        "status": 200,
        "ms": 0.1,
    }
    assert said() == []


def test_no_credential_is_in_a_line(said):
    access_log.note(path="/x/exk_abcdefgh_" + "a2" * 16 + "bcdefgh", status=404)
    (line,) = said()
    assert line["path"] == "/x/[hidden]"


def test_lines_that_nobody_takes_are_counted_and_left_out(said):
    for number in range(5):
        access_log.note(status=number)
    *kept, last = said()
    assert [line["status"] for line in kept] == [0, 1, 2]
    assert (last["event"], last["lines"]) == ("access.left_out", 2)


def test_lines_are_written_whole_and_a_pipe_full_at_a_time():
    lines = [f"{number:04}{'x' * 900}\n" for number in range(20)] + ["ü" * 5_000 + "\n", "last\n"]
    chunks = list(access_log._chunks(lines))
    assert "".join(chunks) == "".join(lines)
    assert all(chunk.endswith("\n") for chunk in chunks)
    assert [len(chunk.encode()) <= 4_096 for chunk in chunks].count(False) == 1, "one line alone is longer"
    assert len(chunks) == 5 + 2


def test_below_the_level_of_the_log_nothing_is_kept(said):
    logging.getLogger("exchange.access").setLevel(logging.WARNING)
    access_log.note(status=200)
    assert said() == []
