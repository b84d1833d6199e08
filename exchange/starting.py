"""What a process finds out before it works: whether the store is there, and new enough.

A store that is not there yet is waited for, with a line in the log each half minute. One that is too old, or refuses us
for half a minute (another password, no such role or database), ends the process with a sentence. A worker, beat and
`prepare` wait here; a web process answers meanwhile that it is not ready.
"""

from __future__ import annotations

import os
import re
import select
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from typing import IO, Any

import psycopg
from django.conf import settings
from psycopg import pq
from psycopg.conninfo import make_conninfo
from structlog import get_logger

log = get_logger()

LEAST_VERSION = 16
_PAUSE_S = 1.0
_CONNECT_S = 5
#: For so long a server may refuse us: whoever installs makes the role and the database at this moment, perhaps.
_REFUSED_S = 30.0
_AGAIN_S = 30.0
#: What is wrong with DATABASE_URL, and not with the server: whom it does not know or let in, no such database, and no
#: right to connect to it (PostgreSQL, Appendix A). Whatever else it says (it starts, it is full) passes.
_REFUSALS = frozenset({"28000", "28P01", "3D000", "42501"})
#: The code in what libpq writes down of the server's answers.
_CODE = re.compile(rb'ErrorResponse\b[^\n]* C "([0-9A-Z]{5})"')
#: Messages to and fro until a server has let us in or not, with room.
_MOST_STEPS = 50
_GOING = {pq.PollingStatus.READING, pq.PollingStatus.WRITING}


class Unfit(SystemExit):
    """No process can work with this store, however long it waits. SystemExit: a process says the sentence alone."""


class TooOld(Unfit):
    """The server of the store is older than what we need."""

    def __init__(self, version: int) -> None:
        super().__init__(f"DATABASE_URL: PostgreSQL {LEAST_VERSION} or newer is needed; this server is {version}")


class Refused(Unfit):
    """The server answers, and does not let us in."""

    def __init__(self, why: str) -> None:
        super().__init__(f"DATABASE_URL: the store refuses this exchange: {why}")


def require_version(number: int) -> None:
    """Raise TooOld for a server whose `server_version_num` is too low."""
    if number // 10_000 < LEAST_VERSION:
        raise TooOld(number // 10_000)


def wait_for_store(*, pause_s: float = _PAUSE_S, refused_s: float = _REFUSED_S, again_s: float = _AGAIN_S) -> None:
    """Return once the store answers. Raises TooOld, and Refused where it refused us for `refused_s` seconds."""
    said = refused = None
    while True:
        try:
            version = _version()
        except psycopg.OperationalError as error:
            now, why = time.monotonic(), _first_line(error)
            refused = (now if refused is None else refused) if _is_refused() else None
            if refused is not None and now - refused >= refused_s:
                raise Refused(why) from None
            if said is None or now - said >= again_s:
                log.warning("store.waiting", why=why, until=_until(refused, refused_s), see="exchange-manage doctor")
                said = now
            time.sleep(pause_s)
        else:
            require_version(version)
            if said is not None:
                log.info("store.there")
            return


def _until(refused: float | None, refused_s: float) -> str:
    return "the store answers" if refused is None else f"it lets us in; ends after {refused_s:.0f} s"


def look_at_store() -> None:
    """The same beside what a web process does: it returns at once unless the store is there and too old.

    While it waits the process answers that it is not ready; a store that no process can work with ends it.
    """
    try:
        require_version(_version())
    except psycopg.OperationalError:
        threading.Thread(target=_or_end(wait_for_store), name="exchange-starting", daemon=True).start()


def _or_end(wait: Callable[[], None]) -> Callable[[], None]:
    def run() -> None:
        try:
            wait()
        except Unfit as unfit:
            log.critical("store.too_old" if isinstance(unfit, TooOld) else "store.refused", why=str(unfit))
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
    with psycopg.connect(**_asked()) as connection:
        return connection.info.server_version


def _asked() -> dict[str, Any]:
    """Whom DATABASE_URL has us ask, and as whom, in the words of libpq."""
    store = settings.DATABASES["default"]
    given = {
        "host": store["HOST"],
        "port": store["PORT"],
        "dbname": store["NAME"],
        "user": store["USER"],
        "password": store["PASSWORD"],
    }
    options = {name: value for name, value in store["OPTIONS"].items() if name not in {"pool", "options"}}
    own = {name: value for name, value in options.items() if name not in {"prepare_threshold", "cursor_factory"}}
    said: dict[str, Any] = {name: value for name, value in given.items() if value} | own
    return said | {"connect_timeout": _CONNECT_S}


def _is_refused() -> bool:
    """Whether the server answers, and will not let us in as DATABASE_URL says, whatever language it speaks.

    libpq hands no SQLSTATE on before there is a connection, but it can write down what the server sends: into memory,
    and forgotten here, for it holds what is sent to the server, too.
    """
    with _unnamed() as written:
        connection = pq.PGconn.connect_start(make_conninfo(**_asked()).encode())
        try:
            connection.trace(written.fileno())
            status = pq.PollingStatus.WRITING
            for _ in range(_MOST_STEPS):
                there = [connection.socket]
                reads, writes = (there, []) if status == pq.PollingStatus.READING else ([], there)
                if not any(select.select(reads, writes, there, _CONNECT_S)):
                    break
                status = pq.PollingStatus(connection.connect_poll())
                if status not in _GOING:
                    break
            if connection.needs_password:
                return True
            connection.untrace()
        except psycopg.OperationalError:
            return False
        finally:
            connection.finish()
        written.seek(0)
        code = _CODE.search(written.read())
    return code is not None and code[1].decode() in _REFUSALS


def _unnamed() -> IO[bytes]:
    """A file in memory where there are such, else one without a name."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("exchange-starting"), "w+b")
    return tempfile.TemporaryFile()


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
