"""Run the connections that are due: claimed by a conditional update, within a share for each partner.

A run is bounded in pages, and in time, which it looks at before each request; what is left is done by the next, after
everybody else's turn. While the other server is waited for, no connection of the database is held. A worker that dies
leaves a row that is claimed again when its claim ends; what it did stays, for a page is kept together with the place
after it. Who changes a connection stops the run, and the next begins when that has ended. Writes how a connection goes.
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from structlog import get_logger

from exchange import clock, hints, sealing
from exchange.celery import app
from exchange.errors import ExchangeError, TooMany
from indicators.connections import heads, keeping, misp, pulling, pushing, remote, taxii
from indicators.connections.remote import Later, Trouble
from indicators.connections.turns import Lost, Turn
from indicators.models import Connection

log = get_logger()

#: Runs of one partner at a time, and of all.
SHARE, MOST_AT_WORK = 1, 8
#: What one run may take.
RUN_S, RUN_PAGES = 45.0, 20
_CLAIM = timedelta(minutes=5)
_TURN_S = 60.0
_LONGEST_REST = timedelta(hours=1)
#: So many runs in succession that fail are told to the partner; one that a person must see to, at once.
TOLD_AFTER = 3


def next_run(one: Connection, trouble: Trouble, failures: int) -> timedelta:
    """How long to wait after so many failures in succession: ever longer, and as the other server asked."""
    wait = min(timedelta(seconds=one.every_s << min(failures - 1, 10)), _LONGEST_REST)
    asked = timedelta(seconds=min(trouble.retry_after_s or 0, 86_400))
    return max(wait, asked)


def run_next() -> bool:
    """Claim the next connection that is due and run it; whether there was one."""
    one = claim()
    if one is None:
        return False
    turn = Turn(one, until=time.monotonic() + RUN_S, pages=RUN_PAGES)
    trouble: Trouble | None = None
    try:
        with remote.asking(turn.may_ask):
            _go(turn)
    except Lost:  # changed, or taken over: where it was changed, the next run begins when this one has ended
        turn.claimed().update(claimed_until=None)
        return True
    except Later:
        trouble = (
            None if turn.kept else Trouble(f"It answers so slowly that {RUN_S:g} seconds did not do for anything.")
        )
    except Trouble as met:
        trouble = met
    except sealing.Broken:
        trouble = Trouble("Its credential cannot be opened any more: give it again.", status=401)
    except TooMany as refused:
        trouble = Trouble(f"{refused.detail} ({refused.code})", retry_after_s=refused.retry_after_s)
    except ExchangeError as refused:
        trouble = Trouble(f"{refused.detail} ({refused.code})")
    except Exception:  # one connection that cannot be run must not keep others from being run
        log.exception("connection.failed", connection=str(one.pk))
        trouble = Trouble("It failed here; the operator's log says why.")
    conclude(turn, trouble)
    return True


def _go(turn: Turn) -> None:
    one, credential = turn.connection, keeping.credential_of(turn.connection)
    pulls = one.direction == Connection.Direction.PULL
    if one.kind == Connection.Kind.MISP:
        from indicators.connections import events  # noqa: PLC0415 - stix2, which most workers never need

        instance = misp.Server(one.url, credential)
        events.pull(turn, instance) if pulls else pushing.push(turn, instance)
    else:
        heads.look(turn, credential)
        server = taxii.Server(one.url, credential)
        pulling.pull(turn, server) if pulls else pushing.push(turn, server)


def claim() -> Connection | None:
    """Take the next connection that is due: of the partner whose last run is longest ago."""
    moment = clock.now()
    asked: dict[str, Any] = {"now": moment, "until": moment + _CLAIM, "share": SHARE, "most": MOST_AT_WORK}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_CLAIM_LOCK])
        cursor.execute(_CLAIM_NEXT, asked)
        claimed = cursor.fetchone()
    if claimed is None:
        return None
    return Connection.unrestricted.select_related("feed").get(pk=claimed[0])


#: Key of the advisory lock under which connections are claimed: "cnct".
_CLAIM_LOCK = 0x636E6374
# One row: the id of the connection that was claimed. Walks the partial index of what is due.
_CLAIM_NEXT = """
WITH at_work AS (
    SELECT partner_id, count(*) AS runs FROM indicators_connection WHERE claimed_until >= %(now)s GROUP BY partner_id
), next AS (
    SELECT c.id FROM indicators_connection c
    JOIN partners_partner p ON p.id = c.partner_id
    LEFT JOIN at_work w ON w.partner_id = c.partner_id
    WHERE c.state = 'active' AND c.due_at <= %(now)s AND p.state = 'active'
      AND (c.claimed_until IS NULL OR c.claimed_until < %(now)s)
      AND coalesce(w.runs, 0) < %(share)s AND (SELECT coalesce(sum(runs), 0) FROM at_work) < %(most)s
    ORDER BY (SELECT max(x.last_at) FROM indicators_connection x WHERE x.partner_id = c.partner_id) NULLS FIRST,
             c.due_at, c.id
    LIMIT 1 FOR NO KEY UPDATE OF c SKIP LOCKED
)
UPDATE indicators_connection c SET claimed_until = %(until)s FROM next WHERE c.id = next.id
RETURNING c.id
"""


def conclude(turn: Turn, trouble: Trouble | None) -> None:
    """Write down how a run ended and when the next one is. Only the claim's holder may."""
    one, moment = turn.connection, clock.now()
    said: dict[str, Any] = {"claimed_until": None, "last_at": moment, "outcome": turn.words(trouble)[:300]}
    if trouble is None:
        rest = timedelta(0) if turn.more else timedelta(seconds=one.every_s)
        said |= {"due_at": moment + rest, "failures": 0, "failing_since": None}
    else:
        failures = one.failures + 1
        said |= {"due_at": moment + next_run(one, trouble, failures), "failures": failures}
        if one.failing_since is None and (failures >= TOLD_AFTER or trouble.final):
            said["failing_since"] = moment
    if not turn.held().update(**said):  # changed since its last page: the next run begins at once
        turn.claimed().update(claimed_until=None)
    log.info(
        "connection.ran",
        connection=str(one.pk),
        way=f"{one.kind} {one.direction}",
        counts=dict(turn.counts),
        trouble=trouble.words if trouble else "",
    )


def hint() -> None:
    """Ask a worker to look; to be called after the commit."""
    hints.SENDER.send_soon(catch_up)


@app.task(name="indicators.connections.running.catch_up")
def catch_up() -> None:
    """Run what is due, one after the other."""
    until = time.monotonic() + _TURN_S
    while time.monotonic() < until and run_next():
        pass
