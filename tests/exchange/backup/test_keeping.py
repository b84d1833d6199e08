"""Which backups are kept, and which one a restore begins with."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from exchange import pooling
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


@pytest.mark.django_db
def test_what_a_killed_backup_left_is_deleted_by_the_next_one_and_never_while_one_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("POSTGRES_BIN", str(tmp_path))  # no program is there: these backups come no further
    whole, left = a_base(tmp_path, hours=0), a_base(tmp_path, hours=1)
    (left / "backup.json").unlink()
    keeping.private(tmp_path)
    running = keeping.alone(tmp_path, "backup", what="backup")
    with running, pytest.raises(programs.Failed, match="Another backup runs in"):
        keeping.copy(pooling.direct(), tmp_path, keys={})
    assert left.exists()
    with pytest.raises(programs.Failed, match="pg_basebackup of PostgreSQL"):
        keeping.copy(pooling.direct(), tmp_path, keys={})
    assert list((tmp_path / "base").iterdir()) == [whole]


@pytest.mark.django_db
def test_what_a_killed_drill_left_is_deleted_by_the_next_one_and_never_while_one_runs(tmp_path, settings):
    settings.BACKUP_DIR = tmp_path
    left = tmp_path / "drill-x7d_k2"
    (left / "data").mkdir(parents=True)
    with (
        keeping.alone(tmp_path, "drill", what="drill"),
        pytest.raises(CommandError, match="Another drill runs in"),
    ):
        call_command("restore_drill")
    assert left.exists()
    with pytest.raises(CommandError, match="Nobody receives the log"):
        call_command("restore_drill")
    assert not list(tmp_path.glob("drill-*"))


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
