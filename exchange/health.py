"""Is it alive, is it ready, and how is it doing: /livez, /readyz and /metrics."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Callable, Iterator
from datetime import timedelta

import psycopg
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe
from kombu.exceptions import KombuError
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily

from exchange import assets, clock, counting
from exchange.celery import app
from exchange.errors import NotFound
from exchange.models import Heartbeat

_BEAT = "beat"
_BEAT_MAX_AGE = timedelta(seconds=45)

#: Functions that yield gauges read from the store; each app adds its own when it is loaded.
Gauges = Callable[[], Iterator[GaugeMetricFamily]]
GAUGES: list[Gauges] = []


@require_safe
def livez(request: HttpRequest) -> HttpResponse:
    """The process answers; nothing else is asked."""
    return JsonResponse({"status": "ok"})


@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """Database, migrations, broker, beat's last sign of life, the portal's files; 503 unless all are well."""
    checks = {
        "database": _answer(_database),
        "migrations": _answer(_migrations),
        "broker": _answer(_broker),
        "beat": _answer(_beat),
        "assets": _answer(_assets),
    }
    ready = all(answer == "ok" for answer in checks.values())
    return JsonResponse({"status": "ok" if ready else "not ready", "checks": checks}, status=200 if ready else 503)


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus text: what is read from the store now, and what processes have counted (`exchange.counting`).

    For the operator only: with METRICS_TOKEN as Bearer or, where none is set, from the loopback address.
    """
    if not _may_read_metrics(request):
        raise NotFound
    registry = CollectorRegistry()
    registry.register(_StoreCollector())
    counting.note_pool()
    counting.register(registry)
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


class _StoreCollector:
    def collect(self) -> Iterator[GaugeMetricFamily]:
        for gauges in GAUGES:
            yield from gauges()
        age = beat_age()
        if age is not None:
            yield GaugeMetricFamily("exchange_beat_age_seconds", "Since beat was last seen.", value=age.total_seconds())


def beat_age() -> timedelta | None:
    """How long ago beat and a worker were last seen; None if never."""
    seen = Heartbeat.objects.filter(name=_BEAT).values_list("at", flat=True).first()
    return None if seen is None else clock.now() - seen


def _may_read_metrics(request: HttpRequest) -> bool:
    if settings.METRICS_TOKEN:
        presented = request.headers.get("Authorization", "").removeprefix("Bearer ")
        return hmac.compare_digest(presented.encode(), settings.METRICS_TOKEN.encode())
    proxied = "X-Forwarded-For" in request.headers or "Forwarded" in request.headers
    return not proxied and ipaddress.ip_address(request.META.get("REMOTE_ADDR") or "0.0.0.0").is_loopback  # noqa: S104


def _answer(check: Callable[[], str]) -> str:
    """What a check says; its failure is a word, never a detail of the installation."""
    try:
        return check()
    except (DatabaseError, OSError, KombuError, psycopg.Error):
        return "failed"


def _database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return "ok"


def _migrations() -> str:
    executor = MigrationExecutor(connection)
    pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return "pending" if pending else "ok"


def _broker() -> str:
    with app.connection_for_write(connect_timeout=3) as broker:
        broker.ensure_connection(max_retries=1, timeout=3)
    return "ok"


def _assets() -> str:
    return "absent" if assets.absent() else "ok"


def _beat() -> str:
    age = beat_age()
    if age is None:
        return "never seen"
    return "ok" if age < _BEAT_MAX_AGE else "late"


@app.task(name="exchange.health.beat_seen")
def beat_seen() -> None:
    """Beat sent this and a worker ran it: both are alive."""
    Heartbeat.objects.update_or_create(name=_BEAT, defaults={"at": clock.now()})
