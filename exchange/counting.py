"""What the processes count for the operator's metrics: requests, pushes, mails, the pool. No partner and no content.

Each process counts its own. With PROMETHEUS_MULTIPROC_DIR set, the processes of one machine share files in that
directory, and any of them tells of all (prometheus_client's multiprocess mode).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.db import connection
from django.http import HttpRequest
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

REQUESTS = Counter("exchange_requests", "Requests, by the name of their route and the status.", ["route", "status"])
SECONDS = Histogram(
    "exchange_request_seconds",
    "Until the answer was made, by the name of the route.",
    ["route"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
PUSHED = Counter("exchange_pushed_objects", "Objects of pushes, by what became of them.", ["outcome"])
REFUSED = Counter("exchange_refused_objects", "Refused objects of pushes, by code.", ["code"])
REPLICA_READS = Counter(
    "exchange_replica_reads", "Reads that a replica could answer: `replica`, or why not.", ["outcome"]
)
MAILS = Counter("exchange_mails", "Mails, by what became of them.", ["outcome"])
POOL_SIZE = Gauge("exchange_pool_connections", "Connections to the store.", multiprocess_mode="livesum")
POOL_WAITING = Gauge("exchange_pool_waiting", "Requests that wait for one.", multiprocess_mode="livesum")
POOL_FAILED = Gauge("exchange_pool_timeouts", "Requests that waited in vain.", multiprocess_mode="livesum")

_UNKNOWN = "none"
_NOTE_S = 5.0


def note_request(request: HttpRequest, *, status: int, seconds: float) -> None:
    """Count an answered request; a path that leads nowhere has the route `none`."""
    match = request.resolver_match
    route = (match.view_name if match is not None else None) or _UNKNOWN
    REQUESTS.labels(route, status).inc()
    SECONDS.labels(route).observe(seconds)


def note_turned_away(*, status: int) -> None:
    """Count a request that reached no route: it did not arrive, or was too large or one too many."""
    REQUESTS.labels(_UNKNOWN, status).inc()


def note_pushed(outcomes: Mapping[str, int], *, refused: Mapping[str, int]) -> None:
    """Count what became of the objects of a push, and the codes of those that were refused."""
    for outcome, count in outcomes.items():
        PUSHED.labels(outcome).inc(count)
    for code, count in refused.items():
        REFUSED.labels(code).inc(count)


def note_pool() -> None:
    """Take down how the pool of this process is."""
    pool: Any = getattr(connection, "pool", None)
    if pool is None:
        return
    stats = pool.get_stats()
    POOL_SIZE.set(stats.get("pool_size", 0))
    POOL_WAITING.set(stats.get("requests_waiting", 0))
    POOL_FAILED.set(stats.get("requests_errors", 0))


def keep_pool_noted(*, every_s: float = _NOTE_S) -> None:
    """Have a thread take it down for the other processes of this machine; alone, this one does so when it is asked."""
    if not _shared():
        return

    def keep() -> None:
        while True:
            note_pool()
            time.sleep(every_s)

    threading.Thread(target=keep, name="exchange-pool-noted", daemon=True).start()


def register(registry: CollectorRegistry) -> None:
    """Add what was counted: by all processes of this machine, or by this one."""
    if directory := _shared():
        _forget_the_dead(Path(directory))
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    else:
        registry.register(_OwnCounts())


def _shared() -> str:
    return os.environ.get("PROMETHEUS_MULTIPROC_DIR", "")


def _forget_the_dead(directory: Path) -> None:
    """Processes that have ended hold no connections any more, however they ended; what they counted stays."""
    for file in directory.glob("gauge_live*_*.db"):
        pid = int(file.stem.rpartition("_")[2])
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            mark_process_dead(pid)  # type: ignore[no-untyped-call]
        except PermissionError:  # it lives, as another user
            continue


class _OwnCounts:
    """What this process counted, without what prometheus_client says of Python by itself."""

    def collect(self) -> Any:
        return (metric for metric in REGISTRY.collect() if metric.name.startswith("exchange_"))
