"""What processes count: by route and status, never by path; over all processes of a machine where they share files."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from prometheus_client import CollectorRegistry

from exchange import counting
from tests import build
from tests.waiting import DEADLINE_S

pytestmark = pytest.mark.django_db


def counted(client) -> dict[str, float]:
    lines = client.get("/metrics").content.decode().splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


def grown(client, act) -> dict[str, float]:
    before = counted(client)
    act()
    return {name: value - before.get(name, 0) for name, value in counted(client).items() if value != before.get(name)}


def test_requests_are_counted_by_route_and_status(client):
    key = build.a_key(build.a_partner("Aster"))

    def act():
        client.get("/api/v1/me", headers=build.bearer(key))
        client.get("/api/v1/me")
        client.get("/api/v1/objects/indicator--secret", headers=build.bearer(key))
        client.get("/a-path-that-names-somebody")

    more = grown(client, act)
    assert more['exchange_requests_total{route="me",status="200"}'] == 1
    assert more['exchange_requests_total{route="me",status="401"}'] == 1
    assert more['exchange_requests_total{route="object",status="404"}'] == 1
    assert more['exchange_requests_total{route="none",status="404"}'] == 1
    assert more['exchange_request_seconds_count{route="me"}'] == 2
    assert not any("secret" in name or "somebody" in name for name in more)


def test_what_becomes_of_pushed_objects_is_counted_and_a_repeat_is_not(client):
    cast = build.the_cast()
    good = build.making.account_pattern()
    bad = build.making.account_pattern() | {"id": "indicator--x"}

    def push():
        return client.post(
            "/api/v1/batches?groups=ring",
            {"objects": [good, bad]},
            content_type="application/json",
            headers=build.bearer(cast.keys["aster"]) | {"Idempotency-Key": "one"},
        )

    more = grown(client, push)
    assert more['exchange_pushed_objects_total{outcome="accepted"}'] == 1
    assert more['exchange_pushed_objects_total{outcome="refused"}'] == 1
    (code,) = [name for name in more if name.startswith("exchange_refused_objects_total")]
    assert push().json()["results"][1]["code"] in code
    assert not [name for name in grown(client, push) if "objects_total" in name]


_COUNT = """
import django; django.setup()
from exchange import counting
counting.MAILS.labels("sent").inc(3)
from prometheus_client import CollectorRegistry, generate_latest
registry = CollectorRegistry()
counting.register(registry)
print(generate_latest(registry).decode())
"""


def test_the_processes_of_a_machine_count_together(tmp_path):
    environment = os.environ | {
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path),
        "DJANGO_SETTINGS_MODULE": "exchange.settings",
    }
    told = [
        subprocess.run([sys.executable, "-c", _COUNT], env=environment, check=True, capture_output=True, text=True)
        for _ in range(2)
    ]
    assert 'exchange_mails_total{outcome="sent"} 6.0' in told[1].stdout


_HOLD = """
import sys
import django; django.setup()
from django.db import connection
from exchange import counting
counting.keep_pool_noted(every_s=0.01)
connection.ensure_connection()
from prometheus_client import CollectorRegistry, generate_latest
def told():
    registry = CollectorRegistry()
    counting.register(registry)
    return [line for line in generate_latest(registry).decode().splitlines() if "pool_connections " in line]
while not told() or told()[0].endswith(" 0.0"): pass
"""


def test_the_pool_of_a_process_that_nobody_asks_is_told_until_it_ends(tmp_path, monkeypatch):
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))

    def told():
        registry = CollectorRegistry()
        counting.register(registry)
        return registry.get_sample_value("exchange_pool_connections")

    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "exchange.settings"}
    ended = subprocess.run([sys.executable, "-c", _HOLD], env=environment, check=True, timeout=DEADLINE_S)
    assert ended.returncode == 0
    assert list(tmp_path.glob("gauge_live*"))
    assert told() is None, "it has ended, and holds nothing"
