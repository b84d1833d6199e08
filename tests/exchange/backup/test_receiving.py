"""The archive of the server's log: where it goes on after a restore, after a gap, and when its slot is gone."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import contextmanager

import psycopg
import pytest

from exchange import health, pooling
from exchange.backup import keeping, receiving
from tests.waiting import DEADLINE_S, until

_RECEIVES = """
import sys
from pathlib import Path
from exchange.backup import receiving
receiving.receive(sys.argv[1], Path(sys.argv[2]), slot=sys.argv[3], again_s=0.2)
"""
SLOT = "a_test_of_receiving"


def test_after_a_restore_the_archive_goes_on_with_the_new_line_of_the_server(tmp_path):
    for number in (3, 4, 5):
        (tmp_path / f"00000001000000000000000{number}").touch()
    (tmp_path / "000000010000000000000006.partial").touch()
    before = sorted(tmp_path.iterdir())
    receiving.turn_to("000000010000000000000005", tmp_path)
    assert sorted(tmp_path.iterdir()) == before, "the same line goes on"
    receiving.turn_to("000000020000000000000005", tmp_path)
    there = sorted(path.name for path in tmp_path.iterdir() if path.is_file())
    assert there == [
        "000000010000000000000003",
        "000000010000000000000004",
        "000000020000000000000005.partial",
    ]
    aside = sorted(path.name for path in (tmp_path / "00000001").iterdir())
    assert aside == ["000000010000000000000005", "000000010000000000000006.partial"]


def test_after_a_gap_the_archive_goes_on_with_what_the_server_still_has(tmp_path):
    for name in ("000000010000000000000003", "000000010000000000000004.partial"):
        (tmp_path / name).touch()
    before = {path.name for path in tmp_path.iterdir()}
    receiving.pass_over_to("000000010000000000000004", tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == before, "there is no gap"
    receiving.pass_over_to("000000010000000000000009", tmp_path)
    assert {path.name for path in tmp_path.iterdir()} - before == {"000000010000000000000009.partial"}


@pytest.mark.django_db
def test_a_slot_for_which_the_server_keeps_nothing_any_more_is_made_anew_and_told_of():
    """As one that `max_slot_wal_keep_size` ended: it has no place in the log."""
    url = pooling.direct()
    with psycopg.connect(url, autocommit=True) as server:
        server.execute("SELECT pg_create_physical_replication_slot(%s, false)", [keeping.SLOT])
        try:
            assert health.measured()["exchange_archive_behind_bytes"] == float("inf")
            assert not receiving.keeps(url, keeping.SLOT)
            server.execute("SELECT pg_create_physical_replication_slot(%s, true)", [keeping.SLOT])
            assert receiving.keeps(url, keeping.SLOT)
        finally:
            server.execute(
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s",
                [keeping.SLOT],
            )


@contextmanager
def received(url, directory):
    """As `archive` receives, in a process of its own."""
    with subprocess.Popen([sys.executable, "-c", _RECEIVES, url, str(directory), SLOT]) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=DEADLINE_S) == 0, "it ends when it is asked to"


_OUR_SLOT = "SELECT active_pid FROM pg_replication_slots WHERE slot_name = %s"


@pytest.mark.django_db
def test_a_slot_that_is_lost_while_the_log_is_received_is_made_anew_without_a_restart(tmp_path):
    """As the server does where `max_slot_wal_keep_size` is too little: it ends the receiver, and keeps nothing for it."""
    url = pooling.direct()
    with psycopg.connect(url, autocommit=True) as server:

        def receiver():
            return (server.execute(_OUR_SLOT, [SLOT]).fetchone() or (None,))[0]

        def drop():
            try:
                server.execute("SELECT pg_terminate_backend(%s)", [receiver()])
                server.execute("SELECT pg_drop_replication_slot(%s)", [SLOT])
            except (psycopg.errors.ObjectInUse, psycopg.errors.UndefinedObject):
                return False
            return True

        with received(url, tmp_path) as process:
            first = until(receiver, of=process)
            until(drop, of=process)
            assert until(receiver, of=process) != first
            server.execute("SELECT pg_switch_wal()")
            until(lambda: len(list((tmp_path / "wal").iterdir())) > 1, of=process)
        until(lambda: receiver() is None)
        server.execute("SELECT pg_drop_replication_slot(%s)", [SLOT])
