"""Is it alive, is it ready, and how is it doing: /livez, /readyz and /metrics."""

from __future__ import annotations

import hmac
import ipaddress
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

import httpx
import psycopg
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe
from kombu.exceptions import KombuError
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from psycopg_pool import PoolTimeout

from exchange import assets, brokers, clock, counting
from exchange.backup import keeping
from exchange.celery import app
from exchange.errors import NotFound
from exchange.models import Heartbeat

#: `/readyz` answers within so many seconds, and asks again when what it knows is so old.
WITHIN_S = 1.5
FRESH_S = 0.5

#: How long the key service is waited for; `/livez` of its own says nothing of its keys.
_KEY_SERVICE_S = 1.0
_BEAT = "beat"
#: Of `audit_verify`: that the log was found as it was written, or that it was not.
LOG_VERIFIED, LOG_WRONG = "log verified", "log wrong"
#: Before and after now: whoever writes it may be on a host whose clock differs a little.
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
    """Database, migrations, the portal's files, broker, beat's last sign of life; 503 unless all are well.

    With `?serving`, for who hands requests out, unless the first three are: the others are one for all processes, and
    pushes, polls and removals go on without them.

    The key service is told beside them and makes nothing unready: without it nothing is tokenised, but all else goes
    on, and a process that a proxy took away for it would hold back removals, too.
    """
    KEYS.begin()
    checks = LOOK.answer()
    needed = _SERVING if "serving" in request.GET else checks
    ready = all(checks[name] == "ok" for name in needed)
    said = {"status": "ok" if ready else "not ready", "checks": checks | KEYS.answer()}
    return JsonResponse(said, status=200 if ready else 503)


class Look:
    """What the checks say, within WITHIN_S whatever is down: a thread of its own looks, for all who ask meanwhile."""

    def __init__(self, checks: Mapping[str, Callable[[], str]]) -> None:
        self.checks = checks
        self._condition = threading.Condition()
        self._said: dict[str, str] = {}
        self._began = self._ended = -FRESH_S

    def answer(self) -> dict[str, str]:
        """Each check's word: `ok`, or what is wrong. What is not answered in time is `no answer`."""
        with self._condition:
            self.begin()
            left = self._began + WITHIN_S - time.monotonic()  # one that hangs is waited for once, not by each who asks
            self._condition.wait_for(lambda: self._ended >= self._began, timeout=max(0.0, left))
            return {name: self._said.get(name, "no answer") for name in self.checks}

    def begin(self) -> None:
        """Look, unless somebody does or has just done so; nobody waits."""
        with self._condition:
            now = time.monotonic()
            if self._ended >= self._began and now - self._ended >= FRESH_S:
                self._began, self._said = now, {}
                self._start()

    def _start(self) -> None:
        threading.Thread(target=self._look, name="exchange-ready", daemon=True).start()

    def _look(self) -> None:
        try:
            for name, check in self.checks.items():
                self._said[name] = _answer(check)
        finally:
            if not connection.in_atomic_block:
                connection.close()
            with self._condition:
                self._ended = time.monotonic()
                self._condition.notify_all()


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus text: what is read from the store now, and what processes have counted (`exchange.counting`).

    Where the store does not answer in WITHIN_S, what was counted alone, and `exchange_store_up` of 0.

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
        read: list[GaugeMetricFamily] = []
        KEYS.begin()
        BROKER.begin()
        up = STORE.answer()["database"] == "ok"
        if up:
            try:
                read = list(_read_from_store())
            except (DatabaseError, PoolTimeout):
                up = False
        yield GaugeMetricFamily("exchange_store_up", "Whether the store answers.", value=float(up))
        taken = BROKER.answer()["broker"] == "ok"
        yield GaugeMetricFamily("exchange_broker_up", "Whether the broker takes messages.", value=float(taken))
        other = float(settings.BACKUP_BY == "other")
        yield GaugeMetricFamily("exchange_backup_by_other", "Whether backups are none of ours.", value=other)
        if settings.KEY_SERVICE_URL:
            tokens = KEYS.answer()["key_service"] == "ok"
            yield GaugeMetricFamily("exchange_key_service_up", "Whether the key service answers.", value=float(tokens))
        yield from read


