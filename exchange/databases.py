"""The stores that the settings name: one PostgreSQL with a pool for each process, and, if given, a replica of it.

With a pooler in transaction mode before it (PgBouncer), each transaction may be on another connection of the server:
what needs a session goes past it (`exchange.pooling`), commands whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from exchange import env, pooling

#: Queries are short and many: no compiling, no helpers, and one plan for all values of what is prepared (ADR 0025).
PLANNING: Mapping[str, str] = {
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    "plan_cache_mode": "force_generic_plan",
    "enable_presorted_aggregate": "off",
}
#: One that is silently gone is noticed within two minutes: the pool may keep it for long (`exchange.pooling`).
_ALIVE = {
    "keepalives_idle": "60",
    "keepalives_interval": "15",
    "keepalives_count": "4",
    "tcp_user_timeout": "60000",
}


@dataclass(frozen=True, slots=True)
class Stores:
    """`all` is Django's DATABASES; `direct` the store past a pooler, if there is one, `conninfo` that for libpq."""

    all: dict[str, dict[str, Any]]
    direct: dict[str, Any]
    conninfo: str


def of_environment(*, pooled: bool) -> Stores:
    """What DATABASE_URL, DATABASE_DIRECT_URL and DATABASE_REPLICA_URL say. Raises BadEnvironment."""
    direct = env.database("DATABASE_DIRECT_URL" if pooled else "DATABASE_URL")
    conninfo = env.conninfo(direct)
    is_command = env.flag("EXCHANGE_COMMAND", default=False)
    through = pooled and not is_command
    primary = env.database("DATABASE_URL") if through else direct
    # A pooler hands no settings of the server on: `prepare` has made them the role's.
    given = primary["OPTIONS"] if through else _planned(primary["OPTIONS"])
    # What `exchange.sql` asks is prepared the first time; the ORM's cursors bind by themselves. None: nothing is.
    primary["OPTIONS"] = _ALIVE | given | {"prepare_threshold": None if through else 0, "pool": _pool(timeout_s=10)}
    primary["DISABLE_SERVER_SIDE_CURSORS"] = through
    found = {"default": primary}
    # Answers reads of the log that it has all for (`exchange.replicas`); commands ask none.
    if env.text("DATABASE_REPLICA_URL") and not is_command:
        replica = env.database("DATABASE_REPLICA_URL")
        own = _planned(replica["OPTIONS"]) | {"prepare_threshold": 0, "pool": _pool(timeout_s=1)}
        found["replica"] = replica | {"OPTIONS": primary["OPTIONS"] | own, "TEST": {"MIRROR": "default"}}
    return Stores(all=found, direct=direct, conninfo=conninfo)


def _planned(options: dict[str, Any]) -> dict[str, Any]:
    own = [f"-c {name}={value}" for name, value in PLANNING.items()]
    return options | {"options": " ".join([options.get("options", ""), *own]).strip()}


def _pool(*, timeout_s: int) -> dict[str, Any]:
    return {
        "min_size": 1,
        "max_size": env.number("DATABASE_POOL_SIZE", 16, least=1, most=500),
        "timeout": timeout_s,
        "check": pooling.still_there,  # a connection that its server has left costs nobody an error
    }
