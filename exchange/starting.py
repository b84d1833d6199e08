"""What a process finds out before it works: whether the store is there, and new enough.

A store that is not there yet is waited for, with one line in the log. One that is too old ends the process with a
sentence. A worker, beat and `prepare` wait here; a web process answers meanwhile that it is not ready.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
from django.conf import settings
from structlog import get_logger

log = get_logger()

LEAST_VERSION = 16
_PAUSE_S = 1.0
_CONNECT_S = 5


class TooOld(SystemExit):
    """The server of the store is older than what we need. SystemExit, so that a process says the sentence alone."""

    def __init__(self, version: int) -> None:
        super().__init__(f"DATABASE_URL: PostgreSQL {LEAST_VERSION} or newer is needed; this server is {version}")


def require_version(number: int) -> None:
    """Raise TooOld for a server whose `server_version_num` is too low."""
    if number // 10_000 < LEAST_VERSION:
        raise TooOld(number // 10_000)


def wait_for_store(*, pause_s: float = _PAUSE_S) -> None:
    """Return once the store answers. Raises TooOld."""
    waiting = False
    while True:
        try:
            version = _version()
        except psycopg.OperationalError as error:
            if not waiting:
                log.warning("store.waiting", why=_first_line(error))
                waiting = True
            time.sleep(pause_s)
        else:
            require_version(version)
            if waiting:
                log.info("store.there")
            return


def look_at_store() -> None:
    """The same beside what a web process does: it returns at once unless the store is there and too old."""
    try:
        require_version(_version())
    except psycopg.OperationalError:
        threading.Thread(target=_or_end(wait_for_store), name="exchange-starting", daemon=True).start()


def _or_end(wait: Callable[[], None]) -> Callable[[], None]:
    def run() -> None:
        try:
            wait()
        except TooOld as too_old:
            log.critical("store.too_old", why=str(too_old))
            os.kill(os.getpid(), signal.SIGTERM)

    return run


def why_away() -> str:
    """What the store's server says, or its network, when it is asked now; "" where it answers. Raises TooOld."""
    try:
        require_version(_version())
    except psycopg.OperationalError as error:
        return _first_line(error)
    return ""


def _version() -> int:
    """Asked on a connection of its own, outside the pool: what is not there must not fill it.

    Without our settings of the server: an old one refuses those that it does not know, and would be waited for.
    """
    store = settings.DATABASES["default"]
    given = {
        "host": store["HOST"],
        "port": store["PORT"],
        "dbname": store["NAME"],
        "user": store["USER"],
        "password": store["PASSWORD"],
    }
    options = {name: value for name, value in store["OPTIONS"].items() if name not in {"pool", "options"}}
    said: dict[str, Any] = {name: value for name, value in given.items() if value} | options
    with psycopg.connect(**(said | {"connect_timeout": _CONNECT_S})) as connection:
        return connection.info.server_version


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