def _read_from_store() -> Iterator[GaugeMetricFamily]:
    for gauges in GAUGES:
        yield from gauges()
    ours = settings.BACKUP_BY == "exchange"
    for name, seen in (_SEEN | (_OF_BACKUPS if ours else {})).items():
        age = _age(name)
        if age is not None:
            yield GaugeMetricFamily(seen.metric, seen.says, value=age.total_seconds())
    wrong = Heartbeat.objects.filter(name=LOG_WRONG).exists()
    yield GaugeMetricFamily("exchange_log_wrong", "Whether the last check of the log found it changed.", value=wrong)
    if not ours:
        return
    with connection.cursor() as cursor:
        cursor.execute(_BEHIND)
        for (count,) in cursor.fetchall():
            yield GaugeMetricFamily("exchange_archive_behind_bytes", "Of the log, not yet in the archive.", value=count)


@dataclass(frozen=True, slots=True)
class _Seen:
    metric: str
    says: str


#: Rows of Heartbeat that are told by their age.
_SEEN = {
    _BEAT: _Seen("exchange_beat_age_seconds", "Since beat was last seen."),
    LOG_VERIFIED: _Seen("exchange_log_verified_age_seconds", "Since the log was last verified, and found well."),
}
_OF_BACKUPS = {
    "backup": _Seen("exchange_backup_age_seconds", "Since the last base backup."),
    "restore drill": _Seen("exchange_restore_drill_age_seconds", "Since the last restore drill that went well."),
}
#: A row where a slot for the archive was made (`exchange.backup`): the log that PostgreSQL keeps for it. Without end
#: where it keeps none any more: what comes will never be received.
_BEHIND = f"""
SELECT coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), 'Infinity') FROM pg_replication_slots
WHERE slot_name = '{keeping.SLOT}' AND NOT pg_is_in_recovery()
"""


def checks() -> dict[str, str]:
    """What `/readyz` looks at, each asked now and waited for."""
    return {name: _answer(check) for name, check in LOOK.checks.items()}


def key_service() -> dict[str, str]:
    """The same of the key service."""
    return {name: _answer(check) for name, check in KEYS.checks.items()}


def measured() -> dict[str, float]:
    """The numbers that are read from the store, by name; of several under one name, the highest."""
    found: dict[str, float] = {}
    for family in _read_from_store():
        for sample in family.samples:
            found[sample.name] = max(found.get(sample.name, sample.value), sample.value)
    return found


def beat_age() -> timedelta | None:
    """How long ago beat and a worker were last seen; None if never."""
    return _age(_BEAT)


def _age(name: str) -> timedelta | None:
    seen = Heartbeat.objects.filter(name=name).values_list("at", flat=True).first()
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
    except (DatabaseError, OSError, KombuError, PoolTimeout, psycopg.Error, httpx.HTTPError):
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
        return brokers.takes(broker)


def _assets() -> str:
    return "absent" if assets.absent() else "ok"


def _beat() -> str:
    age = beat_age()
    if age is None:
        return "never seen"
    if age <= -_BEAT_MAX_AGE:  # since it was seen, a clock was set back
        return "ahead"
    return "ok" if age < _BEAT_MAX_AGE else "late"


def _key_service() -> str:
    """Whether it answers and knows us, with the keys that are to be published; `none` where there is none."""
    if not settings.KEY_SERVICE_URL:
        return "none"
    bearer = {"Authorization": f"Bearer {settings.KEY_SERVICE_TOKEN}"}
    url = f"{settings.KEY_SERVICE_URL}/keys"
    answer = httpx.get(url, headers=bearer, timeout=_KEY_SERVICE_S, trust_env=False)
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        return "refused"
    return "ok" if answer.status_code == httpx.codes.OK else "failed"


STORE = Look({"database": _database})
BROKER = Look({"broker": _broker})
# Those without which nothing is served come first: a broker that hangs keeps none of them waiting.
_SERVING = {"database": _database, "migrations": _migrations, "assets": _assets}
LOOK = Look({**_SERVING, "broker": _broker, "beat": _beat})
KEYS = Look({"key_service": _key_service})


@app.task(name="exchange.health.beat_seen")
def beat_seen() -> None:
    """Beat sent this and a worker ran it: both are alive."""
    Heartbeat.objects.update_or_create(name=_BEAT, defaults={"at": clock.now()})
