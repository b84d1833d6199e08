"""What can be wrong with an exchange, where it is seen, and what to do about it: for `exchange-manage doctor`.

A bound here is the one of the alert of the same subject (`deploy/observing/alerts.yaml`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.conf import settings

from exchange import guards, health, starting

_MIB = 2**20
_HOUR_S = 3_600


@dataclass(frozen=True, slots=True)
class Found:
    """One look: what was looked at, whether it is well, what was seen, and what to do where it is not."""

    what: str
    well: bool
    says: str
    do: str


@dataclass(frozen=True, slots=True)
class _Bound:
    metric: str
    what: str
    most: float
    unit: str
    do: str
    absent: str = ""
    per: float = 1


#: Numbers of `/metrics` that are well up to a bound. `absent`: what it means that there is none; "" is well.
_BOUNDS = (
    _Bound(
        "exchange_delivery_oldest_due_seconds",
        "webhooks",
        30,
        "s since the oldest became due",
        "Start more workers of the queue `webhooks`, and look at their log for receivers that hang.",
    ),
    _Bound(
        "exchange_connection_oldest_due_seconds",
        "connections to other exchanges",
        600,
        "s since the oldest became due",
        "Start a worker of the queue `connections`, or another one: each partner's run one after the other.",
    ),
    _Bound(
        "exchange_peer_logs_wrong",
        "logs of other exchanges",
        0,
        "went back, are other ones, or have another key",
        "The partner's log and inbox name the connection: ask that exchange's operator what happened to its log.",
    ),
    _Bound(
        "exchange_follower_lag",
        "followers of the log",
        10_000,
        "changes behind, at most",
        "Look at the log of the worker of the queue `celery`; start another one if it only is busy.",
    ),
    _Bound(
        "exchange_mail_oldest_seconds",
        "mail",
        300,
        "s since the oldest was written",
        "The mail server refuses or is away: EMAIL_URL, and `mail.failed` in the workers' log.",
    ),
    _Bound(
        "exchange_log_wrong",
        "log as it was written",
        0,
        "check has found it changed",
        "Run `exchange-manage audit_verify`, which names each record. Only an administrator of the database can do it.",
    ),
    _Bound(
        "exchange_log_verified_age_seconds",
        "last check of the log",
        100_000,
        "hours old",
        "Run `exchange-manage audit_verify` and see why the timer did not (`systemctl status exchange-verify`).",
        absent="there was none: run `audit_verify` each night",
        per=_HOUR_S,
    ),
)
#: Where others make the backups (BACKUP_BY), nobody misses ours.
_OF_BACKUPS = (
    _Bound(
        "exchange_backup_age_seconds",
        "last base backup",
        100_000,
        "hours old",
        "Run `exchange-manage backup` and see why the timer did not (`systemctl status exchange-backup`).",
        absent="there is none: run `archive` as a service, and `backup` each night",
        per=_HOUR_S,
    ),
    _Bound(
        "exchange_restore_drill_age_seconds",
        "last restore drill",
        700_000,
        "hours old",
        "Run `exchange-manage restore_drill`: a backup that was never restored is a hope.",
        absent="there was none: run `restore_drill`",
        per=_HOUR_S,
    ),
    _Bound(
        "exchange_archive_behind_bytes",
        "archive of PostgreSQL's log",
        256 * _MIB,
        "MiB not received",
        "`archive` is down or slow, and PostgreSQL keeps its log for it: restart it before the disk is full.",
        absent="nothing is received: run `archive` as a service",
        per=_MIB,
    ),
)
_WAYS = {
    "migrations": "Run `exchange-manage prepare`.",
    "broker": "Start it, or give it memory and disk (CELERY_BROKER_URL). Nothing is lost: the sweeps find the work.",
    "beat": "Start beat, and a worker of the queue `celery`; their logs say why they ended. `ahead`: compare clocks.",
    "assets": "Run `exchange-manage prepare` on this machine: it collects the portal's files into STATIC_ROOT.",
    "key_service": "Start it, or compare KEY_SERVICE_TOKEN on both sides. Until then nothing is tokenised.",
}


def looked() -> Iterator[Found]:
    """All looks; where the store is away, that one alone, for every other asks it."""
    why = starting.why_away()
    yield Found("store", not why, why or "answers", "Start PostgreSQL, or mend DATABASE_URL or the network.")
    if why:
        return
    for name, says in {**health.checks(), **health.key_service()}.items():
        if name in _WAYS:
            yield Found(name.replace("_", " "), says in {"ok", "none"}, says, _WAYS[name])
    yield _guarded()
    yield _whole()
    yield from _measured(health.measured())


def _guarded() -> Found:
    """PostgreSQL keeps rules of its own, such as that a log only grows; a table made anew may have lost them."""
    missing = guards.missing()
    return Found(
        "triggers",
        not missing,
        f"missing or off: {', '.join(missing)}" if missing else "all there",
        "Make each as the newest migration that names it does, or ALTER TABLE … ENABLE TRIGGER. Until then nothing"
        " keeps its rule.",
    )


def _whole() -> Found:
    """A cut of the log bounds what may be written, until it is made; one that was killed may leave that behind."""
    left = guards.half_cut()
    return Found(
        "parts of the log",
        not left,
        f"a cut of {', '.join(left)} was broken off" if left else "whole",
        "Run `exchange-manage log_parts divide` again: from the place of that cut on nothing can be published.",
    )


def _measured(values: dict[str, float]) -> Iterator[Found]:
    for bound in (*_BOUNDS, *(_OF_BACKUPS if settings.BACKUP_BY == "exchange" else ())):
        value = values.get(bound.metric)
        if value is None:
            yield Found(bound.what, not bound.absent, bound.absent or "none waits", bound.do)
        else:
            yield Found(bound.what, value <= bound.most, f"{value / bound.per:,.0f} {bound.unit}", bound.do)
