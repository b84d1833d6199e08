"""What `exchange.web` serves as the key service; settings come from the environment alone (`deploy/env.example`)."""

from __future__ import annotations

import atexit
import importlib
import os
from collections.abc import Hashable, Mapping
from typing import Any

from exchange import env
from exchange.keyservice.keeping import Keeper, SealedKeys
from exchange.keyservice.service import Service
from exchange.keyservice.store import Store
from exchange.web.hooks import Hooks

_QUOTA = 2_000_000


class _Shares(Hooks):
    """Each partner has its share of the process, as at the exchange; strangers have their network's."""

    def known(self, environ: Mapping[str, Any]) -> Hashable | None:
        return environ.get("HTTP_X_PARTNER") if application.is_from_the_exchange(environ) else self.network(environ)

    def most_bytes(self, environ: Mapping[str, Any], *, stranger: bool) -> int:
        return 65_536


def _keeper(store: Store) -> Keeper:
    named = env.text("KEY_SERVICE_KEEPER")
    if not named:
        return SealedKeys(store, secret=env.seed("KEY_SERVICE_SECRET"))
    module, _, function = named.partition(":")
    keeper: Keeper = getattr(importlib.import_module(module), function)(os.environ)
    return keeper


def _service() -> Service:
    if not env.text("KEY_SERVICE_KEEPER") and not env.seed("KEY_SERVICE_SECRET"):
        raise env.BadEnvironment("KEY_SERVICE_SECRET", "must be set: 64 random hex digits")
    token = env.secret("KEY_SERVICE_TOKEN", least=32)
    url = env.text("KEY_SERVICE_DATABASE_URL") or env.required("DATABASE_URL", why="a postgresql:// URL")
    store = Store(url)
    atexit.register(store.close)  # left to the interpreter's end, its threads would be waited for in vain, five seconds
    quota = env.number("KEY_SERVICE_QUOTA", _QUOTA, least=1_000, most=1_000_000_000)
    return Service(_keeper(store), store, token=token, quota=quota)


application = _service()
hooks = _Shares()
