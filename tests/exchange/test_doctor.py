"""`manage.py doctor`: one page of what is wrong and what to do."""

from __future__ import annotations

import io
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from kombu.exceptions import OperationalError

from exchange import clock, health, starting
from exchange.models import Heartbeat

pytestmark = pytest.mark.django_db


def page(**wrong):
    said = io.StringIO()
    try:
        call_command("doctor", stdout=said)
    except CommandError as error:
        return said.getvalue(), str(error)
    return said.getvalue(), ""


@pytest.fixture
def well(broker, monkeypatch):
    for name in ("beat", "backup", "restore drill", health.LOG_VERIFIED):
        Heartbeat.objects.update_or_create(name=name, defaults={"at": clock.now()})
    really = health.measured
    monkeypatch.setattr(health, "measured", lambda: really() | {"exchange_archive_behind_bytes": 0.0})


def test_where_all_is_well_it_says_so(well):
    said, error = page()
    assert (error, "WRONG" in said) == ("", False), said
    assert said.count("ok  ") >= 10


def test_what_is_wrong_stands_with_what_to_do(well, monkeypatch):
    def gone(**options):
        raise OperationalError("refused by 10.0.0.7")

    monkeypatch.setattr(health.app, "connection_for_write", gone)
    Heartbeat.objects.filter(name="backup").update(at=clock.now() - timedelta(days=3))
    Heartbeat.objects.filter(name="beat").update(at=clock.now() - timedelta(minutes=3))
    said, error = page()
    assert error.startswith("3 things are wrong;")
    assert "WRONG broker: failed\n      Start it" in said
    assert "WRONG beat: late" in said
    assert "WRONG last base backup: 72 hours old\n      Run `exchange-manage backup`" in said
    assert "10.0.0.7" not in said


def test_a_trigger_that_is_gone_or_switched_off_is_missed(well):
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER shared_ids_are_noted ON indicators_change")
        cursor.execute("ALTER TABLE partners_auditrecord DISABLE TRIGGER audit_is_append_only")
    said, error = page()
    both = "audit_is_append_only on partners_auditrecord, shared_ids_are_noted on indicators_change"
    assert f"WRONG triggers: missing or off: {both}\n      Make each as" in said
    assert error.startswith("1 thing is wrong;")


def test_where_nothing_was_ever_backed_up_it_says_so(broker):
    Heartbeat.objects.update_or_create(name="beat", defaults={"at": clock.now()})
    said, error = page()
    assert "WRONG last base backup: there is none" in said
    assert "WRONG archive of PostgreSQL's log: nothing is received" in said
    assert error


def test_where_others_make_the_backups_nobody_misses_ours(well, settings):
    settings.BACKUP_BY = "other"
    Heartbeat.objects.filter(name__in=("backup", "restore drill")).delete()
    said, error = page()
    assert (error, "backup" in said) == ("", False), said


def test_a_log_that_was_changed_or_not_verified_is_told(well):
    Heartbeat.objects.filter(name=health.LOG_VERIFIED).delete()
    Heartbeat.objects.create(name=health.LOG_WRONG, at=clock.now())
    said, error = page()
    assert "WRONG log as it was written: 1 check has found it changed\n      Run `exchange-manage audit_verify`" in said
    assert "WRONG last check of the log: there was none" in said
    assert error.startswith("2 things are wrong;")


def test_a_store_that_is_away_is_all_that_is_looked_at(monkeypatch):
    monkeypatch.setattr(starting, "why_away", lambda: "connection refused")
    said, error = page()
    assert said.startswith("WRONG store: connection refused")
    assert said.count("WRONG") == 1
    assert error.startswith("1 thing is wrong;")
