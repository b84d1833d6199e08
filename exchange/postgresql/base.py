"""Django's PostgreSQL engine with the pool of `exchange.pooling`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.backends.base.base import NO_DB_ALIAS, RAN_DB_VERSION_CHECK
from django.db.backends.postgresql import base
from psycopg import Connection, IsolationLevel

from exchange.pooling import LastFirst


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's; the pool is another one, and what it lends is not set up again."""

    # Django's own, which its stubs do not know.
    _connection_pools: dict[str, LastFirst]
    _configure_connection: Callable[[Connection[Any]], None]

    @property
    def pool(self) -> LastFirst | None:
        """The process's pool, made when it is first asked for."""
        options = self.settings_dict["OPTIONS"].get("pool")
        if self.alias == NO_DB_ALIAS or not options:
            return None
        pools = self._connection_pools
        if self.alias not in pools:
            parameters = self.get_connection_params() | {"autocommit": True}  # Django sets it as it needs it
            made = LastFirst(kwargs=parameters, open=False, configure=self._configure_connection, **options)
            pools.setdefault(self.alias, made)  # threads may have made several: the first is everybody's
        return pools[self.alias]

    def connect(self) -> None:
        """Take a connection of the pool, which has been set up by it; only the first is looked at as Django does.

        Each request takes one, and half of its way to PostgreSQL would be spent on what is so already (ADR 0025).
        """
        pool = self.pool
        if pool is None or self.alias not in RAN_DB_VERSION_CHECK:
            super().connect()
            return
        # As Django leaves a new one.
        self.in_atomic_block = self.needs_rollback = self.closed_in_transaction = self.errors_occurred = False
        self.savepoint_ids, self.atomic_blocks, self.run_on_commit = [], [], []
        self.run_commit_hooks_on_set_autocommit_on = False
        self.health_check_enabled, self.health_check_done, self.close_at = False, True, 0.0
        self.isolation_level = IsolationLevel.READ_COMMITTED
        pool.open()
        self.connection = lent = pool.getconn()
        self.autocommit = True
        if not lent.autocommit:  # it was given back from within a transaction
            lent.autocommit = True
