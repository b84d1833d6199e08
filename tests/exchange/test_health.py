"""Alive, ready, and measured."""

import re
import threading
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from django.db import connection
from kombu.exceptions import OperationalError
from psycopg_pool import PoolTimeout

from exchange import clock, health
from exchange.models import Heartbeat
from indicators.log import changes, following
from indicators.models import Progress
from tests import build

pytestmark = pytest.mark.django_db


@pytest.fixture
def beating():
    Heartbeat.objects.update_or_create(name="beat", defaults={"at": clock.now()})


def test_alive_asks_nobody(client, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert client.get("/livez").json() == {"status": "ok"}


def test_ready_when_all_is_well(client, beating, broker):
    answer = client.get("/readyz")
    assert answer.status_code == 200, answer.json()
    assert set(answer.json()["checks"]) == {"database", "migrations", "broker", "beat", "assets", "key_service"}
    assert answer.json()["checks"]["key_service"] == "none"


def test_not_ready_before_beat_and_a_worker_were_seen(client):
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["checks"]["beat"]) == (503, "never seen")


def test_not_ready_when_beat_is_late(client):
    Heartbeat.objects.create(name="beat", at=clock.now() - timedelta(minutes=1))
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["checks"]["beat"]) == (503, "late")


@pytest.mark.parametrize(("seconds", "said"), [(30, "ok"), (60, "ahead")])
def test_not_ready_when_the_sign_of_life_lies_in_the_future(client, broker, seconds, said):
    """A clock was set back, and nobody has been seen since; a little, by hosts whose clocks differ, says nothing."""
    Heartbeat.objects.create(name="beat", at=clock.now() + timedelta(seconds=seconds))
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["checks"]["beat"]) == (200 if said == "ok" else 503, said)


def test_a_cluster_takes_no_web_process_away_for_what_all_of_them_lack(client, monkeypatch):
    """Without beat or a broker each of them would be unready at once, and pushes and removals refused by the proxy."""
    chart = (Path(__file__).resolve().parents[2] / "deploy/helm/templates/web.yaml").read_text()
    (path,) = re.findall(r"readinessProbe:\s+httpGet:\s+path: (\S+)", chart)
    answer = client.get(path)
    assert (answer.status_code, answer.json()["checks"]["beat"]) == (200, "never seen")
    monkeypatch.setitem(health.LOOK.checks, "migrations", lambda: "pending")
    assert client.get(path).status_code == 503


def test_the_task_is_the_sign_of_life(client):
    health.beat_seen()
    assert health.beat_age() < timedelta(seconds=5)


def test_not_ready_without_the_broker(client, beating, monkeypatch):
    def gone(**options):
        raise OperationalError("connection refused by 10.0.0.7")

    monkeypatch.setattr(health.app, "connection_for_write", gone)
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["checks"]["broker"]) == (503, "failed")
    assert b"10.0.0.7" not in answer.content


def test_not_ready_while_migrations_wait(client, beating):
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'exchange'")
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["checks"]["migrations"]) == (503, "pending")


@pytest.mark.parametrize(
    ("answers", "said", "up"),
    [(200, "ok", b"1.0"), (401, "refused", b"0.0"), (503, "failed", b"0.0"), (None, "failed", b"0.0")],
)
def test_without_the_key_service_all_else_is_ready_and_its_absence_is_told(
    client, beating, broker, settings, monkeypatch, answers, said, up
):
    def asked(url, **options):
        assert url == "http://keys.internal/keys"
        if answers is None:
            raise httpx.ConnectTimeout("10.0.0.8 does not answer")
        return httpx.Response(answers)

    settings.KEY_SERVICE_URL, settings.KEY_SERVICE_TOKEN = "http://keys.internal", "a token"
    monkeypatch.setattr(health.httpx, "get", asked)
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["checks"]["key_service"]) == (200, said)
    assert b"10.0.0.8" not in answer.content
    assert b"exchange_key_service_up " + up in client.get("/metrics").content


