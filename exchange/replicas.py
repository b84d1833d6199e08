"""Reads on a streaming replica, where it has all that was committed when the read began; else on the primary.

A replica is behind by some milliseconds, or by as long as it stands still. A reader who was told of a change, whose
cursor stands after it, or from whom something was taken, must never be answered from before that. So each read asks the
primary first how far its log (WAL) has come, and the replica whether it has replayed that much: whatever was
acknowledged to anybody before lies before that place. A replica that is not there yet is waited for a moment; one that
is behind, away, or ends the query (a conflict with what it replays) leaves the read to the primary. Hence a replica
answers as the primary would, and no cursor or ETag has to know of it.

Only what is asked by hand (`exchange.sql`) goes there, and only what its caller says: queries that read and write
nothing. Who is asking, and all else, is asked of the primary.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, connections
from psycopg_pool import PoolTimeout
from structlog import get_logger

from exchange import counting, sql

log = get_logger()

ALIAS = "replica"
#: How long a replica is waited for that has not replayed enough; the lag of one that keeps up is shorter.
WAIT_S = 0.05
_PAUSE_S = 0.005
#: For so long nobody asks a replica that failed.
REST_S = 5.0
_FAILURES = (OperationalError, InterfaceError, PoolTimeout)


class _Known:
    """What this process knows of the replica: until when it is left alone.

    How far it is, is asked each time: its address may name several servers, and one that was restored goes back.
    """

    def __init__(self) -> None:
        self.rests_until = 0.0


_known = _Known()


def read[Answer](look: Callable[[], Answer]) -> Answer:
    """What `look` returns, which asks by `exchange.sql` and only reads; it may be called twice."""
    if ALIAS not in settings.DATABASES or connection.in_atomic_block or time.monotonic() < _known.rests_until:
        return look()
    wanted = int(sql.ask(_PLACE)[0][0])
    try:
        with sql.on(ALIAS):
            if _has(wanted):
                found = look()
                counting.REPLICA_READS.labels("replica").inc()
                return found
        counting.REPLICA_READS.labels("behind").inc()
    except _FAILURES as error:
        _known.rests_until = time.monotonic() + REST_S
        counting.REPLICA_READS.labels("failed").inc()
        log.warning("replica.failed", error=type(error).__name__)
    finally:
        connections[ALIAS].close()  # back to its pool
    return look()


def _has(wanted: int) -> bool:
    """Whether the replica has replayed the primary's log up to there; it is given a moment. Run where it is asked."""
    until = time.monotonic() + WAIT_S
    while True:
        (replayed,) = sql.ask(_REPLAYED)[0]
        if replayed is None:  # no replica: a primary of its own, whose log is another one
            raise OperationalError("not a replica")
        if replayed >= wanted:
            return True
        if time.monotonic() > until:
            return False
        time.sleep(_PAUSE_S)


# A commit is in the log of the store before anybody sees it, so whatever is seen now lies before this place.
_PLACE = "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"
# NULL on a server that replays nothing.
_REPLAYED = "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() - '0/0'::pg_lsn END"
