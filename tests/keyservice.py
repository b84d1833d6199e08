"""The key service inside a test: the real one, asked without a network, at a time that the test sets."""

from __future__ import annotations

import os
from datetime import datetime

import httpx

from exchange import clock
from exchange.keyservice.keeping import SealedKeys
from exchange.keyservice.service import Service
from exchange.keyservice.store import Store
from partners.tokens import oblivious

TOKEN = "the token by which the exchange is known"


def rows(store: Store, query: str) -> list[tuple]:
    """Ask the service's database itself; the rows, if there are any."""
    with store._pool.connection() as connection:
        found = connection.execute(query.encode())
        return found.fetchall() if found.description else []


def served(monkeypatch, settings, *, quota: int = 2_000_000, secret: bytes = b"\7" * 32) -> Store:
    """Have the exchange ask a key service with fresh tables; close the store when done."""
    store = Store(os.environ["DATABASE_URL"])
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