def test_where_there_is_no_key_service_no_metric_speaks_of_it(client):
    assert b"key_service" not in client.get("/metrics").content


def test_a_key_service_that_hangs_is_waited_for_no_longer_than_all_else(client, beating, broker, settings, monkeypatch):
    released = threading.Event()
    hanging = health.Look({"key_service": lambda: "ok" if released.wait(60) else "never"})
    monkeypatch.setattr(health, "KEYS", hanging)
    monkeypatch.setattr(health, "WITHIN_S", 0.05)
    settings.KEY_SERVICE_URL = "http://keys.internal"
    try:
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["checks"]["key_service"]) == (200, "no answer")
        assert b"exchange_key_service_up 0.0" in client.get("/metrics").content
    finally:
        released.set()


def test_metrics_are_read_from_loopback(client):
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert b"exchange_change_seq" in answer.content


@pytest.mark.parametrize(
    "asked",
    [
        {"REMOTE_ADDR": "203.0.113.9"},
        {"HTTP_X_FORWARDED_FOR": "127.0.0.1"},
        {"HTTP_FORWARDED": "for=127.0.0.1"},
        {"REMOTE_ADDR": ""},
    ],
)
def test_metrics_do_not_exist_for_others(client, asked):
    assert client.get("/metrics", **asked).status_code == 404


def test_with_a_token_metrics_are_read_from_anywhere_and_not_without(client, settings):
    settings.METRICS_TOKEN = "correct-horse"
    from_outside = {"REMOTE_ADDR": "203.0.113.9"}
    assert client.get("/metrics", headers={"Authorization": "Bearer correct-horse"}, **from_outside).status_code == 200
    for wrong in ("Bearer correct-hors", "Bearer ", "", "Bearer ü"):
        assert client.get("/metrics", headers={"Authorization": wrong}).status_code == 404


@pytest.mark.parametrize("fails", ["at once", "on the way"])
def test_where_the_store_is_away_metrics_tell_what_was_counted(client, monkeypatch, fails):
    def gone(*_):
        raise PoolTimeout("couldn't get a connection")

    assert b"exchange_store_up 1.0" in client.get("/metrics").content
    if fails == "at once":
        monkeypatch.setitem(health.STORE.checks, "database", gone)
    monkeypatch.setattr(health, "GAUGES", [gone])
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert b"exchange_store_up 0.0" in answer.content
    assert b"exchange_requests_total{" in answer.content
    assert b"exchange_change_seq" not in answer.content


def test_only_who_follows_the_log_is_said_to_be_behind_it(client):
    place = changes.head()
    Progress.objects.update_or_create(name=following.FOLLOWERS[0], defaults={"seq": place - 3})
    Progress.objects.update_or_create(name="benign lists", defaults={"seq": -(2**62)})  # a hash, and no place
    said = client.get("/metrics", REMOTE_ADDR="127.0.0.1").content.decode()
    lags = [line for line in said.splitlines() if line.startswith("exchange_follower_lag")]
    assert lags == [f'exchange_follower_lag{{name="{following.FOLLOWERS[0]}"}} 3.0']


def test_metrics_name_no_partner(client):
    cast = build.the_cast()
    for name in ("aster", "borealis"):
        client.get("/api/v1/partner", headers=build.bearer(cast.keys[name]))
    text = client.get("/metrics").content.decode().lower()
    assert not any(name in text for name in ("aster", "borealis", str(cast.aster.pk)))


def test_where_others_make_the_backups_it_is_told_and_ours_are_not(client, settings):
    Heartbeat.objects.create(name="backup", at=clock.now())
    told = client.get("/metrics").content.decode()
    assert ("exchange_backup_by_other 0.0" in told, "exchange_backup_age_seconds" in told) == (True, True)
    settings.BACKUP_BY = "other"
    told = client.get("/metrics").content.decode()
    assert ("exchange_backup_by_other 1.0" in told, "exchange_backup_age_seconds" in told) == (True, False)
