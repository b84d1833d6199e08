"""Time that stands still and randomness that repeats: of each step of a world's history, by the step's name.

What is drawn in one step does not depend on how much was drawn before it, so acts that only one of two worlds has shift
nothing in the other steps. PostgreSQL's clock is pinned, too: unqualified `clock_timestamp()` and `now()` are found in
a schema of the test's own before PostgreSQL's.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import os
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from unittest import mock

import time_machine
from django.db import connection
from django.urls import get_resolver

from exchange import clock
from exchange.memory import Memory
from indicators.benign import service_hosts

_ID_BYTES = 16
START = datetime(2026, 11, 10, 12, 0, 0, tzinfo=UTC)


class Pins:
    """Where a world stands in time, and what is drawn there."""

    def __init__(self) -> None:
        self._travelling: time_machine.Coordinates | None = None
        self._seed, self._drawn = b"", 0

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Pin what this process asks for; PostgreSQL's clock within a transaction is `pin_the_store`'s."""
        with (
            time_machine.travel(START, tick=False) as self._travelling,
            mock.patch.object(os, "urandom", self.draw),
            mock.patch.object(random, "_urandom", self.draw),
            mock.patch.object(service_hosts, "_REMEMBERED_S", -1.0),
        ):
            yield

    def step(self, name: str, *, seconds: float) -> None:
        """Go to the step `name`, so many seconds after the start."""
        self._seed, self._drawn = name.encode(), 0
        self._go(START + timedelta(seconds=seconds))

    def later(self, *, seconds: float) -> None:
        """Go on within a step."""
        self._go(clock.now() + timedelta(seconds=seconds))

    def _go(self, moment: datetime) -> None:
        assert self._travelling is not None, "time is not held"
        self._travelling.move_to(moment)
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('pinned.now', %s, false)", [moment.isoformat()])

    def draw(self, count: int) -> bytes:
        """What stands for random bytes. What is drawn later is greater, so that rows are ordered alike in each world."""
        found = b"%b" % (int(clock.now().timestamp()) * 65_536 + self._drawn).to_bytes(6) if count == _ID_BYTES else b""
        while len(found) < count:
            self._drawn += 1
            found += hashlib.sha256(b"%b %d" % (self._seed, self._drawn)).digest()
        return found[:count]


def pin_the_store() -> None:
    """For the rest of this transaction."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA pinned")
        for name in ("clock_timestamp", "now", "statement_timestamp", "transaction_timestamp"):
            cursor.execute(
                f"CREATE FUNCTION pinned.{name}() RETURNS timestamptz STABLE LANGUAGE sql"
                " AS $$ SELECT pg_catalog.current_setting('pinned.now')::pg_catalog.timestamptz $$"
            )
        cursor.execute(_DEFAULTS)
        for table, column in cursor.fetchall():  # they name PostgreSQL's own clock by its number
            cursor.execute(f'ALTER TABLE "{table}" ALTER COLUMN "{column}" SET DEFAULT pinned.now()')
        cursor.execute("SET LOCAL search_path = pinned, public, pg_catalog")


_DEFAULTS = r"""
SELECT table_name, column_name FROM information_schema.columns
WHERE table_schema = 'public' AND column_default ~ '(now|_timestamp)\(\)|CURRENT_TIMESTAMP'
"""


def forget() -> None:
    """Drop what this process remembers of a world that was taken back."""
    for memory in memories():
        memory._held.clear()
    service_hosts.forget()


@lru_cache(maxsize=1)
def memories() -> list[Memory[Any, Any]]:
    """Whatever this process remembers things in."""
    get_resolver().url_patterns  # noqa: B018 - imports what there is
    return [held for held in gc.get_objects() if type(held) is Memory]
