"""Django's PostgreSQL engine with the pool of `exchange.pooling`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.backends.base.base import NO_DB_ALIAS
from django.db.backends.postgresql import base
from psycopg import Connection

from exchange.pooling import LastFirst


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's; only the pool is another one."""

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
