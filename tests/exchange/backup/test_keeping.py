"""Which backups are kept, and which one a restore begins with."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from exchange import health, pooling
from exchange.backup import keeping, programs, restoring

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)


def a_base(directory, *, hours):
    began = NOON + timedelta(hours=hours)
    place = directory / "base" / began.strftime("%Y%m%dT%H%M%SZ")
    (place / "data" / "pg_tblspc").mkdir(parents=True)
    told = {
        "version": 18,
        "began_at": began.isoformat(),
        "ended_at": (began + timedelta(minutes=10)).isoformat(),
        "first_segment": "000000010000000000000002",
        "bytes": 1,
        "keys": {},
    }
    (place / "backup.json").write_text(json.dumps(told))
    return place


def test_a_restore_begins_with_the_newest_base_backup_that_ended_before_the_moment(tmp_path):
    first, second = a_base(tmp_path, hours=0), a_base(tmp_path, hours=24)
    assert restoring.chosen(tmp_path, at=None).place == second
    assert restoring.chosen(tmp_path, at=NOON + timedelta(hours=24, minutes=5)).place == first
    with pytest.raises(programs.Failed, match="no base backup that ended before"):
        restoring.chosen(tmp_path, at=NOON + timedelta(minutes=5))


def test_what_was_broken_off_is_no_backup(tmp_path):
    (a_base(tmp_path, hours=1) / "backup.json").unlink()
    assert keeping.bases(tmp_path) == []


def test_old_base_backups_go_and_with_them_the_log_that_only_they_needed(tmp_path):
    old, kept = a_base(tmp_path, hours=0), a_base(tmp_path, hours=24)
    segments = [f"00000001000000000000000{number}" for number in (1, 2, 3)]
    (tmp_path / "wal").mkdir()
    for name in (*segments, "00000002.history", "000000010000000000000004.partial"):
        (tmp_path / "wal" / name).touch()
    assert [base.place for base in keeping.forget(tmp_path, keep=1)] == [old]
    assert [base.place for base in keeping.bases(tmp_path)] == [kept]
    assert min(path.name for path in (tmp_path / "wal").iterdir()) == segments[1]
    assert len(list((tmp_path / "wal").iterdir())) == 4


def test_after_a_restore_the_archive_goes_on_with_the_new_line_of_the_server(tmp_path):
    for number in (3, 4, 5):
        (tmp_path / f"00000001000000000000000{number}").touch()
    (tmp_path / "000000010000000000000006.partial").touch()
    before = sorted(tmp_path.iterdir())
    keeping.turn_to("000000010000000000000005", tmp_path)
    assert sorted(tmp_path.iterdir()) == before, "the same line goes on"
    keeping.turn_to("000000020000000000000005", tmp_path)
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
    keeping.pass_over_to("000000010000000000000004", tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == before, "there is no gap"
    keeping.pass_over_to("000000010000000000000009", tmp_path)
    assert {path.name for path in tmp_path.iterdir()} - before == {"000000010000000000000009.partial"}


@pytest.mark.django_db
def test_a_slot_for_which_the_server_keeps_nothing_any_more_is_made_anew_and_told_of():
    """As one that `max_slot_wal_keep_size` ended: it has no place in the log."""
    url = pooling.direct()
    with psycopg.connect(url, autocommit=True) as server:
        server.execute("SELECT pg_create_physical_replication_slot(%s, false)", [keeping.SLOT])
        try:
            assert health.measured()["exchange_archive_behind_bytes"] == float("inf")
            assert not keeping.keeps(url, keeping.SLOT)
            server.execute("SELECT pg_create_physical_replication_slot(%s, true)", [keeping.SLOT])
            assert keeping.keeps(url, keeping.SLOT)
        finally:
            server.execute(
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s",
                [keeping.SLOT],
            )


def test_a_restore_overwrites_nothing(tmp_path):
    a_base(tmp_path, hours=0)
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "PG_VERSION").write_text("18")
    with (
        pytest.raises(programs.Failed, match="overwrites nothing"),
        restoring.restored("postgresql:///exchange", tmp_path, to=tmp_path / "to"),
    ):
        raise AssertionError


def test_no_password_is_on_a_programs_line():
    asked = programs.server("postgresql://backup:s3cret@db.example:5432/exchange?sslmode=require")
    assert "s3cret" not in asked.words
    assert asked.environment["PGPASSWORD"] == "s3cret"
    assert "sslmode=require" in asked.words


def test_a_program_that_is_older_than_the_server_is_not_used(monkeypatch, tmp_path):
    old = tmp_path / "pg_basebackup"
    old.write_text("#!/bin/sh\necho 'pg_basebackup (PostgreSQL) 15.9 (Debian 15.9-0+deb12u1)'\n")
    old.chmod(0o755)
    monkeypatch.setenv("POSTGRES_BIN", str(tmp_path))
    with pytest.raises(programs.Failed, match="postgresql-client-17"):
        programs.found("pg_basebackup", version=17)
    assert programs.found("pg_basebackup", version=15) == str(old)


@pytest.mark.parametrize(
    ("name", "package"), [("pg_receivewal", "postgresql-client-999"), ("pg_archivecleanup", "postgresql-999")]
)
def test_a_program_that_is_not_here_is_named_with_the_package_that_has_it(name, package):
    with pytest.raises(programs.Failed, match=rf"Debian: {package}\)"):
        programs.found(name, version=999)
