"""The key service inside a test: the real one, asked without a network, at a time that the test sets."""

from __future__ import annotations

import os
from datetime import datetime
from functools import cache

import httpx
import psycopg
from psycopg.conninfo import make_conninfo

from exchange import clock
from exchange.keyservice.keeping import SealedKeys
from exchange.keyservice.service import Service
from exchange.keyservice.store import Store
from partners.tokens import oblivious

TOKEN = "the token by which the exchange is known"


@cache
def address() -> str:
    """Of a database of this process's own: several run tests at once, and each empties the tables."""
    server, name = os.environ["DATABASE_URL"], f"keys_{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        connection.execute(f'CREATE DATABASE "{name}"')
    return make_conninfo(server, dbname=name)


def rows(store: Store, query: str) -> list[tuple]:
    """Ask the service's database itself; the rows, if there are any."""
    with store._pool.connection() as connection:
        found = connection.execute(query.encode())
        return found.fetchall() if found.description else []


def served(monkeypatch, settings, *, quota: int = 2_000_000, secret: bytes = b"\7" * 32) -> Store:
    """Have the exchange ask a key service with fresh tables; close the store when done."""
    store = Store(address())
    for table in ("key", "spent"):
        rows(store, f"TRUNCATE keyservice.{table}")

    def now() -> datetime:
        return clock.now()

    service = Service(SealedKeys(store, secret=secret), store, token=TOKEN, quota=quota, now=now)
    settings.KEY_SERVICE_URL, settings.KEY_SERVICE_TOKEN = "http://keys", TOKEN
    client = httpx.Client(
        transport=httpx.WSGITransport(app=service),
        base_url="http://keys",
        headers={"Authorization": f"Bearer {TOKEN}"},
    )
    monkeypatch.setattr(oblivious, "_http", lambda: client)
    return store
