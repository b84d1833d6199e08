"""PostgreSQL from a wheel: starts again after anything, and keeps what was committed."""

import os
import signal
import subprocess
from pathlib import Path

import psycopg
import pytest

from exchange import embedded
from tests.waiting import until


def server_pid(data_dir):
    return int((data_dir / "postgres" / "postmaster.pid").read_text().split("\n")[0])


def test_what_was_committed_outlives_a_kill(data_dir):
    url = embedded.start(data_dir)
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
    os.kill(server_pid(data_dir), signal.SIGKILL)
    until(lambda: not embedded.is_running(data_dir))
    assert embedded.start(data_dir) == url
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT one FROM kept").fetchall() == [(1,)]
    embedded.stop(data_dir)
    assert not embedded.is_running(data_dir)


def test_a_second_start_finds_the_first(data_dir):
    url = embedded.start(data_dir)
    pid = server_pid(data_dir)
    assert embedded.start(data_dir) == url
    assert server_pid(data_dir) == pid


@pytest.mark.long
def test_a_pid_file_that_names_anothers_process_keeps_nobody_out(data_dir):
    embedded.start(data_dir)
    pid_file = data_dir / "postgres" / "postmaster.pid"
    left = pid_file.read_text()
    embedded.stop(data_dir)
    with subprocess.Popen(["sleep", "60"]) as other:
        pid_file.write_text("\n".join([str(other.pid), *left.split("\n")[1:]]))
        assert not embedded.is_running(data_dir)
        with psycopg.connect(embedded.start(data_dir)) as connection:
            assert connection.execute("SELECT 1").fetchall() == [(1,)]
        other.kill()


@pytest.mark.long
def test_servers_stand_side_by_side_also_in_deep_directories(data_dir):
    deep = data_dir / ("d" * 80) / ("e" * 60)
    try:
        assert embedded.start(data_dir) != embedded.start(deep)
    finally:
        embedded.stop(deep)


def test_a_path_that_cannot_serve_is_said_at_once():
    with pytest.raises(SystemExit, match="space"):
        embedded.start(Path("/tmp/with space"))
    assert not Path("/tmp/with space").exists()
